"""Windows with few rows and columns: everything important is visible there too."""

from __future__ import annotations

import pytest

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


def _with_live_typing(service: Service, columns: int, rows: int) -> tuple[Terminal, Terminal]:
    """The console and a small client, after the first message."""
    service.start("--turns", "free")
    console = service.ready_console("--live")
    client = service.client("Client1", "--live", columns=columns, lines=rows)
    client.tells("Send the first message")
    client.enter("Hi!")
    console.sees("watched")
    return console, client


@pytest.mark.parametrize("rows", [3, 4, 5, 6])
def test_a_draft_and_then_the_toolbar_give_way_to_the_line(idle_service: Service, rows: int) -> None:
    console, client = _with_live_typing(idle_service, 20, rows)
    console.type("draft " * 30)
    client.type("so long a line " * 8 + "end")
    _shows(client, rows, " nd\n", "Server | no turns")
    console.type("\x15")
    console.enter("Yes?")
    _shows(client, rows, "Server> Yes?", " nd\n", "Server | no turns")
    assert "…" not in client.text()


@pytest.mark.parametrize("rows", [1, 2])
def test_a_window_of_a_row_or_two_shows_the_line(service: Service, rows: int) -> None:
    client = service.client(columns=20, lines=rows)
    client.tells("Send the first message")
    client.type("so long a line " * 3 + "end")
    _shows(client, rows, "end")
    assert client.cursor_line().endswith("end")
    assert "you send" not in "\n".join(client.lines()[-rows:])


@pytest.mark.parametrize(("rows", "drafts"), [(8, 2), (7, 1), (5, 0)])
def test_a_draft_has_fewer_rows_in_a_low_window(idle_service: Service, rows: int, drafts: int) -> None:
    """Else they would leave it at the top when it becomes half as wide."""
    console, client = _with_live_typing(idle_service, 80, rows)
    console.type("draft " * 30 + "dd99")
    client.sees("typing")
    if drafts:
        client.sees("dd99")
    client.type("half")
    client.line_is("Client1> half")
    assert sum("draft draft" in row for row in client.lines()[-rows:]) == drafts
