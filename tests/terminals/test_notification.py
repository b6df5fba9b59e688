"""The notification of `notify = true`: on the desktop with kitty, and no trace of it in a terminal without any."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.service import BIN, Service
from tests.support.waiting import wait_for
from tests.terminals.x import Kitty, Vte, Xterm, XWindow

RULE = "interface='org.freedesktop.Notifications',member='Notify'"


@contextmanager
def _desktop(directory: Path) -> Iterator[tuple[str, Path]]:
    """The address of a bus for notifications, and a file with those that programs ask for."""
    log = directory / "notifications"
    read, write = os.pipe()
    command = ["dbus-daemon", "--session", "--nofork", f"--print-address={write}"]
    with subprocess.Popen(command, pass_fds=[write], stderr=subprocess.DEVNULL) as bus, log.open("wb") as out:
        os.close(write)
        with os.fdopen(read) as told:
            address = told.readline().strip()
        with subprocess.Popen(["dbus-monitor", "--address", address, RULE], stdout=out) as monitor:
            wait_for(lambda: "NameAcquired" in log.read_text(), "the monitor of the bus")
            try:
                yield address, log
            finally:
                monitor.terminate()
                bus.terminate()


@contextmanager
def _looks_elsewhere(kind: type[XWindow], service: Service, directory: Path) -> Iterator[XWindow]:
    """A window in which pychat runs, while its user looks at another one and two messages come."""
    service.start("--turns", "free")
    config = service.directory / "config/pychat/config.toml"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text("notify = true\n")
    window = kind(directory / "window", service.env)
    window.directory.mkdir()
    try:
        window.start(str(BIN / "pychat"), "--accept-new", "--handle", "Bob", "localhost", str(service.port))
        window.sees("Send the first message")
        window.type("Hi!")
        window.enter()
        window.sees("Bob> Hi!")
        console = service.console()
        console.sees("Bob> Hi!")
        window.blur()
        for text in ("one; two", "three"):
            console.enter(text)
            window.sees(f"Server> {text}")
        yield window
    finally:
        window.close()


def _skip_without(kind: type[XWindow]) -> None:
    if missing := kind.missing():
        pytest.skip(f"not installed: {missing}")


@pytest.mark.terminals
def test_kitty_shows_one_on_the_desktop(idle_service: Service, tmp_path: Path) -> None:
    _skip_without(Kitty)
    with _desktop(tmp_path) as (address, log):
        idle_service.env["DBUS_SESSION_BUS_ADDRESS"] = address
        with _looks_elsewhere(Kitty, idle_service, tmp_path):
            wait_for(lambda: "one; two" in log.read_text(), "the notification", shown=log.read_text)
            assert log.read_text().count("member=Notify") == 1
            assert '"pychat: Server> one; two"' in log.read_text()


@pytest.mark.terminals
@pytest.mark.parametrize("kind", [Xterm, Vte])
def test_others_show_nothing_of_it(kind: type[XWindow], idle_service: Service, tmp_path: Path) -> None:
    _skip_without(kind)
    with _looks_elsewhere(kind, idle_service, tmp_path) as window:
        text = "\n".join(window.lines())
        assert text.count("one; two") == 1
        assert "notify" not in text
