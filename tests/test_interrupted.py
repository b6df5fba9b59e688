"""Ctrl-C while a program starts or ends, when Python itself would print a traceback."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from tests.support.waiting import PATIENCE

PROGRAMS = ("pychat", "pychatd", "pychatd-console")

AT_IMPORT = """
import os, signal, sys
from importlib.metadata import entry_points

_, name, interrupted = sys.argv

class Interrupts:
    def find_spec(self, module, *_):
        if module == interrupted:
            os.kill(os.getpid(), signal.SIGINT)

(program,) = entry_points(group="console_scripts", name=name)
run = program.load()
sys.meta_path.insert(0, Interrupts())
sys.argv[1:] = ["--version"]
sys.exit(run())
"""

AT_END = """
import atexit, os, signal, sys
from importlib.metadata import entry_points

(program,) = entry_points(group="console_scripts", name=sys.argv[1])
sys.argv[1:] = ["--version"]
atexit.register(os.kill, os.getpid(), signal.SIGINT)
sys.exit(program.load()())
"""


def _run(code: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)


@pytest.mark.parametrize("module", ["argparse", "pychat_client.text", "resource", "ctypes"])
@pytest.mark.parametrize("program", PROGRAMS)
def test_ctrl_c_while_the_modules_are_loaded_leaves_no_traceback(program: str, module: str) -> None:
    done = _run(AT_IMPORT, program, module)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


@pytest.mark.parametrize("program", PROGRAMS)
def test_ctrl_c_behind_the_end_leaves_no_traceback(program: str) -> None:
    done = _run(AT_END, program)
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "")  # 130 in a shell
    assert done.stdout.startswith(program)
