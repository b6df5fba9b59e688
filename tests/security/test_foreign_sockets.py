"""Any program can be behind a console socket: what it answers controls no terminal, and keeps nobody waiting."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pychat_client.errors import PychatError, TransportError
from pychat_client.trust.invitation import SECRET_BYTES, Invitation
from pychat_client.trust.public_key import KEY_ID_BYTES
from pychatd import control
from pychatd.report import TEXT_MAX, Report
from tests.support.service import BIN, Service
from tests.support.user import is_readable
from tests.support.waiting import PATIENCE

KEY = "SHA256:" + 43 * "A"
PEER = {
    "handle": "Client1",
    "address": "192.0.2.1",
    "since": "2026-11-22T10:30:00.000Z",
    "connected": True,
    "classic": False,
    "encrypted": True,
    "certificate": None,
    "received": 1,
    "sent": 2,
}
REPORT = {
    "port": 7000,
    "pid": 1,
    "since": "2026-11-22T10:00:00.000Z",
    "turns": "alternate",
    "key": KEY,
    "peer": PEER,
    "journal": "ok",
    "directory": "/nowhere/7000",
    "calling": None,
    "console": {"user": "alice (pid 2)", "handle": None},
    "unread": {"count": 1, "from": ["Bob"], "since": "2024-05-01T12:00:00.000Z"},
    "missed": 0,
}

Answer = Callable[[socket.socket], None]


@pytest.fixture
def foreign(idle_service: Service) -> Iterator[Callable[[Answer], Path]]:
    """Starts another program on the console socket of a service; gives the path of the socket."""
    sockets: list[socket.socket] = []

    def start(answer: Answer) -> Path:
        idle_service.place.mkdir(parents=True)
        path = idle_service.place / "console.sock"
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen()
        sockets.append(listener)

        def serve() -> None:
            while True:
                try:
                    sock, _ = listener.accept()
                    with sock:
                        answer(sock)
                except OSError:
                    if listener.fileno() < 0:
                        return

        threading.Thread(target=serve, daemon=True).start()
        return path

    yield start
    for sock in sockets:
        sock.shutdown(socket.SHUT_RDWR)
        sock.close()


def says(line: bytes) -> Answer:
    def answer(sock: socket.socket) -> None:
        sock.recv(4096)
        sock.sendall(line)

    return answer


def report(**changes: object) -> bytes:
    return f"\\status {json.dumps({**REPORT, **changes}, ensure_ascii=False)}\n".encode()


RUBBISH = [
    b"",
    b"\n",
    b"\\status\n",
    b"\\status {}\n",
    b"\\status []\n",
    b"\\status null\n",
    b"\\status " + 4000 * b"[" + b"\n",
    b"\\status " + 3000 * b"9" + b"\n",
    b'\\status {"port": NaN}\n',
    b"\\pong\n",
    b"\\error full Go away \xe2\x80\xae\n",
    b"HTTP/1.1 400 Bad Request\r\n\r\n",
    b"\x00\xff\x16\x03\x01",
    10_000 * b"x",
    report(port="7000"),
    report(port=True),
    report(port=-1),
    report(pid=2**70),
    report(since="\x1b[2J"),
    report(since="2026-11-22T10:00:00"),
    report(since="0001-01-01T00:00:00+14:00"),
    report(key="SHA256:\x1b]0;x\x07"),
    report(turns="\u202e"),
    report(peer="Client1"),
    report(peer={**PEER, "connected": "yes"}),
    report(peer={**PEER, "handle": (TEXT_MAX + 1) * "x"}),
    report(console={"user": ["x"], "handle": None}),
    report(calling={"handle": "Bob"}),
    report(journal="\x1b"),
    report(unread={"count": -1, "from": [], "since": None}),
    report(unread={"count": 1, "from": "Bob", "since": None}),
    report(unread={"count": 1, "from": 101 * ["Bob"], "since": None}),
    report(unread={"count": 1, "from": ["Bob"], "since": "yesterday"}),
    report(unread={"count": 1, "from": ["Bob"], "since": "2026-11-22T10:00:00"}),
]


@pytest.mark.parametrize("line", RUBBISH, ids=range(len(RUBBISH)))
@pytest.mark.parametrize("command", ["status", "fingerprint"])
def test_rubbish_is_a_sentence(
    idle_service: Service, foreign: Callable[[Answer], Path], line: bytes, command: str
) -> None:
    path = foreign(says(line))
    with pytest.raises(TransportError) as refused:
        control.ask_status(path)
    assert str(refused.value).isprintable()
    assert str(refused.value).startswith(f"The daemon at {path} ")
    if line is RUBBISH[0] or b"\x1b" in line:  # one process is enough for the rest
        result = idle_service.pychatd(command)
        assert (result.returncode, result.stdout) == (1, "")
        is_readable(result.stderr)


HOSTILE = "\x1b[2J\x9b2J\u202ex\u2028y"


@pytest.mark.parametrize(
    "changes",
    [
        {"since": "2026-11-22\x9b10:00:00Z"},
        {"peer": {**PEER, "handle": HOSTILE}},
        {"peer": {**PEER, "address": HOSTILE}},
        {"peer": {**PEER, "certificate": HOSTILE}},
        {"console": {"user": HOSTILE, "handle": HOSTILE}},
        {"calling": {"handle": HOSTILE, "address": HOSTILE, "encrypted": True, "certificate": HOSTILE}},
        {"unread": {"count": 1, "from": [HOSTILE], "since": None}},
        {"more": HOSTILE, HOSTILE: 1},
    ],
)
def test_status_shows_only_printable_text_and_what_it_knows(
    changes: dict[str, object], foreign: Callable[[Answer], Path]
) -> None:
    line = json.dumps({**REPORT, **changes})  # as the wire has it, control characters are escaped
    answered = control.ask_status(foreign(says(f"\\status {line}\n".encode())))
    assert answered.in_words().isprintable()
    assert answered.json().isascii()
    assert answered.json().isprintable()
    assert set(json.loads(answered.json())) == set(REPORT)


def test_a_whole_report_stays_as_it_is() -> None:
    assert json.loads(Report.parse(json.dumps(REPORT)).json()) == REPORT


def drip(sock: socket.socket) -> None:
    """A line that never ends."""
    while True:
        sock.sendall(b"x")
        time.sleep(0.02)


def silent(sock: socket.socket) -> None:
    while sock.recv(4096):
        pass


def chatter(sock: socket.socket) -> None:
    while True:
        sock.sendall(b"\\pong\n")


@pytest.mark.parametrize("answer", [drip, silent, chatter])
def test_an_answer_takes_bounded_time(
    foreign: Callable[[Answer], Path], answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "ANSWER_SECONDS", 0.2)
    path = foreign(answer)
    before = time.monotonic()
    with pytest.raises(PychatError):
        control.ask_status(path)
    assert time.monotonic() - before < PATIENCE / 2


def test_a_service_that_hangs_hides_no_other_one(service: Service, tmp_path: Path) -> None:
    others = []
    for name in ("2", "3", "4"):
        (tmp_path / name).mkdir()
        others.append(Service(tmp_path / name, runtime=service.runtime))
    try:
        for other in others:
            other.start()
        hung = (service, others[1])
        for one in hung:
            os.kill(one.pid(), signal.SIGSTOP)
        words = [str(BIN / "pychatd"), "status", "--runtime-directory", str(service.runtime)]
        before = time.monotonic()
        result = subprocess.run(words, text=True, capture_output=True, timeout=PATIENCE, check=False)
        assert time.monotonic() - before < 2 * control.ANSWER_SECONDS  # side by side
        rows = result.stdout.splitlines()
        for one in (service, *others):
            (row,) = [row for row in rows if row.startswith(f"Port {one.port}: ")]
            assert ("pychatd is running" in row) == (one not in hung)
            assert ("no answer came in time" in row) == (one in hung)
        assert (result.returncode, result.stderr) == (1, "")
    finally:
        for one in (service, others[1]):
            os.kill(one.pid(), signal.SIGCONT)
        for other in others:
            other.close()


@pytest.mark.parametrize(
    "answer", [b"\\backup ...\n\\ready\n", b"\\backup QUJD\n", b"\\error order \\e[2J\n", b"", b"\xff" * 9000]
)
def test_a_foreign_backup_or_order_fails_with_a_sentence(
    foreign: Callable[[Answer], Path], idle_service: Service, answer: bytes
) -> None:
    def speak(sock: socket.socket) -> None:
        sock.recv(4096)
        sock.sendall(answer)

    foreign(speak)
    for command in ("backup", "reload"):
        if command == "reload" and b"ready" in answer:
            continue
        result = idle_service.pychatd(command)
        assert result.returncode == 1
        assert result.stderr.startswith("pychatd: ")
        is_readable(result.stderr)
        assert "\x1b" not in result.stderr


def rows(*answered: object) -> bytes:
    return b"".join(f"\\order {json.dumps(row)}\n".encode() for row in answered) + b"\\ready\n"


INVITED = {
    "name": "Zoe",
    "invitation": str(Invitation(KEY_ID_BYTES * b"k", SECRET_BYTES * b"s")),
    "until": "2026-11-22T10:00:00.000Z",
    "state": "open",
    "by": "invitation",
    "fingerprint": KEY,
}


@pytest.mark.parametrize("command", ["invite", "invitations", "authorized"])
def test_a_foreign_answer_about_callers_is_a_sentence(
    foreign: Callable[[Answer], Path], idle_service: Service, command: str
) -> None:
    answers = [rows({}), rows([]), rows("name"), rows({**INVITED, "name": 1})]
    answers += {
        "invite": [
            rows(),
            rows(INVITED, INVITED),
            rows({**INVITED, "invitation": "x; reboot"}),
            rows({**INVITED, "until": "2026-11-22T10:00:00"}),
        ],
        "invitations": [rows({**INVITED, "until": None}), rows({**INVITED, "state": None})],
        "authorized": [rows({**INVITED, "fingerprint": HOSTILE}), rows({**INVITED, "by": None})],
    }[command]
    left = iter(answers)
    asked: list[bytes] = []

    def speak(sock: socket.socket) -> None:
        if asking := sock.recv(4096):  # otherwise a program only looks whether a daemon is there
            asked.append(asking)
            sock.sendall(next(left))

    foreign(speak)
    for count in range(1, len(answers) + 1):
        result = idle_service.pychatd(command)
        assert len(asked) == count
        assert (result.returncode, result.stdout) == (1, ""), answers[count - 1]
        is_readable(result.stderr)


@pytest.mark.parametrize("command", ["invite", "invitations", "authorized"])
def test_what_is_said_of_callers_is_printable(
    foreign: Callable[[Answer], Path], idle_service: Service, command: str
) -> None:
    foreign(says(rows({**INVITED, "name": HOSTILE, "state": HOSTILE, "by": HOSTILE})))
    result = idle_service.pychatd(command)
    assert result.returncode == 0, result.stderr
    assert "".join(result.stdout.splitlines()).isprintable()
