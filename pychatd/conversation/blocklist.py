"""The callers that the operator has blocked: addresses, handles and keys, in a file of the service's state.

The file has one of them in each line. Knows no connections and no conversation.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from pathlib import Path

from pychat_client.errors import HandleError, PychatError, UsageError
from pychat_client.files import read_file, write_private
from pychat_client.look_alikes import skeleton, skeletons_match
from pychat_client.text import check_handle, printable
from pychat_client.trust.fingerprint import check_fingerprint, of_digest
from pychatd.caller_events import address_of, host_of, network_of

BLOCKED_MAX = 1000
"""Entries of the list: each caller is compared with each of them, which takes half a millisecond."""

MAPPED_BITS = 96
"""Bits of an IPv6 address in front of the IPv4 address that it maps (::ffff:192.0.2.9)."""

_Form = IPv4Network | IPv6Network | str | None
"""What callers are compared with: a network, or the skeleton of a handle; None for a key, which is looked up."""

_LIKE_AN_ADDRESS = re.compile(r"([0-9]+(\.[0-9]*){2,}|[0-9a-fA-F]*(:[0-9a-fA-F.]*){2,})(/.*)?")
"""What is meant as an address or a network, even where it is none."""


class Blocklist:
    """The list of one service."""

    def __init__(self, file: Path) -> None:
        """Raises UsageError for a file that cannot be used."""
        self._file = file
        self._entries: dict[str, _Form] = {}  # by their words
        self.load()

    @property
    def words(self) -> list[str]:
        return list(self._entries)

    def __contains__(self, word: str) -> bool:
        return word in self._entries

    def load(self) -> None:
        """Reads the file again. Raises UsageError, and changes nothing then."""
        try:
            lines = read_file(self._file).decode().splitlines()
        except FileNotFoundError:
            lines = []
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "it is not UTF-8"
            raise UsageError(f"Cannot read the list of blocked callers {self._file}: {why}.") from None
        try:
            words = [parse(line) for line in lines if line.strip()]
        except UsageError as error:
            raise UsageError(f"{self._file}: {error}") from None
        self._entries = {word: _form(word) for word in words}

    def add(self, word: str) -> None:
        """Raises PychatError for a word that `parse` does not give, or if the list cannot be written."""
        if word not in self._entries:
            if len(self._entries) >= BLOCKED_MAX:
                raise PychatError(f"{BLOCKED_MAX} callers are blocked, which is the limit: block a whole network.")
            self._write({**self._entries, word: _form(word)})

    def remove(self, word: str) -> None:
        """Raises PychatError if it is not there, or if the list cannot be written."""
        if word not in self._entries:
            raise UsageError(f"{printable(word)} is not blocked.")
        self._write({one: form for one, form in self._entries.items() if one != word})

    def blocks(self, address: str, handle: str, certificate_hash: bytes | None) -> bool:
        """Whether a caller is on the list. address: with its port."""
        if not self._entries:
            return False
        if certificate_hash is not None and of_digest(certificate_hash) in self._entries:
            return True
        host, name = address_of(host_of(address)), skeleton(handle)
        return any(_matches(form, host, name) for form in self._entries.values())

    def _write(self, entries: dict[str, _Form]) -> None:
        write_private(self._file, "".join(f"{word}\n" for word in entries).encode(), "list of blocked callers")
        self._entries = entries


def parse(word: str) -> str:
    """An address, a network, a key or a handle, as the list has it. Raises UsageError.

    An IPv6 address stands for its network (`caller_events.network_of`): one host can use all addresses of it.
    """
    word = word.strip()
    if word.startswith("SHA256:"):
        return check_fingerprint(word)
    if (network := _network(word)) is not None:
        return str(network) if "/" in word or network.version == 6 else str(network.network_address)
    if _LIKE_AN_ADDRESS.fullmatch(word) is not None:
        raise UsageError(
            f"'{printable(word[:80])}' looks like an address or a network, but is none. Look for a typo."
        )
    try:
        return check_handle(word)
    except HandleError:
        raise UsageError(
            f"'{printable(word[:80])}' is not an address, a network, a key (SHA256:...) or a handle."
        ) from None


def described(word: str) -> str:
    """A word of the list, and what it is."""
    if word.startswith("SHA256:"):
        return f"key {word}"
    kind = "handle" if _network(word) is None else "network" if "/" in word else "address"
    return f"{kind} {word}"


def of_caller(address: str, certificate_hash: bytes | None) -> str:
    """What to block of a caller: its key, which it has proved, or else where it calls from."""
    return parse(host_of(address)) if certificate_hash is None else of_digest(certificate_hash)


def _network(word: str) -> IPv4Network | IPv6Network | None:
    """The network that a word names, or that an address stands for; of IPv4 also where it is in its IPv6 form, as
    callers are (`caller_events.address_of`)."""
    try:
        network = ip_network(word if "/" in word else network_of(str(address_of(word))), strict=False)
    except ValueError:
        return None
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    if mapped is None or network.prefixlen < MAPPED_BITS:
        return network
    return IPv4Network((mapped, network.prefixlen - MAPPED_BITS))


def _form(word: str) -> _Form:
    if word.startswith("SHA256:"):
        return None
    network = _network(word)
    return skeleton(word) if network is None else network


def _matches(form: _Form, host: IPv4Address | IPv6Address, name: str) -> bool:
    """Whether an entry that is no key stands for a caller. name: the skeleton of its handle."""
    if form is None:
        return False
    return skeletons_match(form, name) if isinstance(form, str) else host in form
