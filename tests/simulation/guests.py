"""Callers who come with an invitation, and the little of TLS that proves their certificates.

The invitations and their files are the real ones. The certificates are always the same, as is each run of a seed.
"""

from __future__ import annotations

import base64
import ssl
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path

from pychat_client.protocol.endpoint import Credentials
from pychat_client.trust.fingerprint import fingerprint
from pychatd.network import authorized
from pychatd.network.allowed_callers import AllowedCallers
from pychatd.network.identity import Identity
from pychatd.settings import Settings

_PEM = (
    """-----BEGIN CERTIFICATE-----
MIIBejCCAR+gAwIBAgIUN9qAL5e1aJ/emVgtNpgTyQbI9rswCgYIKoZIzj0EAwIw
ETEPMA0GA1UEAwwGZ3Vlc3QwMCAXDTI2MTEyNjE4MjQzNVoYDzIxMjYxMTAyMTgy
NDM1WjARMQ8wDQYDVQQDDAZndWVzdDAwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC
AAQRj0gkQa3qoO92BC0fAy/eKFThGxq+cDhAZGdAYoofcCb3uNhrak7u7fguwQsD
MQsICklndm8Zcc3CIGUHxhG0o1MwUTAdBgNVHQ4EFgQU+MaT1HTqV6BbnauMFlsf
uVEDAlowHwYDVR0jBBgwFoAU+MaT1HTqV6BbnauMFlsfuVEDAlowDwYDVR0TAQH/
BAUwAwEB/zAKBggqhkjOPQQDAgNJADBGAiEArt33MRJtK8zQtcGiZvTBqAAbzUPN
g9oBegvBFxStma0CIQClBHthTUltis7077Euy7xeBgB3YB7iRxdq6zudtthgqw==
-----END CERTIFICATE-----""",
    """-----BEGIN CERTIFICATE-----
MIIBeTCCAR+gAwIBAgIULVmmCOAblL9PX7nzgtzvk9VPmuAwCgYIKoZIzj0EAwIw
ETEPMA0GA1UEAwwGZ3Vlc3QxMCAXDTI2MTEyNjE4MjQzNVoYDzIxMjYxMTAyMTgy
NDM1WjARMQ8wDQYDVQQDDAZndWVzdDEwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC
AAQAAxQhpiUH0kKAJnTHlegBqTIriudwkRuJYfGMrhH1cSKKWLZ0vcCyEwKO0hXz
9ekgO6C06B64ScZ5RzumYGDao1MwUTAdBgNVHQ4EFgQUWLEd1Rfa12yZvcAGgfjA
evLN4NEwHwYDVR0jBBgwFoAUWLEd1Rfa12yZvcAGgfjAevLN4NEwDwYDVR0TAQH/
BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiEA13cjtcJW72qw6aQoL0wom19mF6RY
4H4Nx4r5CFOj2zICIEymWAQGBtRz+X9T3ELd0xjee2slDqT8UESqZd3y8Lc1
-----END CERTIFICATE-----""",
    """-----BEGIN CERTIFICATE-----
MIIBejCCAR+gAwIBAgIUXbmJJ3d+qv9ftqBV9RT5O7t9jogwCgYIKoZIzj0EAwIw
ETEPMA0GA1UEAwwGZ3Vlc3QyMCAXDTI2MTEyNjE4MjQzNVoYDzIxMjYxMTAyMTgy
NDM1WjARMQ8wDQYDVQQDDAZndWVzdDIwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC
AATPB9QNVAZjVLrp9dliq+RVUxJr7XxFffuCC9NH06ZC8MmcQMpsZyApBjiT3NM7
sn//sYl/E4HxxPpwQuHi7bboo1MwUTAdBgNVHQ4EFgQUeDvBCA0UnaAkPJZ2GYdL
S1ufaPowHwYDVR0jBBgwFoAUeDvBCA0UnaAkPJZ2GYdLS1ufaPowDwYDVR0TAQH/
BAUwAwEB/zAKBggqhkjOPQQDAgNJADBGAiEA0zsGMVfaPjMivhsNuhqb2QtOAo3k
75GQpW6JWe6GCF4CIQDIxDwdC4noPPgUbSHG7iUjJKriURHslxX3aIHzfpp6jg==
-----END CERTIFICATE-----""",
)
"""Of the host, and of the guests. Nobody has the keys."""

GUESTS_MAX = len(_PEM) - 1
"""In one run."""


@dataclass(frozen=True)
class Guest:
    """name: under which the operator has invited this caller."""

    name: str
    certificate: bytes
    credentials: Credentials


class ProvedByTls:
    """What a connection asks TLS: shows the certificate of the other end once that was asked to prove it."""

    def __init__(self, certificate: bytes) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._certificate = certificate
        self._proved = False

    def verify_client_post_handshake(self) -> None:
        self._proved = True

    def getpeercert(self, *, binary_form: bool) -> bytes | None:
        assert binary_form
        return self._certificate if self._proved else None


class GuestBook:
    """The invitations of one service, and what its daemons know of them, one after the other."""

    def __init__(self, directory: Path) -> None:
        """directory: where the daemons keep what they know."""
        self._settings = Settings(7000, state=directory)
        self._guests: dict[str, Guest] = {}
        self.allowed: AllowedCallers | None = None  # of the daemon that runs; None if nobody was ever invited

    def open(self) -> None:
        """A daemon begins, and reads its files."""
        if self._guests:
            self.allowed = self._read()

    def guest(self, name: str) -> Guest | None:
        """One who was invited before, and calls again with the same words."""
        return self._guests.get(name)

    def invite(self, name: str) -> Guest | None:
        """The operator invites somebody; None if enough were."""
        if len(self._guests) == GUESTS_MAX:
            return None
        self.allowed = self.allowed or self._read()
        certificate = _certificates()[1 + len(self._guests)]
        invitation, _ = self.allowed.invite(name, timedelta(days=1))
        encoded = base64.b64encode(certificate).decode()
        credentials = Credentials(fingerprint(certificate), invitation.secret.hex(), encoded)
        self._guests[name] = guest = Guest(name, certificate, credentials)
        return guest

    def _read(self) -> AllowedCallers:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        invited = authorized.read_own(self._settings.state / "authorized", authorized.Findings())
        return AllowedCallers(self._settings, Identity(context, _certificates()[0], invited=invited))


@cache
def _certificates() -> list[bytes]:
    return [ssl.PEM_cert_to_DER_cert(pem) for pem in _PEM]
