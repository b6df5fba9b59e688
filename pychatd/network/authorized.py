"""A directory of certificates NAME.pem: who is on the allowlist, or has come with an invitation."""

from __future__ import annotations

import ssl
from pathlib import Path

from pychat_client import files
from pychat_client.errors import PychatError, UsageError
from pychat_client.text import printable
from pychat_client.trust import certificates

NAME_MAX = 32
"""Characters of a name: it is a file's name, and stands in the toolbar of the console."""


def check_name(name: str) -> str:
    """A name that is one word, and that the directory can hold. Raises UsageError."""
    if not 0 < len(name) <= NAME_MAX or not name.replace("-", "").replace("_", "").isalnum() or name[0] == "-":
        raise UsageError(
            f"'{printable(name[:80])}' is not a valid name: use at most {NAME_MAX} letters, digits, '-' and '_'."
        )
    return name


def read(directory: Path, complaints: list[str]) -> dict[bytes, str]:
    """The certificates (DER) in a directory with their names. Skips files that cannot be used, and reports them in
    `complaints`. Raises OSError for the directory itself."""
    names: dict[bytes, str] = {}
    for file in sorted(file for file in directory.iterdir() if file.suffix == ".pem"):
        try:
            if not file.is_file():
                raise PychatError(f"{file} is not a regular file.")
            certificate = certificates.certificate_der(file)
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(cadata=certificate)
            names[certificate] = "_".join(printable(file.stem).split())
        except (PychatError, OSError) as error:  # ssl.SSLError is an OSError
            why = f"The certificate in {file} is damaged." if isinstance(error, ssl.SSLError) else str(error)
            complaints.append(f"A file of the list of callers cannot be used: {printable(why)}")
    return names


def read_own(directory: Path, complaints: list[str]) -> dict[bytes, str]:
    """The same for the directory that the daemon itself writes; it need not be there."""
    try:
        return read(directory, complaints)
    except FileNotFoundError:
        pass
    except OSError as error:
        complaints.append(f"Cannot read {directory}: {error.strerror}.")
    return {}


def add(directory: Path, name: str, certificate: bytes) -> None:
    """Raises PychatError."""
    files.write_private(directory / f"{name}.pem", certificates.pem(certificate).encode(), "certificate")


def remove(directory: Path, name: str) -> None:
    """Raises PychatError."""
    file = directory / f"{name}.pem"
    try:
        file.unlink()
    except OSError as error:
        raise PychatError(f"Cannot remove {file}: {error.strerror}.") from None
    files.make_sure(file)
