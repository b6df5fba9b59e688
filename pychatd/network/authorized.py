"""A directory of certificates NAME.pem: who is on the allowlist, or has come with an invitation."""

from __future__ import annotations

import ssl
from dataclasses import field
from datetime import UTC, datetime
from pathlib import Path

from pychat_client import files
from pychat_client.dates import day
from pychat_client.errors import PychatError, UsageError
from pychat_client.records import record
from pychat_client.text import printable
from pychat_client.trust import certificates
from pychat_client.trust.public_key import validity_of

NAME_MAX = 32
"""Characters of a name: it is a file's name, and stands in the toolbar of the console."""


@record
class Findings:
    """What is wrong with the files that say who may call. complaints: of what cannot be used, and lets nobody in;
    warnings: of what can be used, and is probably not meant so."""

    complaints: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def out_of_date(certificate: bytes) -> str:
    """What is wrong with the time for which a certificate (DER) is valid; "" if nothing is."""
    now = datetime.now(UTC)
    try:
        first, last = validity_of(certificate)
    except ValueError:  # OpenSSL reads it, and we need not
        return ""
    if now > last:
        return f"expired on {day(last)}"
    return f"is not valid before {first.astimezone():%H:%M} on {day(first)}" if now < first else ""


def check_name(name: str) -> str:
    """A name that is one word, and that the directory can hold. Raises UsageError."""
    if not 0 < len(name) <= NAME_MAX or not name.replace("-", "").replace("_", "").isalnum() or name[0] == "-":
        raise UsageError(
            f"'{printable(name[:80])}' is not a valid name: use at most {NAME_MAX} letters, digits, '-' and '_'."
        )
    return name


def read(directory: Path, found: Findings) -> dict[bytes, str]:
    """The certificates (DER) in a directory with their names. Skips files that cannot be used, and complains of
    them. Raises OSError for the directory itself."""
    names: dict[bytes, str] = {}
    files_of: dict[bytes, Path] = {}
    for file in sorted(file for file in directory.iterdir() if file.suffix == ".pem"):
        try:
            if not file.is_file():
                raise PychatError(f"{file} is not a regular file.")
            certificate = certificates.certificate_der(file)
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(cadata=certificate)
            name = names[certificate] = "_".join(printable(file.stem).split())
            if (other := files_of.setdefault(certificate, file)) != file:
                both = printable(f"{other} and {file}")
                found.warnings.append(f"{both} are the same certificate: its owner is called {name}. Remove one.")
            if late := out_of_date(certificate):
                found.warnings.append(printable(f"The certificate in {file} {late}: its owner cannot call."))
        except (PychatError, OSError) as error:  # ssl.SSLError is an OSError
            why = f"The certificate in {file} is damaged." if isinstance(error, ssl.SSLError) else str(error)
            found.complaints.append(f"A file of the list of callers cannot be used: {printable(why)}")
    return names


def read_own(directory: Path, found: Findings) -> dict[bytes, str]:
    """The same for the directory that the daemon itself writes; it need not be there."""
    try:
        return read(directory, found)
    except FileNotFoundError:
        pass
    except OSError as error:
        found.complaints.append(f"Cannot read {directory}: {error.strerror}.")
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
