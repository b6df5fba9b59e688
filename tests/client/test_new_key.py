"""A new key and its certificate are the same kind, whatever made them: the library or the program `openssl`."""

from __future__ import annotations

import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from pychat_client.errors import PychatError
from pychat_client.trust import certificates


def _no_library(*_: object) -> bytes:
    raise ImportError


@pytest.fixture(params=["the library", "the program"])
def made(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A key file in a directory of its own."""
    if request.param == "the program":
        monkeypatch.setattr(certificates, "_self_signed", _no_library)
    path = tmp_path / "keys" / "key.pem"
    certificates.make_certificate(path, "pychat")
    return path


def test_the_certificate_signs_nothing_else(made: Path) -> None:
    certificate = x509.load_pem_x509_certificate(made.read_bytes())
    limits = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert limits.critical
    assert not limits.value.ca
    assert certificate.subject.rfc4514_string() == certificate.issuer.rfc4514_string() == "CN=pychat"


def test_the_key_is_one_that_every_tls_has(made: Path) -> None:
    key = x509.load_pem_x509_certificate(made.read_bytes()).public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp256r1"
    assert b"BEGIN PRIVATE KEY" in made.read_bytes()  # PKCS #8
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(made)


@pytest.mark.filterwarnings("ignore:Properties that return")  # Debian 12's library has no other names
def test_a_clock_that_is_behind_accepts_it(made: Path) -> None:
    certificate = x509.load_pem_x509_certificate(made.read_bytes())
    first, last = (
        date.replace(tzinfo=UTC) for date in (certificate.not_valid_before, certificate.not_valid_after)
    )
    now = datetime.now(UTC)
    assert timedelta(hours=23) < now - first < timedelta(hours=25)
    assert last - now > timedelta(days=365 * certificates.YEARS - 1)


def test_only_this_user_reads_it_and_nothing_is_left_beside_it(made: Path) -> None:
    assert stat.S_IMODE(made.stat().st_mode) == 0o600
    assert stat.S_IMODE(made.parent.stat().st_mode) == 0o700
    assert list(made.parent.iterdir()) == [made]


def test_two_keys_differ(made: Path) -> None:
    before = made.read_bytes()
    certificates.make_certificate(made, "pychat")
    assert made.read_bytes() != before


INSTALL = "install the program 'openssl' or the Python package 'cryptography'."
FAILED = "the program 'openssl' ended with status 1. With the Python package 'cryptography' it is not needed."


@pytest.mark.parametrize(
    ("program", "why"),
    [
        (None, INSTALL),
        ("#!/bin/sh\nexit 1\n", FAILED),
        ("#!/bin/sh\nkill $$\n", FAILED.replace("ended with status 1", "was ended by signal 15")),
    ],
)
def test_without_both_a_sentence_says_what_to_install(
    program: str | None, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certificates, "_self_signed", _no_library)
    monkeypatch.setenv("PATH", str(tmp_path))
    if program is not None:
        (tmp_path / "openssl").write_text(program)
        (tmp_path / "openssl").chmod(0o755)
    with pytest.raises(PychatError) as refused:
        certificates.make_certificate(tmp_path / "keys" / "key.pem", "pychat")
    assert str(refused.value) == f"Cannot make a key: {why}"
    assert not list((tmp_path / "keys").iterdir())


@pytest.mark.parametrize("by_program", [False, True])
def test_a_directory_that_cannot_be_made_is_the_cause(
    by_program: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if by_program:
        monkeypatch.setattr(certificates, "_self_signed", _no_library)
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "key.pem"
    with pytest.raises(PychatError) as refused:
        certificates.make_certificate(path, "pychat")
    assert str(refused.value) == f"Cannot write the key to {path}: Not a directory."
