"""What a user can type besides messages: the commands, each with its line of help.

A command is a backslash and a word; a message that begins with a backslash is typed with two of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pychat_client.errors import NotAllowedError
from pychat_client.protocol.turns import Role
from pychat_client.text import BREAK, printable

if TYPE_CHECKING:
    from pychat_client.session.session import Session

_DOUBLED = ("\\\\text", "sends 'text' with one backslash in front")


class Commands:
    """The commands of one user's side."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._actions: dict[str, tuple[str, Callable[[str], None]]] = {
            "help": ("show this list", lambda _: self._help()),
            "status": ("tell who is there, whose turn it is, what waits", lambda _: self._status()),
            "held": ("list what is held until your turn", lambda _: self._list_held()),
            "recall": ("take the newest held message back into the line", lambda _: session.recall()),
            "ring": ("ask the other side for attention", lambda _: session.typing_indicator.ring()),
            "quit": ("end the conversation; words after it are sent as the reason", session.quit),
        }
        if session.endpoint.role is Role.OPERATOR:
            self._actions["detach"] = ("leave the console; the conversation goes on", lambda _: session.leave())

    @property
    def helps(self) -> dict[str, str]:
        """Each command's name (without its backslash) and what it does."""
        return {name: help_line for name, (help_line, _) in self._actions.items()}

    def find(self, line: str) -> Callable[[], None] | None:
        """What to do for `line`, if it is a command. Raises NotAllowedError for one that does not exist."""
        if not is_command(line):
            return None
        name, _, rest = line[1:].partition(" ")
        try:
            action = self._actions[name.strip()][1]
        except KeyError:
            raise NotAllowedError(
                f"There is no command \\{printable(name[:40])}: \\help lists them. "
                "A message that begins with a backslash is typed with two."
            ) from None
        return lambda: action(rest.strip())

    def _help(self) -> None:
        rows = [(f"\\{name}", help_line) for name, help_line in self.helps.items()]
        rows += [_DOUBLED, *self._session.view.keys]
        width = max(len(what) for what, _ in rows)
        for what, help_line in rows:
            beside = f"{what:{width}}  {help_line}"
            self._session.view.notice(f"{what}{BREAK}{help_line}" if self._session.view.narrow else beside)

    def _status(self) -> None:
        for line in self._session.status.status_lines():
            self._session.view.notice(line)

    def _list_held(self) -> None:
        if not self._session.endpoint.held:
            self._session.view.notice("Nothing is held.")
        for text in self._session.endpoint.held:
            self._session.view.held(text)


def is_command(line: str) -> bool:
    """Whether `line` is meant as a command and not as a message."""
    return line.startswith("\\") and not line.startswith("\\\\") and "\n" not in line


def unescaped(line: str) -> str:
    """The message that is meant by `line`."""
    return line[1:] if line.startswith("\\\\") else line


def escaped(text: str) -> str:
    """How the message `text` is typed."""
    lines = text.replace(BREAK, "\n")
    return f"\\{lines}" if lines.startswith("\\") else lines
