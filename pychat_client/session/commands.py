"""What a typed line is: a message, or a command (a backslash and a word) from a table of commands.

A message that begins with a backslash is typed with two of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pychat_client.errors import MessageError, NotAllowedError
from pychat_client.records import record
from pychat_client.text import BREAK, MESSAGE_MAX, SURROGATE, as_sent, printable

DOUBLED = ("\\\\text", "sends 'text' with one backslash in front")
"""The row of \\help that tells how to type a message that begins with a backslash."""


@record
class Command:
    """A command. help: what it does, in a few words; run: does it, with the words that were typed behind it, if it
    takes any; words_max: how many characters of them the other side can read, None if it reads none."""

    name: str
    help: str
    run: Callable[[str], None]
    takes_words: bool = False
    words_max: int | None = None


@record
class ParsedLine:
    """A typed line: the words behind a command, or a message; an empty text without a command is nothing."""

    text: str
    command: Command | None = None


class Commands:
    """A table of commands."""

    def __init__(self, commands: Iterable[Command]) -> None:
        self._by_name = {command.name: command for command in commands}

    @property
    def helps(self) -> dict[str, str]:
        """The name of each command, without its backslash, and what it does."""
        return {command.name: command.help for command in self._by_name.values()}

    def parse(self, line: str) -> ParsedLine:
        """Tells commands from messages. Raises NotAllowedError for a command that does not exist, or that takes no
        words and has some, or too many, and MessageError for words that cannot be sent."""
        if not is_command(line):
            return ParsedLine(unescaped(line) if line.strip() else "")
        name, _, rest = line[1:].partition(" ")
        command = self._by_name.get(name.strip())
        if command is None:
            raise NotAllowedError(
                f"There is no command \\{printable(name[:40])}. \\help lists the commands. "
                "To send a message that begins with a backslash, type two backslashes."
            )
        if SURROGATE.search(rest) is not None:
            raise MessageError(f"The words after \\{command.name} contain bytes that are not UTF-8.")
        words = rest.strip()
        if words and not command.takes_words:  # so that they stay in the line
            raise NotAllowedError(f"\\{command.name} takes no words. Remove those after it.")
        if command.words_max is not None and (length := len(printable(words))) > command.words_max:
            raise NotAllowedError(f"The words have {length} characters; the limit is {command.words_max}.")
        return ParsedLine(words, command)

    def room(self, line: str) -> int | None:
        """How many more characters the typed `line` can have, below 0 for too many; None for a command that sends
        no words."""
        if not is_command(line):
            return MESSAGE_MAX - len(as_sent(unescaped(line)))
        name, _, words = line[1:].partition(" ")
        command = self._by_name.get(name)
        if command is None or command.words_max is None:
            return None
        return command.words_max - len(printable(words.strip()))


def is_command(line: str) -> bool:
    """Whether `line` is a command and not a message."""
    return line.startswith("\\") and not line.startswith("\\\\") and "\n" not in line


def unescaped(line: str) -> str:
    """The message that a typed line stands for."""
    return line[1:] if line.startswith("\\\\") else line


def escaped(text: str) -> str:
    """How the message `text` is typed."""
    lines = text.replace(BREAK, "\n")
    return f"\\{lines}" if lines.startswith("\\") else lines
