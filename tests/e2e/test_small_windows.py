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


def test_in_a_narrow_window_the_help_of_each_command_is_below_it(line: Line) -> None:
    client = line.client(columns=20, lines=10)
    client.sees("key accepted")
    client.enter("\\help")
    client.sees("leave\n")
    text = client.text()
    assert "-- \\help\n   show this list\n-- \\status\n   tell who is\n" in text
    assert "-- Alt-Enter\n   a line break\n" in text


def test_a_search_shows_what_it_has_found(line: Line) -> None:
    client = line.client(columns=20, lines=10)
    client.sees("key accepted")
    client.enter("\\status")
    client.sees("You are Client1")
    client.type("\x12stat")
    _shows(client, 10, "(reverse-i-search)`s\ntat': \\status", "key accepted")
    client.type("\x1b")
    client.line_is("Client1> \\status")
