"""A program is the way to a host; TLS, the key and the resume are between the two ends, as without it."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

import pytest

from tests.support.certificates import make
from tests.support.programs import Piped
from tests.support.service import Service
from tests.support.user import known_hosts, on_pipes, run
from tests.support.waiting import wait_for

WIRE = """
import os, select, socket, sys
with open(sys.argv[1], "a") as pids:
    pids.write(f"{os.getpid()} {sys.argv[2]} {sys.argv[3]}\\n")
print("the wire talks", file=sys.stderr, flush=True)
far = socket.create_connection(("127.0.0.1", int(sys.argv[3])))
while True:
    for end in select.select([0, far], [], [])[0]:
        data = os.read(0, 65536) if end == 0 else far.recv(65536)
        if not data:
            sys.exit()
        os.write(1, data) if end is far else far.sendall(data)
"""


def _via(tmp_path: Path) -> str:
    """A program that connects to the port on this host, whatever the host is called."""
    script = tmp_path / "wire.py"
    script.write_text(WIRE)
    return shlex.join([sys.executable, str(script), str(tmp_path / "pids"), "%h", "%p"])


def _pids(tmp_path: Path) -> list[int]:
    return [int(line.split()[0]) for line in (tmp_path / "pids").read_text().splitlines()]


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _calls(service: Service, tmp_path: Path, *options: str) -> Piped:
    return on_pipes(service, "--accept-new", "--via", _via(tmp_path), *options, host="host.test")


def test_a_program_is_the_way(service: Service, tmp_path: Path) -> None:
    console = service.ready_console()
    caller = _calls(service, tmp_path)
    caller.notes("Send the first message")
    caller.enter("hello")
    console.sees("Client1> hello")
    assert f"host.test {service.port}" in (tmp_path / "pids").read_text()
    assert known_hosts(service).certificate_of("host.test", service.port) is not None
    caller.enter("\\quit")
    assert caller.exit_status() == 0
    assert "the wire talks" not in caller.notices()
    assert not any(map(_runs, _pids(tmp_path)))


def test_its_death_is_a_cut(service: Service, tmp_path: Path) -> None:
    console = service.ready_console()
    caller = _calls(service, tmp_path)
    caller.notes("Send the first message")
    caller.enter("one")
    console.sees("Client1> one")
    os.kill(_pids(tmp_path)[-1], 9)
    caller.notes("Connection lost")
    caller.notes("Connected to Server again")
    console.enter("two")
    caller.says("Server> two")
    caller.enter("\\quit")
    assert caller.exit_status() == 0
    assert not any(map(_runs, _pids(tmp_path)))


@pytest.mark.parametrize(
    ("end", "how"), [("exit 7", "ended with status 7"), ("kill $$", "was ended by signal 15")]
)
def test_a_program_that_dies_says_why(service: Service, end: str, how: str) -> None:
    command = f"sh -c 'echo cannot reach the bastion >&2; {end}'"
    caller = on_pipes(service, "--accept-new", "--via", command, host="host.test")
    assert caller.exit_status() == 3
    assert f"sh, the program of 'via', {how}: cannot reach the bastion" in caller.notices()


def test_a_program_that_is_not_there_is_named(service: Service) -> None:
    caller = on_pipes(service, "--accept-new", "--via", "/no/such/program", host="host.test")
    assert caller.exit_status() == 3
    assert "Cannot start /no/such/program, the program of 'via': no such file" in caller.notices()


@pytest.mark.parametrize("most", [9, 10, 11])
def test_a_program_without_descriptors_left_is_named(service: Service, most: int) -> None:
    words = "pychat send --accept-new --handle Bob --via cat host.test 7000 Hello"
    done = run(service, ["sh", "-c", f"ulimit -n {most}; exec {words}"])
    assert done.returncode == 3
    assert "Cannot start cat, the program of 'via': too many open files." in done.stderr


def test_another_key_behind_the_program_gets_nothing(service: Service, tmp_path: Path) -> None:
    known_hosts(service).accept("host.test", service.port, make(tmp_path, "other").der)
    caller = _calls(service, tmp_path)
    assert caller.exit_status() == 7
    assert "HAS CHANGED" in caller.notices()
    assert not any(map(_runs, _pids(tmp_path)))


def test_a_contact_can_have_one(service: Service, tmp_path: Path) -> None:
    file = service.directory / "config/pychat/config.toml"
    file.parent.mkdir(parents=True)
    words = ", ".join(f'"{word}"' for word in shlex.split(_via(tmp_path)))
    file.write_text(f'[contacts.alice]\nhost = "host.test"\nport = {service.port}\nvia = [{words}]\n')
    service.ready_console()
    caller = service.popen([str(Path(sys.executable).parent / "pychat"), "alice", "--accept-new", "--handle", "Z"])
    piped = Piped(caller)
    piped.notes("Send the first message")
    assert _pids(tmp_path)
    caller.kill()  # without a chance to clean up
    wait_for(lambda: not any(map(_runs, _pids(tmp_path))), "the program has ended")


def test_what_cannot_be_a_command_is_refused(service: Service) -> None:
    for words in ("", "'", "''", "ssh ''"):
        caller = on_pipes(service, "--via", words, host="host.test")
        assert caller.exit_status() == 2
        assert "--via takes a program and its arguments" in caller.notices()


def test_what_was_typed_before_a_refused_handle_can_be_recalled(service: Service, tmp_path: Path) -> None:
    """The call takes until then: the program that is the way waits for a file."""
    service.ready_console()
    known = service.ready_client()
    known.enter("\\quit")
    known.exit_status()
    gate = tmp_path / "open"
    words = f"until test -e {shlex.quote(str(gate))}; do sleep 0.1; done; exec {_via(tmp_path)}"
    client = service.client("server", "--via", shlex.join(["sh", "-c", words]))
    client.sees("server>")
    client.enter("Hello?")
    client.sees("held until your turn: Hello?")
    gate.touch()
    client.sees("Not sent:")
    client.sees("Your handle:")
    client.enter("Client1")
    client.sees("Send the first message")
    client.enter("\\recall")
    client.line_is("Client1> Hello?")
