"""Changes the size of a terminal that cuts rows. Terminals that wrap them again are in tests/terminals."""

from __future__ import annotations

from tests.support.programs import Terminal
from tests.support.service import Service
from tests.support.waiting import wait_for

LONG = [f"zq{number:02}" for number in range(36)]
"""Words of a line with three rows of 80 columns."""


def words(terminal: Terminal) -> str:
    """What it shows, without blanks, because the edge breaks words."""
    return "".join(terminal.text().split())


def test_a_terminal_that_cuts_rows_shows_everything_once(idle_service: Service) -> None:
    idle_service.start("--turns", "free")
    client = idle_service.ready_client()
    client.enter("Hi!")
    console = idle_service.console()
    console.sees("Client1> Hi!")
    for number in range(12):
        console.enter(f"m{number:02} is a message")
    client.sees("m11")
    client.type(" ".join(LONG))
    wait_for(lambda: LONG[-1] in words(client), "the line")
    for columns in (79, 60, 41, 40, 20, 55, 80):
        client.resize(columns, 24)
        client.type("#")
        wait_for(lambda: "#" in client.text(), "what is typed is drawn")
        client.type("\x7f")
        wait_for(lambda: "#" not in client.text(), "what is deleted is not drawn")
        text = words(client)
        once = [*LONG, "turns", *(f"m{number:02}" for number in range(12))]
        assert {word: text.count(word) for word in once} == dict.fromkeys(once, 1), client.text()
