"""Makes a key and a certificate with the program `openssl` (or LibreSSL's), where Python has no library for it."""

from __future__ import annotations

import os
import subprocess
import tempfile
from datetime import datetime
from pathlib import Path

from pychat_client.errors import PychatError, how_ended

_CONFIG = """
[req]
distinguished_name = empty
[empty]
[ca]
default_ca = own
[own]
database = index
new_certs_dir = .
serial = serial
default_md = sha256
policy = names
x509_extensions = limits
[names]
commonName = supplied
[limits]
basicConstraints = critical, CA:FALSE
"""
"""What `openssl ca` has to know: only this command takes a first moment as well as a last one."""


def self_signed(name: str, first: datetime, last: datetime, directory: Path) -> bytes:
    """A new key (ECDSA on P-256) and its own certificate, in PEM; valid from `first` to `last` (UTC).

    directory: only this user can read it; the key is in files there until this returns. Raises OSError if it
    cannot be used, and PychatError without a program that works.
    """
    with tempfile.TemporaryDirectory(dir=directory) as work:
        place = Path(work)
        (place / "config").write_text(_CONFIG, encoding="ascii")
        (place / "index").touch()
        (place / "serial").write_text(f"{os.urandom(16).hex()}\n", encoding="ascii")
        _openssl(place, "ecparam -name prime256v1 -genkey -noout -out ec")
        _openssl(place, "pkcs8 -topk8 -nocrypt -in ec -out key")
        _openssl(place, "req -new -config config -key key -out request -subj", f"/CN={name}")
        dates = f"-startdate {first:%Y%m%d%H%M%SZ} -enddate {last:%Y%m%d%H%M%SZ}"
        _openssl(place, f"ca -selfsign -batch -notext -config config -keyfile key -in request -out cert {dates}")
        return (place / "key").read_bytes() + (place / "cert").read_bytes()


def _openssl(directory: Path, words: str, *more: str) -> None:
    """Raises PychatError when it fails."""
    command = ["openssl", *words.split(), *more]
    try:
        result = subprocess.run(command, cwd=directory, capture_output=True, stdin=subprocess.DEVNULL, check=False)  # noqa: S603 -- the words are ours
    except FileNotFoundError:
        raise PychatError(
            "Cannot make a key: install the program 'openssl' or the Python package 'cryptography'."
        ) from None
    if result.returncode:
        why = f"the program 'openssl' {how_ended(result.returncode)}"
        raise PychatError(f"Cannot make a key: {why}. With the Python package 'cryptography' it is not needed.")
