"""A signal at the moments at which asyncio.run alone does not end in order."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.waiting import PATIENCE

RUN = """
import asyncio, concurrent.futures, os, selectors, signal, sys
from pychat_client.transport.interruptible import run_interruptible

number = signal.Signals[sys.argv[1]]
signal.signal(number, signal.default_int_handler)

def interrupts(owner, name):
    before = getattr(owner, name)
    def call(*arguments):
        setattr(owner, name, before)
        os.kill(os.getpid(), number)
        return before(*arguments)
    setattr(owner, name, call)

async def waits():
    loop = asyncio.get_running_loop()
    match sys.argv[2]:
        case "end":
            loop.add_signal_handler(number, print)
            return interrupts(type(loop), "remove_signal_handler")
        case "step":  # which sets a future that the handler must not cancel meanwhile
            interrupts(concurrent.futures.Future, "exception")
            await loop.run_in_executor(None, lambda: None)
    await asyncio.sleep(60)

if sys.argv[2] == "start":
    interrupts(selectors.DefaultSelector, "__init__")
try:
    run_interruptible(waits())
except KeyboardInterrupt:
    assert signal.getsignal(number) is signal.default_int_handler
    sys.exit(130)
"""


@pytest.mark.parametrize("moment", ["start", "step", "end"])
@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
def test_a_signal_ends_a_run_in_order(number: str, moment: str) -> None:
    command = [sys.executable, "-c", RUN, number, moment]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stderr) == (0 if moment == "end" else 130, "")


def test_what_asyncio_logs_does_not_reach_a_users_stderr() -> None:
    code = "import logging, pychat_client.calling; logging.getLogger('asyncio').error('Task was destroyed')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stderr == b""
