"""The file of known hosts, with several programs at it at once. (What it is for: tests/security/test_tls.py.)"""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from pychat_client.errors import PychatError
from pychat_client.trust import KnownHosts, changed_key

WRITERS, EACH = 6, 20

_WRITER = """
import sys
from pathlib import Path
from pychat_client.trust import KnownHosts
path, name, count = sys.argv[1:]
print(flush=True)
sys.stdin.readline()
for number in range(int(count)):
    KnownHosts(Path(path)).accept(name, 1 + number, f"{name} {number}".encode())
"""


def test_no_pin_is_lost_when_several_programs_accept_hosts_at_once(tmp_path: Path) -> None:
    pins = tmp_path / "pychat/known_hosts"
    KnownHosts(pins).accept("first", 1, b"first")
    pipe = subprocess.PIPE
    names = [f"host{number}" for number in range(WRITERS)]
    words = [[sys.executable, "-c", _WRITER, str(pins), name, str(EACH)] for name in names]
    writers = [subprocess.Popen(command, stdin=pipe, stdout=pipe) for command in words]
    for writer in writers:  # all have started
        assert writer.stdout
        writer.stdout.read(1)
    for writer in writers:  # now all at once
        assert writer.stdin
        writer.stdin.close()
    assert [writer.wait(60) for writer in writers] == [0] * WRITERS
    known = KnownHosts(pins)
    assert known.certificate_of("first", 1) == b"first"
    for name in names:
        for number in range(EACH):
            assert known.certificate_of(name, 1 + number) == f"{name} {number}".encode()


def test_the_lock_of_the_known_hosts_is_private_too(tmp_path: Path) -> None:
    pins = tmp_path / "pychat/known_hosts"
    KnownHosts(pins).accept("host", 1, b"key")
    assert {stat.S_IMODE(file.stat().st_mode) for file in pins.parent.iterdir()} == {0o600}
    assert stat.S_IMODE(pins.parent.stat().st_mode) == 0o700


def test_a_lock_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "known_hosts.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PychatError, match=r"known_hosts cannot be written: "):
        KnownHosts(tmp_path / "known_hosts").accept("host", 1, b"key")
    assert not os.path.lexists(tmp_path / "elsewhere")


def test_the_page_of_a_changed_key_leaves_the_breaking_of_lines_to_the_view() -> None:
    """A paragraph in two lines would be broken twice on a terminal that is narrower than they are."""
    page = str(changed_key("host", 7000, "SHA256:before", "SHA256:now")).split("\n")
    assert not [pair for pair in pairwise(page) if all(line and not line.startswith(" ") for line in pair)]
