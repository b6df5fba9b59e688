"""Both programs without a terminal: what a script, a pipe or a screen reader gets."""

from __future__ import annotations

import re
import socket
import subprocess
from pathlib import Path

import pytest

from sample_talk import prefer
from tests.support.programs import Piped
from tests.support.service import BIN, Service
from tests.support.waiting import PATIENCE, wait_for


def _pychat(service: Service, text: str | bytes, *options: str) -> subprocess.CompletedProcess[bytes]:
    """`pychat` with `text` as its whole input, to its end."""
    data = text.encode() if isinstance(text, str) else text
    words = [str(BIN / "pychat"), "--accept-new", *options, "localhost", str(service.port)]
    return subprocess.run(
        words, env=service.env_for(words), input=data, capture_output=True, timeout=PATIENCE * 2, check=False
    )


def _console(service: Service, *options: str) -> Piped:
    return service.ready_plain("pychatd-console", "--handle", "Server", *options)


def test_one_line_from_a_pipe_is_delivered(service: Service) -> None:
    result = _pychat(service, "Hi!\n", "--handle", "Client1")
    assert (result.returncode, result.stdout) == (0, b"")
    console = _console(service)
    console.says("Client1> Hi!\n")
    console.notes("Client1 ended the conversation")


def test_stdout_has_nothing_but_the_replies(service: Service) -> None:
    console = _console(service)
    client = service.plain("pychat", "--handle", "Client1")
    client.enter("Hi!")
    console.says("Client1> Hi!\n")
    console.enter("Hello")
    client.says("Server> Hello\n")
    client.end_input()
    assert client.exit_status() == 0
    assert client.out() == "Server> Hello\n"
    assert "Connected to Server" in client.notices()
    assert all(row.startswith("pychat: ") for row in client.notices().splitlines())


def test_several_lines_keep_the_turns(service: Service) -> None:
    console = _console(service)
    client = service.plain("pychat", "--handle", "Client1")
    client.enter("one\ntwo\nthree")
    client.end_input()
    for word in ("one", "two", "three"):
        console.says(f"Client1> {word}\n")
        if word != "three":
            console.enter(f"after {word}")
    assert client.exit_status() == 0
    assert client.out() == "Server> after one\nServer> after two\n"
    console.notes("Client1 ended the conversation")
    assert console.out() == "Client1> one\nClient1> two\nClient1> three\n"


def test_line_ends_of_windows_and_a_missing_one_are_fine(service: Service) -> None:
    assert _pychat(service, "Hi!\r\n", "--handle", "Client1").returncode == 0
    assert _pychat(service, "no line feed", "--handle", "Client2").returncode == 0
    console = _console(service)
    console.says("Client1> Hi!\nClient2> no line feed\n")


def test_a_refused_line_does_not_stop_the_others(idle_service: Service) -> None:
    idle_service.start("--turns", "free")
    text = b"first\nnot \xff UTF-8\n" + b"x" * 501 + b"\n" + b"y" * 200_000 + b"\n\\dance\nlast\n"
    result = _pychat(idle_service, text, "--handle", "Client1")
    assert (result.returncode, result.stdout) == (6, b"")
    notices = result.stderr.decode()
    too_long = "a line of the input has more than 65536 bytes"
    for words in ("not UTF-8", "501 characters", too_long, "no command \\dance"):
        assert words in notices
    console = _console(idle_service)
    console.notes("Client1 ended the conversation")
    assert console.out() == "Client1> first\nClient1> last\n"


@pytest.mark.parametrize("bad", [b"\xff", b"x" * 501, b"\\dance", b"a\0b"])
def test_one_refused_line_changes_the_exit_status(idle_service: Service, bad: bytes) -> None:
    idle_service.start("--turns", "free")
    assert _pychat(idle_service, b"first\n" + bad + b"\nlast\n", "--handle", "Client1").returncode == 6


def test_without_terminal_and_handle_it_says_what_is_missing(service: Service) -> None:
    result = _pychat(service, "Hi!\n")
    assert (result.returncode, result.stdout) == (2, b"")
    assert b"--handle" in result.stderr


def test_a_busy_service_is_a_sentence_and_a_status(service: Service) -> None:
    service.talk()
    result = _pychat(service, "Hi!\n", "--handle", "Client2")
    assert (result.returncode, result.stdout) == (4, b"")
    assert b"somebody else is talking" in result.stderr


def test_no_answer(idle_service: Service) -> None:
    result = _pychat(idle_service, "Hi!\n", "--handle", "Client1")
    assert (result.returncode, result.stdout) == (3, b"")
    (sentence,) = result.stderr.decode().splitlines()
    assert sentence == f"pychat: Cannot connect to localhost port {idle_service.port}: connection refused."


def test_wait_calls_until_there_is_an_answer(service: Service) -> None:
    assert _pychat(service, "so that the key is known\n", "--handle", "Client1").returncode == 0
    service.kill()
    client = service.plain("pychat", "--handle", "Client1", "--wait")
    client.notes("connection refused. Trying again until the service can be reached.")
    service.start()
    client.notes("Connected to ")
    client.enter("Hi!")
    client.end_input()
    assert client.exit_status() == 0
    assert client.notices().count("Trying again") == 1


def test_wait_calls_until_the_service_is_free(service: Service) -> None:
    _, first = service.talk()
    client = service.plain("pychat", "--handle", "Client2", "--wait")
    client.notes("Busy: you cannot talk now. Calling again until you can.\n")
    assert "--wait" not in client.notices()
    first.enter("\\quit")
    client.notes("Connected to Server.")
    client.end_input()
    assert client.exit_status() == 0


def test_wait_does_not_trust_an_unknown_host(service: Service) -> None:
    words = [str(BIN / "pychat"), "--wait", "--handle", "Client1", "localhost", str(service.port)]
    result = subprocess.run(words, env=service.env, stdin=subprocess.DEVNULL, timeout=PATIENCE, check=False)
    assert result.returncode == 7


def test_a_host_that_does_not_exist(idle_service: Service) -> None:
    client = idle_service.plain("pychat", "--handle", "Client1", host="no-such-host.invalid")
    client.end_input()
    assert client.exit_status() == 3
    assert "Unknown host 'no-such-host.invalid'" in client.notices()


def test_empty_input_ends_without_a_conversation(service: Service) -> None:
    result = _pychat(service, "", "--handle", "Client1")
    assert (result.returncode, result.stdout) == (0, b"")
    assert service.status()["peer"] is None


def test_the_operators_quit_ends_a_waiting_script(service: Service) -> None:
    console = _console(service)
    client = service.plain("pychat", "--handle", "Client1")
    client.enter("Hi!\nnever delivered")
    console.says("Client1> Hi!\n")
    client.notes("held until your turn: never delivered")
    console.enter("\\quit enough")
    assert client.exit_status() == 6
    assert 'Server ended the conversation: "enough' in client.notices()
    assert "Not sent:" in client.notices()


def test_a_person_sees_when_a_held_message_is_sent(service: Service) -> None:
    console = _console(service)
    client = service.ready_client(env={"TERM": "dumb"})
    client.enter("Hi!")
    console.says("Client1> Hi!\n")
    client.enter("early")
    client.sees("held until your turn: early")
    console.enter("Hello")
    client.sees("your turn; sent now: early")
    console.says("Client1> early\n")
    assert client.text().count("sent now") == 1


def test_a_ring_without_a_screen_writes_one_bell(idle_service: Service, tmp_path: Path) -> None:
    prefer(idle_service, f'hook = ["/bin/sh", "-c", "echo $PYCHAT_EVENT $PYCHAT_WORDS >>{tmp_path}/out"]')
    idle_service.start()
    console = idle_service.ready_console("--plain")
    client = idle_service.plain("pychat", "--handle", "Client1")  # on a pipe, so it calls nobody
    client.enter("Hi!")
    console.sees("Client1> Hi!")
    client.enter("\\ring")
    console.sees("Client1 rings.")
    out = tmp_path / "out"
    wait_for(lambda: out.exists() and out.read_text(), "the hook has run")
    assert out.read_text() == "ring Client1 rings.\n"
    console.enter("\\ring")
    client.notes("Server rings.")
    client.end_input()
    console.sees("Client1 ended the conversation")
    assert re.findall(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", console.raw) == [b"\a"]
    assert "\a" not in client.out() + client.notices()
    assert out.read_text() == "ring Client1 rings.\n"


def test_with_the_bell_off_a_ring_is_only_a_line(idle_service: Service) -> None:
    prefer(idle_service, 'bell = "off"\nnotify = "osc777"')
    idle_service.start()
    console = idle_service.ready_console("--plain")
    client = idle_service.plain("pychat", "--handle", "Client1")
    client.enter("Hi!")
    client.enter("\\ring")
    console.sees("Client1 rings.")
    assert re.search(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", console.raw) is None


def test_a_reader_that_goes_away_gets_no_traceback(service: Service) -> None:
    console = _console(service)
    words = [str(BIN / "pychat"), "--accept-new", "--handle", "Client1", "localhost", str(service.port)]
    client = service.popen(words)
    assert client.stdin
    assert client.stdout
    assert client.stderr
    client.stdin.write(b"Hi!\n")
    client.stdin.flush()
    client.stdout.close()
    console.says("Client1> Hi!\n")
    console.enter("nobody reads this")
    assert client.wait(PATIENCE) != 0
    assert b"Traceback" not in client.stderr.read()


@pytest.mark.parametrize(("options", "term"), [([], "dumb"), (["--plain"], "xterm-256color")])
def test_plain_lines_are_only_appended(service: Service, options: list[str], term: str) -> None:
    console = service.ready_console(*options, env={"TERM": term})
    client = service.client(None, *options, env={"TERM": term})
    client.sees("Your handle:")
    client.enter("Elevenchars")
    client.sees("at most 10")
    client.enter("Client1")
    client.sees("Send the first message")
    client.enter("Hi!")
    console.sees("Client1> Hi!")
    console.enter("Hello \u202e")
    client.sees("Server> Hello <U+202E>")
    client.enter("\\status")
    client.sees("You are Client1")
    client.enter("\\quit")
    assert client.exit_status() == 0
    console.sees("Client1 ended the conversation")
    console.type("\x04")
    assert console.exit_status() == 0
    for raw in (console.raw, client.raw):  # nothing is redrawn: no escape sequence, no way back in the line
        assert re.search(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\r?\n)", raw) is None


# ------------------------------------------------------------------ addresses


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


def _listening(service: Service, host: str) -> bool:
    try:
        socket.create_connection((host, service.port), timeout=PATIENCE).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_every_address_of_a_name_is_tried(idle_service: Service, address: str) -> None:
    if address == "::1" and not _has_ipv6():
        pytest.skip("this machine has no IPv6")
    names = {info[4][0] for info in socket.getaddrinfo("localhost", None)}
    if address not in names:
        pytest.skip(f"localhost is not {address} here")
    idle_service.start("--listen", address)
    assert _pychat(idle_service, "Hi!\n", "--handle", "Client1").returncode == 0


def test_the_daemon_listens_on_all_addresses_by_default(idle_service: Service) -> None:
    if not _has_ipv6():
        pytest.skip("this machine has no IPv6")
    idle_service.start()
    assert _listening(idle_service, "127.0.0.1")
    assert _listening(idle_service, "::1")
    idle_service.kill()
    idle_service.start("--listen", "::1")
    assert not _listening(idle_service, "127.0.0.1")
    assert _listening(idle_service, "::1")


def test_an_address_of_another_machine_is_a_usage_error(idle_service: Service) -> None:
    result = idle_service.pychatd("start", "--listen", "192.0.2.1")
    assert result.returncode == 2
    assert "This host does not have the address 192.0.2.1" in result.stderr
