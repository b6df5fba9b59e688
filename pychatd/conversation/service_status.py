"""What a line is doing, for people and for programs: `systemctl status` and `pychatd status`."""

from __future__ import annotations

import os

from pychat_client.protocol import wire
from pychat_client.text import printable
from pychatd.conversation.switchboard import Switchboard


def state_words(board: Switchboard) -> str:
    """What the line does now, in a sentence."""
    conversation = board.conversation
    if conversation is None:
        return "Waiting for a peer."
    name = printable(conversation.handle)
    if board.peer is None:
        return f"Waiting for {name} to come back."
    return f"Talking with {name} from {board.peer.address}."


def report(board: Switchboard) -> str:
    """The state as one JSON object, ASCII only: what `pychatd status --json` prints."""
    import json

    conversation, operator = board.conversation, board.operator
    peer = conversation and {
        "handle": conversation.handle,
        "address": conversation.address,
        "since": wire.timestamp(conversation.started),
        "connected": board.peer is not None,
        "classic": conversation.classic,
        "encrypted": board.peer.secure if board.peer is not None else None,
        "certificate": board.peer.name if board.peer is not None else None,
        "received": conversation.ledger.peer,
        "sent": conversation.ledger.operator,
    }
    return json.dumps(
        {
            "port": board.settings.port,
            "pid": os.getpid(),
            "since": wire.timestamp(board.started),
            "turns": board.turns_word,
            "key": board.fingerprint,
            "peer": peer,
            "console": operator and {"user": operator.user, "handle": board.handle},
        }
    )
