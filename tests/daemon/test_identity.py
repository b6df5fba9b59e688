"""The key of a service survives a power failure once a caller has seen it; what an allowlist may hold.

(Who gets in: tests/security.)
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from pychat_client.errors import PychatError
from pychat_client.trust.certificates import make_certificate
from pychatd.network import identity
from pychatd.settings import Settings
from tests.support.certificates import make
from tests.support.disk import Disk


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A service that has a key already."""
    settings = Settings(7000, state=tmp_path / "7000")
    make_certificate(settings.identity, "pychatd")
    return settings


def test_an_existing_key_is_synced(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that made it may have been killed before the sync, and callers remember the key."""
    disk = Disk(monkeypatch)
    identity.load(settings, make=True)
    assert disk.directories == [settings.state]


def test_a_key_that_cannot_be_synced_is_not_used(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    Disk(monkeypatch).breaks = lambda path: path == settings.state
    with pytest.raises(PychatError) as refused:
        identity.load(settings, make=True)
    assert str(refused.value) == f"Cannot sync the directory {settings.state}: Input/output error."


def test_a_key_that_takes_too_long_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "MAKING_SECONDS", 0.0)
    with pytest.raises(PychatError) as refused:
        identity.load(Settings(7000, state=tmp_path), make=True)
    assert str(refused.value) == "Cannot make the key of the service: it took longer than 0 s. Try it again."


def test_a_key_that_no_process_can_make_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(PychatError) as refused:
        identity.load(Settings(7000, state=tmp_path), make=True)
    assert str(refused.value) == "Cannot make the key of the service: No such file or directory."


def test_a_process_that_is_killed_while_it_makes_a_key_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (python := tmp_path / "python").write_text("#!/bin/sh\nkill $$\n")
    python.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(PychatError) as refused:
        identity.load(Settings(7000, state=tmp_path), make=True)
    assert str(refused.value) == "Cannot make the key of the service: the program was ended by signal 15."


def test_a_configured_key_is_not_touched(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch)
    identity.load(Settings(7000, certificate=settings.identity), make=True)
    assert disk.asked == []


def test_an_unreadable_file_of_the_allowlist_is_skipped(settings: Settings, tmp_path: Path) -> None:
    alice, bob = (make(tmp_path / name, name) for name in ("alice", "bob"))
    listed = tmp_path / "listed"
    listed.mkdir()
    os.mkfifo(listed / "a-pipe.pem")
    (listed / "a-loop.pem").symlink_to("a-loop.pem")
    (listed / "broken.pem").write_bytes(b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n")
    (listed / "sequence.pem").write_bytes(b"-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n")
    (listed / "alice.pem").write_bytes("Zoë\n".encode() + alice.certificate.read_bytes())
    (listed / "bob.pem").write_bytes(b"\xef\xbb\xbf" + bob.certificate.read_bytes().replace(b"\n", b"\r\n"))
    loaded = identity.load(settings._replace(authorized=listed))
    assert loaded.names == {alice.der: "alice", bob.der: "bob"}
    what = "A file of the list of callers cannot be used"
    assert [complaint.split(": ")[0] for complaint in loaded.complaints] == [what] * 4
