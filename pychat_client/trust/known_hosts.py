"""The pins of known hosts, as ssh has them: which certificate was accepted for which host."""

from __future__ import annotations

import base64
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pychat_client.errors import PychatError, UntrustedHostError
from pychat_client.files import make_directory, write_private
from pychat_client.text import printable
from pychat_client.trust.fingerprint import fingerprint


@dataclass(frozen=True, slots=True)
class KnownHosts:
    """The file of pins: a line `HOST:PORT FINGERPRINT CERTIFICATE` each; the last one of a host counts."""

    path: Path

    def certificate_of(self, host: str, port: int) -> bytes | None:
        """The certificate (DER) that was accepted for a host. Raises PychatError."""
        name = _host_name(host, port)
        found = [words for line in self._lines() if (words := line.split())[:1] == [name]]
        if not found:
            return None
        try:
            _, pinned, encoded = found[-1]
            certificate = base64.b64decode(encoded, validate=True)
        except ValueError:
            pinned, certificate = "", b""
        if fingerprint(certificate) != pinned:
            raise PychatError(f"The line of {printable(name)} in {self.path} is damaged; remove it.")
        return certificate

    def names(self) -> list[tuple[str, str]]:
        """The hosts and ports that there are pins of, sorted. Raises PychatError."""
        names = {words[0].rpartition(":") for line in self._lines() if (words := line.split())}
        return sorted((host, port) for host, colon, port in names if colon)

    def accept(self, host: str, port: int, certificate: bytes) -> None:
        """Accepts a certificate (DER) for a host from now on. Raises PychatError."""
        line = f"{_host_name(host, port)} {fingerprint(certificate)} {base64.b64encode(certificate).decode()}\n"
        with self._locked():
            self._write([*self._lines(but=_host_name(host, port)), line])

    def forget(self, host: str, port: int) -> bool:
        """Removes the pin of a host; False if there was none. Raises PychatError."""
        with self._locked():
            lines = self._lines(but=_host_name(host, port))
            if len(lines) == len(self._lines()):
                return False
            self._write(lines)
        return True

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Whoever else changes the file waits meanwhile. The lock has a file of its own: a write puts a new
        file in the place of the old one, which would take the lock with it."""
        lock = self.path.with_name(f"{self.path.name}.lock")
        try:
            make_directory(lock.parent)
            fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise PychatError(f"The known hosts in {self.path} cannot be written: {error.strerror}.") from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def _lines(self, but: str | None = None) -> list[str]:
        try:
            lines = self.path.read_text(errors="replace").splitlines(keepends=True)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise PychatError(f"The known hosts in {self.path} cannot be read: {error.strerror}.") from None
        return [line for line in lines if line.split()[:1] != [but]]

    def _write(self, lines: list[str]) -> None:
        write_private(self.path, "".join(lines).encode(), "known hosts")


def _host_name(host: str, port: int) -> str:
    """How a host is called in the file: one word, whatever was typed."""
    return f"{''.join(host.lower().split())}:{port}"


def changed_key(host: str, port: int, pinned: str, shown: str) -> UntrustedHostError:
    """The page for a host whose key is not the one that was accepted: a paragraph a line, which views break."""
    name = printable(host)
    return UntrustedHostError(
        f"The key of {name} port {port} HAS CHANGED. Nothing has been sent.\n"
        "\n"
        "Somebody may be listening between you and that host, or be posing as it. "
        "It is also possible that its daemon was installed anew, or lost its state directory.\n"
        "\n"
        f"    accepted before  {printable(pinned)}\n"
        f"    shown now        {printable(shown)}\n"
        "\n"
        f"Ask the person there, over another way than this, what 'pychatd fingerprint {port}' prints. "
        "If that is what is shown now, remove the old key with\n"
        "\n"
        f"    pychat --forget {name} {port}\n"
        "\n"
        "and call again."
    )
