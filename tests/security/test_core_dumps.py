"""No program leaves a core dump, which would contain keys and text of the conversation."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pychat_client.trust.certificates import make_certificate
from tests.support.ports import free_port
from tests.support.service import BIN
from tests.support.waiting import wait_for

USER = 65534


@pytest.fixture
def programs() -> Iterator[list[int]]:
    """All three programs, run without privileges: a daemon, its console, and a client that calls in vain."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("needs root and setpriv: the owner of a file in /proc shows whether a process may be dumped")
    with tempfile.TemporaryDirectory() as directory, socket.socket() as nobody_listens:
        Path(directory).chmod(0o1777)
        nobody_listens.bind(("127.0.0.1", 0))
        port, places = str(free_port()), ["--runtime-directory", f"{directory}/run"]
        state = Path(directory, "state", port)
        make_certificate(state / "identity.pem", "pychatd")  # the user may not be able to start our Python
        for path in (state, state / "identity.pem"):
            os.chown(path, USER, USER)
        logs = ["--state-directory", f"{directory}/state"]
        client = ["pychat", "--accept-new", "--handle", "Client1", "--wait"]
        started: list[subprocess.Popen[bytes]] = []

        def start(program: str, *words: str) -> None:
            user = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
            env = {**os.environ, "HOME": directory, "XDG_STATE_HOME": directory}
            command = ["prlimit", "--core=unlimited", *user, str(BIN / program), *words]
            started.append(subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL))

        start("pychatd", "run", port, *places, *logs)
        wait_for(Path(directory, "run", port, "console.sock").exists, "the daemon serves")
        start("pychatd-console", port, *places)
        start(*client, "127.0.0.1", str(nobody_listens.getsockname()[1]))
        yield [process.pid for process in started]
        for process in reversed(started):
            process.terminate()
            process.communicate()


def test_no_program_can_be_dumped(programs: list[int]) -> None:
    assert len(programs) == 3
    for pid in programs:
        proc = Path("/proc", str(pid))
        wait_for(lambda proc=proc: "python" in (proc / "exe").readlink().name, "the program runs")  # type: ignore[misc]
        wait_for(lambda proc=proc: (proc / "environ").stat().st_uid == 0, "it is root's")  # type: ignore[misc]
        limit = re.search(r"Max core file size +(\S+)", (proc / "limits").read_text())
        assert limit is not None
        assert limit[1] == "0"
        assert re.search(rf"^Uid:\t{USER}\t", (proc / "status").read_text(), re.MULTILINE)
