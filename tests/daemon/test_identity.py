"""The key of a service survives a power failure once a caller has seen it; what an allowlist may hold.

(Who gets in: tests/security.)
"""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from pychat_client.dates import day
from pychat_client.errors import PychatError, UsageError
from pychat_client.trust import tls
from pychat_client.trust.certificates import make_certificate
from pychat_client.trust.public_key import validity_of
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


def _parts(file: Path) -> tuple[str, str]:
    """The key and the certificate in a file that `make_certificate` has made."""
    key, begin, rest = file.read_text().partition("-----BEGIN CERTIFICATE-----")
    return key, begin + rest


LOCKED = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n"


@pytest.mark.parametrize("in_file", [False, True])
@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "There is no certificate in {file}."),
        ("{key}", "There is no certificate in {file}."),
        ("{key}{broken}", "There is no certificate in {file}."),
        ("{cert}", "There is no key in {file}. Set 'key' if it is in another file."),
        ("{key}{other}", "The key in {file} does not belong to the certificate in {file}."),
        (
            LOCKED + "{cert}",
            "The key in {file} has a password. 'openssl pkey -in {quoted}' writes it without one.",
        ),
        (
            "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n{cert}",
            "The certificate in {file}, or its key in {file}, is damaged.",
        ),
    ],
)
def test_a_certificate_that_cannot_be_used_is_told_in_words(
    settings: Settings, tmp_path: Path, content: str, why: str, in_file: bool
) -> None:
    key, cert = _parts(settings.identity)
    make_certificate(tmp_path / "other.pem", "other")
    other = _parts(tmp_path / "other.pem")[1]
    file = tmp_path / "our host.pem" if in_file else settings.identity
    file.write_text(content.format(key=key, cert=cert, other=other, broken=cert[:100]))
    if in_file:
        settings = settings._replace(certificate=file, file=tmp_path / "pychatd.toml")
    with pytest.raises(UsageError) as refused:
        identity.load(settings)
    said, words = str(refused.value), why.format(file=file, quoted=shlex.quote(str(file)))
    if in_file:
        assert said == f"{tmp_path}/pychatd.toml: certificate: {words}"
    else:
        restore = "Restore your copy of it, or move it away: then a new key is made, and callers are warned."
        assert said == f"{words} {restore}"


def test_a_key_that_tls_refuses_as_too_weak_is_not_called_damaged(settings: Settings, tmp_path: Path) -> None:
    made = make(tmp_path, "weak", secret=ec.generate_private_key(ec.SECP192R1()))
    weak = settings._replace(certificate=made.certificate, key=made.key)
    with pytest.raises(UsageError) as refused:
        identity.load(weak)
    files = f"The certificate in {made.certificate}, or its key in {made.key}, is too weak for TLS."
    assert str(refused.value) == f"{files} Make others: of RSA with at least 2048 bits, or on the curve P-256."
    with pytest.raises(PychatError, match=r"it is too weak for TLS\.$"):  # a caller's own
        tls.authority_context(made.both)


def test_a_key_without_a_certificate_names_the_file(settings: Settings, tmp_path: Path) -> None:
    alone = settings._replace(key=settings.identity, file=tmp_path / "pychatd.toml")
    with pytest.raises(UsageError) as refused:
        identity.load(alone)
    assert str(refused.value) == f"{tmp_path}/pychatd.toml: key: 'key' is set without 'certificate': set both."


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


def test_a_certificate_at_the_wrong_time_is_told(settings: Settings, tmp_path: Path) -> None:
    good, old, new = (
        make(tmp_path / "certificates", name, begins=begins, ends=ends)
        for name, begins, ends in (("good", -30, 1), ("old", -30, -1), ("new", 2, 30))
    )
    assert identity.load(settings._replace(certificate=good.both)).warnings == ()
    expired = f"expired on {day(validity_of(old.der)[1])}"
    (words,) = identity.load(settings._replace(certificate=old.both)).warnings
    assert words.startswith(f"The certificate in {old.both} {expired}: ")
    (words,) = identity.load(settings._replace(certificate=new.both)).warnings
    assert words.startswith(f"The certificate in {new.both} is not valid before ")
    assert f" on {day(validity_of(new.der)[0])}: " in words
    listed = tmp_path / "listed"
    listed.mkdir()
    (listed / "old.pem").write_bytes(old.certificate.read_bytes())
    (words,) = identity.load(settings._replace(authorized=listed)).warnings
    assert words == f"The certificate in {listed / 'old.pem'} {expired}: its owner cannot call."


def test_one_certificate_under_two_names_is_told(settings: Settings, tmp_path: Path) -> None:
    bob = make(tmp_path / "certificates", "bob")
    listed, invited = tmp_path / "listed", settings.state / "authorized"
    for file in (listed / "bob.pem", listed / "robert.pem", invited / "bobby.pem"):
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(bob.certificate.read_bytes())
    first, second = identity.load(settings._replace(authorized=listed)).warnings
    assert first == (
        f"{listed / 'bob.pem'} and {listed / 'robert.pem'} are the same certificate: its owner is called robert. "
        "Remove one."
    )
    assert second == (
        "robert of the allowlist was invited as bobby, and is called so. "
        f"'pychatd authorized {settings.port} --remove bobby' ends that."
    )


def test_plaintext_for_all_beside_a_list_of_callers_is_told(settings: Settings, tmp_path: Path) -> None:
    everybody = settings._replace(plaintext="always")
    assert identity.load(everybody).warnings == ()
    assert identity.load(everybody._replace(invited_only=True)).warnings == (identity.PLAINTEXT_UNUSED,)
    (tmp_path / "bob.pem").write_bytes(make(tmp_path / "certificates", "bob").certificate.read_bytes())
    assert identity.load(everybody._replace(authorized=tmp_path)).warnings == (identity.PLAINTEXT_UNUSED,)


def test_a_key_that_every_user_can_read_is_told(settings: Settings, tmp_path: Path) -> None:
    made = make(tmp_path, "host")
    with tempfile.TemporaryDirectory() as public:  # pytest's own directories are private
        Path(public).chmod(0o755)
        key = Path(public, "host.key")
        key.write_bytes(made.key.read_bytes())
        key.chmod(0o644)
        (link := tmp_path / "a link").symlink_to(key)
        split = settings._replace(certificate=made.certificate, key=link)
        words = f"Every user of this host can read the key in {link}: 'chmod o-r '{link}'' prevents that."
        assert identity.load(split).warnings == (words,)
        for file, mode in ((Path(public), 0o750), (key, 0o640)):
            file.chmod(mode)
            assert identity.load(split).warnings == ()
            Path(public).chmod(0o755)
