"""What an operator orders about who may call, with `pychatd invite`, `invitations` and `authorized`.

Behind the verb of such an order stands one JSON object with its arguments, and each line of the answer is another.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from pychat_client.errors import UsageError
from pychat_client.protocol.grammar import timestamp
from pychat_client.trust.fingerprint import fingerprint
from pychatd.conversation.orders import Order
from pychatd.network.allowed_callers import AllowedCallers

Rows = list[dict[str, Any]]


class Management:
    """The orders about who may call."""

    def __init__(
        self,
        port: int,
        allowed: AllowedCallers,
        put_out_unwelcome: Callable[[], bool],
        update_names: Callable[[], None],
    ) -> None:
        """port: of the service. put_out_unwelcome: ends what callers do who may not call any more; returns whether
        that was the conversation. update_names: makes a new name hold for who is connected."""
        self._port = port
        self._allowed = allowed
        self._put_out_unwelcome = put_out_unwelcome
        self._update_names = update_names

    @property
    def orders(self) -> dict[str, Order]:
        commands: dict[str, Callable[..., Rows]] = {
            "invite": self._invite,
            "invitations": self._invitations,
            "revoke": self._revoke,
            "authorized": self._authorized,
            "rename": self._rename,
            "remove": self._remove,
        }
        return {verb: partial(_carry_out, command) for verb, command in commands.items()}

    def _invite(self, name: str | None, seconds: float) -> Rows:
        invitation, record = self._allowed.invite(name, timedelta(seconds=seconds))
        return [{"invitation": str(invitation), "name": record.name, "until": _time(record.until)}]

    def _invitations(self) -> Rows:
        return [
            {"name": record.name, "until": _time(record.until), "state": state.value}
            for record, state in self._allowed.invitations()
        ]

    def _revoke(self, name: str) -> Rows:
        self._allowed.revoke(name)
        return []

    def _authorized(self) -> Rows:
        return [
            {
                "name": name,
                "fingerprint": fingerprint(certificate),
                "by": "invitation" if invited else "administrator",
            }
            for name, certificate, invited in self._allowed.listed()
        ]

    def _rename(self, name: str, new: str) -> Rows:
        self._allowed.rename(name, new)
        self._update_names()
        return []

    def _remove(self, name: str) -> Rows:
        certificate = self._allowed.remove(name)
        sentences = [f"The certificate of {name} lets nobody in any more."]
        if self._put_out_unwelcome():
            sentences.append("The conversation is over.")
        if not self._allowed.needs_certificate:
            block = f"'pychatd block {self._port} {fingerprint(certificate)}' refuses this key, too."
            sentences.append(
                f"But everybody may call this service, so {name} can come back as a stranger. {block}"
            )
        return [{"words": sentence} for sentence in sentences]


def _carry_out(command: Callable[..., Rows], arguments: str) -> list[str]:
    """The lines of the answer. Raises PychatError."""
    try:
        rows = command(**json.loads(arguments))
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        raise UsageError(
            "The running daemon does not know this form of the command. If pychat was upgraded, restart the "
            "service."
        ) from None
    return [json.dumps(row) for row in rows]


def _time(seconds: float) -> str:
    return timestamp(datetime.fromtimestamp(seconds, UTC))
