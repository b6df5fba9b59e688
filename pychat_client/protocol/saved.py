"""What an end of a conversation needs to go on after its program has died. A value: it knows no file.

Texts that the daemon has stored are not in it: the daemon repeats them.
"""

from __future__ import annotations

from typing import TypedDict

from pychat_client.protocol.turns import Turns
from pychat_client.records import record

REPEATED = 100
"""Messages that a program which goes on with a conversation asks the daemon to repeat: a few windows full."""

ALL = 10**9
"""Asks for all messages: more than a conversation can have."""


@record
class SavedEndpoint:
    """The state of an endpoint between two frames.

    session: a peer's token, or the number of a console's conversation; None before the daemon has given one
    since: when a console's conversation began, as the daemon writes it
    calls: the number of the newest call; later ones have higher numbers
    received, stored: messages of the other side, and own ones, that are shown and stored
    stored_here: those of the own ones that this very program has sent
    first: how many own texts have been before the first of `texts`; only ever grows
    numbered, transmitted: how many of `texts`, from the first, have their number, and were given to a connection
    texts: own texts that are not stored, in the order in which they were typed
    left: this user has ended the conversation with `reason`, and the daemon does not know it yet
    """

    handle: str
    other_handle: str = ""
    session: str | None = None
    console: str | None = None
    since: str | None = None
    turns: Turns = Turns.ALTERNATE
    calls: int = 0
    received: int = 0
    stored: int = 0
    stored_here: int = 0
    first: int = 0
    numbered: int = 0
    transmitted: int = 0
    texts: tuple[str, ...] = ()
    left: bool = False
    reason: str = ""


class SavedOutbox(TypedDict):
    """The fields of a SavedEndpoint that are an outbox's."""

    stored: int
    stored_here: int
    first: int
    numbered: int
    transmitted: int
    texts: tuple[str, ...]
