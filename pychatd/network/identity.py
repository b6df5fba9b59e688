"""The TLS settings of a service: its key and certificate, and the allowlist of client certificates.

A separate process makes the key, because the library for it would stay in the daemon's memory. Knows no
connections; `admission` uses these settings for them.
"""

from __future__ import annotations

import shlex
import ssl
import stat
import subprocess
import sys
from dataclasses import field
from pathlib import Path

from pychat_client import files
from pychat_client.errors import PermissionDeniedError, PychatError, UsageError, how_ended
from pychat_client.records import record
from pychat_client.trust import certificates, fingerprint
from pychatd import directories
from pychatd.network import authorized
from pychatd.network.authorized import Findings
from pychatd.settings import Settings

_MAKE = """
import pathlib, sys
from pychat_client import errors
from pychat_client.trust import certificates
try:
    certificates.make_certificate(pathlib.Path(sys.argv[1]), "pychatd")
except errors.PychatError as error:
    sys.exit(str(error))
"""

MAKING_SECONDS = 60.0
"""How long making a key may take: much more than a busy machine needs."""


PLAINTEXT_UNUSED = (
    "plaintext = \"always\" has no effect: with 'authorized' or 'invited_only', nobody can call without TLS."
)


@record
class Identity:
    """The certificate that callers see, and the callers that may come in."""

    context: ssl.SSLContext
    certificate: bytes
    names: dict[bytes, str] | None = None
    """The allowlist: certificates (DER) and the names of their owners; None: everybody may call."""

    invited: dict[bytes, str] = field(default_factory=dict)
    """The same of the callers who have come with an invitation."""

    complaints: tuple[str, ...] = ()
    """What cannot be read of these lists, and so lets nobody in."""

    warnings: tuple[str, ...] = ()
    """What can be used, and is probably not meant so."""

    @property
    def fingerprint(self) -> str:
        return fingerprint.fingerprint(self.certificate)

    def name_of(self, certificate: bytes | None) -> str | None:
        """The name of the owner of a client certificate (DER); None without an allowlist.

        Raises PermissionDeniedError for a certificate that is not on the allowlist.
        """
        if self.names is None:
            return None
        if certificate is None or certificate not in self.names:
            raise PermissionDeniedError("Your certificate is not on the allowlist of this service.")
        return self.names[certificate]


def load(settings: Settings, *, make: bool = False) -> Identity:
    """Loads the identity of a service. make: makes a key and certificate if there is none, at the first start.

    Raises PychatError when a configured file cannot be used.
    """
    path = settings.identity
    found = Findings()
    if make and settings.certificate is None:
        if settings.has_identity:
            files.make_sure(path)
        else:
            _make(path)
            if settings.journal.exists():  # a key was there too, which callers may know
                found.warnings.append(_lost_key(path))
    if settings.key is not None and settings.certificate is None:
        raise UsageError(f"{_in_file(settings, 'key')}'key' is set without 'certificate': set both.")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0  # a resumed TLS session would show no certificate
    try:
        for file in (path, settings.key or path):
            files.read_file(file, 1)  # OpenSSL would wait for a FIFO
        context.load_cert_chain(path, settings.key, password=lambda: "")  # otherwise OpenSSL asks on the terminal
    except OSError as error:  # ssl.SSLError is one
        words = _in_file(settings, "certificate") + _reason(error, path, settings.key or path)
        if settings.certificate is None:
            words += " Restore your copy of it, or move it away: then a new key is made, and callers are warned."
        raise UsageError(words) from None
    names, invited = read_lists(settings, found)
    if names is not None:
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # the certificate itself is trusted, not its issuer
        context.verify_mode = ssl.CERT_REQUIRED
        for listed in names:
            context.load_verify_locations(cadata=listed)
    certificate = certificates.certificate_der(path)
    found.warnings.extend(_warnings(settings, certificate))
    return Identity(context, certificate, names, invited, tuple(found.complaints), tuple(found.warnings))


def read_lists(settings: Settings, found: Findings) -> tuple[dict[bytes, str] | None, dict[bytes, str]]:
    """Who is on the allowlist, if there is one, and who was invited. Leaves out what cannot be read."""
    names = None
    if settings.authorized is not None:
        try:
            names = authorized.read(settings.authorized, found)
        except OSError as error:
            found.complaints.append(f"Cannot read the allowlist {settings.authorized}: {error.strerror}.")
            names = {}
    invited = authorized.read_own(settings.state / "authorized", found)
    for certificate, name in (names or {}).items():
        if invited.get(certificate, name) != name:
            found.warnings.append(
                f"{name} of the allowlist was invited as {invited[certificate]}, and is called so. "
                f"'pychatd authorized {settings.port} --remove {invited[certificate]}' ends that."
            )
    if names == {}:
        found.warnings.append(f"Nobody is on the allowlist {settings.authorized}: only invited callers get in.")
    if settings.plaintext == "always" and (names is not None or settings.invited_only):
        found.warnings.append(PLAINTEXT_UNUSED)
    return names, invited


def _make(path: Path) -> None:
    try:
        result = subprocess.run(  # noqa: S603 -- our own interpreter, our own module, a path of ours
            [sys.executable, "-P", "-c", _MAKE, str(path)],  # -P: nothing is imported from here
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=MAKING_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise PychatError(
            f"Cannot make the key of the service: it took longer than {MAKING_SECONDS:.0f} s. Try it again."
        ) from None
    except OSError as error:
        raise PychatError(f"Cannot make the key of the service: {error.strerror}.") from None
    if result.returncode != 0:
        why = result.stderr.strip()[-200:] or f"the program {how_ended(result.returncode)}."
        raise PychatError(f"Cannot make the key of the service: {why}")


def _warnings(settings: Settings, certificate: bytes) -> list[str]:
    """Of the certificate and its key."""
    path, key = settings.identity, settings.key or settings.identity
    warnings: list[str] = []
    if settings.certificate is not None and (late := authorized.out_of_date(certificate)):
        words = (
            f"The certificate in {path} {late}: callers with --ca cannot call. Renew it, and reload the service."
        )
        warnings.append(_in_file(settings, "certificate") + words)
    if _is_open(key):
        command = f"chmod o-r {shlex.quote(str(key))}"
        warnings.append(f"Every user of this host can read the key in {key}: '{command}' prevents that.")
    return warnings


def _is_open(path: Path) -> bool:
    """Whether every user can read a file: also the directories above it let everybody through."""
    file = path.resolve()
    try:
        entered = all(above.stat().st_mode & stat.S_IXOTH for above in file.parents)
        return entered and bool(file.stat().st_mode & stat.S_IROTH)
    except OSError:  # it is gone, and was read a moment ago
        return False


def _lost_key(path: Path) -> str:
    return (
        f"The key {path} was missing, although this service has a journal, so pychatd has made a new key. Whoever "
        "has called before reads that the key has changed, and cannot call. If you have a copy of the old key, "
        "stop the service, put the copy in the place of the new key, and start the service."
    )


def _in_file(settings: Settings, key: str) -> str:
    """Begins an error with the configuration file, if that sets `key`: systemd may have passed the file."""
    value = getattr(settings, key)
    if settings.file is None or value is None or value == directories.credential(f"{key}.pem"):
        return ""
    return f"{settings.file}: {key}: "


def _reason(error: OSError, path: Path, key: Path) -> str:
    """What is wrong with the files of a certificate and its key: OpenSSL says "PEM lib" of nearly everything."""
    if not isinstance(error, ssl.SSLError):
        return f"Cannot use the certificate {path}, or its key {key}: {error.strerror}."
    if weak := certificates.weakness(error):
        return (
            f"The certificate in {path}, or its key in {key}, is {weak}. Make others: of RSA with at least "
            "2048 bits, or on the curve P-256."
        )
    try:
        certificates.certificate_der(path)
    except PychatError as damage:
        return str(damage)
    text = files.read_file(key, certificates.FILE_MAX)
    if b"PRIVATE KEY-----" not in text:
        return f"There is no key in {key}." + (" Set 'key' if it is in another file." if key == path else "")
    if "key values mismatch" in str(error):
        return f"The key in {key} does not belong to the certificate in {path}."
    if b"ENCRYPTED" in text:
        command = f"openssl pkey -in {shlex.quote(str(key))}"
        return f"The key in {key} has a password. '{command}' writes it without one."
    return f"The certificate in {path}, or its key in {key}, is damaged."
