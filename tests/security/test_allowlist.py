"""Only who is on the list gets in; an empty, missing or unreadable list lets nobody in."""

from __future__ import annotations

import hashlib
import shutil
import signal
import socket
import ssl
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.certificates import Made
from tests.support.fake_hosts import Hosts, client_context
from tests.support.programs import Piped, Terminal
from tests.support.raw_ends import BlockingEnd
from tests.support.service import Service
from tests.support.user import is_readable, on_pipes, on_terminal, own_key, run
from tests.support.waiting import PATIENCE

REFUSED = "not on the allowlist"


def _certificate(service: Service) -> str:
    result = run(service, ["pychat", "certificate"])
    assert result.returncode == 0, result.stderr
    return result.stdout


def _authorized(service: Service) -> Path:
    directory = service.directory / "authorized"
    directory.mkdir(exist_ok=True)
    return directory


def _start(service: Service, *listed: tuple[str, str]) -> Path:
    """The daemon runs with an allowlist of (NAME, PEM)."""
    directory = _authorized(service)
    for name, pem in listed:
        (directory / f"{name}.pem").write_text(pem)
    service.start("--config", service.configure(f'authorized = "{directory}"\n'))
    return directory


def _reload(service: Service) -> None:
    before = sum("has been reloaded" in entry for entry in service.log())
    service.send(signal.SIGHUP)
    service.logs("has been reloaded")
    assert sum("has been reloaded" in entry for entry in service.log()) == before + 1


def _dial(service: Service, own: Made | Path | None) -> BlockingEnd:
    """A raw connection over TLS, with a certificate of ours."""
    sock = socket.create_connection(("127.0.0.1", service.port), timeout=PATIENCE)
    return BlockingEnd(client_context(own.both if isinstance(own, Made) else own).wrap_socket(sock))


def _is_refused(client: Piped) -> None:
    """In words, and with exit status 5."""
    assert client.exit_status() == 5, client.notices()
    assert REFUSED in client.notices()
    assert "pychat certificate" in client.notices()
    is_readable(client.notices())


def _nobody_gets_in(service: Service) -> None:
    console = service.ready_console()
    before = console.text()
    _is_refused(on_pipes(service, "--accept-new"))
    plain = service.connect()
    plain.send("guest> let me in")
    assert plain.line().startswith("\\error ")
    assert service.status()["peer"] is None
    console.enter("\\status")
    console.sees("no caller yet")
    assert "Client1" not in console.text()
    assert "guest" not in console.text()
    assert before.strip()


# ------------------------------------------------------------------ who is on it, and who is not


def test_show_certificate_makes_the_key_once(idle_service: Service) -> None:
    first = _certificate(idle_service)
    assert first.startswith("-----BEGIN CERTIFICATE-----\n")
    assert "PRIVATE" not in first
    key = own_key(idle_service)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    made = key.read_bytes()
    assert _certificate(idle_service) == first
    assert key.read_bytes() == made


def test_a_listed_caller_is_shown_with_the_verified_name(idle_service: Service) -> None:
    _start(idle_service, ("alice-laptop", _certificate(idle_service)))
    console, _client = idle_service.talk()
    console.sees("with the certificate of alice-laptop")
    console.sees("verified as alice-laptop")
    console.enter("\\status")
    console.sees("The caller has the certificate of alice-laptop.")


def test_who_comes_to_the_console_later_reads_the_verified_name(idle_service: Service) -> None:
    """The list has changed meanwhile: what counts is who was verified when the message came."""
    service = idle_service
    directory = _start(service, ("alice-laptop", _certificate(service)))
    sent = run(service, ["pychat", "send", "--accept-new", "localhost", str(service.port), "Hi!"])
    assert sent.returncode == 0, sent.stderr
    (directory / "alice-laptop.pem").rename(directory / "mallory.pem")
    _reload(service)
    history = ["pychatd-console", "--history", "--runtime-directory", str(service.runtime), str(service.port)]
    assert ", with the certificate of alice-laptop\n" in run(service, history).stdout
    assert '"name": "alice-laptop"' in run(service, [*history, "--json"]).stdout
    assert run(service, ["pychat", "send", "localhost", str(service.port), "Again!"]).returncode == 0
    console = service.ready_console()
    console.sees("with the certificate of alice-laptop.")
    console.sees("with the certificate of mallory.")


def test_a_caller_not_listed_is_refused_unseen(idle_service: Service, hosts: Hosts) -> None:
    _certificate(idle_service)
    _start(idle_service, ("somebody", hosts.identity("somebody").certificate.read_text()))
    _nobody_gets_in(idle_service)


def test_a_caller_not_listed_is_refused_on_the_screen(idle_service: Service, hosts: Hosts) -> None:
    _certificate(idle_service)
    _start(idle_service, ("somebody", hosts.identity("somebody").certificate.read_text()))
    client = on_terminal(idle_service, "--accept-new")
    assert client.exit_status() == 5, client.text()
    client.sees(REFUSED)


def test_a_caller_without_a_certificate_is_refused(idle_service: Service, hosts: Hosts) -> None:
    _start(idle_service, ("somebody", hosts.identity("somebody").certificate.read_text()))
    assert not own_key(idle_service).exists()
    _nobody_gets_in(idle_service)


def test_another_key_under_a_listed_name_does_not_get_in(idle_service: Service, hosts: Hosts) -> None:
    """Same subject, same issuer, another key; and one that the listed key has signed."""
    listed = hosts.identity("alice")
    signed = hosts.identity("mallory", by=listed)
    _start(idle_service, ("alice", listed.certificate.read_text()))
    for own in (hosts.identity("alice"), signed):
        caller = _dial(idle_service, own)
        answer = ""
        with suppress(OSError):  # the handshake itself may fail
            caller.send("\\hello 1 Mallory", "Mallory> let me in")
            answer = caller.line()
        assert answer == "" or answer.startswith("\\error not-authorized ")
    assert idle_service.status()["peer"] is None
    caller = _dial(idle_service, listed)
    caller.send("\\hello 1 Alice")
    assert caller.line().startswith("\\hello 1 ")
    caller.close()


def test_a_listed_authority_does_not_admit_those_it_signed(idle_service: Service, hosts: Hosts) -> None:
    """The list knows certificates, not families of them: here the handshake succeeds, and words refuse."""
    authority = hosts.identity("authority", authority=True)
    _start(idle_service, ("authority", authority.certificate.read_text()))
    caller = _dial(idle_service, hosts.identity("mallory", by=authority))
    caller.send("\\hello 1 Mallory", "Mallory> let me in")
    assert caller.rest() == [f"\\error not-authorized Your certificate is {REFUSED} of this service."]
    assert idle_service.status()["peer"] is None


# ------------------------------------------------------------------ a list that is no list


def test_an_empty_list_lets_nobody_in(idle_service: Service) -> None:
    _certificate(idle_service)
    _start(idle_service)
    idle_service.logs("only invited callers get in")
    _nobody_gets_in(idle_service)


def test_a_missing_list_lets_nobody_in(idle_service: Service) -> None:
    _certificate(idle_service)
    missing = idle_service.directory / "nowhere"
    result = idle_service.pychatd("start", "--config", idle_service.configure(f'authorized = "{missing}"\n'))
    assert result.returncode == 0
    assert result.stderr.startswith(f"pychatd: Cannot read the allowlist {missing}: No such file or directory.\n")
    idle_service.logs(f"Cannot read the allowlist {missing}: No such file or directory.")
    _nobody_gets_in(idle_service)


def test_a_file_in_place_of_the_list_lets_nobody_in(idle_service: Service) -> None:
    file = idle_service.directory / "authorized"
    file.write_text(_certificate(idle_service))
    idle_service.start("--config", idle_service.configure(f'authorized = "{file}"\n'))
    idle_service.logs("only invited callers get in")
    _nobody_gets_in(idle_service)


def test_what_is_no_certificate_lets_nobody_in_and_is_logged(idle_service: Service) -> None:
    pem = _certificate(idle_service)
    listed = _authorized(idle_service)
    (listed / "dangling.pem").symlink_to("nowhere")
    (listed / "directory.pem").mkdir()
    (listed / "rubbish.pem").write_bytes(b"\xff\x1b]0;rubbish\x07" * 99)
    (listed / "cut-short.pem").write_text(pem[: len(pem) // 2] + "\n-----END CERTIFICATE-----\n")
    (listed / "no-base64.pem").write_text("-----BEGIN CERTIFICATE-----\n!\x1b[2J!\n-----END CERTIFICATE-----\n")
    skipped = [*listed.iterdir()]
    (listed / "another-suffix.txt").write_text(pem)
    _start(idle_service)
    idle_service.logs("only invited callers get in")  # it says this last
    complaints = [entry for entry in idle_service.log() if "A file of the list of callers cannot be used" in entry]
    for file in skipped:
        assert any(str(file) in entry for entry in complaints), file
    assert not any("\x1b" in entry for entry in idle_service.log())
    _nobody_gets_in(idle_service)


def test_what_is_no_certificate_keeps_nobody_else_out(idle_service: Service) -> None:
    (_authorized(idle_service) / "broken.pem").write_text("rubbish")
    _start(idle_service, ("alice", _certificate(idle_service)))
    idle_service.logs("broken.pem")
    idle_service.talk()


# ------------------------------------------------------------------ a list that changes


def _is_over(client: Terminal, why: str) -> None:
    assert client.exit_status() == 0, client.text()
    text = " ".join(client.text().split())
    assert f'Server ended the conversation: "{why}".' in text, client.text()


def test_the_talk_of_a_caller_taken_off_the_list_is_ended_by_a_reload(idle_service: Service, hosts: Hosts) -> None:
    directory = _start(
        idle_service,
        ("alice", _certificate(idle_service)),
        ("somebody", hosts.identity("somebody").certificate.read_text()),
    )
    console, client = idle_service.talk()
    (directory / "alice.pem").unlink()
    _reload(idle_service)
    _is_over(client, "the caller's certificate was removed")
    console.sees("You ended the conversation: the caller's certificate was removed.")
    _is_refused(on_pipes(idle_service))


def test_a_caller_taken_off_the_list_who_has_said_nothing_is_put_out(idle_service: Service) -> None:
    directory = _start(idle_service, ("alice", _certificate(idle_service)))
    client = on_pipes(idle_service, "--accept-new")
    client.notes("Send the first message")
    (directory / "alice.pem").unlink()
    _reload(idle_service)
    assert client.exit_status() == 5
    assert REFUSED in client.notices()


@pytest.mark.parametrize("restarted", [False, True])
def test_a_caller_taken_off_the_list_while_away_has_no_talk_any_more(
    idle_service: Service, hosts: Hosts, restarted: bool
) -> None:
    service = idle_service
    bob = hosts.identity("bob").certificate.read_text()
    directory = _start(service, ("alice", _certificate(service)), ("bob", bob))
    sent = run(service, ["pychat", "send", "--open", "--accept-new", "localhost", str(service.port), "Hi!"])
    assert sent.returncode == 0, sent.stderr
    (directory / "bob.pem").unlink()
    _reload(service)
    assert service.status()["peer"] is not None
    (directory / "alice.pem").unlink()
    if restarted:
        assert service.pychatd("stop").returncode == 0
        service.start("--config", service.configure(f'authorized = "{directory}"\n'))
    else:
        result = service.pychatd("reload")
        assert result.returncode == 0, result.stderr
        assert result.stdout.endswith("The conversation is over.\n")
    assert service.status()["peer"] is None


def test_a_list_that_cannot_be_read_at_the_start_ends_no_talk(idle_service: Service) -> None:
    """Whoever mends the list lets the caller go on."""
    service = idle_service
    directory = _start(service, ("alice", _certificate(service)))
    sent = run(service, ["pychat", "send", "--open", "--accept-new", "localhost", str(service.port), "Hi!"])
    assert sent.returncode == 0, sent.stderr
    assert service.pychatd("stop").returncode == 0
    _cut_short(service)
    service.start("--config", service.configure(f'authorized = "{directory}"\n'))
    assert service.status()["peer"] is not None
    blocked = service.pychatd("block", "192.0.2.1")
    assert blocked.returncode == 0, blocked.stderr
    assert "over" not in blocked.stdout
    assert service.status()["peer"] is not None


@pytest.mark.parametrize("restarted", [False, True])
def test_a_service_that_takes_everybody_now_ends_no_talk(idle_service: Service, restarted: bool) -> None:
    """The caller may still call, without a certificate."""
    service = idle_service
    _start(service, ("alice", _certificate(service)))
    console, client = service.talk()
    service.configure("")
    if restarted:
        assert service.pychatd("stop").returncode == 0
        service.start("--config", str(service.directory / "pychatd.toml"))
        assert service.status()["peer"] is not None
    else:
        _reload(service)
        console.enter("Still there?")
        client.sees("Server> Still there?")


def test_a_list_that_was_emptied_puts_everybody_out(idle_service: Service) -> None:
    directory = _start(idle_service, ("alice", _certificate(idle_service)))
    _console, client = idle_service.talk()
    (directory / "alice.pem").unlink()
    result = idle_service.pychatd("reload")
    words = f"Nobody is on the allowlist {directory}: only invited callers get in.\n"
    assert (result.returncode, result.stdout) == (0, f"{words}The conversation is over.\n"), result.stderr
    _is_over(client, "the caller's certificate was removed")
    idle_service.logs(words.strip())


def _lose(service: Service) -> None:
    shutil.rmtree(_authorized(service))


def _cut_short(service: Service) -> None:
    file = _authorized(service) / "alice.pem"
    file.write_text(file.read_text()[:100])


def _misspell(service: Service) -> None:
    service.configure('authorized = "/nowhere"')


def _break_invited(service: Service) -> None:
    invited = service.state / str(service.port) / "authorized"
    invited.mkdir()
    (invited / "guest1.pem").write_text("rubbish")


@pytest.mark.parametrize("signalled", [False, True])
@pytest.mark.parametrize("mistake", [_lose, _cut_short, _misspell, _break_invited])
def test_a_list_that_cannot_be_read_changes_nothing(
    idle_service: Service, mistake: Callable[[Service], None], signalled: bool
) -> None:
    service = idle_service
    if mistake is _misspell:  # everybody may call
        service.start("--config", service.configure(""))
    else:
        _start(service, ("alice", _certificate(service)))
    console, client = service.talk()
    mistake(service)
    if signalled:
        service.send(signal.SIGHUP)
    else:
        result = service.pychatd("reload")
        assert result.returncode == 2
        assert result.stderr.startswith("pychatd: The configuration was not reloaded: ")
        assert len(result.stderr.splitlines()) == 1
    service.logs("The configuration was not reloaded: ")
    console.enter("Still there?")
    client.sees("Server> Still there?")
    assert "again" not in client.text()


def test_a_reload_does_not_disturb_a_caller_on_the_list(idle_service: Service, hosts: Hosts) -> None:
    directory = _start(idle_service, ("alice", _certificate(idle_service)))
    console, client = idle_service.talk()
    (directory / "bob.pem").write_text(hosts.identity("bob").certificate.read_text())
    _reload(idle_service)
    console.enter("Still there?")
    client.sees("Server> Still there?")
    assert "again" not in client.text()


def test_a_caller_put_on_the_list_gets_in_after_a_reload(idle_service: Service, hosts: Hosts) -> None:
    directory = _start(idle_service, ("somebody", hosts.identity("somebody").certificate.read_text()))
    pem = _certificate(idle_service)
    _is_refused(on_pipes(idle_service, "--accept-new"))
    (directory / "alice.pem").write_text(pem)
    _is_refused(on_pipes(idle_service))
    _reload(idle_service)
    on_pipes(idle_service).notes("Send the first message")


def test_a_reloaded_list_ends_the_talk_of_a_stranger(idle_service: Service) -> None:
    idle_service.start("--config", idle_service.configure(""))
    _console, client = idle_service.talk()
    idle_service.configure(f'authorized = "{_authorized(idle_service)}"\n')
    _reload(idle_service)
    _is_over(client, "only callers with a certificate may call now")


def test_a_handshake_begun_before_a_reload_does_not_get_in(idle_service: Service, hosts: Hosts) -> None:
    """Who is about to be taken off the list keeps a handshake half done, and goes on after the reload."""
    alice = hosts.identity("alice")
    bob = hosts.identity("bob").certificate.read_text()
    directory = _start(idle_service, ("alice", alice.certificate.read_text()), ("bob", bob))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = client_context(alice.both).wrap_bio(incoming, outgoing)
    with socket.create_connection(("127.0.0.1", idle_service.port), timeout=PATIENCE) as sock:
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                if hello := outgoing.read():
                    sock.sendall(hello)
                incoming.write(sock.recv(65536))
        (directory / "alice.pem").unlink()
        _reload(idle_service)
        tls.write(b"\\hello 1 Alice\nAlice> let me in\n")
        sock.sendall(outgoing.read())  # the certificate, the end of the handshake, and the words
        answer = b""
        try:
            while not answer:
                if data := sock.recv(65536):
                    incoming.write(data)
                else:
                    break
                try:
                    answer = tls.read(4096)
                except ssl.SSLWantReadError:
                    continue
        except OSError:
            pass
    assert not answer.startswith(b"\\hello"), answer
    assert idle_service.status()["peer"] is None


# ------------------------------------------------------------------ stolen tokens


def test_a_stolen_token_resumes_nothing_with_another_key(idle_service: Service, hosts: Hosts) -> None:
    alice, mallory = hosts.identity("alice"), hosts.identity("mallory")
    _start(idle_service, *((who.both.stem, who.certificate.read_text()) for who in (alice, mallory)))
    console = idle_service.ready_console()
    peer = _dial(idle_service, alice)
    token = peer.greet("Alice")
    peer.send("Alice> Hi!")
    assert peer.reads("\\ack") == "\\ack 1"
    console.sees("Alice> Hi!")
    console.enter("A word for Alice")
    assert peer.reads("Server> ") == "Server> A word for Alice"

    thief = _dial(idle_service, mallory)
    thief.send(f"\\hello 1 Alice {token} got=0")
    (answer,) = thief.rest()
    assert answer.startswith("\\busy ")
    peer.send("\\ping")
    assert peer.reads("\\pong")  # and she was not displaced

    peer.close()
    console.sees("Alice is not connected now.")
    thief = _dial(idle_service, mallory)
    thief.send(f"\\hello 1 Alice {token} got=0")
    answers = thief.rest()
    assert not any("A word for Alice" in line for line in answers)
    assert answers[0].startswith("\\busy ")

    again = _dial(idle_service, alice)
    again.send(f"\\hello 1 Alice {token} got=0")
    assert f" {token} " in again.line()
    assert again.reads("Server> ") == "Server> A word for Alice"
    again.close()


def test_the_journal_has_no_token(service: Service) -> None:
    caller = service.greeted("Alice")
    caller.close()
    peer = service.connect()
    token = peer.greet("Alice").removeprefix("session=")
    peer.send("Alice> Hi!")
    assert peer.reads("\\ack")
    stored = b"".join(file.read_bytes() for file in (service.state / str(service.port)).glob("journal*"))
    assert b"Hi!" in stored
    for form in (token.encode(), bytes.fromhex(token)):
        assert form not in stored
    digest = hashlib.sha256(token.encode()).digest()
    assert digest in stored or digest.hex().encode() in stored
