"""Windows with few rows and columns: everything important is visible there too."""

from __future__ import annotations

from tests.support.programs import Terminal
from tests.support.service import Service
from tests.support.waiting import wait_for


def _shows(terminal: Terminal, rows: int, *words: str) -> None:
    """Waits until all `words` are in the window, without scrolling back."""

    def seen() -> str:
        return "\n".join(terminal.lines()[-rows:])

    try:
        wait_for(lambda: all(one in seen() for one in words), f"{words} in the window")
    except AssertionError as error:
        raise AssertionError(f"{error}; it shows:\n{seen()}") from None


def test_the_toolbar_is_complete_below_the_menu(service: Service) -> None:
    client = service.client(columns=20, lines=10)
    client.sees("known host")
    client.type("\\")
    _shows(client, 10, "Client1> \\", "\\help", "you send first", "known host")


def test_in_a_narrow_window_help_is_below_its_command(service: Service) -> None:
    client = service.client(columns=20, lines=10)
    client.sees("known host")
    client.enter("\\help")
    client.sees("leave\n")
    text = client.text()
    assert "-- \\help\n   show this list\n-- \\status\n   show who is\n" in text
    assert "-- Alt-Enter\n   start a new line\n" in text


def test_a_search_shows_what_it_finds(service: Service) -> None:
    client = service.client(columns=20, lines=10)
    client.sees("known host")
    client.enter("\\status")
    client.sees("You are Client1")
    client.type("\x12stat")
    _shows(client, 10, "(reverse-i-search)`s\ntat': \\status", "known host")
    client.type("\x1b")
    client.line_is("Client1> \\status")


def test_a_refusal_is_visible_above_a_long_line(service: Service) -> None:
    client = service.client(columns=40, lines=15)
    client.sees("known host")
    client.type("\x1b[200~" + "word " * 120 + "\x1b[201~")
    _shows(client, 15, "100 too many", "known host")
    client.enter()
    _shows(client, 15, "-- Not sent: the message has 600", "   characters; the limit is 500.", "100 too many")


def test_a_message_is_visible_above_a_long_line(service: Service) -> None:
    console = service.ready_console()
    client = service.client(columns=20, lines=10)
    client.sees("Send the")
    client.enter("Hi!")
    console.sees("Client1> Hi!")
    client.type("so long a line " * 30 + "end")
    _shows(client, 10, "47 left", "nd\n")
    console.enter("Are you there?")
    _shows(client, 10, "Server> Are", "nd\n")
    assert "pychat: accepted\n    the key of\n    localhost port\n" in client.text()
