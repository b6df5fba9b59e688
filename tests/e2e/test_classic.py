"""Peers that know only the seed's rules: a bare socket, and the real nc where there is one."""

from __future__ import annotations

import re
import shutil
import signal

import pytest

from tests.support.programs import Terminal
from tests.support.service import Service
from tests.support.user import run


def _console(service: Service) -> Terminal:
    return service.ready_console()


def test_lines_go_in_and_lines_come_out(service: Service) -> None:
    console = _console(service)
    peer = service.connect()
    peer.send("Client1> Hi!")
    console.sees("Client1> Hi!")
    console.enter("Hello, Client1")
    assert peer.line() == "Server> Hello, Client1"
    peer.send("Client1> Bye")
    console.sees("Client1> Bye")
    peer.send("\\quit")
    console.sees("Client1 ended the conversation")
    assert peer.rest() == []
    assert service.status()["peer"] is None


def test_the_operators_quit_reaches_a_classic_peer(service: Service) -> None:
    console = _console(service)
    peer = service.connect()
    peer.send("Client1> Hi!")
    console.sees("Client1> Hi!")
    console.enter("\\quit")
    assert peer.rest() == ["\\quit"]


def test_words_for_a_classic_caller_wait_for_the_next_console(service: Service) -> None:
    console = service.ready_plain("pychatd-console", "--handle", "Server")
    peer = service.connect()
    peer.send("Client1> Hi!")
    console.says("Client1> Hi!")
    console.enter("one")
    assert peer.line() == "Server> one"
    console.enter("two")
    console.notes("held until your turn")
    console.process.send_signal(signal.SIGTERM)
    assert console.exit_status() == 130
    assert "Not sent" not in console.notices()
    service.plain("pychatd-console", "--handle", "Server").says("Client1> Hi!")
    peer.send("Client1> And?")
    assert peer.line() == "Server> two"


@pytest.mark.parametrize("by", ["the operator", "the daemon"])
def test_a_line_that_waits_for_its_turn_outlives_the_end(service: Service, by: str) -> None:
    console = _console(service)
    peer = service.connect()
    peer.send("Client1> one", "Client1> two", "Client1> three")
    console.sees("Client1> one")
    if by == "the operator":
        console.enter("\\quit")
        console.sees("Client1> three")
    else:
        service.kill(signal.SIGTERM)
        service.start()
    assert peer.rest()[0].startswith("\\quit")
    history = run(service, [*service.console_words(), "--history"]).stdout
    assert re.findall("Client1> (.*)", history) == ["one", "two", "three"]


def test_a_line_without_a_name_is_from_guest(service: Service) -> None:
    console = _console(service)
    peer = service.connect()
    peer.send("hello there")
    console.sees("guest> hello there")
    assert service.status()["peer"]["handle"] == "guest"
    assert service.status()["peer"]["classic"] is True


def test_three_lines_at_once_arrive_one_a_turn_and_in_order(service: Service) -> None:
    console = _console(service)
    peer = service.connect()
    peer.send("Client1> one", "Client1> two", "Client1> three")
    for number, word in enumerate(("one", "two", "three"), 1):
        console.sees(f"Client1> {word}")
        assert service.status()["peer"]["received"] == number
        console.enter(f"after {word}")
        assert peer.line() == f"Server> after {word}"


def test_the_end_of_input_delivers_held_messages_then_ends(service: Service) -> None:
    console = _console(service)
    peer = service.connect()
    peer.send("Client1> one", "Client1> two")
    console.sees("Client1> one")
    peer.raw(b"Client1> three, without a line feed")
    peer.end()
    console.sees("Client1> three, without a line feed")
    console.sees("Client1 ended the conversation")
    lines = console.lines()
    assert lines.index(console.line_with("Client1> two")) < lines.index(console.line_with("Client1> three"))


def test_carriage_returns_at_the_ends_of_lines_are_not_shown(service: Service) -> None:
    console = _console(service)
    peer = service.connect()
    peer.raw(b"Client1> Hi!\r\n")
    console.sees("Client1> Hi!")
    assert console.line_with("Client1> Hi!").endswith("Client1> Hi!")
    peer.raw(b"\\quit\r\n")
    console.sees("Client1 ended the conversation")


def test_a_line_that_is_too_long_does_not_end_the_talk(service: Service) -> None:
    console = _console(service)
    peer = service.connect()
    peer.send("Client1> Hi!")
    console.sees("Client1> Hi!")
    console.enter("Go on")
    assert peer.line() == "Server> Go on"
    for length in (501, 100_000):
        peer.send("Client1> " + "x" * length)
        assert peer.line().startswith("\\error too-long ")
    peer.send("Client1> " + "y" * 500)
    console.sees("yyyy")
    assert service.status()["peer"]["received"] == 2
    assert "xxx" not in console.text()


def test_a_full_queue_refuses_more_and_loses_nothing(service: Service) -> None:
    console = _console(service)
    peer = service.connect()
    peer.send(*(f"Client1> line {number}" for number in range(150)))
    console.sees("Client1> line 0")
    assert peer.reads("\\error").startswith("\\error waiting ")
    peer.close()
    console.sees("Client1> line 100")
    console.sees("The conversation with Client1 has ended: the connection was lost")


def test_odd_bytes_are_shown_and_never_obeyed(service: Service) -> None:
    console = _console(service)
    peer = service.connect()
    peer.raw(b"Client1> a\x1b[2Jb\xffc\n")
    console.sees("Client1> a\ufffd[2Jb\ufffdc")
    console.enter("What?")
    assert peer.line() == "Server> What?"


def test_a_classic_caller_is_told_that_the_service_is_busy(service: Service) -> None:
    service.talk()
    peer = service.connect()
    peer.send("Client2> Hi!")
    (answer,) = peer.rest()
    assert answer.startswith("\\busy Busy: somebody else is talking")


def test_an_empty_line_is_no_message(service: Service) -> None:
    console = _console(service)
    peer = service.connect()
    peer.send("", "  ", "Client1> Hi!")
    console.sees("Client1> Hi!")
    assert service.status()["peer"]["received"] == 1


def test_the_real_nc_is_a_peer(service: Service) -> None:
    nc = shutil.which("nc")
    if nc is None:
        pytest.skip("nc is not installed")
    console = _console(service)
    peer = service.terminal([nc, "127.0.0.1", str(service.port)])
    peer.enter("Client1> Hi!")
    console.sees("Client1> Hi!")
    console.enter("Hello")
    peer.sees("Server> Hello")
    peer.enter("\\quit")
    console.sees("Client1 ended the conversation")
