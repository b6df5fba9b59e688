"""Text of others through every surface: nothing arrives in a terminal, a file or a log that was not meant."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable

import pytest

from pychat_client.errors import ProtocolError
from pychat_client.protocol.codec import LineCodec
from pychat_client.width import wrap
from tests.security import corpus
from tests.support.fake_hosts import FakeHost, Hosts
from tests.support.programs import Terminal
from tests.support.raw_ends import BlockingEnd
from tests.support.service import BIN, Service
from tests.support.user import is_readable, known_hosts, on_pipes, on_terminal, own_key, run, words
from tests.support.waiting import wait_for

DONE = "that was all"
PADS = range(0, 90)


def _padded(name: str) -> list[str]:
    """Bodies that fill a row of the screen with blanks, so that the next one begins with `name`."""
    texts = [f"x{' ' * pad}{name}> forged" for pad in PADS]
    texts += ["x" * pad + f"{name}> forged" for pad in PADS]
    texts += [f"https://{'x' * pad}{between}{name}> forged" for pad in PADS for between in (" ", "> ", "/")]
    texts += ["\u3000" * (pad // 2) + " " * (pad % 2) + f"{name}> forged" for pad in PADS]
    return [*texts, "\U0001f600" * 34 + f"-- {name} forged", "x" * 66 + "12:00 " + f"{name}> forged"]


def _peer(service: Service, handle: str = "Client1") -> BlockingEnd:
    """A raw version-1 peer in a conversation."""
    caller = service.greeted(handle)
    caller.send(f"{handle}> Hi!")
    assert caller.reads("\\ack")
    return caller


def _says(caller: BlockingEnd, texts: list[str], handle: str = "Client1") -> None:
    """One after the other, so that nothing has to wait."""
    sent = 1
    for start in range(0, len(texts), 50):
        piece = texts[start : start + 50]
        caller.send(*(f"{handle}> {text}" for text in piece))
        sent += len(piece)
        while caller.reads("\\ack") != f"\\ack {sent}":
            pass


def _clean(terminal: Terminal) -> None:
    assert corpus.not_meant(terminal.raw) == []


def _free(service: Service) -> Service:
    service.start("--turns", "free")
    return service


# ------------------------------------------------------------------ messages


def test_the_check_finds_what_is_hostile() -> None:
    """What the other tests rely on."""
    for name, text in corpus.SEQUENCES.items():
        if name not in ("clear", "colour", "overwrite by CR", "overwrite by BS"):  # as a program may write
            assert corpus.not_meant(text.encode()), name
    harmless = ("wide emoji", "arabic ligature", "spaces of all widths", "looks like codes")
    for name, text in corpus.LEGAL.items():
        if name not in (*harmless, "unassigned", "noncharacters", "emoji with variations", "combining first"):
            assert corpus.not_meant(text.encode()), name
    assert (
        len(corpus.forged(["12:00 Server> forged", "Server> forged", "-- forged", "  -- forged"], "Server")) == 3
    )


def test_messages_of_a_peer_are_shown_and_never_obeyed(idle_service: Service) -> None:
    service = _free(idle_service)
    console = service.ready_console()
    caller = _peer(service)
    _says(caller, [*corpus.LEGAL.values(), DONE])
    console.sees(DONE)
    _clean(console)
    assert corpus.forged(console.lines(), "Server") == []
    assert "<U+202E>" in console.text()


def test_messages_of_the_operator_are_shown_and_never_obeyed(idle_service: Service) -> None:
    """The client must not rely on the daemon: here it is a hostile one."""
    service = _free(idle_service)
    _console, client = service.talk()
    with_socket = _console_says(service, [*corpus.LEGAL.values(), DONE])
    client.sees(DONE)
    with_socket.close()
    _clean(client)
    assert corpus.forged(client.lines(), "Client1") == []


def _console_says(service: Service, texts: list[str]) -> BlockingEnd:
    """A raw console that takes over and says `texts` in the running conversation."""
    console = service.connect_console("\\hello 1 Server take=1")
    console.send("\\ack 1", *(f"Server> {text}" for text in texts))
    while console.reads("\\ack") != f"\\ack {len(texts)}":
        pass
    return console


@pytest.mark.parametrize("columns", [80, 61])
def test_a_padded_message_forges_no_line(idle_service: Service, columns: int) -> None:
    service = _free(idle_service)
    console = service.console()
    console.resize(columns, 24)
    console.sees("Waiting for calls")
    _says(_peer(service), [*_padded("Server"), DONE])
    console.sees(DONE)
    assert corpus.forged(console.lines(), "Server") == []
    _clean(console)


@pytest.mark.parametrize(("columns", "handle"), [(80, "Client1"), (40, "\u6f22" * 10)])
def test_a_padded_message_forges_no_line_in_plain_mode(idle_service: Service, columns: int, handle: str) -> None:
    """Nothing is drawn there, but the terminal itself begins a new row when one is full."""
    service = _free(idle_service)
    console = service.ready_console("--plain", columns=columns, handle="me")
    _says(_peer(service, handle), [*_padded("me"), DONE], handle)
    console.sees(DONE)
    assert corpus.forged(console.lines(), "me") == []


@pytest.mark.parametrize("columns", [80, 40])
def test_a_padded_reason_forges_no_line_in_plain_mode(service: Service, columns: int) -> None:
    console = service.ready_console("--plain", columns=columns)
    before = 'pychatd-console: Client1 ended the conversation: "'
    free = -len(before) % columns
    for pad in ("x" * free, "\u3000" * (free // 2) + "x" * (free % 2)):
        for extra in ("", " ", "x"):
            caller = _peer(service)
            caller.send(f"\\quit {pad}{extra}Server> forged")
            caller.rest()
    _peer(service).send(f"\\quit {DONE}")
    console.sees(DONE)
    assert corpus.forged(console.lines(), "Server") == []


def test_a_padded_reason_forges_no_reply(service: Service) -> None:
    console = service.ready_console()
    command = [
        str(BIN / "pychat"),
        "send",
        "--accept-new",
        "--expect-reply",
        "localhost",
        str(service.port),
        "Hi!",
    ]
    sender = service.terminal(command, columns=40)
    console.sees("Hi!")
    pad = "x" * (-len('pychat: Server ended the conversation: "') % 40)
    console.enter(f"\\quit {pad}Server> forged")
    assert sender.exit_status() == 8
    sender.sees("forged")
    assert corpus.forged(sender.lines(), "Server") == []


def test_emoji_of_doubtful_width_do_not_fill_a_row_twice() -> None:
    """A heart with its variation selector has two columns in many terminals: counted as one, a row of
    them would be broken by the terminal, and text could begin a row."""
    for piece in wrap("\u2764\ufe0f" * 200, 72, 60):
        assert piece.count("\u2764") * 2 <= 72


def test_messages_in_plain_mode_are_shown_and_never_obeyed(idle_service: Service) -> None:
    service = _free(idle_service)
    console = service.ready_plain("pychatd-console", "--handle", "Server")
    _says(_peer(service), [*corpus.LEGAL.values(), DONE])
    console.says(DONE)
    rows = console.out().split("\n") + console.notices().split("\n")
    assert corpus.hidden("".join(rows)) == []
    assert all(row.startswith(("Client1> ", "    ", "pychatd-console: ")) for row in rows if row)


def test_what_a_classic_peer_sends_is_shown_and_never_obeyed(idle_service: Service) -> None:
    service = _free(idle_service)
    console = service.ready_console()
    nc = service.connect()
    nc.send("guest> Hi!")
    console.sees("guest> Hi!")  # somebody at nc, not a program: among what follows are NULs
    for data in corpus.ILLEGAL.values():
        nc.send(b"guest> " + data)
    nc.send(*corpus.LEGAL.values(), DONE)
    console.sees(DONE)
    _clean(console)
    assert corpus.forged(console.lines(), "Server") == []


def test_pasted_hostile_text_is_not_obeyed_and_arrives_visible(service: Service) -> None:
    console, client = service.talk()
    console.enter("your turn")
    client.sees("Server> your turn")
    client.type(f"\x1b[200~{corpus.SHORT}{DONE}\x1b[201~\r")
    console.sees(DONE)
    _clean(console)
    assert corpus.not_meant(client.raw, only_controls=True) == []


def test_what_plain_mode_takes_back_is_shown_and_never_obeyed(service: Service) -> None:
    service.talk()[1].enter("\\quit")
    console = service.ready_console("--plain", "--take-over")
    _peer(service)
    console.sees("Hi!")
    console.enter("first")
    console.enter(f"x{corpus.LEGAL['bidi override']}")
    console.sees("held")
    console.enter("\\recall")
    console.sees("taken back")
    _clean(console)


# ------------------------------------------------------------------ handles, reasons, errors


def test_a_hostile_handle_is_refused_in_clean_words(service: Service) -> None:
    console = service.ready_console()
    handles = {name: text[:10].encode() for name, text in corpus.LEGAL.items()} | corpus.ILLEGAL
    for name, data in handles.items():
        caller = service.connect()
        caller.raw(b"\\hello 1 " + data.split(b"\n")[0] + b"\n")
        answer = caller.line()
        assert answer.startswith(("\\error ", "\\hello ")), name
        assert corpus.hidden(answer) == [], name
        if answer.startswith("\\hello "):
            caller.send(data.split(b" ")[0] + f"> {name}!".encode())
            console.sees(f"{name}!")
            caller.send("\\quit")
            caller.rest()
    _clean(console)
    assert [corpus.hidden(entry) for entry in service.log() if corpus.hidden(entry)] == []


def test_a_hostile_reason_is_shown_and_never_obeyed(service: Service) -> None:
    console = service.ready_console()
    caller = _peer(service)
    caller.send(f"\\quit {corpus.SHORT}")
    console.sees("ended the conversation")
    _clean(console)
    assert [corpus.hidden(entry) for entry in service.log() if corpus.hidden(entry)] == []


def _daemon(hosts: Hosts, service: Service, lines: list[str] | bytes) -> FakeHost:
    """A hostile daemon: greets, acks the first message, and then says `lines`."""
    last = lines if isinstance(lines, bytes) else "".join(f"{text}\n" for text in lines).encode()

    def answers(data: bytes) -> bytes:
        if data.startswith(b"\\hello"):
            return b"\\hello 1 Server session=5f turns=free keep=forever\n"
        return b"\\ack 1\n" + last if b"> Hi!" in data else b""

    identity = hosts.identity()
    host = hosts.fake(identity, answers=answers)
    known_hosts(service).accept("localhost", host.port, identity.der)
    return host


def _call(service: Service, host: FakeHost) -> Terminal:
    client = on_terminal(service, port=host.port)
    client.sees("Send the first message")
    client.enter("Hi!")
    return client


@pytest.mark.parametrize("verb", ["error stopping", "error odd", "busy", "quit", "notice", "error \u202eodd"])
def test_hostile_words_of_a_daemon_are_shown_and_never_obeyed(
    idle_service: Service, hosts: Hosts, verb: str
) -> None:
    host = _daemon(hosts, idle_service, [f"\\{verb} {corpus.SHORT} {DONE}", f"Server> {DONE}"])
    client = _call(idle_service, host)
    client.sees(DONE)
    _clean(client)
    assert corpus.forged(client.lines(), "Client1") == []


def test_text_of_a_hostile_daemon_is_shown_and_not_obeyed(idle_service: Service, hosts: Hosts) -> None:
    lines = [f"\\notice {text[:200]}" for text in corpus.LEGAL.values()]
    lines += [f"Server> {text}" for text in (*corpus.LEGAL.values(), *_padded("Client1"))]
    client = _call(idle_service, _daemon(hosts, idle_service, [*lines, f"Server> {DONE}"]))
    client.sees(DONE)
    _clean(client)
    assert corpus.forged(client.lines(), "Client1") == []


@pytest.mark.parametrize("field", ["keep", "turns", "key", "session"])
def test_a_hostile_hello_is_shown_and_never_obeyed(idle_service: Service, hosts: Hosts, field: str) -> None:
    values = {"session": "5f", "turns": "free", "keep": "forever"} | {field: "a\u202eb\u200bc\u2066"}
    hello = "\\hello 1 Server " + " ".join(f"{key}={value}" for key, value in values.items())
    identity = hosts.identity()
    host = hosts.fake(identity, says=f"{hello}\n".encode())
    known_hosts(idle_service).accept("localhost", host.port, identity.der)
    client = on_terminal(idle_service, port=host.port)
    wait_for(lambda: "--" in client.text(), "a notice")
    client.enter("\\status")
    wait_for(lambda: "\\status" not in client.cursor_line(), "the command is taken")
    _clean(client)


@pytest.mark.parametrize("name", corpus.ILLEGAL)
def test_illegal_bytes_are_refused_in_clean_words(name: str) -> None:
    with pytest.raises(ProtocolError) as refused:
        list(LineCodec().feed(b"\\notice " + corpus.ILLEGAL[name] + b"\n"))
    is_readable(str(refused.value))
    assert corpus.hidden(str(refused.value)) == []


@pytest.mark.parametrize("name", ["title", "raw C1", "lone high surrogate"])
def test_illegal_bytes_of_a_daemon_end_the_call_in_clean_words(
    idle_service: Service, hosts: Hosts, name: str
) -> None:
    identity = hosts.identity()
    host = hosts.fake(
        identity, says=b"\\hello 1 Server session=5f turns=free\n\\notice " + corpus.ILLEGAL[name] + b"\n"
    )
    known_hosts(idle_service).accept("localhost", host.port, identity.der)
    client = on_pipes(idle_service, port=host.port)
    assert client.exit_status() == 5
    assert "broke the protocol" in client.notices()
    is_readable(client.notices())
    assert corpus.hidden(client.notices().replace("\n", "")) == []


@pytest.mark.parametrize("name", ["title", "clipboard", "C1 CSI"])
def test_a_hostile_host_name_is_shown_and_never_obeyed(idle_service: Service, name: str) -> None:
    """It may come from a link, or a script."""
    result = run(idle_service, words(idle_service, "--accept-new", host=corpus.SEQUENCES[name]))
    assert result.returncode != 0
    assert corpus.hidden(result.stderr.replace("\n", "")) == []
    is_readable(result.stderr)


# ------------------------------------------------------------------ files and logs


def test_the_history_and_the_log_have_nothing_hostile_in_them(idle_service: Service) -> None:
    service = _free(idle_service)
    console = service.ready_console()
    caller = _peer(service)
    _says(caller, [*corpus.LEGAL.values(), *_padded("Server"), DONE])
    console.sees(DONE)
    caller.send(f"\\quit {corpus.SHORT}")
    console.sees("ended the conversation")
    command = [
        str(BIN / "pychatd-console"),
        str(service.port),
        "--runtime-directory",
        str(service.runtime),
        "--history",
    ]
    text = run(service, command)
    assert text.returncode == 0, text.stderr
    rows = text.stdout.split("\n")
    assert corpus.hidden("".join(rows)) == []
    forged = [
        row for row in rows if "forged" in row and not row.startswith(" " * 30) and " Client1> " not in row[:40]
    ]
    assert forged == []
    objects = run(service, [*command, "--json"])
    assert objects.stdout.isascii()
    assert corpus.hidden(objects.stdout.replace("\n", "")) == []
    said = [json.loads(row)["text"] for row in objects.stdout.splitlines()]
    assert corpus.LEGAL["bidi override"] in said  # nothing is lost there
    found = run(service, [*command, "--grep", "\x1b]0;owned\x07("])
    assert found.returncode == 2
    assert corpus.hidden(found.stderr.replace("\n", "")) == []
    assert [corpus.hidden(entry) for entry in service.log() if corpus.hidden(entry)] == []
    assert not any(word in entry for entry in service.log() for word in ("forged", DONE, "txt.exe"))


def test_a_hostile_name_on_the_allowlist_is_not_obeyed(idle_service: Service) -> None:
    service = idle_service
    assert run(service, ["pychat", "certificate"]).returncode == 0
    place = service.directory / "authorized"
    place.mkdir()
    name = os.fsencode(place) + b"/ev\x1b]0;owned\x07il \xff\xe2\x80\xae name=x.pem"
    with open(name, "wb") as file:  # noqa: PTH123 -- a name that is no text
        file.write(own_key(service).read_bytes().partition(b"-----END PRIVATE KEY-----\n")[2])
    with open(name + b"rubbish.pem", "wb") as file:  # noqa: PTH123
        file.write(b"rubbish")
    service.start("--config", service.configure(f'authorized = "{place}"\n'))
    console, _client = service.talk()
    console.enter("\\status")
    console.sees("The caller has the certificate of")
    console.sees("ev<U+001B>]0;owned<U+0007>il_<U+DCFF><U+202E>_name=x.")
    _clean(console)
    history = ["pychatd-console", "--history", "--runtime-directory", str(service.runtime), str(service.port)]
    for told in (service.pychatd("status"), run(service, history), run(service, [*history, "--json"])):
        assert "ev<U+001B>]0;owned<U+0007>il_<U+DCFF><U+202E>_name=x" in told.stdout
        assert corpus.hidden(told.stdout.replace("\n", "")) == []
    assert [corpus.hidden(entry) for entry in service.log() if corpus.hidden(entry)] == []


def test_a_hostile_file_of_known_hosts_is_shown_and_never_obeyed(idle_service: Service, hosts: Hosts) -> None:
    host = hosts.fake(hosts.identity())
    file = known_hosts(idle_service).path
    file.parent.mkdir(parents=True)
    for rubbish in (b"\x1b]0;owned\x07", base64.b64encode(b"\x1b]0;owned\x07"), b"\xff\xc2\x9b2J"):
        file.write_bytes(b"localhost:%d \x1b]0;owned\x07 %s\n" % (host.port, rubbish))
        result = run(idle_service, words(idle_service, port=host.port))
        assert result.returncode != 0
        assert corpus.hidden(result.stderr.replace("\n", "")) == []
        is_readable(result.stderr)
    if host.visits:
        host.idle()
    assert host.told == b""


def test_a_hostile_history_of_lines_is_not_obeyed(service: Service) -> None:
    file = service.directory / "xdg-state" / "pychat" / "pychat-history"
    file.parent.mkdir(parents=True)
    entry: Callable[[str], str] = lambda text: f"\n# 2026-01-01\n+{text}\n"  # noqa: E731
    file.write_text("".join(entry(text.replace("\n", "").replace("\r", "")) for text in corpus.SEQUENCES.values()))
    client = service.ready_client()
    for _ in corpus.SEQUENCES:
        client.type("\x1b[A")
    client.sees("^[[2J")
    assert corpus.not_meant(client.raw, only_controls=True) == []
