"""The JSON objects that scripts read, one a line; docs/scripts.md describes each.

The text of a message is exactly as it was sent. All characters that are not ASCII are \\u escapes, so that no
control character reaches a terminal that shows the lines.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from pychat_client.protocol import wire
from pychat_client.protocol.grammar import timestamp
from pychat_client.protocol.turns import Role
from pychat_client.text import BREAK

JSON_VERSION = 1
"""The version of the objects. It grows when one of them loses a key, or a key its meaning, but not for new keys
and types."""


def encoded(kind: str, **fields: Any) -> str:
    """An object of the type `kind`, as a line without its line feed."""
    return json.dumps({"v": JSON_VERSION, "type": kind, **fields}).replace("\x7f", "\\u007f")


def message_fields(message: wire.Message, role: Role, time: datetime) -> dict[str, str]:
    """Who said what, and when; the same in a conversation and in the history."""
    text = message.text.replace(BREAK, "\n")
    return {"time": timestamp(time), "from": role.value, "handle": message.handle, "text": text}
