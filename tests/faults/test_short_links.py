"""A link that breaks again and again, before much has crossed it: a conversation gets through all the same."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.proxy import Cut, Proxy, Weather
from tests.support.programs import Piped
from tests.support.service import BIN, Service
from tests.support.waiting import wait_for

SHORT = 8000
"""Bytes until the link breaks: a TLS handshake and a few thousand more."""

TEXTS = [f"{n} {'x' * 150}" for n in range(90)]
"""More than crosses two short links."""


@pytest.fixture
def proxy(free_service: Service) -> Iterator[Proxy]:
    weather = Weather(cuts=100, between=(SHORT, SHORT), piece=500, stall=0, kinds=(Cut.CLOSE,))
    between = Proxy(free_service.port, 1, weather)
    yield between
    between.close()


def _client(service: Service, proxy: Proxy, *options: str) -> Piped:
    words = [str(BIN / "pychat"), "--accept-new", "127.0.0.1", str(proxy.port), "--plain", *options]
    return Piped(service.popen(words))


def _shows_all(program: Piped, who: str) -> None:
    shown = "".join(f"{who}> {text}\n" for text in TEXTS)
    wait_for(lambda: shown in program.out(), "all messages, once and in order")


@pytest.fixture
def console(free_service: Service) -> Piped:
    console = free_service.plain("pychatd-console", "--plain", "--handle", "Server")
    console.notes("The caller sends the first message")
    return console


def test_a_long_repetition_gets_through(free_service: Service, proxy: Proxy, console: Piped) -> None:
    client = _client(free_service, proxy, "--handle", "Client1")
    client.enter("Hi!")
    console.says("Client1> Hi!")
    console.enter("\n".join(TEXTS))
    _shows_all(client, "Server")
    client.process.kill()
    client.process.wait()
    proxy.arm()
    again = _client(free_service, proxy, "--repeat", "all")
    _shows_all(again, "Server")
    assert proxy.cuts_made > 1
    assert again.out().count("\n") == len(TEXTS)


def test_what_waits_for_a_connection_gets_through(free_service: Service, proxy: Proxy, console: Piped) -> None:
    client = _client(free_service, proxy, "--handle", "Client1")
    client.enter("Hi!")
    console.says("Client1> Hi!")
    client.notes("Connected to")
    proxy.arm()
    proxy.cut()
    client.notes("Connection lost")
    client.enter("\n".join(TEXTS))
    console.enter("\n".join(TEXTS))
    _shows_all(console, "Client1")
    _shows_all(client, "Server")
    assert proxy.cuts_made > 1
