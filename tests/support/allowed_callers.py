"""Who may call, for sessions that a test makes by itself."""

from __future__ import annotations

from collections.abc import Callable

from pychat_client.errors import PermissionDeniedError
from pychat_client.protocol import wire


class Anybody:
    """Everybody may call, and nobody has a certificate."""

    def name_of(self, certificate: bytes | None) -> str | None:
        return None

    def is_invited(self, certificate: bytes | None) -> bool:
        return False

    def is_awaited(self, hello: wire.Hello, address: str, accept: Callable[[bytes], None]) -> bool:
        return False

    def enrol(self, hello: wire.Hello, certificate: bytes | None, address: str) -> None:
        pass


class Nobody(Anybody):
    """An allowlist without a certificate."""

    def name_of(self, certificate: bytes | None) -> str | None:
        raise PermissionDeniedError("Your certificate is not on the allowlist of this service.")
