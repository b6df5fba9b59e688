"""What the programs print where the output has another encoding, is full, or is gone."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.programs import Piped
from tests.support.service import BIN, Service
from tests.support.user import is_readable
from tests.support.waiting import PATIENCE

PROGRAMS = ("pychat", "pychatd", "pychatd-console")
POSIX = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
ENCODINGS = (
    {"PYTHONIOENCODING": "latin-1"},
    {"PYTHONIOENCODING": "ascii:strict"},
    {"PYTHONIOENCODING": "koi8-r"},
    {"PYTHONIOENCODING": "cp437"},
    POSIX,
)
TEXT = "Grüße, Жанна 😀 €"


def _run(service: Service, command: list[str], **env: str) -> subprocess.CompletedProcess[bytes]:
    """Buffered, as for users: the container of a test may say otherwise."""
    command = [str(BIN / command[0]), *command[1:]] if "/" not in command[0] else command
    settings = {**service.env, "PYTHONUNBUFFERED": "", **env}
    return subprocess.run(command, env=settings, capture_output=True, timeout=PATIENCE, check=False)


def _shell(service: Service, redirected: str, *command: str) -> subprocess.CompletedProcess[bytes]:
    """Runs a program of ours with its output `redirected` by a shell."""
    return _run(service, ["/bin/sh", "-c", f'"$0" "$@" {redirected}', str(BIN / command[0]), *command[1:]])


def _escaped(encoding: str) -> str:
    return TEXT.encode(encoding, "backslashreplace").decode(encoding)


@pytest.mark.parametrize(
    ("program", "encoding"),
    [*(("pychat", encoding) for encoding in ENCODINGS), *((program, POSIX) for program in PROGRAMS[1:])],
    ids=lambda given: given if isinstance(given, str) else next(iter(given.values())),
)
def test_help_and_errors_are_printed_in_every_encoding(
    idle_service: Service, program: str, encoding: dict[str, str]
) -> None:
    done = _run(idle_service, [program, "--help"], **encoding)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"Exit status:" in done.stdout
    wrong = _run(idle_service, [program, TEXT], **encoding)
    assert wrong.returncode == 2
    is_readable(wrong.stderr.decode(errors="replace").replace("error: argument", ""))


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1251"])
def test_no_message_is_lost_for_its_encoding(service: Service, encoding: str) -> None:
    env = {"PYTHONIOENCODING": encoding}
    console = service.ready_plain("pychatd-console", "--handle", "Žofie")
    words = ["--accept-new", "--handle", "Жанна", "localhost", str(service.port), "--expect-reply", TEXT]
    sender = Piped(service.popen(["env", f"PYTHONIOENCODING={encoding}", str(BIN / "pychat"), "send", *words]))
    console.says(TEXT)
    console.enter(TEXT)
    assert sender.process.wait(PATIENCE) == 0
    assert sender.process.stdout
    assert sender.process.stdout.read().decode(encoding) == f"{_escaped(encoding)}\n"
    place = ["pychatd-console", str(service.port), "--runtime-directory", str(service.runtime)]
    done = _run(service, [*place, "--history"], **env)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode(encoding).count(_escaped(encoding)) == 2


FULL = "No space left on device"
GONE = "Bad file descriptor"
REDIRECTED = [(">/dev/full", FULL), (">&-", GONE), ("1</dev/null", GONE), ("<&- >&-", GONE)]


@pytest.mark.parametrize(("redirected", "why"), REDIRECTED)
@pytest.mark.parametrize(
    ("program", "option"), [("pychat", "--help"), ("pychatd", "--version"), ("pychatd-console", "--help")]
)
def test_an_output_that_takes_nothing_is_a_failure(
    idle_service: Service, program: str, option: str, redirected: str, why: str
) -> None:
    done = _shell(idle_service, redirected, program, option)
    assert (done.returncode, done.stderr.decode()) == (1, f"{program}: Cannot write to stdout: {why}.\n")


@pytest.mark.parametrize(
    ("redirected", "why", "buffered"),
    [*((*given, "") for given in REDIRECTED), (">/dev/full", FULL, "1"), (">&-", GONE, "1")],
)
def test_the_results_of_commands_are_written_or_fail(
    shared_service: Service, redirected: str, why: str, buffered: str
) -> None:
    place = ["--runtime-directory", str(shared_service.runtime)]
    for command in (
        ["pychat", "certificate"],
        ["pychatd", "status", *place],
        ["pychatd", "status", "--json", *place],
        ["pychatd", "fingerprint", str(shared_service.port), *place],
    ):
        words = ["env", f"PYTHONUNBUFFERED={buffered}", str(BIN / command[0]), *command[1:]]
        done = _run(shared_service, ["/bin/sh", "-c", f'"$@" {redirected}', "sh", *words])
        assert (done.returncode, done.stderr.decode()) == (1, f"{command[0]}: Cannot write to stdout: {why}.\n")


@pytest.mark.parametrize("words", ["pychat certificate", "pychatd --help", "pychatd-console --version"])
def test_a_reader_that_has_gone_is_a_failure(idle_service: Service, words: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    program, word = words.split()
    done = subprocess.run(
        [str(BIN / program), word],
        env={**idle_service.env, "PYTHONUNBUFFERED": ""},
        stdout=writer,
        stderr=subprocess.PIPE,
        timeout=PATIENCE,
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr.decode()) == (1, f"{program}: Cannot write to stdout: Broken pipe.\n")


@pytest.mark.parametrize("redirected", ["2>/dev/full", "2>&-", "2</dev/null", ">/dev/full 2>/dev/full"])
def test_the_status_is_true_without_stderr(idle_service: Service, redirected: str) -> None:
    assert _shell(idle_service, redirected, "pychat").returncode == 2
    assert _shell(idle_service, redirected, "pychatd").returncode == 2
    assert _shell(idle_service, redirected, "pychatd", "stop", str(idle_service.port)).returncode == 3
    absent = ("send", "--handle", "Bob", "localhost", str(idle_service.port), "x")
    assert _shell(idle_service, redirected, "pychat", *absent).returncode == 3


@pytest.mark.parametrize("program", ["pychat", "pychatd-console"])
@pytest.mark.parametrize("end", [signal.SIGTERM, None])
def test_a_program_ends_when_nobody_reads_its_last_words(
    service: Service, program: str, end: signal.Signals | None
) -> None:
    piped = service.ready_plain(program, "--plain", "--handle", "Bob")
    if program == "pychat":
        piped.enter("Hi!")
    assert piped.process.stderr
    piped.process.stderr.close()
    if end is not None:
        piped.process.send_signal(end)
    piped.end_input()
    assert piped.exit_status() in (0, 1, 130)


def test_json_says_that_nothing_can_be_written(service: Service) -> None:
    words = ("localhost", str(service.port), "--handle", "Bob", "--accept-new", "--json")
    done = _shell(service, ">/dev/full </dev/null", "pychat", *words)
    assert done.returncode == 1
    assert f"pychat: Cannot write to stdout: {FULL}.\n" in done.stderr.decode()


@pytest.mark.parametrize(
    ("program", "command"),
    [
        ("pychatd", "fingerprint {} --config"),
        ("pychatd", "fingerprint {} --state-directory"),
        ("pychatd", "fingerprint {} --runtime-directory"),
        ("pychatd-console", "{} --runtime-directory"),
    ],
)
def test_a_directory_that_is_gone_asks_for_whole_paths(
    idle_service: Service, tmp_path: Path, program: str, command: str
) -> None:
    (tmp_path / "gone").mkdir()
    words = f'cd gone && rmdir ../gone && exec "$0" {command.format(idle_service.port)} here'
    done = subprocess.run(
        ["/bin/sh", "-c", words, str(BIN / program)],
        cwd=tmp_path,
        env=idle_service.env,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 2
    gone = "The current directory no longer exists: write the whole path of 'here', from / on."
    assert done.stderr.decode() == f"{program}: {command.rpartition(' ')[2]}: {gone}\n"


def test_all_programs_run_in_a_directory_that_is_gone(idle_service: Service, tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    place = f"--runtime-directory {idle_service.runtime}"
    call = f"localhost {idle_service.port}"
    start = " ".join(idle_service.command("start")[1:])
    for program, words, status in (
        ("pychatd", start, 0),
        ("pychat", f"send --handle Bob --accept-new {call} x", 0),
        ("pychatd-console", f"{idle_service.port} {place} --history", 0),
        ("pychatd-console", f"{idle_service.port} --runtime-directory here", 2),
        ("pychat", f"{call} --handle Bob --log here", 2),
    ):
        (tmp_path / "gone").mkdir(exist_ok=True)
        command = f'cd gone && rmdir ../gone && exec "$0" {words}'
        done = subprocess.run(
            ["/bin/sh", "-c", command, str(BIN / program)],
            cwd=tmp_path,
            env=idle_service.env,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == status, done.stderr
        is_readable(done.stderr.decode())
