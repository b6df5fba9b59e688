"""What a watcher writes, and how it calls its user: lines or JSON objects, and alerts for what is unread.

An alert comes once for what is unread at a service, again after `remind` while it stays unread, and never while a
console is attached there.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from pychat_client.config.preferences import Preferences
from pychat_client.errors import ExitStatus
from pychat_client.phrases import had_to_leave, with_certificate
from pychat_client.protocol import wire
from pychat_client.protocol.grammar import timestamp
from pychat_client.protocol.turns import Role
from pychat_client.session.transcript import local
from pychat_client.text import printable, printable_lines, quoted
from pychat_client.transport.os_errors import describe
from pychat_client.ui.alerts import Alerts
from pychat_client.ui.json_objects import encoded, message_fields


class Output:
    """What all services share."""

    def __init__(self, preferences: Preferences, *, as_json: bool, remind: timedelta | None) -> None:
        """remind: after this time the user is alerted again; None for never."""
        self.as_json = as_json
        self.remind = remind
        self.alerts = Alerts(preferences, self._write_terminal, self.complain)
        self._stop: Callable[[], None] = lambda: None
        self.exit_status = ExitStatus.INTERRUPTED

    def stop_by(self, stop: Callable[[], None]) -> None:
        """stop: ends the program."""
        self._stop = stop

    def for_service(self, port: int) -> ServiceOutput:
        return ServiceOutput(self, port)

    def write(self, line: str) -> None:
        self._write(f"{line}\n")

    def _write_terminal(self, sequence: str) -> None:
        if sys.stdout.isatty() and not self.as_json:
            self._write(sequence)

    def _write(self, text: str) -> None:
        """Writes at once. If that fails, the program ends: the user would not see what happens."""
        try:
            print(text, end="", flush=True)
        except OSError as error:
            self.exit_status = ExitStatus.FAILED
            self._stop()
            self.complain(f"Cannot write to stdout: {describe(error)}.")

    def complain(self, sentence: str) -> None:
        """Writes to stderr what is no event at a service."""
        with suppress(OSError):  # nobody is left to read it
            print(f"pychatd-console: {sentence}", file=sys.stderr, flush=True)


class ServiceOutput:
    """What happens at one service."""

    def __init__(self, output: Output, port: int) -> None:
        self._output = output
        self._port = port
        self._peer = ""  # the handle of who talks
        self._name: str | None = None  # whose certificate that caller has shown
        self._reminder: asyncio.TimerHandle | None = None  # runs while nobody is there, and something is unread
        self._unread = ""  # the words of the last alert, while something is unread
        self._alerted = False  # for what is unread, since a console was attached
        self._attended = False  # a console is attached, as far as is known

    # -------------------------------------------------------------- what happens

    def connected(self) -> None:
        """If a console is attached, that comes next."""
        self._attended = False
        if self._reminder is None:
            self._remind_later()
        self._emit("watching", "watching, the service runs")

    def lost(self) -> None:
        """What is unread stays unread: the daemon may only sleep."""
        self._emit("down", "not running, or asleep until the next call")

    def calling(self, caller: wire.Calling) -> None:
        silent = ", and has said nothing yet" if caller.silent else ""
        words = f"{printable(caller.handle)} is calling from {printable(caller.address)}"
        words += f"{with_certificate(caller.name)}{silent}"
        address, name = caller.address, caller.name
        self._emit("calling", words, handle=caller.handle, address=address, name=name, silent=caller.silent)
        self._alert(f"{printable(caller.handle)} is calling", "calling")

    def missed(self, call: wire.Missed, at: wire.Timestamp | None) -> None:
        """at: this was before the watcher came, so that its user does not know of the call yet."""
        words = f"missed call of {printable(call.handle)} from {printable(call.address)}"
        words += f"{with_certificate(call.name)}{had_to_leave(call.back)}"
        address, name, back = call.address, call.name, call.back
        self._emit("missed", words, at, handle=call.handle, address=address, name=name, back=back)
        if at is not None:
            self._alert(words, "missed")

    def conversation(self, peer: wire.Peer) -> None:
        self._peer, self._name = peer.handle, peer.name

    def message(self, message: wire.Message, at: wire.Timestamp | None) -> None:
        said = f"{printable(message.handle)}> {' '.join(printable_lines(message.text))}"
        at = wire.Timestamp(datetime.now(UTC)) if at is None else at
        self._emit("message", said, at, name=self._name, **message_fields(message, Role.PEER, at.time))
        if not self._alerted:
            self._alerted = not self._attended
            self._unread = said
            self._alert_unread()

    def ended(self, reason: str, at: wire.Timestamp | None) -> None:
        because = f": {quoted(reason)}" if reason else ""
        self._emit("ended", f"the conversation with {printable(self._peer)} has ended{because}", at, reason=reason)

    def ring(self) -> None:
        self._emit("ring", f"{printable(self._peer)} rings", handle=self._peer)
        self._alert(f"{printable(self._peer)} rings", "ring")

    def notice(self, words: str) -> None:
        self._emit("notice", printable(words), text=words)

    def attended(self) -> None:
        """A console is attached. It may leave before it has shown all."""
        self._alerted, self._attended = False, True
        self._stop_reminder()
        self._emit("attended", "a console is attached")

    def unattended(self) -> None:
        self._attended = False
        self._remind_later()
        self._emit("unattended", "no console is attached any more")

    def read(self) -> None:
        """Nothing is unread of what has come so far."""
        self._unread, self._alerted = "", False
        self._stop_reminder()

    # -------------------------------------------------------------- inside

    def _alert_unread(self) -> None:
        self._alert(self._unread, "message")
        self._remind_later()

    def _remind_later(self) -> None:
        self._stop_reminder()
        if self._unread and not self._attended and (remind := self._output.remind) is not None:
            loop = asyncio.get_running_loop()
            self._reminder = loop.call_later(remind.total_seconds(), self._alert_unread)

    def _stop_reminder(self) -> None:
        if self._reminder is not None:
            self._reminder.cancel()
            self._reminder = None

    def _alert(self, words: str, event: str) -> None:
        if not self._attended:
            self._output.alerts.announce(f"port {self._port}: {words}", event)

    def _emit(self, kind: str, words: str, at: wire.Timestamp | None = None, **fields: Any) -> None:
        """at: when it happened, if that is not now."""
        time = datetime.now(UTC) if at is None else at.time
        if self._output.as_json:
            self._output.write(encoded(kind, **{"port": self._port, "time": timestamp(time), **fields}))
        else:
            self._output.write(f"{local(time)} port {self._port}: {words}")
