"""What an operator asks of the register with `pychatd invite`, `invitations` and `authorized`.

A question and each row of an answer is one JSON object (`\\manage`).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from pychat_client.errors import UsageError
from pychat_client.protocol.grammar import timestamp
from pychat_client.text import printable
from pychat_client.trust.fingerprint import fingerprint
from pychatd.network.register import Register

log = logging.getLogger("pychatd")

Rows = list[dict[str, Any]]


class Management:
    """Answers questions about who may call."""

    def __init__(self, register: Register, put_out: Callable[[], None]) -> None:
        """put_out: closes the connections of callers who may not call any more."""
        self._register = register
        self._put_out = put_out
        self._commands: dict[str, Callable[..., Rows]] = {
            "invite": self._invite,
            "invitations": self._invitations,
            "revoke": self._revoke,
            "authorized": self._authorized,
            "rename": self._rename,
            "remove": self._remove,
        }

    def answer(self, question: str, user: str) -> list[str]:
        """The rows of an answer to `user`. Raises PychatError."""
        try:
            words = json.loads(question)
            command = self._commands[words.pop("do")]
            rows = command(**words)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise UsageError("pychatd does not understand the question.") from None
        said = " ".join(str(word) for word in words.values() if isinstance(word, str))
        log.info("console: %s: %s", user, printable(f"{command.__name__[1:]} {said}".rstrip()))
        return [json.dumps(row) for row in rows]

    def _invite(self, name: str | None, seconds: float) -> Rows:
        invitation, record = self._register.invite(name, timedelta(seconds=seconds))
        return [{"invitation": str(invitation), "name": record.name, "until": _time(record.until)}]

    def _invitations(self) -> Rows:
        return [
            {"name": record.name, "until": _time(record.until), "state": state.value}
            for record, state in self._register.invitations()
        ]

    def _revoke(self, name: str) -> Rows:
        self._register.revoke(name)
        return []

    def _authorized(self) -> Rows:
        return [
            {
                "name": name,
                "fingerprint": fingerprint(certificate),
                "by": "invitation" if invited else "administrator",
            }
            for name, certificate, invited in self._register.listed()
        ]

    def _rename(self, name: str, new: str) -> Rows:
        self._register.rename(name, new)
        return []

    def _remove(self, name: str) -> Rows:
        self._register.remove(name)
        self._put_out()
        return []


def _time(seconds: float) -> str:
    return timestamp(datetime.fromtimestamp(seconds, UTC))
