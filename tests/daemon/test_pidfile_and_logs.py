"""The process: who holds a pidfile, where the log goes, and what systemd is told."""

from __future__ import annotations

import fcntl
import logging
import logging.handlers
import os
import secrets
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from pychat_client.errors import BusyError, PermissionDeniedError
from pychatd.caller_events import Event, note
from pychatd.conversation.journal_health import JournalHealth
from pychatd.conversation.model import JournalError, JournalFullError
from pychatd.process import daemonize, logs, systemd
from pychatd.process.log_limit import COUNTED_MAX, FIRST, LogLimit
from pychatd.process.pidfile import Pidfile, holder
from tests.support.as_nobody import as_nobody, public_directory
from tests.support.socket_passing import passing
from tests.support.waiting import PATIENCE


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pid"


# ------------------------------------------------------------------ the pidfile


def test_a_pidfile_has_the_pid_of_the_process_that_entered_it(path: Path) -> None:
    pidfile = Pidfile(path)
    pidfile.acquire()
    with pidfile:
        assert path.read_text() == f"{os.getpid()}\n"
    assert not path.exists()
    assert holder(path) is None


def test_a_second_process_learns_the_pid_of_the_first(
    path: Path, contender: Callable[[], subprocess.Popen[str]]
) -> None:
    first = contender()
    tell(first)
    assert answer(first) == "held"
    for content in ("", "no pid\n", "\xff", "1\n", f"{os.getpid()}\n"):  # the number in the file tells nothing
        path.write_bytes(content.encode("latin-1"))
        with pytest.raises(BusyError, match=f"^pychatd is already running, with pid {first.pid}.$"):
            Pidfile(path).acquire()
        assert holder(path) == first.pid


def test_a_second_process_is_refused_before_the_pid_is_written(path: Path) -> None:
    first = Pidfile(path)
    first.acquire()
    with pytest.raises(BusyError, match="with pid unknown"):
        Pidfile(path).acquire()
    with first:
        pass


def test_a_stale_file_with_a_longer_pid_is_overwritten(path: Path) -> None:
    path.write_text("123456789012345\n")
    assert holder(path) is None
    pidfile = Pidfile(path)
    pidfile.acquire()
    with pidfile:
        assert path.read_text() == f"{os.getpid()}\n"


def test_the_lock_is_never_on_a_removed_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = Pidfile(path), Pidfile(path)
    first.acquire()
    flock = fcntl.flock
    opened: list[int] = []

    def removed_before_the_lock(fd: int, how: int) -> None:
        if not opened:  # the second one has opened the file, and the first one leaves
            opened.append(fd)
            with first:
                pass
        flock(fd, how)

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", removed_before_the_lock)
        second.acquire()
    assert os.path.samestat(os.fstat(second.fileno()), path.stat())
    with pytest.raises(BusyError):
        Pidfile(path).acquire()
    second.release()


HOLDER = """
import sys
from pathlib import Path
from pychat_client.errors import BusyError
from pychatd.process.pidfile import Pidfile

pidfile = Pidfile(Path(sys.argv[1]))
sys.stdin.readline()
try:
    pidfile.acquire()
except BusyError as error:
    print(error, flush=True)
else:
    with pidfile:
        print("held", flush=True)
        sys.stdin.readline()
"""


@pytest.fixture
def contender(path: Path) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Starts a process that takes the pidfile at its first line, and leaves it at its second one."""
    started: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        started.append(
            subprocess.Popen(
                [sys.executable, "-c", HOLDER, str(path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                bufsize=1,
            )
        )
        return started[-1]

    yield start
    for child in started:
        child.kill()
        child.communicate()


def tell(child: subprocess.Popen[str]) -> None:
    assert child.stdin is not None
    child.stdin.write("\n")


def answer(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


def test_one_of_two_processes_gets_the_pidfile(path: Path, contender: Callable[[], subprocess.Popen[str]]) -> None:
    children = [contender(), contender()]
    for child in children:
        tell(child)
    answers = {answer(child): child for child in children}
    held = answers.pop("held")
    assert all(words.startswith("pychatd is already running, with pid ") for words in answers)
    assert holder(path) == held.pid
    tell(held)
    assert held.wait(10) == 0
    assert not path.exists()


def test_the_file_of_a_killed_process_stops_no_other_one(
    path: Path, contender: Callable[[], subprocess.Popen[str]]
) -> None:
    first, second = contender(), contender()
    tell(first)
    assert answer(first) == "held"
    first.send_signal(signal.SIGKILL)
    first.wait(10)
    assert path.read_text() == f"{first.pid}\n"
    tell(second)
    assert answer(second) == "held"
    assert holder(path) == second.pid


def test_the_lock_survives_a_fork(path: Path) -> None:
    pidfile = Pidfile(path)
    pidfile.acquire()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        with pidfile:
            os.write(writer, b"entered")
            signal.pause()
    os.close(pidfile.fileno())  # as the starting process does when it ends
    assert os.read(reader, 7) == b"entered"
    assert holder(path) == child
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert holder(path) is None
    os.close(reader)
    os.close(writer)


def test_the_directory_of_a_service_goes_with_its_pidfile(tmp_path: Path) -> None:
    for name in ("7000", "7001"):
        pidfile = Pidfile(tmp_path / name / "pid")
        pidfile.acquire()
        (tmp_path / "7001").mkdir(exist_ok=True)
        (tmp_path / "7001/console.sock").touch()
        with pidfile:
            pass
    assert [path.relative_to(tmp_path) for path in tmp_path.rglob("*")] == [
        Path("7001"),
        Path("7001/console.sock"),
    ]


def test_a_pidfile_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PermissionDeniedError, match=r"Cannot write the pidfile .*/file/pid: Not a directory"):
        Pidfile(tmp_path / "file" / "pid").acquire()
    with public_directory() as directory:
        words = as_nobody(Pidfile(directory / "pid").acquire)
    assert words == f"PermissionDeniedError: Cannot write the pidfile {directory}/pid: Permission denied."


def test_started_programs_do_not_inherit_the_pidfile(path: Path) -> None:
    pidfile = Pidfile(path)
    pidfile.acquire()
    assert not os.get_inheritable(pidfile.fileno())
    with pidfile:
        assert stat.S_IMODE(path.stat().st_mode) & 0o022 == 0


# ------------------------------------------------------------------ systemd


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A datagram socket that does not block."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        yield sock


def test_a_notice_to_systemd_is_one_datagram(
    tmp_path: Path, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener.bind(str(tmp_path / "notify"))
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    systemd.notify("READY=1", "STATUS=Waiting for a caller.")
    assert listener.recv(1000) == b"READY=1\nSTATUS=Waiting for a caller."


def test_a_notice_to_systemd_at_an_abstract_address(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"pychat-test-{secrets.token_hex(8)}"
    listener.bind(f"\0{name}")
    monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
    systemd.notify("STOPPING=1")
    assert listener.recv(1000) == b"STOPPING=1"


@pytest.mark.parametrize("address", [None, "", "/nonexistent/notify", "@pychat-test-nobody-listens"])
def test_a_notice_without_systemd_does_nothing(address: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if address is None:
        monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    else:
        monkeypatch.setenv("NOTIFY_SOCKET", address)
    systemd.notify("READY=1")


def test_a_notice_does_not_wait_for_a_supervisor_that_does_not_read(
    tmp_path: Path, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener.bind(str(tmp_path / "notify"))
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other, suppress(BlockingIOError):
        other.setblocking(False)
        while True:
            other.sendto(b"STATUS=full", str(tmp_path / "notify"))
    notice = threading.Thread(target=systemd.notify, args=("STATUS=more",), daemon=True)
    notice.start()
    notice.join(PATIENCE)
    assert not notice.is_alive()


RECEIVER = """
import os
from pychat_client.errors import UsageError
from pychatd.process.systemd import passed_sockets
try:
    for sock in passed_sockets():
        print(sock.fileno(), sock.getsockname()[1], sock.get_inheritable())
except UsageError as error:
    print(error)
print([name for name in os.environ if name.startswith("LISTEN_")])
"""


def received(*passed: socket.socket, **variables: str) -> list[str]:
    """What a program gets that systemd starts with these sockets and variables."""
    result = subprocess.run(
        passing([sys.executable, "-c", RECEIVER], passed, **variables),
        pass_fds=[sock.fileno() for sock in passed],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return result.stdout.splitlines()


@pytest.fixture
def listening() -> Iterator[list[socket.socket]]:
    """Two sockets that listen."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        yield [one, two]


def test_passed_sockets_are_taken_once_and_not_inherited(listening: list[socket.socket]) -> None:
    one, two = (sock.getsockname()[1] for sock in listening)
    words = received(*listening, LISTEN_FDNAMES="a:b")
    assert words == [f"3 {one} False", f"4 {two} False", "[]"]


@pytest.mark.parametrize("pid", ["1", "", "x"])
def test_sockets_passed_to_another_process_are_ignored(listening: list[socket.socket], pid: str) -> None:
    assert received(*listening, LISTEN_PID=pid) == ["[]"]


def test_without_systemd_no_sockets_are_passed() -> None:
    assert received() == ["[]"]
    assert received(LISTEN_FDS="many") == ["[]"]


def test_a_passed_descriptor_has_to_be_a_listening_socket(
    listening: list[socket.socket], listener: socket.socket
) -> None:
    words = received(listening[0], listener, LISTEN_FDNAMES="a:b")
    assert words == [
        "The socket unit passes something that pychatd cannot use: "
        "descriptor 4 is not from ListenStream= with Accept=no.",
        "[]",
    ]


@pytest.mark.parametrize(
    ("variables", "seconds"),
    [
        ({"WATCHDOG_USEC": "3000000"}, 3.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "own"}, 3.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_counts_only_if_it_is_for_us(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], seconds: float | None
) -> None:
    for name in ("WATCHDOG_USEC", "WATCHDOG_PID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, str(os.getpid()) if value == "own" else value)
    assert systemd.watchdog_seconds() == seconds


# ------------------------------------------------------------------ logs


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    """The daemon's log; restored after the test."""
    log = logging.getLogger("pychatd")
    before = log.handlers[:], log.level, log.propagate, logging.raiseExceptions
    yield log
    for handler in log.handlers:
        handler.close()
    log.handlers[:], log.level, log.propagate, logging.raiseExceptions = before


def test_syslog_gets_priority_program_and_pid(
    tmp_path: Path, listener: socket.socket, log: logging.Logger
) -> None:
    listener.bind(str(tmp_path / "log"))
    logs.log_to_syslog(tmp_path / "log", 7000)
    log.warning("A connection was lost: %s", "no room")
    who = f"pychatd@7000[{os.getpid()}]: "
    assert listener.recv(1000).decode() == f"<{3 * 8 + 4}>{who}A connection was lost: no room"
    log.debug("nothing of this")
    with pytest.raises(BlockingIOError):
        listener.recv(1000)


def test_a_missing_syslog_is_ignored(
    tmp_path: Path, log: logging.Logger, capfd: pytest.CaptureFixture[str]
) -> None:
    kept = logs.log_to_syslog(tmp_path / "none", 7000)
    log.info("nobody hears this, and nobody has to")
    log.error("nobody hears this")
    first, second = kept.end()
    assert first.startswith(f"The log of this service is lost, because nobody reads it at {tmp_path}/none (")
    assert second == "nobody hears this"
    log.error("the start is over")
    assert kept.words == [first, second]
    assert capfd.readouterr() == ("", "")


def test_a_syslog_that_goes_away_can_come_back(
    tmp_path: Path, log: logging.Logger, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "log"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as first:
        first.bind(str(path))
        logs.log_to_syslog(path, 7000)
    path.unlink()
    log.error("nobody hears this")
    assert capfd.readouterr() == ("", "")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as second:
        second.setblocking(False)
        second.bind(str(path))
        log.error("somebody hears this")
        assert second.recv(1000).endswith(b"somebody hears this")


@pytest.mark.parametrize(
    ("level", "plain", "prefixed"),
    [
        (logging.INFO, "INFO words\n", "<6>words\n"),
        (logging.WARNING, "WARNING words\n", "<4>words\n"),
        (logging.ERROR, "ERROR words\n", "<3>words\n"),
        (logging.DEBUG, "", ""),
    ],
)
def test_stderr_has_priorities_if_it_is_the_journal(
    log: logging.Logger,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    level: int,
    plain: str,
    prefixed: str,
) -> None:
    monkeypatch.setattr(logs, "SYSTEMD_JOURNAL", "/nonexistent/socket")
    here = os.fstat(2)
    for stream, logged in (
        (f"{here.st_dev}:{here.st_ino}", prefixed),
        (f"{here.st_dev}:{here.st_ino + 1}", plain),  # inherited, as a terminal of the session does
        ("", plain),
    ):
        monkeypatch.setenv("JOURNAL_STREAM", stream)
        logs.log_to_stderr(7000)
        log.log(level, "words")
        assert capfd.readouterr().err == logged


# ------------------------------------------------------------------ events of callers


@pytest.fixture
def journal(
    tmp_path: Path, listener: socket.socket, log: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> socket.socket:
    """The socket of systemd's journal, while the daemon's log goes there."""
    listener.bind(str(tmp_path / "journal"))
    here = os.fstat(2)
    monkeypatch.setattr(logs, "SYSTEMD_JOURNAL", str(tmp_path / "journal"))
    monkeypatch.setattr(logs, "_limit", LogLimit())
    monkeypatch.setenv("JOURNAL_STREAM", f"{here.st_dev}:{here.st_ino}")
    logs.log_to_stderr(7000)
    return listener


@pytest.fixture
def lines(log: logging.Logger) -> Callable[[], list[str]]:
    """The texts that pass the limit, since the last time."""
    handler = logging.handlers.BufferingHandler(100_000)
    handler.addFilter(limit := LogLimit())
    log.handlers[:], log.propagate = [handler], False
    log.setLevel(logging.INFO)

    def taken() -> list[str]:
        texts = [record.getMessage() for record in handler.buffer]
        handler.flush()
        return texts

    def after_a_minute() -> list[str]:
        limit.begin_minute()
        return taken()

    return after_a_minute


def test_an_event_has_fields_in_the_journal(journal: socket.socket) -> None:
    note(Event.BUSY, "[2001:db8::1]:40000", "refused")
    assert journal.recv(1000).decode() == (
        "MESSAGE=[2001:db8::1]:40000: refused\nPRIORITY=6\nSYSLOG_IDENTIFIER=pychatd\nPYCHAT_PORT=7000\n"
        "PYCHAT_EVENT=busy\nPYCHAT_PEER=2001:db8::1\n"
    )


def test_a_text_of_several_lines_stays_one_field(journal: socket.socket, log: logging.Logger) -> None:
    log.error("one\ntwo")
    text = b"one\ntwo"
    assert journal.recv(1000).startswith(b"MESSAGE\n" + len(text).to_bytes(8, "little") + text + b"\nPRIORITY=3\n")


def test_a_journal_that_fails_again_and_again_is_counted(lines: Callable[[], list[str]]) -> None:
    health = JournalHealth(lambda notice: None)
    for _ in range(1500):
        health.failed(JournalError("The disk is full."))
        health.reloaded()
        health.stored()
        health.failed(JournalFullError("Not stored: too much."))
        health.looked(JournalError("It is read-only."))
        health.looked(None)
    counts = {
        "The disk is full.": "1,499",
        "The journal can be written again": "2,999",  # a message was stored, and a look has found room again
        "Not stored: too much.": "1,499",
        "It is read-only.": "1,499",
    }
    more = [f"{count} more like this in the last minute: {words}" for words, count in counts.items()]
    assert lines() == [*counts, *more]
    health.failed(JournalError("The disk is full."))
    health.failed(JournalError("disk I/O error"))
    assert lines() == ["The disk is full.", "disk I/O error"]


def test_many_events_of_one_address_are_counted(lines: Callable[[], list[str]]) -> None:
    for number in range(2315):
        note(Event.BUSY, f"198.51.100.7:{number}", "refused")
        note(Event.BUSY, f"[2001:db8::{number:x}]:1", "refused")
    note(Event.SILENT, "198.51.100.7:1", "left")
    note(Event.BUSY, "198.51.100.8:1", "refused")
    found = lines()
    assert len([line for line in found if line.endswith(": refused")]) == 2 * FIRST + 1
    assert found[-2:] == [
        "198.51.100.7: 2,310 more like this (busy) in the last minute",
        "2001:db8::/64: 2,310 more like this (busy) in the last minute",
    ]
    assert "198.51.100.7:1: left" in found
    note(Event.BUSY, "198.51.100.7:1", "refused")
    assert lines() == ["198.51.100.7:1: refused"]


def test_many_addresses_are_counted_together(lines: Callable[[], list[str]]) -> None:
    for number in range(10 * COUNTED_MAX):
        note(Event.SILENT, f"10.0.{number // 256}.{number % 256}", "left")
    found = lines()
    assert len(found) == COUNTED_MAX + FIRST + 1
    assert found[-1] == f"other addresses: {9 * COUNTED_MAX - FIRST:,} more like this (silent) in the last minute"


def test_lines_without_a_caller_are_never_dropped(lines: Callable[[], list[str]], log: logging.Logger) -> None:
    for _ in range(100):
        log.info("words")
    assert len(lines()) == 100


def test_the_starting_process_is_answered_once(tmp_path: Path) -> None:
    """Behind that, the number of the descriptor may be that of another file."""
    reader, writer = os.pipe()
    answer = os.fdopen(writer, "w", encoding="utf-8")
    daemonize._answer(answer, "ready ")
    other = os.open(tmp_path / "journal.db", os.O_WRONLY | os.O_CREAT)
    assert other == writer
    daemonize._answer(answer, "1 The daemon failed.")
    os.close(other)
    assert (tmp_path / "journal.db").read_bytes() == b""
    with os.fdopen(reader) as read:
        assert read.read() == "ready "
