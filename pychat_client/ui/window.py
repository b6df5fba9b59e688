"""What the window of the terminal shows beside its text: a notification, and a title while messages are unread.

Knows which sequences a terminal takes, also through tmux and screen. Knows no preferences and no session.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pychat_client.text import printable

_OSC_9 = ("iTerm.app", "WezTerm", "ghostty")
"""Terminals (TERM_PROGRAM) that show a notification for OSC 9; kitty does so too, and says it in TERM. The others,
such as rxvt-unicode and foot, take OSC 777. One that knows both would show two; VTE, as Debian has it, shows none.
"""

_SCREEN_MAX = 256
"""Bytes that screen passes on in one sequence; it drops a longer one (its limit differs with the version)."""

_SAVE_TITLE, _RESTORE_TITLE = "\x1b[22;2t", "\x1b[23;2t"


def notification(words: str, dialect: str, environ: Mapping[str, str]) -> str:
    """The sequence for a notification. dialect: "osc9" or "osc777"; "auto" for that of this terminal.

    The title comes first, because some terminals take "9;4;" for a command, and a message could begin with 4.
    """
    if dialect == "auto":
        kitty = environ.get("TERM", "").startswith("xterm-kitty")
        dialect = "osc9" if kitty or environ.get("TERM_PROGRAM") in _OSC_9 else "osc777"
    if dialect == "osc9":
        return _passed_on(f"\x1b]9;pychat: {words}\a", environ)
    return _passed_on(f"\x1b]777;notify;pychat;{words}\a", environ)


def _passed_on(sequence: str, environ: Mapping[str, str]) -> str:
    """`sequence`, wrapped so that tmux or screen passes it on to the terminal outside."""
    if environ.get("TMUX"):
        return f"\x1bPtmux;{sequence.replace(chr(0x1B), 2 * chr(0x1B))}\x1b\\"
    return _through_screen(sequence, environ)


def _through_screen(sequence: str, environ: Mapping[str, str]) -> str:
    """`sequence`, in pieces that screen passes on, if that is where the program runs."""
    if not environ.get("STY") or environ.get("TMUX"):
        return sequence
    pieces = [sequence[at : at + _SCREEN_MAX // 4] for at in range(0, len(sequence), _SCREEN_MAX // 4)]
    return "".join(f"\x1bP{piece}\x1b\\" for piece in pieces)


class WindowTitle:
    """The title of the window: `HANDLE (2)` while two messages are unread, and afterwards the earlier title again.

    In tmux it is the title of the pane. screen keeps no earlier title: there it is that of the terminal outside.
    """

    def __init__(self, write: Callable[[str], None], environ: Mapping[str, str]) -> None:
        """write: sends an escape sequence to the terminal."""
        self._write_raw = write
        self._environ = environ
        self._unread = 0

    def message(self, handle: str) -> None:
        """A message that the user does not see has come."""
        save = _SAVE_TITLE if not self._unread else ""
        self._unread += 1
        self._write(f"{save}\x1b]2;{printable(handle)} ({self._unread})\a")

    def restore(self) -> None:
        """The user is here again, or the program leaves the terminal."""
        if self._unread:
            self._unread = 0
            self._write(_RESTORE_TITLE)

    def _write(self, sequence: str) -> None:
        self._write_raw(_through_screen(sequence, self._environ))
