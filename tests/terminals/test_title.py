"""The title of the window in terminals of X: it counts while the user looks elsewhere, and comes back."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.service import BIN, Service
from tests.support.waiting import wait_for
from tests.terminals.x import Kitty, Vte, Xterm, XWindow


@pytest.mark.terminals
@pytest.mark.parametrize("kind", [Xterm, Kitty, Vte])
def test_the_title_counts_and_comes_back(kind: type[XWindow], idle_service: Service, tmp_path: Path) -> None:
    if missing := kind.missing():
        pytest.skip(f"not installed: {missing}")
    idle_service.start("--turns", "free")
    directory = tmp_path / "window"
    directory.mkdir()
    window = kind(directory, idle_service.env)
    try:
        port = str(idle_service.port)
        window.start(str(BIN / "pychat"), "--accept-new", "--handle", "Bob", "localhost", port)
        window.sees("Send the first message")
        window.type("Hi!")
        window.enter()
        window.sees("Bob> Hi!")
        console = idle_service.console()
        console.sees("Bob> Hi!")
        before = window.title()
        window.blur()
        for count in (1, 2):
            console.enter(f"word {count}")
            wait_for(lambda: window.title() == f"Server ({count})", "the title", shown=window.title)  # noqa: B023
        window.type("x")
        wait_for(lambda: window.title() == before, "the title of before", shown=window.title)
    finally:
        window.close()
