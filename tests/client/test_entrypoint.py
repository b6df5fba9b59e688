"""What an error becomes for which no sentence is known."""

from __future__ import annotations

import errno
import os

import pytest

from pychat_client.entrypoint import run_main
from pychat_client.errors import ExitStatus


def test_an_error_of_the_system_names_its_file(capfd: pytest.CaptureFixture[str]) -> None:
    def fail(*file: str) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO), *file)

    assert run_main("pychat", lambda: fail("/etc/file")) == ExitStatus.FAILED
    assert run_main("pychat", fail) == ExitStatus.FAILED
    assert capfd.readouterr().err == "pychat: /etc/file: Input/output error.\npychat: Input/output error.\n"
