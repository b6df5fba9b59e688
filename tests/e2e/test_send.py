"""`pychat send`: one message and its answer, with a status for each way it can end."""

from __future__ import annotations

import getpass
import json
import resource
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pychat_client.errors import ExitStatus
from tests.support.fake_hosts import FakeHost, Hosts
from tests.support.ports import free_port
from tests.support.programs import Piped
from tests.support.service import BIN, Service
from tests.support.waiting import PATIENCE, wait_for


def _words(service: Service, *words: str, port: int | None = None, handle: str | None = None) -> list[str]:
    options = ["--accept-new", *(() if handle is None else ("--handle", handle))]
    return [str(BIN / "pychat"), "send", *options, "localhost", str(port or service.port), *words]


def _send(
    service: Service, *words: str, text: bytes = b"", port: int | None = None, user: str | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Runs `pychat send` to this service (or another port) to its end. user: somebody with files of their own."""
    command = _words(service, *words, port=port)
    env = service.env if user is None else service.env_of(user)
    return subprocess.run(command, env=env, input=text, capture_output=True, timeout=PATIENCE * 2, check=False)


def _console(service: Service) -> Piped:
    return service.ready_plain("pychatd-console", "--handle", "Server")


def _said(service: Service) -> list[str]:
    """What the journal has."""
    words = [str(BIN / "pychatd-console"), str(service.port), "--runtime-directory", str(service.runtime)]
    done = subprocess.run([*words, "--history", "--json"], env=service.env, capture_output=True, check=True)
    return [json.loads(row)["text"] for row in done.stdout.splitlines()]


def test_send_ends_when_the_message_is_stored(service: Service) -> None:
    _send(service, "so that the key is known")
    result = _send(service, "The", "backup", "is done.")
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")
    assert _said(service)[-1] == "The backup is done."


@pytest.mark.parametrize("words", [[], ["-"]])
def test_the_whole_input_is_one_message(service: Service, words: list[str]) -> None:
    assert _send(service, *words, text=b"two\nlines\n").returncode == 0
    assert _said(service) == ["two\nlines"]


@pytest.mark.parametrize("words", [["\\quit"], ["--", "--via=false"], ["\\\\"]])
def test_nothing_in_the_text_is_a_command(service: Service, words: list[str]) -> None:
    assert _send(service, *words).returncode == 0
    assert _said(service) == words[-1:]


def test_where_the_handle_comes_from(service: Service) -> None:
    console = _console(service)
    assert _send(service, "one").returncode == 0
    console.says(f"{getpass.getuser()[:10]}> one\n")
    file = service.directory / "config/pychat/config.toml"
    file.parent.mkdir(parents=True)
    file.write_text('handle = "Liked"')
    assert _send(service, "two").returncode == 0
    console.says("Liked> two\n")
    assert subprocess.run(_words(service, "three", handle="Given"), env=service.env, check=False).returncode == 0
    console.says("Given> three\n")


def test_the_answer_is_printed_and_printable(service: Service) -> None:
    console = _console(service)
    sender = Piped(service.popen(_words(service, "--expect-reply", "May I reboot?")))
    console.says("May I reboot?")
    console.enter("yes\u202e")
    assert sender.exit_status() == 0
    assert sender.out() == "yes<U+202E>\n"
    console.notes("ended the conversation")


def test_options_may_stand_between_the_port_and_the_text(service: Service) -> None:
    _send(service, "so that the key is known")
    result = _send(service, "--expect-reply", "--timeout", "3", "Anybody?")
    assert result.returncode == 8
    assert result.stderr == b"pychat: Stored on the other host, but no reply came in time.\n"
    assert _said(service)[1:] == ["Anybody?"]
    assert service.status()["peer"] is None  # the service is free for the next caller


def test_an_end_without_an_answer_is_a_status(service: Service) -> None:
    _send(service, "so that the key is known")
    console = _console(service)
    sender = Piped(service.popen(_words(service, "--expect-reply", "May I reboot?")))
    console.says("May I reboot?")
    console.enter("\\ring")
    console.notes("You asked")
    console.enter("\\quit not now")
    assert sender.exit_status() == 8
    assert sender.out() == ""
    assert sender.notices() == 'pychat: Server ended the conversation: "not now".\n'


@pytest.fixture
def silent(idle_service: Service) -> Iterator[FakeHost]:
    """A host that says hello, and never that something is stored."""
    hosts = Hosts(idle_service.directory)
    yield hosts.fake(hosts.identity(), says=b"\\hello 1 Server session=5f0c\n")
    hosts.close()


def test_an_unconfirmed_message_is_given_back_at_the_timeout(idle_service: Service, silent: FakeHost) -> None:
    result = _send(idle_service, "--timeout", "2", "lost?", port=silent.port)
    assert (result.returncode, result.stdout) == (9, b"")
    assert b"Not confirmed in time" in result.stderr
    assert b"Not confirmed; it may have arrived:\npychat:     lost?\n" in result.stderr
    silent.idle()
    assert b"lost?\n" in silent.told


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_gives_back_an_unconfirmed_message(
    idle_service: Service, silent: FakeHost, number: signal.Signals
) -> None:
    sender = Piped(idle_service.popen(_words(idle_service, "lost?", port=silent.port)))
    wait_for(lambda: any(b"lost?" in visit.told for visit in silent.visits), "it is on its way")
    sender.process.send_signal(number)
    assert sender.exit_status() == 130
    assert "Not confirmed; it may have arrived:\npychat:     lost?\n" in sender.notices()
    assert "Traceback" not in sender.notices()


@pytest.mark.parametrize("name", ["INT", "TERM", "HUP"])
def test_a_signal_ignored_at_the_start_stays_ignored(idle_service: Service, silent: FakeHost, name: str) -> None:
    words = _words(idle_service, "--timeout", "2", "lost?", port=silent.port)
    sender = Piped(idle_service.popen(["sh", "-c", f'trap "" {name}; exec "$@"', "sh", *words]))
    wait_for(lambda: any(b"lost?" in visit.told for visit in silent.visits), "it is on its way")
    sender.process.send_signal(signal.Signals[f"SIG{name}"])
    assert sender.exit_status() == 9  # at the timeout, and not at the signal


def test_a_silent_host_is_given_up(service: Service) -> None:
    _send(service, "so that the key is known")
    service.send(signal.SIGSTOP)
    result = _send(service, "--timeout", "1", "not heard")
    service.send(signal.SIGCONT)
    assert result.returncode == 3
    assert b"Not sent:\npychat:     not heard\n" in result.stderr


def test_no_answer(idle_service: Service) -> None:
    result = _send(idle_service, text=b"two\nlines\n")
    assert (result.returncode, result.stdout) == (3, b"")
    assert b"Cannot connect" in result.stderr
    assert b"Not sent:\npychat:     two\npychat:     lines\n" in result.stderr  # stdin is read and gone


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_before_an_answer_gives_the_text_back(idle_service: Service, number: signal.Signals) -> None:
    sender = Piped(idle_service.popen(_words(idle_service, "--wait", "-")))
    sender.enter("not lost")
    sender.end_input()
    sender.notes("Calling again.")
    sender.process.send_signal(number)
    assert sender.exit_status() == 130
    assert sender.notices().endswith("Not sent:\npychat:     not lost\n")


def test_messages_of_a_script_are_all_that_the_operator_reads(idle_service: Service) -> None:
    idle_service.start("--turns", "free")
    console = _console(idle_service)
    for number in range(3):
        assert _send(idle_service, "--open", f"message {number}").returncode == 0
        console.says(f"message {number}")
    wait_for(lambda: not (idle_service.status()["peer"] or {})["connected"], "the caller has gone")
    console.enter("The end.")
    console.enter("\\quit")
    console.notes("You ended the conversation")
    assert console.notices().count("is not connected now") == 1
    assert "connected again" not in console.notices()


def test_a_busy_service(service: Service) -> None:
    service.talk()
    result = _send(service, "Hi!", user="other")
    assert result.returncode == 4
    assert b"somebody else is talking" in result.stderr
    assert b"Hi!" in result.stderr


def test_wait_calls_until_the_service_is_free(service: Service) -> None:
    _, client = service.talk()
    sender = Piped(service.popen(_words(service, "--wait", "my turn")))
    client.enter("\\quit")
    assert sender.exit_status() == 0
    assert _said(service)[-1] == "my turn"


def test_wait_calls_until_there_is_an_answer(idle_service: Service) -> None:
    sender = Piped(idle_service.popen(_words(idle_service, "--wait", "first")))
    sender.notes("Calling again.")
    idle_service.start()
    assert sender.exit_status() == 0
    assert _said(idle_service) == ["first"]


def test_wait_ends_at_the_timeout_while_the_service_is_busy(service: Service) -> None:
    service.talk()
    result = _send(service, "--wait", "--timeout", "2", "Hi!", user="other")
    assert result.returncode == 4, result.stderr
    assert b"Busy for 2 s; giving up." in result.stderr


def test_wait_ends_at_the_timeout(idle_service: Service) -> None:
    assert _send(idle_service, "--wait", "--timeout", "1", "Hi!").returncode == 3
    idle_service.start()
    assert _send(idle_service, "so that the key is known").returncode == 0
    idle_service.kill()
    result = _send(idle_service, "--wait", "--timeout", "1", "Hi!")
    assert result.returncode == 3
    assert b"giving up" in result.stderr


def test_another_key_than_the_given_one(service: Service) -> None:
    words = [
        str(BIN / "pychat"),
        "send",
        "--fingerprint",
        "SHA256:" + 43 * "A",
        "localhost",
        str(service.port),
        "x",
    ]
    result = subprocess.run(words, env=service.env, capture_output=True, timeout=PATIENCE, check=False)
    assert result.returncode == 7
    assert b"Not sent:\npychat:     x\n" in result.stderr
    assert _said(service) == []


def test_a_refused_caller(service: Service) -> None:
    allowed = service.directory / "authorized"
    allowed.mkdir()
    file = service.configure(f'authorized = "{allowed}"\n')
    service.kill()
    service.start("--config", file)
    result = _send(service, "Hi!")
    assert result.returncode == 5
    assert b"not on the allowlist" in result.stderr


@pytest.mark.parametrize(
    ("words", "text", "sentence"),
    [
        ([], b"", "the message is empty"),
        ([""], b"not this", "the message is empty"),
        (["x" * 501], b"", "501 characters"),
        ([], b"x" * (1 << 16), "the message has 65536 characters; the limit is 500."),
        ([], b"x" * ((1 << 16) + 1), "the input has more than 65,536 bytes; the limit is 500 characters."),
        ([], b"x" + "\u00e4".encode() * 50_000, "the input has more than 65,536 bytes"),
        ([], b"\xff", "not UTF-8"),
        (["a\x07"], b"", "control character"),
        (["--via=false", "x"], b"", "If it is the text, write -- before it"),
        (["--timeout", "soon", "x"], b"", "--timeout: 'soon' is not a time limit"),
        (["--timeout", "0", "x"], b"", "'0' is not a time limit: use a number of seconds above 0"),
        (["--timeout", "-1", "x"], b"", "'-1' is not a time limit: use a number of seconds above 0"),
        (["--timeout", "nan", "x"], b"", "'nan' is not a time limit"),
    ],
)
def test_a_bad_message_is_refused_before_the_call(
    idle_service: Service, words: list[str], text: bytes, sentence: str
) -> None:
    result = _send(idle_service, *words, text=text)
    assert (result.returncode, result.stdout) == (2, b"")
    assert sentence in result.stderr.decode()


def test_an_unwritable_answer_is_a_failure(service: Service) -> None:
    console = _console(service)
    sender = Piped(
        service.popen(["sh", "-c", 'exec "$@" > /dev/full', "sh", *_words(service, "--expect-reply", "Hi!")])
    )
    console.says("Hi!")
    console.enter("Hello")
    assert sender.exit_status() == 1
    assert (
        "The reply has arrived, but pychat cannot write it to stdout: No space left on device." in sender.notices()
    )
    assert "Traceback" not in sender.notices()


def test_open_needs_a_place_for_the_conversation(service: Service) -> None:
    assert _send(service, "so that the key is known").returncode == 0
    sessions = Path(service.env["XDG_STATE_HOME"]) / "pychat/sessions"
    shutil.rmtree(sessions)
    sessions.write_text("not a directory")
    result = _send(service, "--open", "May I reboot tonight?")
    assert result.returncode == 1
    assert b"without it, nobody can fetch the answers." in result.stderr
    assert b"May I reboot tonight?" in result.stderr
    assert _said(service) == ["so that the key is known"]
    assert _send(service, "Without --open it goes.").returncode == 0


def test_open_tells_that_the_conversation_could_not_stay_open(service: Service) -> None:
    console = _console(service)
    sender = Piped(service.popen(_words(service, "--open", "--expect-reply", "May I reboot?")))
    console.says("May I reboot?")
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.prlimit(sender.process.pid, resource.RLIMIT_FSIZE, (0, hard))  # as on a full disk
    console.enter("Yes.")
    assert sender.exit_status() == 1
    assert sender.out() == "Yes.\n"
    assert "So the conversation cannot stay open, and ends." in sender.notices()
    assert "Your message is stored." in sender.notices()
    console.notes("ended the conversation")


def test_a_host_named_send_can_be_called(idle_service: Service) -> None:
    result = subprocess.run(
        [str(BIN / "pychat"), "--handle", "Client1", "--", "send", str(free_port())],
        env=idle_service.env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert result.returncode == 3
    assert b"Unknown host 'send'" in result.stderr


def test_the_help_tells_every_status(idle_service: Service) -> None:
    words = [str(BIN / "pychat"), "send", "--help"]
    text = subprocess.run(words, env=idle_service.env, capture_output=True, check=True).stdout.decode()
    for status in (0, 1, 2, 3, 4, 5, 6, 7, 8, 130):
        assert str(status) in text.partition("Exit status:")[2].split()


def test_a_daemon_that_cannot_store_promises_nothing_for_send(service: Service) -> None:
    """Its journal is gone, and an earlier call has found out."""
    assert _send(service, "so that the key is known").returncode == 0
    (service.state / str(service.port) / "journal.db").unlink()
    earlier = service.greeted()
    earlier.send("Client1> Hi!")
    earlier.reads("\\error journal")
    result = _send(service, "Hello")
    assert result.returncode == ExitStatus.NOT_SENT, result.stderr
    said = " ".join(result.stderr.decode().split())
    assert "The other host cannot store messages now (is its disk full?)." in said
    assert said.endswith("Not sent: pychat: Hello")
    assert "Connection lost" not in said
    assert "kept" not in said
