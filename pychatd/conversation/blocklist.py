"""The callers that the operator has blocked: addresses, handles and keys, in a file of the service's state.

The file has one of them in each line. Knows no connections and no conversation.
"""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

from pychat_client.errors import HandleError, PychatError, UsageError
from pychat_client.files import read_file, write_private
from pychat_client.text import check_handle, looks_like, printable
from pychat_client.trust.fingerprint import check_fingerprint, of_digest
from pychatd.caller_events import address_of, host_of, network_of

BLOCKED_MAX = 1000
"""Entries of the list: each caller is compared with each of them, which takes a few milliseconds."""


class Blocklist:
    """The list of one service."""

    def __init__(self, file: Path) -> None:
        """Raises PychatError for a file that cannot be used."""
        self._file = file
        self._words: list[str] = []
        self.load()

    @property
    def words(self) -> list[str]:
        return list(self._words)

    def load(self) -> None:
        """Reads the file again. Raises PychatError, and changes nothing then."""
        try:
            lines = read_file(self._file).decode().splitlines()
        except FileNotFoundError:
            lines = []
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "it is not UTF-8"
            raise PychatError(f"Cannot read the list of blocked callers {self._file}: {why}.") from None
        try:
            self._words = [parse(line) for line in lines if line.strip()]
        except UsageError as error:
            raise PychatError(f"{self._file}: {error}") from None

    def add(self, word: str) -> None:
        """Raises PychatError for a word that `parse` does not give, or if the list cannot be written."""
        if word not in self._words:
            if len(self._words) >= BLOCKED_MAX:
                raise PychatError(f"{BLOCKED_MAX} callers are blocked, which is the limit: block a whole network.")
            self._write([*self._words, word])

    def remove(self, word: str) -> None:
        """Raises PychatError if it is not there, or if the list cannot be written."""
        if word not in self._words:
            raise UsageError(f"{printable(word)} is not blocked.")
        self._write([one for one in self._words if one != word])

    def blocks(self, address: str, handle: str, certificate_hash: bytes | None) -> bool:
        """Whether a caller is on the list. address: with its port."""
        host = host_of(address)
        key = None if certificate_hash is None else of_digest(certificate_hash)
        return any(word == key or _matches(word, host, handle) for word in self._words)

    def _write(self, words: list[str]) -> None:
        write_private(self._file, "".join(f"{word}\n" for word in words).encode(), "list of blocked callers")
        self._words = words


def parse(word: str) -> str:
    """An address, a network, a key or a handle, as the list has it. Raises UsageError.

    An IPv6 address stands for its network (`caller_events.network_of`): one host can use all addresses of it.
    """
    word = word.strip()
    if word.startswith("SHA256:"):
        return check_fingerprint(word)
    if (network := _network(word)) is not None:
        return network
    try:
        return check_handle(word)
    except HandleError:
        raise UsageError(
            f"'{printable(word[:80])}' is not an address, a network, a key (SHA256:...) or a handle."
        ) from None


def described(word: str) -> str:
    """A word of the list, and what it is: a mistyped address is a handle."""
    if word.startswith("SHA256:"):
        return f"key {word}"
    kind = "handle" if _network(word) is None else "network" if "/" in word else "address"
    return f"{kind} {word}"


def of_caller(address: str, certificate_hash: bytes | None) -> str:
    """What to block of a caller: its key, which it has proved, or else where it calls from."""
    return parse(host_of(address)) if certificate_hash is None else of_digest(certificate_hash)


def _network(word: str) -> str | None:
    try:
        return str(ip_network(word, strict=False)) if "/" in word else network_of(str(address_of(word)))
    except ValueError:
        return None


def _matches(word: str, host: str, handle: str) -> bool:
    """Whether an entry that is no key stands for an address or a handle."""
    try:
        return address_of(host) in ip_network(word)
    except ValueError:
        return looks_like(word, handle)
