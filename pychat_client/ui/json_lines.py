"""The same chat for programs: JSON objects, one a line, both ways; what is in them, objects.py says."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pychat_client.errors import NotAllowedError, PychatError, UsageError
from pychat_client.protocol import wire
from pychat_client.protocol.endpoint import HELD_MAX
from pychat_client.session.session import Session
from pychat_client.session.status import Status
from pychat_client.text import BREAK, printable
from pychat_client.ui.json_objects import encoded, message_fields
from pychat_client.ui.line_view import LineView


class JsonLines(LineView):
    """The view of a program."""

    def __init__(self, source: int = 0) -> None:
        super().__init__(source)
        self._state: dict[str, Any] = {}
        self._telling = False

    # -------------------------------------------------------------- chat.View

    def message(self, message: wire.Message, *, own: bool, time: datetime, replayed: bool) -> None:
        assert self._chat is not None
        role = self._chat.end.role if own else self._chat.end.role.other
        fields = message_fields(message, role, time)
        self._emit("message", **fields, own=own, replayed=replayed)

    def held(self, text: str) -> None:
        self._emit("held", text=text.replace(BREAK, "\n"))

    def notice(self, sentence: str) -> None:
        self._emit("notice", text=sentence)

    def rung(self, handle: str) -> None:
        assert self._chat is not None
        self._emit("ring", **{"from": self._chat.end.role.other.value}, handle=handle)

    def recalled(self, text: str) -> None:
        self._emit("recalled", text=text.replace(BREAK, "\n"))

    def not_sent(self, text: str) -> None:
        self._emit("not_sent", text=text.replace(BREAK, "\n"))

    def not_confirmed(self, text: str) -> None:
        self._emit("not_confirmed", text=text.replace(BREAK, "\n"))

    def refresh(self) -> None:
        super().refresh()
        if not self._telling:  # once for all that came together
            self._telling = True
            asyncio.get_running_loop().call_soon(self._tell_state)

    def stop(self) -> None:
        super().stop()
        self._tell_state()

    # -------------------------------------------------------------- pipe.Pipe

    def take(self, chat: Session, line: bytes) -> None:
        line = line.strip()
        if not line:
            return
        try:
            match json.loads(line):
                case {"text": str(text), **others} if "command" not in others:
                    chat.say(text)
                case {"command": str(command), **others} if "text" not in others:
                    _obey(chat, command)
                case _:
                    raise UsageError('A line of the input is {"text": "…"} or {"command": "…"}.')
        except (ValueError, RecursionError) as error:
            raise UsageError(f"A line of the input is not JSON: {printable(str(error))}.") from None

    def refused(self, line: bytes, error: PychatError) -> None:
        self._emit("error", text=str(error), input=line.decode(errors="replace").removesuffix("\n"))

    def leftovers(self, lines: Sequence[bytes]) -> bool:
        for line in lines:
            self.refused(line, NotAllowedError("Not sent: the conversation is over."))
        return bool(lines)

    def may_go_on(self, chat: Session) -> bool:
        return len(chat.end.held) < HELD_MAX

    # -------------------------------------------------------------- inside

    def _tell_state(self) -> None:
        """Tells where the conversation stands, if that has changed and is known."""
        self._telling = False
        if self._chat is not None and self._chat.end.ready:
            state = _state(self._chat.situation)
            if state != self._state:
                self._state = state
                self._emit("state", **state)

    def _emit(self, kind: str, **fields: Any) -> None:
        self.write(sys.stdout, encoded(kind, **fields))


def _obey(chat: Session, command: str) -> None:
    if command.partition(" ")[0] not in chat.commands or "\n" in command:
        known = ", ".join(chat.commands)
        raise UsageError(f"There is no command '{printable(command[:40])}'; there are {known}.")
    chat.typed(f"\\{command}")


def _state(situation: Status) -> dict[str, Any]:
    end, peer = situation.end, situation.peer
    caller = peer if end.open else None
    return {
        "connected": situation.calls is None,
        "open": end.open,
        "your_turn": end.my_turn,
        "turns": end.turns.value,
        "handle": end.handle,
        "other": end.other or None,
        "here": end.here,
        "typing": situation.typing,
        "sent": end.own,
        "stored": end.stored,
        "read": min(end.read, end.own),
        "received": end.received,
        "held": len(end.held),
        "address": None if caller is None else caller.address,
        "name": None if caller is None else caller.name,
        "plaintext": situation.plaintext,
    }
