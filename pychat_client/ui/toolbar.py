"""The toolbar below the line: the state of the conversation, and how much of a message is left."""

from __future__ import annotations

from collections.abc import Iterable

from prompt_toolkit.formatted_text import FormattedText, StyleAndTextTuples

from pychat_client.session.commands import is_command
from pychat_client.session.session import Session
from pychat_client.session.status import Emphasis, ToolbarItem
from pychat_client.text import MESSAGE_MAX
from pychat_client.width import columns, fixed_width, wrap

COUNT_FROM = MESSAGE_MAX // 2
"""The number of characters from which on the toolbar says how many are left."""

_STYLES = {Emphasis.PLAIN: "", Emphasis.TURN: "class:turn", Emphasis.WARNING: "class:warning"}


def toolbar_items(session: Session, line: str, *, narrow: bool) -> list[ToolbarItem]:
    """What the toolbar shows while the user types `line`."""
    items = list(session.status.parts())
    command = line[1:] if is_command(line) else None
    if narrow and command in session.commands:
        items.insert(0, ToolbarItem(session.commands[command]))  # a narrow menu has no room for it
    left = session.room(line)
    if left is not None and left < 0:
        items.append(ToolbarItem(f"{-left} too many", Emphasis.WARNING))
    elif left is not None and left < MESSAGE_MAX - COUNT_FROM and command is None:
        items.append(ToolbarItem(f"{left} left"))
    return items


def fit_items(items: Iterable[ToolbarItem], room: int) -> FormattedText:
    """The items in as many rows of `room` columns as they need: nothing is cut off in a narrow window."""
    fitted: StyleAndTextTuples = []
    used = 0
    for item in items:
        words = fixed_width(item.words)
        before = " | " if used else ""
        if used and used + len(before) + columns(words) > room:
            before, used = "\n", 0
        pieces = wrap(words, room, room)
        fitted += [("", before), (_STYLES[item.kind], "\n".join(pieces))]
        used = used + len(before.strip("\n")) + columns(words) if len(pieces) == 1 else columns(pieces[-1])
    return FormattedText(fitted)
