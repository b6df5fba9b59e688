"""What a service is doing, for people and for programs: `systemctl status` and `pychatd status`."""

from __future__ import annotations

import os

from pychat_client.protocol.grammar import timestamp
from pychat_client.text import printable
from pychatd.conversation.switchboard import Switchboard


def state_sentence(switchboard: Switchboard) -> str:
    """What the service does now, in a sentence."""
    conversation = switchboard.conversation
    if conversation is None:
        return "Waiting for a caller."
    name = printable(conversation.handle)
    if switchboard.peer is None:
        return f"Waiting for {name} to come back."
    return f"Talking with {name} from {switchboard.peer.address}."


def status_json(switchboard: Switchboard) -> str:
    """The state as one JSON object in ASCII: what `pychatd status --json` prints."""
    import json

    conversation, operator = switchboard.conversation, switchboard.operator
    peer = conversation and {
        "handle": conversation.handle,
        "address": conversation.address,
        "since": timestamp(conversation.started),
        "connected": switchboard.peer is not None,
        "classic": conversation.classic,
        "encrypted": switchboard.peer.secure if switchboard.peer is not None else None,
        "certificate": switchboard.peer.name if switchboard.peer is not None else None,
        "received": conversation.turn_state.peer,
        "sent": conversation.turn_state.operator,
    }
    return json.dumps(
        {
            "port": switchboard.settings.port,
            "pid": os.getpid(),
            "since": timestamp(switchboard.started),
            "turns": switchboard.settings.turns.value,
            "key": switchboard.fingerprint,
            "peer": peer,
            "console": operator and {"user": operator.user, "handle": switchboard.handle},
        }
    )
