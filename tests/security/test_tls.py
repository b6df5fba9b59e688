"""Trust on first use: whose key it is, before the first word; and who sits between learns nothing."""

from __future__ import annotations

import os
import re
import shutil
import signal
import ssl
import stat
import subprocess
import termios
from functools import partial
from pathlib import Path

import pytest

from pychat_client.trust import certificates
from tests.support.fake_hosts import Hosts, server_context
from tests.support.programs import Terminal
from tests.support.service import Service
from tests.support.user import fingerprint, is_readable, known_hosts, on_pipes, on_terminal, own_key, run, words
from tests.support.waiting import PATIENCE, wait_for

WORDS = "the hare is on the roof"


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _new_key(service: Service) -> None:
    """The daemon is installed again: the same port, another key."""
    service.kill()
    (service.state / str(service.port) / "identity.pem").unlink()
    service.start()


def _leaves(terminal: Terminal) -> int:
    terminal.enter("\\quit")
    return terminal.exit_status()


# ------------------------------------------------------------------ a host that is not known yet


def test_an_unknown_key_is_shown_and_yes_accepts_it_for_good(service: Service) -> None:
    key, number = fingerprint(service)
    first = on_terminal(service)
    first.sees("(yes/no, or paste the fingerprint)")
    assert key in first.text()
    assert number in first.text()
    assert "Connected to" not in first.text()
    first.enter("yes")
    first.sees("Connected to operator.")
    pins = known_hosts(service).path
    assert _mode(pins) == 0o600
    assert _mode(pins.parent) == 0o700
    assert _leaves(first) == 0
    again = on_terminal(service)
    again.sees("Send the first message")
    assert "(yes/no, " not in again.text()


@pytest.mark.parametrize("typed", ["yes\r", "ye", "yes\rhello\ryes\r", "\x04", "no\r", "\xff\r"])
def test_what_is_typed_before_the_question_is_no_answer(service: Service, typed: str) -> None:
    """The key of the host is not shown until its user has answered a question before."""
    terminal = on_terminal(service)
    terminal.type(typed)
    terminal.sees("(yes/no, or paste the fingerprint)")
    terminal.enter("s")  # with "ye" it would be a whole yes
    terminal.sees("Please type yes, no, or the")
    assert not known_hosts(service).path.exists()
    terminal.enter("yes")
    terminal.sees("Connected to operator.")


def test_lines_that_are_pasted_are_no_answer(idle_service: Service, hosts: Hosts) -> None:
    host = hosts.fake(hosts.identity())
    terminal = on_terminal(idle_service, port=host.port)
    terminal.sees("(yes/no, or paste the fingerprint)")
    terminal.type("yes\ryes\rhello\ryes\r")
    terminal.sees("Please type yes, no, or the")
    terminal.enter("no")
    assert terminal.exit_status() == 7
    assert host.told == b""
    assert not known_hosts(idle_service).path.exists()


@pytest.mark.parametrize("columns", [50, 40, 30])
def test_the_question_is_laid_out_in_a_narrow_window(service: Service, columns: int) -> None:
    _, number = fingerprint(service)
    terminal = service.terminal(words(service), columns=columns)
    terminal.sees("fingerprint)")
    rows = terminal.lines()
    drawn = " ".join(row.strip() for row in rows)
    assert "Trust this host from now on? (yes/no, or paste the fingerprint)" in drawn
    assert number in drawn
    assert all(len(group) == 5 for row in rows if number[:5] in row or number[-5:] in row for group in row.split())
    if columns >= 40:
        assert f"    {number}" in rows
    key, _ = fingerprint(service)
    assert key in "".join(row.strip() for row in rows)


@pytest.mark.parametrize("first", ["", "maybe\r"])
def test_the_question_is_laid_out_anew_when_the_window_changes(service: Service, first: str) -> None:
    """What was typed stays; so it does below the next question, when the first answer was none."""
    key, number = fingerprint(service)
    terminal = service.terminal(words(service), columns=100)
    terminal.sees("paste the fingerprint)")
    terminal.type(first)
    question = "Please type yes, no, or the full fingerprint:" if first else "or paste the fingerprint)"
    terminal.sees(question)
    terminal.type("ye")
    for columns in (50, 30, 41, 120):
        terminal.resize(columns, 40)
        room = columns - 4
        laid_out = [key[:room], *filter(None, [key[room:]]), "Its safety number:"]
        laid_out += [number] if room >= len(number) else [number[:23], number[24:]]
        wait_for(partial(_stands, terminal, laid_out, f"{question} ye"), f"{laid_out}", shown=terminal.text)
    terminal.enter("s")
    terminal.sees("Connected to operator.")
    assert known_hosts(service).certificate_of("localhost", service.port)


def _stands(terminal: Terminal, rows: list[str], end: str) -> bool:
    """Whether the last rows have this key and number, end with this, and have each of their sentences once."""
    text = terminal.text()
    page = [row.strip() for row in text[text.rfind("The key of") :].split("\n") if row.strip()]
    whole = " ".join(page)
    begin = page.index(rows[0]) if rows[0] in page else 0
    return page[begin : begin + len(rows)] == rows and whole.endswith(end) and whole.count(end[:9]) == 1


def test_a_low_window_hides_no_row_of_the_question(service: Service) -> None:
    key, number = fingerprint(service)
    terminal = service.terminal(words(service), columns=60, lines=6)
    terminal.tells("(yes/no, or paste the fingerprint)")
    assert f"    {key}" in terminal.lines()
    assert f"    {number}" in terminal.lines()
    assert terminal.text().count("Trust this host") == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_at_the_question_leaves_the_terminal_as_it_was(service: Service, number: signal.Signals) -> None:
    """The question switches off the terminal's own line and its echo. As in a shell, it stays open at the end."""
    main, ours = os.openpty()
    with os.fdopen(main, "rb"), os.fdopen(ours, "rb"):
        before = termios.tcgetattr(ours)
        env = {**service.env, "TERM": "xterm"}
        process = subprocess.Popen(words(service), env=env, stdin=ours, stdout=ours, stderr=ours)
        wait_for(lambda: termios.tcgetattr(ours) != before, "the question is asked")
        process.send_signal(number)
        assert process.wait(PATIENCE) == 130
        assert termios.tcgetattr(ours) == before
    assert not known_hosts(service).path.exists()


@pytest.mark.parametrize("answer", ["no\r", "n\r", "\x04"])
def test_a_user_who_answers_no_has_sent_nothing(idle_service: Service, hosts: Hosts, answer: str) -> None:
    host = hosts.fake(hosts.identity())
    terminal = on_terminal(idle_service, port=host.port)
    terminal.sees("(yes/no, or paste the fingerprint)")
    terminal.type(answer)
    assert terminal.exit_status() == 7
    terminal.sees("Nothing has been sent")
    host.idle()
    assert host.told == b""
    assert not known_hosts(idle_service).path.exists()


def test_only_a_whole_yes_is_a_yes(idle_service: Service, hosts: Hosts) -> None:
    host = hosts.fake(hosts.identity())
    terminal = on_terminal(idle_service, port=host.port)

    def asked(times: int) -> bool:
        """As often as it is on the screen: how often it was drawn there does not matter."""
        shown = " ".join(terminal.text().split())
        return len(re.findall(r"\(yes/no, or paste the fingerprint\)|or the full fingerprint:", shown)) == times

    for count, answer in enumerate(["", "y", "maybe", f"SHA256:{42 * 'A'}"], 1):
        wait_for(partial(asked, count), "it is asked")
        terminal.enter(answer)
    wait_for(partial(asked, 5), "it is asked again")
    assert host.told == b""
    assert not known_hosts(idle_service).path.exists()


def test_a_pasted_fingerprint_is_a_yes_if_it_is_the_hosts(service: Service) -> None:
    terminal = on_terminal(service)
    terminal.sees("(yes/no, or paste the fingerprint)")
    terminal.enter(f" {fingerprint(service)[0]} ")
    terminal.sees("-- Connected to operator.")
    assert known_hosts(service).certificate_of("localhost", service.port)


def test_a_pasted_fingerprint_of_another_key_ends_the_call(idle_service: Service, hosts: Hosts) -> None:
    host = hosts.fake(hosts.identity())
    terminal = on_terminal(idle_service, port=host.port)
    terminal.sees("(yes/no, or paste the fingerprint)")
    terminal.enter(hosts.identity().fingerprint)
    assert terminal.exit_status() == 7
    terminal.sees("does not have the fingerprint")
    host.idle()
    assert host.told == b""
    assert not known_hosts(idle_service).path.exists()


def test_the_question_rings_only_for_a_user_who_waited(service: Service) -> None:
    there = on_terminal(service, "--wait")
    there.sees("(yes/no, or paste the fingerprint)")
    assert b"\a" not in there.raw
    there.enter("no")
    assert there.exit_status() == 7
    service.kill()
    waiting = on_terminal(service, "--wait")
    waiting.sees("Calling again.")
    service.start()
    waiting.sees("(yes/no, or paste the fingerprint)")

    def rung() -> bool:
        waiting.update()
        return b"\a" in waiting.raw

    wait_for(rung, "the bell")
    waiting.enter("yes")
    waiting.sees("Connected to operator.")


def test_without_a_terminal_an_unknown_key_is_refused(service: Service) -> None:
    key, number = fingerprint(service)
    refused = run(service, words(service))
    assert refused.returncode == 7
    assert number in refused.stderr
    is_readable(refused.stderr)
    assert f"--fingerprint {key}" in refused.stderr
    assert "--accept-new" in refused.stderr
    assert not known_hosts(service).path.exists()
    helped = on_pipes(service, "--fingerprint", key)
    helped.notes("Send the first message")


def test_without_a_terminal_an_unknown_host_is_told_nothing(idle_service: Service, hosts: Hosts) -> None:
    host = hosts.fake(hosts.identity())
    assert run(idle_service, words(idle_service, port=host.port)).returncode == 7
    host.idle()
    assert host.told == b""


def test_accept_new_takes_an_unknown_key_and_says_which(service: Service) -> None:
    client = on_pipes(service, "--accept-new")
    client.notes("Send the first message")
    assert fingerprint(service)[0] in client.notices()
    assert known_hosts(service).certificate_of("localhost", service.port)


def test_a_key_that_cannot_be_kept_is_good_for_one_call(service: Service) -> None:
    service.env["XDG_DATA_HOME"] = "/proc"  # where nobody can make a directory, not even root
    client = on_pipes(service, "--accept-new")
    client.notes("Send the first message")
    key, _ = fingerprint(service)
    assert f"accepted the key of localhost port {service.port}: {key}" in client.notices()
    assert "Cannot write the known hosts to /proc/pychat/known_hosts: " in client.notices()
    assert "pychat uses this key for one call, and asks you again at the next call." in client.notices()
    is_readable(client.notices())
    _new_key(service)
    assert client.exit_status() == 7
    assert "HAS CHANGED" in client.notices()
    assert f"accepted before  {key}" in client.notices()


@pytest.mark.skipif(shutil.which("prlimit") is None, reason="util-linux is not there")
def test_a_full_disk_stops_only_calls_with_a_new_key(service: Service) -> None:
    full = ["prlimit", "--fsize=0"]
    pins = known_hosts(service)
    result = run(service, [*full, *words(service, "--accept-new")])
    assert result.returncode == 0
    assert "known_hosts: File too large." in result.stderr
    assert [file.name for file in pins.path.parent.iterdir()] == ["known_hosts.lock"]
    pins.accept("localhost", service.port, b"another")
    result = run(service, [*full, *words(service, "--fingerprint", fingerprint(service)[0])])
    assert result.returncode == 1
    assert pins.certificate_of("localhost", service.port) == b"another"


def test_the_right_fingerprint_is_accepted_without_asking(service: Service) -> None:
    terminal = on_terminal(service, "--fingerprint", fingerprint(service)[0])
    terminal.sees("Send the first message")
    assert "(yes/no, " not in terminal.text()
    assert _leaves(terminal) == 0
    on_terminal(service).sees("Send the first message")


@pytest.mark.parametrize("known", [False, True])
def test_a_wrong_fingerprint_ends_the_call_and_nothing_is_sent(
    idle_service: Service, hosts: Hosts, known: bool
) -> None:
    identity, other = hosts.identity(), hosts.identity()
    host = hosts.fake(identity)
    if known:
        known_hosts(idle_service).accept("localhost", host.port, identity.der)
    result = run(idle_service, words(idle_service, "--fingerprint", other.fingerprint, port=host.port))
    assert result.returncode == 7
    assert identity.fingerprint in result.stderr
    is_readable(result.stderr)
    host.idle()
    assert host.told == b""
    kept = known_hosts(idle_service).certificate_of("localhost", host.port)
    assert kept == (identity.der if known else None)


def test_forget_removes_one_pin_and_no_other(idle_service: Service, hosts: Hosts) -> None:
    pins = known_hosts(idle_service)
    for name, port in (("localhost", 7000), ("localhost", 7001), ("other.example", 7000)):
        pins.accept(name, port, hosts.identity(name).der)
    command = ["pychat", "forget", "LocalHost", "7000"]
    assert run(idle_service, command).returncode == 0
    assert pins.certificate_of("localhost", 7000) is None
    assert pins.certificate_of("localhost", 7001)
    assert pins.certificate_of("other.example", 7000)
    again = run(idle_service, command)
    assert again.returncode == 2
    is_readable(again.stderr)
    assert _mode(pins.path) == 0o600


def test_a_pin_is_of_a_host_and_a_port(idle_service: Service, hosts: Hosts) -> None:
    identity = hosts.identity()
    host = hosts.fake(identity)
    known_hosts(idle_service).accept("localhost", host.port + 1, identity.der)
    known_hosts(idle_service).accept("127.0.0.1", host.port, identity.der)
    assert run(idle_service, words(idle_service, port=host.port)).returncode == 7
    host.idle()
    assert host.told == b""


def test_status_tells_the_same_number_on_both_sides(service: Service) -> None:
    key, number = fingerprint(service)
    console, client = service.talk()
    for end in (console, client):
        end.enter("\\status")
        end.sees(number)
        assert key in end.text()
        assert "Encrypted with TLS 1.3" in end.text()


# ------------------------------------------------------------------ a key that has changed


def test_a_changed_key_is_refused_until_it_is_forgotten(service: Service) -> None:
    terminal = on_terminal(service, "--accept-new")
    terminal.sees("Send the first message")
    assert _leaves(terminal) == 0
    before = fingerprint(service)[0]
    _new_key(service)
    now = fingerprint(service)[0]
    assert now != before
    for options in ((), ("--accept-new",)):
        refused = on_terminal(service, *options)
        assert refused.exit_status() == 7
        page = refused.text()
        assert "HAS CHANGED" in page
        assert before in page
        assert now in page
        assert "(yes/no, " not in page
        is_readable(page)
    command = refused.line_with("pychat forget").removeprefix("--").strip()
    assert run(service, command).returncode == 0
    helped = on_terminal(service, "--fingerprint", now)
    helped.sees("Send the first message")


def test_a_changed_key_is_refused_without_a_terminal_too(service: Service) -> None:
    assert run(service, words(service, "--accept-new")).returncode == 0
    _new_key(service)
    refused = run(service, words(service, "--accept-new"))
    assert refused.returncode == 7
    assert "HAS CHANGED" in refused.stderr
    is_readable(refused.stderr)
    (command,) = [text for text in refused.stderr.splitlines() if "pychat forget" in text]
    assert run(service, command.removeprefix("pychat:")).returncode == 0
    assert run(service, words(service, "--accept-new")).returncode == 0


def test_a_key_that_changes_during_a_talk_ends_it_with_7(service: Service) -> None:
    _console, client = service.talk()
    _new_key(service)
    assert client.exit_status() == 7
    client.sees("HAS CHANGED")


# ------------------------------------------------------------------ somebody in the middle


@pytest.mark.parametrize("signs", [False, True])
def test_a_false_host_gets_no_byte_and_no_certificate(idle_service: Service, hosts: Hosts, signs: bool) -> None:
    """signs: the accepted certificate may sign others, and has signed that of the false host."""
    assert run(idle_service, ["pychat", "certificate"]).returncode == 0
    own = own_key(idle_service)
    real = hosts.identity("authority" if signs else "localhost", authority=signs)
    false = hosts.identity(by=real if signs else None)
    context = server_context(false)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_verify_locations(own)  # it would take this user's certificate
    host = hosts.fake(context)
    known_hosts(idle_service).accept("localhost", host.port, real.der)
    result = run(idle_service, words(idle_service, port=host.port))
    assert result.returncode == 7
    assert "HAS CHANGED" in result.stderr
    host.idle()
    assert host.told == b""
    assert [visit.certificate for visit in host.visits] == [None] * len(host.visits)
    # The same host with the accepted key gets both: the test above could have seen them.
    known_hosts(idle_service).accept("localhost", host.port, false.der)
    client = on_pipes(idle_service, port=host.port)
    wait_for(lambda: b"\\hello 1 Client1" in host.told, "the hello arrives")
    assert host.visits[-1].certificate == certificates.certificate_der(own)
    client.end_input()


def test_a_man_in_the_middle_of_a_conversation_ends_it(service: Service, hosts: Hosts) -> None:
    middle = hosts.middle(service.port)
    client = on_terminal(service, "--accept-new", port=middle.port)
    client.sees("Send the first message")
    client.enter(WORDS)
    service.console().sees(WORDS)
    middle.upward.clear()
    middle.context = server_context(hosts.identity())
    middle.cut()
    assert client.exit_status() == 7
    client.sees("HAS CHANGED")
    assert not any(middle.upward)
    assert middle.certificates == [None] * len(middle.certificates)


def test_what_is_said_cannot_be_read_on_the_way(service: Service, hosts: Hosts) -> None:
    middle = hosts.middle(service.port)
    client = on_terminal(service, "--accept-new", port=middle.port)
    client.sees("Send the first message")
    client.enter(WORDS)
    console = service.console()
    console.sees(WORDS)
    console.enter(WORDS.upper())
    client.sees(WORDS.upper())
    way = b"".join(middle.upward) + b"".join(middle.downward)
    assert len(way) > 500
    for word in ("Client1", "Server", "hello", "session", WORDS, WORDS.upper()):
        assert word.encode() not in way


def test_what_is_said_cannot_be_changed_on_the_way(service: Service, hosts: Hosts) -> None:
    middle = hosts.middle(service.port)
    client = on_terminal(service, "--accept-new", port=middle.port)
    client.sees("Send the first message")
    changed: list[bytes] = []

    def change(data: bytes) -> bytes:
        if changed:
            return data
        changed.append(data)
        return data[:-20] + bytes([data[-20] ^ 1]) + data[-19:]

    middle.change = change
    client.enter(WORDS)
    console = service.console()
    console.sees(f"Client1> {WORDS}")  # over another connection: the client still has it
    assert changed
    assert console.text().count("Client1> ") == 1


# ------------------------------------------------------------------ files


def test_keys_and_pins_are_private_whatever_the_umask(idle_service: Service) -> None:
    service = idle_service
    result = service.pychatd("start", umask=0)
    assert result.returncode == 0, result.stderr
    shell = ["sh", "-c", 'umask 0; pychat certificate && exec "$@"', "sh", *words(service, "--accept-new")]
    assert run(service, shell).returncode == 0
    daemons = service.state / str(service.port) / "identity.pem"
    for file in (daemons, own_key(service), known_hosts(service).path):
        assert _mode(file) == 0o600
        assert _mode(file.parent) == 0o700
    left = {*daemons.parent.glob("*.new"), *own_key(service).parent.glob("*.new")}
    assert not left


def test_the_daemon_never_loads_the_library_that_makes_keys(idle_service: Service) -> None:
    """16 MiB that a running daemon has no use for; a key was made for its start."""
    service = idle_service
    assert service.pychatd("start").returncode == 0
    assert (service.state / str(service.port) / "identity.pem").exists()
    service.talk()
    if os.geteuid() != 0:
        pytest.skip("only root can look into a daemon")
    maps = Path(f"/proc/{service.pid()}/maps").read_text()
    assert "libssl" in maps or "_ssl" in maps
    assert "cryptography" not in maps
    assert "cryptography" in Path("/proc/self/maps").read_text()  # this process has made certificates
