"""A conversation for programs: JSON objects, one a line, in both directions. json_objects makes them."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pychat_client.errors import NotAllowedError, PychatError, UsageError
from pychat_client.protocol import wire
from pychat_client.protocol.outbox import HELD_MAX
from pychat_client.session.session import Session
from pychat_client.text import BREAK, printable
from pychat_client.ui.json_objects import encoded, message_fields
from pychat_client.ui.line_view import LineView


class JsonLines(LineView):
    """The front end for a program."""

    def __init__(self, source: int = 0) -> None:
        super().__init__(source)
        self._state: dict[str, Any] = {}  # as it was written last
        self._state_due = False
        self._draft = ""  # of the other user, as it was written last

    # -------------------------------------------------------------- View

    def message(self, message: wire.Message, *, own: bool, time: datetime, replayed: bool) -> None:
        assert self._session is not None
        role = self._session.endpoint.role if own else self._session.endpoint.role.other
        fields = message_fields(message, role, time)
        self._emit("message", **fields, own=own, replayed=replayed)

    def held(self, text: str) -> None:
        self._emit("held", text=text.replace(BREAK, "\n"))

    def notice(self, sentence: str) -> None:
        self._emit("notice", text=sentence)

    def rung(self, handle: str) -> None:
        assert self._session is not None
        self._emit("ring", **{"from": self._session.endpoint.role.other.value}, handle=handle)

    def recalled(self, text: str) -> None:
        self._emit("recalled", text=text.replace(BREAK, "\n"))

    def not_sent(self, text: str) -> None:
        self._emit("not_sent", text=text.replace(BREAK, "\n"))

    def not_confirmed(self, text: str) -> None:
        self._emit("not_confirmed", text=text.replace(BREAK, "\n"))

    @property
    def shows_drafts(self) -> bool:
        return True

    def refresh(self) -> None:
        super().refresh()
        if not self._state_due:  # one object for all that arrived together
            self._state_due = True
            asyncio.get_running_loop().call_soon(self._write_state)

    def stop(self) -> None:
        super().stop()
        self._write_state()

    # -------------------------------------------------------------- LineView

    def handle_line(self, session: Session, line: bytes) -> None:
        line = line.strip()
        if not line:
            return
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            why = "a number has too many digits" if type(error) is ValueError else printable(str(error))
            raise UsageError(f"The line is not valid JSON: {why}.") from None
        match value:
            case {"text": str(text), **others} if "command" not in others:
                session.say(text)
            case {"command": str(command), **others} if "text" not in others:
                _run_command(session, command)
            case _:
                raise UsageError('Each line must be {"text": "…"} or {"command": "…"}.')

    def refused(self, line: bytes, error: PychatError) -> None:
        self._emit("error", text=str(error), input=line.decode(errors="replace").removesuffix("\n"))

    def leftovers(self, lines: Sequence[bytes]) -> bool:
        for line in lines:
            self.refused(line, NotAllowedError("Not sent: the conversation is over."))
        return bool(lines)

    def ready_for_line(self, session: Session) -> bool:
        return len(session.endpoint.held) < HELD_MAX

    # -------------------------------------------------------------- inside

    def _write_state(self) -> None:
        """Writes where the conversation stands, if that is known and has changed."""
        self._state_due = False
        if self._session is not None and self._session.endpoint.ready:
            state = self._session.status.state()
            if state != self._state:
                self._state = state
                self._emit("state", **state)
            self._write_draft(self._session, self._session.typing_indicator.draft)

    def _write_draft(self, session: Session, draft: str) -> None:
        if draft != self._draft:
            self._draft = draft
            other = session.endpoint.role.other.value
            text = draft.replace(BREAK, "\n")
            self._emit("draft", **{"from": other}, handle=session.endpoint.other.handle, text=text)

    def _emit(self, kind: str, **fields: Any) -> None:
        self.write(sys.stdout, encoded(kind, **fields))


def _run_command(session: Session, command: str) -> None:
    if command.partition(" ")[0] not in session.commands or "\n" in command:
        known = ", ".join(session.commands)
        raise UsageError(f"There is no command '{printable(command[:40])}'. The commands are: {known}.")
    session.submit(f"\\{command}")
