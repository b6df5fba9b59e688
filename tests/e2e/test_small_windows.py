"""Windows with few rows and columns: what has to be seen is seen there too."""

from __future__ import annotations

from tests.e2e.harness import Line, Terminal, wait_for


def _shows(terminal: Terminal, rows: int, *words: str) -> None:
    """Waits until all `words` are in the window, without scrolling back."""

    def seen() -> str:
        return "\n".join(terminal.lines()[-rows:])

    try:
        wait_for(lambda: all(one in seen() for one in words), f"{words} in the window")
    except AssertionError as error:
        raise AssertionError(f"{error}; it shows:\n{seen()}") from None


def test_the_toolbar_is_whole_below_the_menu(line: Line) -> None:
    client = line.client(columns=20, lines=10)
    client.sees("key accepted")
    client.type("\\")
    _shows(client, 10, "Client1> \\", "\\help", "you speak first", "key accepted")
