"""The operator's console comes and goes; the conversation stays."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.support.programs import Terminal
from tests.support.service import BIN, Service
from tests.support.waiting import wait_for


def _said(terminal: Terminal) -> list[str]:
    """The messages on a screen, without their times."""
    return [line[6:] for line in terminal.lines() if line[2:3] == ":" and "> " in line]


def test_a_conversation_survives_the_kill_of_the_console(service: Service) -> None:
    console, client = service.talk()
    console.enter("Hello")
    client.sees("Server> Hello")
    client.enter("How are you?")
    console.sees("Client1> How are you?")
    console.child.kill(signal.SIGKILL)
    client.sees("Server is not at the console")
    client.enter("held meanwhile")
    client.sees("held until your turn")
    again = service.console()
    again.sees("Client1> How are you?")
    client.sees("Server is at the console now")
    again.enter("Fine")
    client.sees("Server> Fine")
    again.sees("Client1> held meanwhile")
    said = ["Client1> Hi!", ">Server> Hello", "Client1> How are you?", ">Server> Fine", "Client1> held meanwhile"]
    wait_for(lambda: _said(again) == said, "both sides' words in order, once each")
    assert _said(client) == [line[1:] if line[0] == ">" else f">{line}" for line in said]


def test_a_console_shows_what_came_before_it(service: Service) -> None:
    client = service.client()
    client.sees("is not at the console")
    client.line_is("Client1>")
    client.enter("Anybody?")
    client.sees("Client1> Anybody?")
    wait_for(lambda: service.status()["peer"], "the message is stored")
    console = service.console()
    console.sees("Client1> Anybody?")
    client.sees("is at the console now")
    console.enter("Yes")
    client.sees("Server> Yes")


def test_the_next_console_shows_an_unseen_conversation(service: Service) -> None:
    client = service.ready_client()
    client.line_is("Client1>")
    client.enter("Call me back")
    client.enter("\\quit bye")
    assert client.exit_status() == 0
    console = service.console()
    console.sees("Client1> Call me back")
    console.sees("Client1 ended the conversation")
    console.sees(': "bye".')


def test_a_second_console_is_told_who_holds_the_first(service: Service) -> None:
    console, client = service.talk()
    second = service.console(env=service.env_of("other"))
    assert second.exit_status() == 4
    second.sees("is using the console")
    second.sees(f"(pid {console.child.pid})")
    second.sees("--take-over")
    console.enter("still mine")
    client.sees("Server> still mine")


def test_take_over_takes_the_console_and_its_conversation(service: Service) -> None:
    console, client = service.talk()
    console.enter("Hello")
    client.sees("Server> Hello")
    second = service.console("--take-over", handle="Chief", env=service.env_of("chief"))
    second.sees("Client1> Hi!")
    second.sees("Server> Hello")
    assert console.exit_status() == 4
    console.sees("has taken over the console")
    client.enter("Who is it?")
    second.sees("Client1> Who is it?")
    second.enter("The chief")
    client.sees("Chief> The chief")


@pytest.mark.parametrize("keys", ["\x04", "\\detach\r"], ids=["ctrl-d", "detach"])
def test_detaching_leaves_the_conversation_running(service: Service, keys: str) -> None:
    console, client = service.talk()
    console.type(keys)
    assert console.exit_status() == 0
    console.tells(
        f"stays open: run 'pychatd-console --handle Server --runtime-directory {service.runtime} {service.port}'"
    )
    client.sees("Server is not at the console")
    assert service.status()["peer"]["connected"] is True
    assert service.status()["console"] is None
    again = service.console()
    again.sees("Client1> Hi!")
    again.enter("Back")
    client.sees("Server> Back")


def test_quit_without_a_conversation_is_refused(service: Service) -> None:
    console = service.ready_console()
    console.enter("\\quit")
    console.sees("No conversation is open. \\detach leaves the console.")
    assert console.child.isalive()


def test_without_a_port_the_only_service_is_found(service: Service) -> None:
    console = service.terminal([str(BIN / "pychatd-console"), "--runtime-directory", str(service.runtime)])
    console.sees(f"Waiting for calls on port {service.port}")


def test_without_a_port_several_services_are_listed(service: Service, tmp_path: Path) -> None:
    (tmp_path / "2").mkdir()
    other = Service(tmp_path / "2", runtime=service.runtime)
    try:
        other.start()
        console = service.terminal([str(BIN / "pychatd-console"), "--runtime-directory", str(service.runtime)])
        assert console.exit_status() == 2
        console.sees(", ".join(map(str, sorted((service.port, other.port)))))
        other.kill()
        console = service.terminal([str(BIN / "pychatd-console"), "--runtime-directory", str(service.runtime)])
        console.sees(f"Waiting for calls on port {service.port}")
    finally:
        other.close()


def test_without_a_daemon_the_console_says_what_to_run(idle_service: Service) -> None:
    console = idle_service.console()
    assert console.exit_status() == 3
    console.tells(f"Start one: 'pychatd start {idle_service.port}'")


def test_files_of_a_killed_daemon_are_no_service(service: Service) -> None:
    service.kill()
    assert service.console().exit_status() == 3
    console = service.terminal([str(BIN / "pychatd-console"), "--runtime-directory", str(service.runtime)])
    assert console.exit_status() == 3


def test_a_console_of_a_stopped_service_says_how_to_start(service: Service) -> None:
    service.kill()
    console = service.console()
    assert console.exit_status() == 3
    console.tells(f"Start one: 'pychatd start {service.port}'")


def test_the_console_calls_again_when_the_daemon_comes_back(service: Service) -> None:
    console, client = service.talk()
    service.kill()
    console.sees("Connection lost")
    service.start()
    console.sees("Back in the conversation with Client1.")
    client.sees(" again.")
    console.enter("Back")
    client.sees("Server> Back")
    assert console.text().count("Client1> Hi!") == 1


def test_the_turn_is_shown_without_a_connection_too(service: Service) -> None:
    console, client = service.talk()
    service.kill()
    console.sees(") | your turn")  # behind: calling again (1
    client.sees(") | Server's turn")
    console.enter("\\status")
    console.sees("-- Not connected: calling again (")
    console.sees("It is your turn, as far as this program knows.")
    console.sees("-- Client1 called from ")
    client.enter("\\status")
    client.sees("-- The last connection was with Server.")
    for end in (console, client):
        assert "Encrypted with TLS" not in end.text()
        assert " calls from " not in end.text().split("Not connected")[1]


NOT_YET = "The other side learns of the end when the connection is back."


def _quits_while_the_daemon_is_down(service: Service) -> tuple[Terminal, Terminal]:
    console, client = service.talk()
    service.kill()
    console.sees("calling again (")
    console.enter("\\quit dinner is ready")
    console.sees("You ended the conversation: dinner is ready.")
    console.sees("-- Not connected. The other side")
    assert NOT_YET in console.text().replace("\n  ", "")
    console.enter("\\status")
    console.sees("You ended the conversation with Client1. Client1 may not know it yet.")
    return console, client


def test_a_quit_waits_for_the_daemon_while_the_console_is_open(service: Service) -> None:
    console, client = _quits_while_the_daemon_is_down(service)
    service.start()
    client.sees('Server ended the conversation: "dinner is ready')
    assert client.exit_status() == 0
    console.sees("-- The other side knows now that you ended")
    console.sees("waiting for the next caller")
    assert service.status()["peer"] is None
    console.type("\x04")
    assert console.exit_status() == 0
    assert "may not know yet" not in console.text()


def test_a_console_that_leaves_says_that_its_quit_may_be_lost(service: Service) -> None:
    console, client = _quits_while_the_daemon_is_down(service)
    console.type("\x04")
    assert console.exit_status() == 0
    console.sees("The other side may not know yet that you ended the conversation.")
    service.start()
    client.sees(" again.")
    service.console()  # as the sentence says
    client.sees("Server ended the conversation")
    assert client.exit_status() == 0


def test_a_quit_that_is_told_at_once_warns_of_nothing(service: Service) -> None:
    console, client = service.talk()
    console.enter("\\quit")
    client.sees("Server ended the conversation")
    assert client.exit_status() == 0
    service.kill()
    console.sees("calling again (")
    console.type("\x04")
    assert console.exit_status() == 0
    assert "told" not in console.text()


def test_the_caller_sees_the_new_handle_of_another_console(service: Service) -> None:
    console, client = service.talk()
    console.type("\x04")
    assert console.exit_status() == 0
    client.sees("Server is not at the console now.")
    service.console(handle="Al2")
    client.sees("-- Al2 is at the console now.")
    assert "is now called" not in client.text()
    service.console("--take-over", handle="Al3", env=service.env_of("al3"))  # nobody is away in between
    client.sees("-- Al2 is now called Al3.")


def test_a_restart_of_the_daemon_changes_no_handle(service: Service) -> None:
    console, client = service.talk()
    console.child.kill(signal.SIGKILL)
    client.sees("Server is not at the console now.")
    service.kill()
    service.start()
    client.sees("Connected to Server again.")
    service.console()
    client.sees("Server is at the console now.")
    assert "is now called" not in client.text()


def test_a_waiting_operator_sees_that_nobody_is_connected(service: Service) -> None:
    console, client = service.talk()
    client.enter("\\quit")
    console.sees("waiting for the next caller")
    service.kill()
    console.sees("calling again (")
    assert "waiting for the next caller" not in console.text()


def test_text_typed_while_the_daemon_is_down_is_sent_later(service: Service) -> None:
    console, client = service.talk()
    service.kill()
    console.sees("Connection lost")
    console.enter("still here")
    console.sees("Server> still here")
    client.sees("Connection lost")
    client.enter("me too")
    client.sees("held until your turn: me too")
    service.start()
    client.sees("Server> still here")
    console.sees("Client1> me too")
    for terminal in (console, client):
        assert terminal.line_with("Server> still here")
        assert terminal.line_with("Client1> me too")


def test_a_console_has_the_configured_handle_by_default(idle_service: Service) -> None:
    idle_service.start("--handle", "Alice")
    console = idle_service.console(handle=None)
    console.line_is("Alice>")
    console.type("\x04")
    assert console.exit_status() == 0
    idle_service.console(handle="Bob").line_is("Bob>")


def test_a_block_that_was_begun_before_another_caller_came_is_refused_once(service: Service) -> None:
    console = service.ready_console()
    spam = service.greeted("Mallory")
    spam.send("Mallory> Buy this")
    console.sees("Mallory> Buy this")
    console.type("\\block")
    console.line_is("Server> \\block")
    spam.send("\\quit")
    console.sees("Mallory ended the conversation.")
    friend = service.greeted("Bob")
    friend.send("Bob> Hello?")
    console.sees("Bob> Hello?")
    console.enter("")
    console.sees("Nobody is blocked: Bob has called since you began this line.")
    console.line_is("Server> \\block")
    console.enter("")
    console.sees("is blocked. 'pychatd unblock")
    assert friend.rest()[-1] == "\\quit the caller was blocked"
