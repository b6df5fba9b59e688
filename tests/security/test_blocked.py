"""A blocked caller gets a sentence, and nothing else; the operator is free at once."""

from __future__ import annotations

import socket

import pytest

from pychat_client.errors import ExitStatus
from tests.support.fake_hosts import Hosts, client_context
from tests.support.raw_ends import BlockingEnd
from tests.support.service import Service
from tests.support.waiting import PATIENCE

REFUSED = "\\error blocked The operator has blocked you here."


def refused(service: Service, handle: str) -> None:
    caller = service.connect()
    caller.send(f"\\hello 1 {handle}")
    assert caller.line() == REFUSED
    assert caller.line() == ""
    caller.close()


@pytest.mark.parametrize(
    ("kind", "word"), [("address", "127.0.0.1"), ("network", "127.0.0.0/8"), ("handle", "mallory")]
)
def test_a_block_holds_at_once(service: Service, kind: str, word: str) -> None:
    service.greeted("Mallory").close()
    result = service.pychatd("block", word)
    assert result.returncode == ExitStatus.OK
    assert result.stdout.startswith(f"The {kind} {word} is blocked. 'pychatd unblock {service.port} {word}'")
    refused(service, "Mallory")
    assert service.pychatd("blocked").stdout == f"{kind} {word}\n"
    assert service.pychatd("unblock", word).returncode == ExitStatus.OK
    service.greeted("Mallory")
    assert service.pychatd("unblock", word).stderr == f"pychatd: {word} is not blocked.\n"


def test_a_key_is_blocked_wherever_it_calls_from(idle_service: Service, hosts: Hosts) -> None:
    service = idle_service
    mallory = hosts.identity("mallory")
    listed = service.directory / "authorized"
    listed.mkdir()
    (listed / "mallory.pem").write_bytes(mallory.certificate.read_bytes())
    service.start("--config", service.configure(f'authorized = "{listed}"\n'))
    console = service.ready_plain("pychatd-console")

    def call() -> BlockingEnd:
        sock = socket.create_connection(("127.0.0.1", service.port), timeout=PATIENCE)
        return BlockingEnd(client_context(mallory.both).wrap_socket(sock))

    caller = call()
    caller.greet("Mallory")
    caller.send("Mallory> spam")
    console.says("Mallory> spam")
    console.enter("\\block")
    console.notes("SHA256:")
    assert caller.reads("\\quit")
    again = call()
    again.send("\\hello 1 Other")
    assert again.line() == REFUSED
    for end in (caller, again):
        end.close()


def test_the_console_blocks_its_caller(service: Service) -> None:
    console = service.ready_plain("pychatd-console")
    caller = service.greeted("Mallory")
    token = service.status()  # the caller waits; nobody talks yet
    assert token["peer"] is None
    console.enter("\\block")
    console.notes("Nobody is talking now")
    caller.send("Mallory> spam")
    console.says("Mallory> spam")
    console.enter("\\block")
    console.notes("127.0.0.1 is blocked.")
    console.notes("The conversation is over.")
    assert caller.reads("\\quit") == "\\quit the caller was blocked"
    refused(service, "Innocent")
    service.logs("127.0.0.1:")
    service.logs(": refused, the operator has blocked it")
    assert service.status()["peer"] is None


def test_a_blocked_caller_cannot_resume(service: Service) -> None:
    caller = service.connect()
    session = caller.greet("Mallory")
    caller.send("Mallory> spam")
    caller.reads("\\ack 1")
    caller.close()
    service.logs("connection lost")
    service.pychatd("block", "Mallory")
    again = service.connect()
    again.send(f"\\hello 1 Mallory {session} got=0")
    assert again.line() == REFUSED
    assert service.status()["peer"] is None, "the seat is free"


def test_classic_callers_are_told(service: Service) -> None:
    service.pychatd("block", "127.0.0.1")
    caller = service.connect()
    caller.send("Guest> hello")
    assert caller.rest() == [REFUSED]


def test_a_reload_reads_the_list_again(service: Service) -> None:
    file = service.state / str(service.port) / "blocked"
    caller = service.greeted("Mallory")
    file.write_text("Mallory\n")
    assert service.pychatd("reload").returncode == ExitStatus.OK
    assert caller.reads("\\error") == REFUSED
    file.write_text("no entry\n")
    result = service.pychatd("reload")
    assert result.returncode == ExitStatus.USAGE
    assert str(file) in result.stderr
    refused(service, "Mallory")


def test_many_refused_calls_do_not_fill_the_log(service: Service) -> None:
    service.pychatd("block", "127.0.0.1")
    for _ in range(50):
        refused(service, "Mallory")
    assert len([line for line in service.log() if "the operator has blocked it" in line]) <= 5


@pytest.mark.parametrize(
    "words",
    ["block a\x1b[2J", "block a b", "block ", "unblock Ann", "forget 7", "forget x", "forget 0", "forget -1"],
)
def test_a_bad_order_is_refused_with_a_sentence(shared_service: Service, words: str) -> None:
    verb, _, rest = words.partition(" ")
    result = shared_service.pychatd(verb, rest)
    assert result.returncode == ExitStatus.USAGE
    assert result.stderr.startswith("pychatd: ")
    assert "\x1b" not in result.stderr
    assert shared_service.alive()
