"""Signals while a program has the file of its conversation, and no session yet: it verifies the host, or asks."""

from __future__ import annotations

import json
import signal
import socket
import termios

import pytest

from tests.support.ports import free_port
from tests.support.programs import Piped
from tests.support.service import BIN, Service

MOVED = "Another window has taken over this conversation."


def test_retry_for_holds_while_the_host_is_verified(idle_service: Service) -> None:
    """Also without --wait: the host takes the connection, and says nothing."""
    with socket.create_server(("localhost", idle_service.port)):
        calling = idle_service.plain("pychat", "--handle", "Client1", "--retry-for", "1")
        calling.notes("no reply within")
        assert calling.exit_status() == 3


def _take_over(service: Service, port: int) -> Piped:
    words = ["--take-over", "--plain", "--accept-new", "--handle", "Client1", "localhost", str(port)]
    return Piped(service.popen([str(BIN / "pychat"), *words]))


@pytest.mark.parametrize(
    ("options", "question"),
    [(["--handle", "Client1"], "Trust this host"), (["--accept-new"], "Your handle:")],
    ids=["host", "handle"],
)
def test_a_question_moves_to_another_window(service: Service, options: list[str], question: str) -> None:
    asked = service.terminal([str(BIN / "pychat"), "localhost", str(service.port), *options])
    before = termios.tcgetattr(asked.child.child_fd)
    asked.sees(question)
    assert termios.tcgetattr(asked.child.child_fd) != before
    _take_over(service, service.port).notes("Send the first message")
    assert asked.exit_status() == 4
    asked.sees(MOVED)
    assert termios.tcgetattr(asked.child.child_fd) == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT])
def test_a_signal_at_a_question_puts_the_terminal_in_order(service: Service, number: signal.Signals) -> None:
    asked = service.terminal([str(BIN / "pychat"), "localhost", str(service.port), "--accept-new"])
    before = termios.tcgetattr(asked.child.child_fd)
    asked.sees("Your handle:")
    assert termios.tcgetattr(asked.child.child_fd) != before
    asked.child.kill(number)
    assert asked.exit_status() == 130
    assert termios.tcgetattr(asked.child.child_fd) == before


@pytest.mark.parametrize(
    ("options", "question"),
    [(["--handle", "Client1"], "Trust this host"), (["--accept-new"], "Your handle:")],
    ids=["host", "handle"],
)
def test_ctrl_backslash_ends_the_program_at_a_question(
    service: Service, options: list[str], question: str
) -> None:
    asked = service.terminal([str(BIN / "pychat"), "localhost", str(service.port), "--plain", *options])
    asked.sees(question)
    asked.type("\x1c")
    assert asked.exit_status() == 130


def test_a_message_that_cannot_be_sent_is_given_back_when_another_window_calls(idle_service: Service) -> None:
    port = free_port()
    words = ["send", "--wait", "--open", "--accept-new", "--handle", "Client1", "localhost", str(port), "precious"]
    sender = Piped(idle_service.popen([str(BIN / "pychat"), *words]))
    sender.notes("Calling again.")
    _take_over(idle_service, port)
    assert sender.exit_status() == 4
    assert "Not sent:\npychat:     precious\n" in sender.notices()
    assert MOVED in sender.notices()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT])
def test_the_last_object_tells_of_a_signal(idle_service: Service, number: signal.Signals) -> None:
    words = ["--json", "--wait", "--accept-new", "--handle", "Client1", "localhost", str(free_port())]
    caller = Piped(idle_service.popen([str(BIN / "pychat"), *words]))
    caller.notes("Calling again.")
    caller.process.send_signal(number)
    assert caller.exit_status() == 130
    assert [json.loads(line) for line in caller.out().splitlines()] == [{"v": 1, "type": "end", "status": 130}]


def test_the_last_object_tells_of_another_window(idle_service: Service) -> None:
    port = free_port()
    words = ["--json", "--wait", "--accept-new", "--handle", "Client1", "localhost", str(port)]
    caller = Piped(idle_service.popen([str(BIN / "pychat"), *words]))
    caller.notes("Calling again.")
    _take_over(idle_service, port)
    assert caller.exit_status() == 4
    error, end = (json.loads(line) for line in caller.out().splitlines())
    assert error["text"] == MOVED
    assert end["status"] == 4


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 130), (signal.SIGUSR1, 4)])
def test_replies_end_in_order(service: Service, number: signal.Signals, status: int) -> None:
    host = ["--handle", "Client1", "localhost", str(service.port)]
    sent = Piped(service.popen([str(BIN / "pychat"), "send", "--open", "--accept-new", *host, "Hi!"]))
    assert sent.exit_status() == 0
    service.kill()
    (service.directory / "data/pychat/known_hosts").unlink()
    caller = Piped(service.popen([str(BIN / "pychat"), "replies", "--wait", *host[2:]]))
    caller.notes("Calling again.")
    caller.process.send_signal(number)
    assert caller.exit_status() == status
    assert (MOVED in caller.notices()) == (status == 4)
