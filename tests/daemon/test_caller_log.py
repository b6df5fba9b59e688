"""Each caller that does not get in or does not stay leaves its event in the log, with its address."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from pychat_client.errors import ProtocolError, TransportError
from pychat_client.protocol import wire
from pychat_client.protocol.codec import LineCodec
from pychat_client.protocol.turns import Turns
from pychat_client.trust.fingerprint import fingerprint
from pychatd.caller_events import Event
from pychatd.conversation import peer_session
from pychatd.conversation.interfaces import AllowedCallersInterface
from pychatd.conversation.peer_session import PeerSession
from tests.support.allowed_callers import Anybody, Nobody
from tests.support.in_process import ADDRESS, InProcessService, with_service
from tests.support.raw_ends import AsyncEnd

HOST = ADDRESS.partition(":")[0]


class Uninvited(Anybody):
    """Nobody has a valid invitation."""

    def enrol(self, hello: wire.Hello, certificate: bytes | None, address: str) -> None:
        if hello.invite is not None:
            raise ProtocolError("invitation", "Your invitation is not valid any more.")


class Awaiting(Anybody):
    """Everybody has to prove a certificate."""

    def is_awaited(self, hello: wire.Hello, address: str, accept: Callable[[bytes], None]) -> bool:
        return True


async def call(service: InProcessService, allowed: AllowedCallersInterface, *lines: str) -> AsyncEnd:
    raw = await service.connect(PeerSession(service.switchboard, ADDRESS, allowed, secure=True))
    await raw.say(*lines)
    return raw


def events(caplog: pytest.LogCaptureFixture) -> list[tuple[object, object]]:
    """What was logged of callers: the events and the addresses."""
    noted = [record for record in caplog.records if hasattr(record, "event")]
    return [(vars(record)["event"], vars(record)["peer"]) for record in noted]


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "pychatd")
    return caplog


def test_who_calls_and_leaves_without_a_message_is_in_the_log(
    tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    @with_service()
    async def check(service: InProcessService) -> None:
        caller, _ = await service.greeted()
        await service.lose(caller)
        assert events(log) == [(Event.CALLING, HOST), (Event.MISSED, HOST)]

    check(tmp_path)


def test_who_talks_leaves_and_comes_back_is_in_the_log(tmp_path: Path, log: pytest.LogCaptureFixture) -> None:
    @with_service()
    async def check(service: InProcessService) -> None:
        peer, token = await service.peer("Hi!")
        await service.lose(peer)
        peer, _ = await service.resumed(token, address="192.0.2.9:40000")
        await peer.say("\\quit")
        await peer.rest()
        assert events(log)[1:] == [
            (Event.CONNECTED, HOST),
            (Event.DISCONNECTED, HOST),
            (Event.CONNECTED, "192.0.2.9"),
            (Event.ENDED, "192.0.2.9"),
        ]
        assert "192.0.2.9:40000: conversation 1: Bob is connected" in log.messages

    check(tmp_path)


def test_who_knows_more_than_the_journal_is_in_the_log(tmp_path: Path, log: pytest.LogCaptureFixture) -> None:
    @with_service()
    async def check(service: InProcessService) -> None:
        peer, token = await service.peer("Hi!")
        await service.lose(peer)
        await service.resumed(token, got=2)
        assert (Event.WENT_BACK, HOST) in events(log)
        lost = "the journal has lost messages: 2 of the operator, 0 of the peer"
        assert f"{ADDRESS}: conversation 1: {lost}" in log.messages

    check(tmp_path)


def test_who_leaves_without_a_hello_is_in_the_log(tmp_path: Path, log: pytest.LogCaptureFixture) -> None:
    @with_service()
    async def check(service: InProcessService) -> None:
        await service.lose(await service.call())
        assert events(log) == [(Event.SILENT, HOST)]

    check(tmp_path)


@pytest.mark.usefixtures("seen_soon")
def test_who_says_nothing_for_a_while_is_in_the_log_as_a_call(
    tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    @with_service()
    async def check(service: InProcessService) -> None:
        console = await service.console()
        await console.news()
        caller = await service.call()
        await console.hear()
        assert events(log) == [(Event.CALLING, HOST)]
        await service.lose(caller)
        assert (Event.SILENT, HOST) in events(log)

    check(tmp_path)


def test_who_has_said_hello_and_leaves_was_not_silent(tmp_path: Path, log: pytest.LogCaptureFixture) -> None:
    @with_service()
    async def check(service: InProcessService) -> None:
        peer, _ = await service.peer("Hi!")
        await service.lose(peer)
        assert (Event.SILENT, HOST) not in events(log)

    check(tmp_path)


def test_who_says_nothing_in_time_is_in_the_log(
    tmp_path: Path, log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer_session, "HELLO_SECONDS", 0.05)

    @with_service()
    async def check(service: InProcessService) -> None:
        assert (await (await service.call()).rest())[-1].startswith("\\error slow")
        assert events(log) == [(Event.SILENT, HOST)]

    check(tmp_path)


def test_who_comes_while_the_seat_is_taken_is_in_the_log(tmp_path: Path, log: pytest.LogCaptureFixture) -> None:
    @with_service()
    async def check(service: InProcessService) -> None:
        await service.peer("Hi!")
        log.clear()
        await (await service.call("\\hello 1 Eve")).rest()
        assert events(log) == [(Event.BUSY, HOST)]

    check(tmp_path)


def test_who_is_blocked_is_in_the_log(tmp_path: Path, log: pytest.LogCaptureFixture) -> None:
    @with_service()
    async def check(service: InProcessService) -> None:
        console = await service.console()
        await console.say(f"\\order block {HOST}")
        await console.news()
        refused = await (await service.call("\\hello 1 Bob")).rest()
        assert refused == ["\\error blocked The operator has blocked you here."]
        assert events(log) == [(Event.BLOCKED, HOST)]

    check(tmp_path)


def test_who_breaks_a_rule_or_says_that_we_did_is_in_the_log(
    tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    @with_service(turns=Turns.FREE)
    async def check(service: InProcessService) -> None:
        await (await service.call("\\hello 1 Bob", "Eve> Hi!")).rest()
        assert (Event.PROTOCOL, HOST) in events(log)
        peer, _ = await service.peer("Hi!")
        log.clear()
        await peer.say(f"\\error {'x' * 30} That is no text.", "Bob> not read any more")
        await service.closed(peer)
        assert events(log)[0] == (Event.PROTOCOL, HOST)
        assert f" ({'x' * 20})" in log.text
        assert service.stored() == ["Hi!"]

    check(tmp_path)


@pytest.mark.parametrize(
    ("allowed", "words", "event"),
    [
        (Nobody(), "", Event.CERTIFICATE),
        (Uninvited(), " invite=abc", Event.INVITATION),
    ],
    ids=["not on the list", "an old invitation"],
)
def test_who_may_not_call_is_in_the_log(
    tmp_path: Path, log: pytest.LogCaptureFixture, allowed: AllowedCallersInterface, words: str, event: Event
) -> None:
    @with_service()
    async def check(service: InProcessService) -> None:
        assert (await (await call(service, allowed, f"\\hello 1 Bob{words}")).rest())[-1].startswith("\\error ")
        assert events(log) == [(event, HOST)]
        assert service.switchboard.seat_is_free()

    check(tmp_path)


@pytest.mark.parametrize("can_prove", [True, False])
def test_who_is_awaited_proves_its_certificate_before_anything_else(tmp_path: Path, can_prove: bool) -> None:
    @with_service()
    async def check(service: InProcessService) -> None:
        asked: list[bool] = []

        def ask() -> None:
            asked.append(can_prove)
            if not can_prove:
                raise TransportError("Your program cannot prove a certificate.")

        session = PeerSession(service.switchboard, ADDRESS, Awaiting(), secure=True)
        session.connection.ask_for_certificate = ask  # type: ignore[method-assign]
        raw = await service.connect(session)
        await raw.say("\\hello 1 Bob")
        if can_prove:
            assert await raw.news() == ["\\prove"]
            assert service.switchboard.seat_is_free()
            await raw.say("\\prove")
            assert (await raw.news())[0].startswith("\\hello 1 operator session=")
        else:
            assert await raw.rest() == ["\\error not-authorized Your program cannot prove a certificate."]
        assert asked == [can_prove]

    check(tmp_path)


@with_service()
async def test_a_caller_is_asked_for_its_certificate_before_it_says_more(service: InProcessService) -> None:
    """It may say at once that it has answered."""
    session = PeerSession(service.switchboard, ADDRESS, Awaiting(), secure=True)
    session.connection.ask_for_certificate = lambda: None  # type: ignore[method-assign]
    raw = await service.connect(session)
    session.connection.use_codec(LineCodec())
    with service.switchboard.write_batch:
        session.frames_received(session.connection, [wire.Hello(1, "Bob")])
        assert raw.sock.recv(100) == b"\\prove\n"


@pytest.mark.parametrize(("secure", "shown"), [(False, None), (True, b"certificate")], ids=["plain", "shown"])
def test_who_cannot_prove_a_certificate_or_has_shown_it_is_not_asked(
    tmp_path: Path, secure: bool, shown: bytes | None
) -> None:
    @with_service()
    async def check(service: InProcessService) -> None:
        session = PeerSession(service.switchboard, ADDRESS, Awaiting(), secure=secure)
        session.connection.certificate = lambda: shown  # type: ignore[method-assign]
        raw = await service.connect(session)
        await raw.say("\\hello 1 Bob")
        assert (await raw.news())[0].startswith("\\hello 1 operator session=")

    check(tmp_path)


@pytest.mark.parametrize("instead", ["\\hello 1 Bob", "Bob> Hi!"])
def test_who_is_awaited_and_proves_nothing_is_refused(tmp_path: Path, instead: str) -> None:
    @with_service()
    async def check(service: InProcessService) -> None:
        session = PeerSession(service.switchboard, ADDRESS, Awaiting(), secure=True)
        session.connection.ask_for_certificate = lambda: None  # type: ignore[method-assign]
        raw = await service.connect(session)
        await raw.say("\\hello 1 Bob", instead)
        assert await raw.hear() == "\\prove"
        assert (await raw.hear()).startswith("\\error hello ")
        assert service.switchboard.seat_is_free()

    check(tmp_path)


def test_who_leaves_instead_of_proving_its_certificate_is_in_the_log(
    tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    @with_service()
    async def check(service: InProcessService) -> None:
        session = PeerSession(service.switchboard, ADDRESS, Awaiting(), secure=True)
        session.connection.ask_for_certificate = lambda: None  # type: ignore[method-assign]
        raw = await service.connect(session)
        await raw.say("\\hello 1 Bob")
        assert await raw.hear() == "\\prove"
        await service.lose(raw)
        assert events(log) == [(Event.CERTIFICATE, HOST)]

    check(tmp_path)


def test_the_key_that_a_caller_proves_may_be_blocked(tmp_path: Path, log: pytest.LogCaptureFixture) -> None:
    @with_service()
    async def check(service: InProcessService) -> None:
        service.switchboard.blocklist.add(fingerprint(b"key"))
        session = PeerSession(service.switchboard, ADDRESS, Awaiting(), secure=True)
        proved: list[bytes] = []
        session.connection.ask_for_certificate = lambda: proved.append(b"key")  # type: ignore[method-assign]
        session.connection.certificate = lambda: next(iter(proved), None)  # type: ignore[method-assign]
        raw = await service.connect(session)
        await raw.say("\\hello 1 Bob", "\\prove")
        assert await raw.rest() == ["\\prove", "\\error blocked The operator has blocked you here."]
        assert events(log) == [(Event.BLOCKED, HOST)]
        assert service.switchboard.seat_is_free()

    check(tmp_path)


@with_service()
async def test_a_blocked_key_need_not_be_proved(service: InProcessService) -> None:
    key = fingerprint(b"key")
    service.switchboard.blocklist.add(key)
    raw = await service.call(f"\\hello 1 Bob proof={key}")
    assert await raw.rest() == ["\\error blocked The operator has blocked you here."]


@pytest.mark.parametrize("start", [b"\0\0\x01", b"\0\0\x01\x02"])
def test_a_binary_protocol_that_ends_at_once_is_refused(
    tmp_path: Path, log: pytest.LogCaptureFixture, start: bytes
) -> None:
    """Only the end of its bytes tells that they are no length of a text."""

    @with_service()
    async def check(service: InProcessService) -> None:
        caller = await service.call()
        await caller.raw(start)
        caller.sock.shutdown(socket.SHUT_WR)
        assert (await caller.hear()).startswith("\\error other-protocol ")
        await service.closed(caller)
        assert events(log) == [(Event.OTHER_PROTOCOL, HOST)]

    check(tmp_path)
