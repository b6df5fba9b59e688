"""What a client has said on a connection that is dead for it arrives after its next call: the daemon is to
know that it is old, and the call that lives is not to suffer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.proxy import Hold, Proxy, Weather
from tests.support.programs import Piped
from tests.support.service import BIN, Service
from tests.support.waiting import wait_for

FAIR = Weather(cuts=0, stall=0)
BEFORE_HELLO, AFTER_HELLO = 0, 1


@pytest.fixture
def proxy(free_service: Service) -> Iterator[Proxy]:
    """On the way to a service without turns."""
    between = Proxy(free_service.port, 1, FAIR)
    yield between
    between.close()


def _console(service: Service) -> Piped:
    console = service.plain("pychatd-console", "--plain", "--handle", "Server")
    console.notes("The caller sends the first message")
    return console


def _client(service: Service, proxy: Proxy) -> Piped:
    words = [str(BIN / "pychat"), "--accept-new", "127.0.0.1", str(proxy.port), "--plain", "--handle", "Client1"]
    client = Piped(service.popen(words))
    client.notes("Connected to")
    return client


def _is_held(hold: Hold) -> None:
    wait_for(lambda: hold.holds, "the client says what is held back")


def _arrives(hold: Hold) -> None:
    """Lets it go, and waits until the daemon has dealt with it."""
    hold.let_go()
    wait_for(lambda: hold.answered, "the daemon answers what was late, or ends its connection")


def _goes_on(service: Service, client: Piped, console: Piped, said: list[str]) -> None:
    """Both still reach each other, what the client said is on the console and in the journal once, and both
    end well."""
    client.enter("and on")
    ended = client.process.poll
    wait_for(lambda: "Client1> and on\n" in console.out() or ended() is not None, "the live call goes on")
    assert ended() is None, client.notices()
    console.enter("an answer")
    client.says("Server> an answer\n")
    assert console.out() == "".join(f"Client1> {text}\n" for text in [*said, "and on"])
    assert client.out() == "Server> an answer\n"
    client.enter("\\quit")
    assert client.exit_status() == 0
    console.notes("Client1 ended the conversation.")
    history = service.plain("pychatd-console", "--history", "--json")
    assert history.exit_status() == 0
    assert [history.out().count(f'"{text}"') for text in [*said, "and on"]] == [1] * (len(said) + 1)


def test_a_late_hello_does_not_displace_a_newer_call(free_service: Service, proxy: Proxy) -> None:
    console, client = _console(free_service), _client(free_service, proxy)
    client.enter("one")
    console.says("Client1> one\n")
    second = proxy.hold(BEFORE_HELLO)
    proxy.cut()
    _is_held(second)
    second.cut()
    client.enter("two")  # by the third call
    console.says("Client1> two\n")
    _arrives(second)
    _goes_on(free_service, client, console, ["one", "two"])


def test_a_late_first_message_is_stored_once(free_service: Service, proxy: Proxy) -> None:
    console, client = _console(free_service), _client(free_service, proxy)
    first = proxy.hold(AFTER_HELLO)
    client.enter("one")
    _is_held(first)
    second = proxy.hold(AFTER_HELLO)
    first.cut()
    _is_held(second)  # so it was greeted, and says the message again
    _arrives(first)
    second.let_go()
    console.says("Client1> one\n")
    _goes_on(free_service, client, console, ["one"])


def test_late_messages_that_were_repeated_are_stored_once(free_service: Service, proxy: Proxy) -> None:
    console, client = _console(free_service), _client(free_service, proxy)
    client.enter("one")
    console.says("Client1> one\n")
    second = proxy.hold(AFTER_HELLO)
    proxy.cut()
    client.enter("two\nthree")
    _is_held(second)
    second.cut()
    console.says("Client1> three\n")
    _arrives(second)
    _goes_on(free_service, client, console, ["one", "two", "three"])
