"""Both kinds of endpoint, for tests that run with each."""

from __future__ import annotations

from pychat_client.protocol.console_endpoint import ConsoleEndpoint
from pychat_client.protocol.endpoint import Endpoint
from pychat_client.protocol.turns import Role


def make_endpoint(role: Role, handle: str) -> Endpoint:
    return Endpoint(handle) if role is Role.PEER else ConsoleEndpoint(handle)
