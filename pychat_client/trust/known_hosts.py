"""The known hosts, as in ssh: which certificate the user has accepted for which host."""

from __future__ import annotations

import base64
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pychat_client.errors import PychatError, UntrustedHostError
from pychat_client.files import open_own, read_file, write_private
from pychat_client.records import record
from pychat_client.text import printable
from pychat_client.trust.aliases import canonical
from pychat_client.trust.fingerprint import fingerprint


@record
class KnownHosts:
    """The file: a line `HOST:PORT FINGERPRINT CERTIFICATE` for each host; the last line of a host counts."""

    path: Path

    def certificate_of(self, host: str, port: int) -> bytes | None:
        """The accepted certificate (DER) of a host; None if there is none. Raises PychatError."""
        name = _host_name(host, port)
        found = [line.split() for line in self._lines() if _name_in(line) == name]
        if not found:
            return None
        try:
            _, pinned, encoded = found[-1]
            certificate = base64.b64decode(encoded, validate=True)
        except ValueError:
            pinned, certificate = "", b""
        if fingerprint(certificate) != pinned:
            raise PychatError(f"The entry of {printable(name)} in {self.path} is damaged: remove that line.")
        return certificate

    def names(self) -> list[tuple[str, str]]:
        """The hosts and ports with an accepted certificate, sorted. Raises PychatError."""
        names = {_name_in(line).rpartition(":") for line in self._lines()}
        return sorted((host, port) for host, colon, port in names if colon)

    def accept(self, host: str, port: int, certificate: bytes) -> None:
        """Accepts a certificate (DER) for a host from now on. Raises PychatError."""
        line = f"{_host_name(host, port)} {fingerprint(certificate)} {base64.b64encode(certificate).decode()}"
        with self._locked():
            self._write([*self._lines(but=_host_name(host, port)), line])

    def forget(self, host: str, port: int) -> bool:
        """Removes the certificate of a host; False if there was none. Raises PychatError."""
        with self._locked():
            lines = self._lines(but=_host_name(host, port))
            if len(lines) == len(self._lines()):
                return False
            self._write(lines)
        return True

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Makes other programs that change the file wait. The lock needs its own file, because each write replaces
        the file of the known hosts."""
        lock = self.path.with_name(f"{self.path.name}.lock")
        try:
            fd = open_own(lock, os.O_RDWR | os.O_CREAT)
        except OSError as error:
            raise PychatError(f"Cannot write the known hosts to {self.path}: {error.strerror}.") from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def _lines(self, but: str | None = None) -> list[str]:
        try:
            lines = read_file(self.path).decode(errors="surrogateescape").split("\n")
        except FileNotFoundError:
            return []
        except OSError as error:
            raise PychatError(f"Cannot read the known hosts in {self.path}: {error.strerror}.") from None
        if not lines[-1]:  # an editor may have left the last line without its end
            lines.pop()
        return [line for line in lines if but is None or _name_in(line) != but]

    def _write(self, lines: list[str]) -> None:
        text = "".join(f"{line}\n" for line in lines)
        write_private(self.path, text.encode(errors="surrogateescape"), "known hosts")


def _host_name(host: str, port: int) -> str:
    return f"{canonical(host)}:{port}"


def _name_in(line: str) -> str:
    """The name of the host in a line of the file; older versions have saved other names of the same hosts."""
    host, _, port = "".join(line.split()[:1]).rpartition(":")
    return f"{canonical(host)}:{port}" if host else ""


def changed_key(host: str, port: int, pinned: str, shown: str) -> UntrustedHostError:
    """The error for a host with another key than the accepted one. Each paragraph is a line, which views wrap."""
    name = printable(host)
    return UntrustedHostError(
        f"The key of {name} port {port} HAS CHANGED. Nothing has been sent.\n"
        "\n"
        "Somebody may be between you and that host, or may pretend to be that host. "
        "It is also possible that pychatd was installed again there, or lost its state directory.\n"
        "\n"
        f"    accepted before  {printable(pinned)}\n"
        f"    shown now        {printable(shown)}\n"
        "\n"
        f"Ask the other person to run 'pychatd fingerprint {port}' and to tell you the result, for example by "
        "phone. If it is the key shown now, remove the old key with\n"
        "\n"
        f"    pychat forget {name} {port}\n"
        "\n"
        "and call again."
    )
