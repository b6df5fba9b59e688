"""Both kinds of endpoint, for tests that run with each; the users, the time and the hello that tests share."""

from __future__ import annotations

from datetime import UTC, datetime

from pychat_client.protocol.console_endpoint import ConsoleEndpoint
from pychat_client.protocol.endpoint import Endpoint
from pychat_client.protocol.events import MessageQueued, MessageShown
from pychat_client.protocol.turns import Role

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)

HANDLES = {Role.PEER: "Client1", Role.OPERATOR: "alice"}
OTHER = {Role.PEER: Role.OPERATOR, Role.OPERATOR: Role.PEER}

HELLO = "\\hello 1 alice session=5f0c turns=free"
"""A daemon's answer to a hello. The operator is alice."""


def make_endpoint(role: Role, handle: str) -> Endpoint:
    return Endpoint(handle) if role is Role.PEER else ConsoleEndpoint(handle)


def say(endpoint: Endpoint, text: str) -> MessageShown | MessageQueued:
    """What the user types, as the session sends it. Raises MessageError or NotAllowedError, nothing changed."""
    return endpoint.send(endpoint.validate(text))
