"""One peer at a time: who gets the seat, who is told that it is taken, and for how long it is kept."""

from __future__ import annotations

import signal
import socket
import time

import pytest

from tests.support.service import Service
from tests.support.waiting import wait_for

LATER = "Call later, or use --wait to keep calling."


def test_a_caller_is_told_clearly_that_two_are_talking(service: Service) -> None:
    console, client = service.talk()
    third = service.client("Client3", columns=200)
    third.sees(f"Busy: somebody else is talking. {LATER}")
    assert third.exit_status() == 4
    console.enter("undisturbed")
    client.sees("Server> undisturbed")
    assert "Client3" not in console.text()


def test_a_caller_who_thinks_keeps_the_seat_and_is_seen(service: Service) -> None:
    console = service.ready_console()
    slow = service.ready_client("Slow")
    console.sees("Slow is calling and will send the first message.")
    console.sees("waiting for Slow's first message")
    quick = service.client("Quick", columns=200)
    quick.sees(f"Busy: somebody else is calling now and has not sent a message yet. {LATER}")
    assert quick.exit_status() == 4
    slow.enter("First!")
    console.sees("Slow> First!")


def test_a_caller_who_leaves_without_a_word_is_a_missed_call(service: Service) -> None:
    console = service.ready_console(columns=120)
    client = service.ready_client("Slow")
    console.sees("Slow is calling")
    client.enter("\\quit")
    console.sees("Missed call: Slow from 127.0.0.1:")
    service.logs("Slow's call has ended without a message")
    console.sees("no caller yet")


def test_a_program_cut_off_before_the_answer_finds_its_seat(service: Service) -> None:
    """Its first connection is dead, and the daemon does not know it yet."""
    first, again = service.connect(), service.connect()
    first.send("\\hello 1 Slow call=1")
    first.reads("\\away")
    again.send("\\hello 1 Slow call=2")
    assert "session=" in again.reads("\\hello", "\\busy")
    first.reads("\\error displaced")


def test_a_program_that_waits_takes_nobodys_seat(service: Service) -> None:
    thinking = service.connect()
    thinking.send("\\hello 1 Slow call=1")
    thinking.reads("\\hello")
    waiting = service.client("Slow", "--wait")
    waiting.sees("calling again (2)")
    thinking.send("Slow> First!")
    thinking.reads("\\ack")


def test_two_hellos_at_once_make_one_peer(service: Service) -> None:
    one, two = service.connect(), service.connect()
    one.send("\\hello 1 One", "One> mine")
    two.send("\\hello 1 Two", "Two> no, mine")
    answers = {caller.reads("\\ack", "\\busy").split()[0] for caller in (one, two)}
    assert answers == {"\\ack", "\\busy"}
    assert service.status()["peer"]["received"] == 1


def test_wait_gets_in_when_the_seat_is_free(service: Service) -> None:
    console, client = service.talk()
    patient = service.client("Patient", "--wait")
    patient.sees("Busy: you cannot talk now")
    client.enter("\\quit")
    assert client.exit_status() == 0
    patient.sees("Send the first message")
    assert patient.text().count("Busy: ") == 1
    patient.enter("My turn")
    console.sees("Patient> My turn")


def test_the_seat_is_kept_for_a_peer_that_was_cut_off(service: Service) -> None:
    console, client = service.talk()
    client.child.kill(signal.SIGKILL)
    console.sees("Client1 is not connected")
    assert service.status()["peer"]["connected"] is False
    for caller in (
        service.client("Client1", columns=200, env=service.env_of("eve")),
        service.client("Client3", columns=200),
    ):  # without a token, Client1 is anybody
        caller.sees("Busy: somebody who was cut off may come back within ")
        caller.sees(" s. Call after that, or use --wait to keep calling.")
        assert caller.exit_status() == 4


def test_after_the_grace_time_another_caller_may_take_the_seat(idle_service: Service) -> None:
    grace = 1.5
    idle_service.start("--config", idle_service.configure(f"grace = {grace}\n"))
    console, client = idle_service.talk()
    patient = idle_service.client("Patient", "--wait")
    patient.sees("Busy: you cannot talk now")
    client.child.kill(signal.SIGKILL)
    cut_off = time.monotonic()
    console.sees("Client1 is not connected")
    patient.sees("Send the first message")
    assert time.monotonic() - cut_off >= grace
    patient.enter("Is it free now?")
    console.sees("Patient> Is it free now?")
    console.sees("The conversation with Client1 has ended: the caller did not come back")


def test_who_had_to_leave_gets_the_line_back_and_the_operator_knows_why(idle_service: Service) -> None:
    idle_service.start("--config", idle_service.configure("grace = 0\n"))
    console, client = idle_service.talk()
    client.child.kill(signal.SIGKILL)
    console.sees("Client1 is not connected")
    carol = idle_service.ready_client("Carol", columns=200, env=idle_service.env_of("carol"))
    console.sees("Carol is calling")
    carol.type("half a line")
    carol.sees("half a line")
    idle_service.client("Client1").sees("again")
    carol.sees(f"Busy: somebody who was cut off is back. {LATER}")
    carol.sees("Not sent: half a line")
    assert carol.exit_status() == 4
    console.sees("Carol had to leave: Client1 is back in the open conversation.")
    console.sees("Missed call: Carol from 127.0.0.1:")


def test_a_lost_connection_does_not_end_the_conversation(service: Service) -> None:
    console, client = service.talk()
    service.kill()
    client.sees("Connection lost")
    service.start()
    client.sees(" again.")
    console.enter("Still there?")
    client.sees("Server> Still there?")
    client.enter("Yes")
    console.sees("Client1> Yes")
    assert console.text().count("Client1> Hi!") == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_missed_call_outlives_the_daemon(service: Service, number: signal.Signals) -> None:
    caller = service.greeted()
    caller.send("\\quit")
    caller.rest()
    wait_for(lambda: service.status()["missed"] == 1, "the missed call")
    service.kill(number)
    service.start()
    assert service.status()["missed"] == 1
    service.console().sees("Missed call")


def test_all_who_call_when_the_daemon_stops_are_missed_calls(service: Service) -> None:
    with socket.create_connection(("localhost", service.port)):
        wait_for(lambda: (service.status()["calling"] or {}).get("silent"), "the silent caller")
        service.greeted()
        service.pychatd("stop")
        service.start()
        assert service.status()["missed"] == 2
