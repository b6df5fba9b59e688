"""`pychat send` and `pychat replies`: one message out, or what has come in. No person is at these front ends.

They are quiet when all goes well. What has come goes to stdout; `report` writes the notices, for when something
went wrong.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime

from pychat_client.errors import ExitStatus, MessageError, NotAllowedError, PychatError
from pychat_client.layout import fit
from pychat_client.protocol import wire
from pychat_client.protocol.turns import Role
from pychat_client.session.session import Session
from pychat_client.text import MESSAGE_MAX, check_message, printable, printable_lines
from pychat_client.ui.headless import HeadlessView
from pychat_client.ui.json_objects import encoded, message_fields

INPUT_MAX = 1 << 16
"""Bytes of the input at most: far more than a message, so that mostly the refusal can tell its characters."""


def text_of(words: Sequence[str]) -> str:
    """The message: `words`, or all of stdin where there are none, or only `-`. Raises MessageError."""
    text = _input() if list(words) in ([], ["-"]) else " ".join(words)
    return check_message(text)


def _input() -> str:
    data = sys.stdin.buffer.read(INPUT_MAX + 1)
    if len(data) > INPUT_MAX:
        limit = f"the limit is {MESSAGE_MAX} characters"
        raise MessageError(f"Not sent: the input has more than {INPUT_MAX:,} bytes; {limit}.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise MessageError("Not sent: the input is not UTF-8.") from None
    return text.rstrip("\r\n")


class CommandView(HeadlessView):
    """What a command shows that no person sits at."""

    def __init__(self) -> None:
        super().__init__()
        self._notices: list[str] = []
        self._unwritten = False  # something came, and stdout did not take it
        self._closed = False  # the conversation had to stay open, and could not

    def held(self, text: str) -> None:
        """Shows nothing."""

    def notice(self, sentence: str) -> None:
        self._notices.append(sentence)

    def news(self, sentence: str) -> None:
        """Keeps nothing: it would not explain what went wrong."""

    def rung(self, handle: str) -> None:
        """Shows nothing: no person is here."""

    def report(self) -> None:
        """Writes the notices to stderr: for an end that is not the wanted one."""
        for sentence in self._notices:
            with suppress(OSError):
                print(fit(sys.stderr, f"pychat: {sentence}"), file=sys.stderr)

    def _print(self, text: str) -> None:
        """Writes what has come. If that fails, the session is done where the conversation stays open: what is not
        acked comes again, and the next program can print it."""
        if self._unwritten:  # a later message must not stand where an earlier one is missing
            return
        try:
            print(text, flush=True)
        except OSError as error:
            self._unwritten = True
            self.notice(f"The reply has arrived, but pychat cannot write it to stdout: {error.strerror}.")
            if self._session is not None and self._session.stays_open:
                self._session.finish(ExitStatus.FAILED)

    def _leave_open(self, session: Session) -> None:
        """Leaves the conversation open, or ends it where nobody could return to it."""
        try:
            session.detach()
        except NotAllowedError:
            self._cannot_stay_open()
            session.leave()

    def _cannot_stay_open(self) -> None:
        """The keeper has told why."""
        self._closed = True
        self.notice("So the conversation cannot stay open, and ends.")


class Replies(CommandView):
    """Prints what has come in a conversation that stays open."""

    def __init__(self, *, wait: bool, as_json: bool) -> None:
        """wait: until something has come."""
        super().__init__()
        self._wait = wait
        self._as_json = as_json
        self._count = 0

    def message(self, message: wire.Message, *, own: bool, time: datetime, replayed: bool) -> None:
        if own:
            return
        self._count += 1
        if self._as_json:
            self._print(encoded("message", **message_fields(message, Role.OPERATOR, time)))
        else:
            self._print("\n".join(printable_lines(message.text)))

    async def run(self, session: Session) -> None:
        self._session = session
        await self._until(lambda: session.endpoint.ready)
        if self._wait:
            await self._until(lambda: self._count > 0)
        if not session.done:
            self._leave_open(session)
            await self._until(lambda: False)
        if self._count and not self._unwritten and not self._closed:
            session.conclude(ExitStatus.OK)
        elif session.exit_status is ExitStatus.OK:
            session.conclude(ExitStatus.FAILED if self._unwritten or self._closed else ExitStatus.UNANSWERED)


class OneShot(CommandView):
    """Sends one message."""

    def __init__(self, text: str, *, expect_reply: bool, seconds: float | None) -> None:
        """text: the message; seconds: from now, after which to give up, None for never."""
        super().__init__()
        self._text = text
        self._expect_reply = expect_reply
        self._seconds = seconds
        self._start = time.monotonic()
        self._reply: str | None = None
        self._sent = False
        self._must_stay_open = False  # then all that comes in the conversation is printed
        self._late = False  # the time was over before all was done
        self._stored_in_time = False

    @contextmanager
    def keeps_text(self) -> Iterator[None]:
        """If what is done inside fails, the text is printed: stdin cannot be read again."""
        try:
            yield
        except (PychatError, KeyboardInterrupt):
            if self._session is None or self._session.over_at_return:  # otherwise `run` has given it back
                self.not_sent(self._text)
            self.report()
            raise

    # -------------------------------------------------------------- View

    def message(self, message: wire.Message, *, own: bool, time: datetime, replayed: bool) -> None:
        if own:
            return
        is_reply = self._sent and self._reply is None
        if is_reply:
            self._reply = message.text
        if self._must_stay_open or (is_reply and self._expect_reply):
            self._print("\n".join(printable_lines(message.text)))

    # -------------------------------------------------------------- FrontEnd

    async def run(self, session: Session) -> None:
        self._session = session
        self._must_stay_open = session.keeps  # it has a file for nothing else
        timer = None
        if self._seconds is not None:
            left = max(self._start + self._seconds - time.monotonic(), 0.0)
            timer = asyncio.get_running_loop().call_later(left, self._give_up, session)
        try:
            await self._talk(session)
        finally:
            if timer is not None:
                timer.cancel()
            if not self._sent and not session.over_at_return:
                self.not_sent(self._text)
        if not session.over_at_return:  # otherwise the text is for the next call
            session.conclude(self._status(session))

    # -------------------------------------------------------------- inside

    async def _talk(self, session: Session) -> None:
        await session.caught_up()
        await self._until(lambda: session.endpoint.ready)
        if session.done:
            return
        if session.endpoint.is_open and not session.endpoint.my_turn:
            self.notice(f"It is {printable(session.endpoint.other.handle)}'s turn; there is no answer yet.")
            self._leave_open(session)
            await self._until(lambda: False)
            return
        session.say(self._text)
        self._sent = True
        await self._until(session.all_stored)
        if self._expect_reply:
            await self._until(lambda: self._reply is not None)
        if not session.done:
            if self._must_stay_open:
                self._leave_open(session)
                if self._closed:
                    self.notice("Your message is stored.")
            else:
                session.leave()
            await self._until(lambda: False)

    def _give_up(self, session: Session) -> None:
        assert self._seconds is not None
        if not self._sent:
            session.give_up(self._seconds)
        elif not session.done:
            self._late, self._stored_in_time = True, session.all_stored()
            if not self._stored_in_time:
                self.notice("Not confirmed in time.")
            elif self._expect_reply:
                self.notice("Stored on the other host, but no reply came in time.")
            session.interrupt()
            if self._must_stay_open and not (session.stays_open or self._closed):
                self._cannot_stay_open()

    def _status(self, session: Session) -> ExitStatus:
        """The session's exit status, or what has gone wrong with this message."""
        status = session.exit_status
        if self._late:
            status = ExitStatus.OK if self._stored_in_time else session.loss or ExitStatus.NOT_CONFIRMED
        if status in (ExitStatus.OK, ExitStatus.FAILED) and not self._sent:
            return ExitStatus.NOT_SENT
        if status is not ExitStatus.OK:
            return status
        if self._unwritten or self._closed:
            return ExitStatus.FAILED
        return ExitStatus.UNANSWERED if self._expect_reply and self._reply is None else ExitStatus.OK
