"""What a service is doing, for people and for programs: `systemctl status` and `pychatd status`."""

from __future__ import annotations

import os

from pychat_client.protocol import wire
from pychat_client.protocol.grammar import timestamp
from pychat_client.text import printable
from pychatd.caller_words import silent_words, unread_words
from pychatd.conversation.model import JournalError
from pychatd.conversation.switchboard import Switchboard
from pychatd.conversation.unread import Unread


def state_sentence(switchboard: Switchboard) -> str:
    """What the service does now, and what waits, in a sentence or two."""
    return f"{_state(switchboard)} {_unread_sentence(switchboard)}".rstrip()


def idle_sentence(switchboard: Switchboard) -> str:
    """What systemd shows of a daemon that has ended because nobody was connected."""
    return f"The next call or console starts the daemon again. {_unread_sentence(switchboard)}".rstrip()


def _unread_sentence(switchboard: Switchboard) -> str:
    waiting = _unread(switchboard)
    return "The journal cannot be read." if waiting is None else unread_words(waiting.count, waiting.handles)


def _state(switchboard: Switchboard) -> str:
    conversation, calling = switchboard.conversation, switchboard.calling
    if calling is not None and calling.silent:
        return silent_words(calling.address)
    if calling is not None:
        return f"{printable(calling.handle)} from {calling.address} is calling."
    if conversation is None:
        return "Waiting for a caller."
    name = printable(conversation.handle)
    if switchboard.peer is None:
        return f"Waiting for {name} to come back."
    return f"Talking with {name} from {switchboard.peer.address}."


def _unread(switchboard: Switchboard) -> Unread | None:
    """What waits for the operator; None if the journal cannot be read."""
    try:
        return switchboard.unread()
    except JournalError:
        return None


def status_json(switchboard: Switchboard) -> str:
    """The state as one JSON object in ASCII: what `pychatd status --json` prints."""
    import json

    operator, waiting = switchboard.operator, _unread(switchboard)
    return json.dumps(
        {
            "port": switchboard.settings.port,
            "pid": os.getpid(),
            "since": timestamp(switchboard.started),
            "turns": switchboard.settings.turns.value,
            "key": switchboard.fingerprint,
            "journal": _journal(switchboard) if waiting is not None else "failing",
            "calling": _calling(switchboard.calling),
            "peer": _peer(switchboard),
            "console": operator and {"user": operator.user, "handle": switchboard.handle},
            "unread": waiting
            and {
                "count": waiting.count,
                "from": waiting.handles,
                "since": None if waiting.since is None else timestamp(waiting.since),
            },
            "missed": len(switchboard.missed),
        }
    )


def _journal(switchboard: Switchboard) -> str:
    if not switchboard.check_journal():
        return "failing"
    return "damaged" if switchboard.journal.was_damaged else "ok"


def _calling(calling: wire.Calling | None) -> dict[str, object] | None:
    if calling is None:
        return None
    return {
        "handle": calling.handle,
        "address": calling.address,
        "encrypted": not calling.plain,
        "certificate": calling.name,
        "silent": calling.silent,
    }


def _peer(switchboard: Switchboard) -> dict[str, object] | None:
    conversation, peer = switchboard.conversation, switchboard.peer
    if conversation is None:
        return None
    return {
        "handle": conversation.handle,
        "address": conversation.address,
        "since": timestamp(conversation.started),
        "connected": peer is not None,
        "classic": conversation.classic,
        "encrypted": peer.secure if peer is not None else None,
        "certificate": conversation.name,
        "received": conversation.turn_state.peer,
        "sent": conversation.turn_state.operator,
    }
