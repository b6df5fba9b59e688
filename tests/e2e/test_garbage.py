"""Python looks for garbage again as soon as a program has started: closed connections are garbage."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

from pychat_client.garbage import AT_A_START, USUAL
from pychatd.network.server import GARBAGE
from tests.support.service import Service
from tests.support.waiting import PATIENCE, wait_for

PROGRAM = """
import atexit, gc, importlib, sys
module = importlib.import_module(sys.argv.pop(1))
atexit.register(lambda: print(gc.get_threshold(), gc.get_freeze_count() > 0))
sys.exit(module.main(sys.argv[1:]))
"""
"""Runs the program of a module; at its end, prints when Python looks for garbage."""


def started(service: Service, module: str, *words: str) -> subprocess.Popen[bytes]:
    return service.popen([sys.executable, "-c", PROGRAM, module, *words])


def ended(process: subprocess.Popen[bytes]) -> str:
    """The last line of a program that is told to end, when it can be."""
    wait_for(lambda: _catches(process.pid, signal.SIGTERM), "it does not wait for signals")
    process.send_signal(signal.SIGTERM)
    return process.communicate(timeout=PATIENCE)[0].decode().splitlines()[-1]


def _catches(pid: int, number: signal.Signals) -> bool:
    caught = re.findall(r"^SigCgt:\s*(\S+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return bool(int(caught[0], 16) >> (number - 1) & 1)


def test_a_daemon_collects_garbage_once_it_serves(idle_service: Service) -> None:
    words = idle_service.command("run")[1:]
    assert ended(started(idle_service, "pychatd.daemon_cli", *words)) == f"{GARBAGE} True"


def test_a_watcher_collects_garbage(idle_service: Service) -> None:
    words = idle_service.command("--watch")[1:]
    assert ended(started(idle_service, "pychatd.console_cli", *words)) == f"{USUAL} True"


def test_a_conversation_collects_garbage(service: Service) -> None:
    words = ["--accept-new", "--plain", "--handle", "x", "localhost", str(service.port)]
    done = started(service, "pychat_client.cli", *words).communicate(b"", PATIENCE)[0]
    assert done.decode().splitlines()[-1] == f"{USUAL} True"


def test_a_start_collects_no_garbage(idle_service: Service) -> None:
    done = started(idle_service, "pychat_client.cli", "--version").communicate(timeout=PATIENCE)[0]
    assert done.decode().splitlines()[-1].startswith(f"({AT_A_START},")
