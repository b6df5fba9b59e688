"""Keeps one session's conversation in its file, so that another program can go on with it.

What has to be durable is recorded before it is sent. On a screen the user goes on typing while a message is
synced. What the user decides is durable before anything is said of it: the next program must not send what this
one has called not sent. What is typed into the line, and what the daemon has by now, is recorded a moment later.
When the file cannot be written any more, the keeper removes it and says so once: what it has would soon be too old
to go on with. The conversation goes on without it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import Enum

from pychat_client.errors import PychatError
from pychat_client.protocol.endpoint import Endpoint
from pychat_client.protocol.saved import SavedEndpoint
from pychat_client.session.commands import escaped, unescaped
from pychat_client.session.disk_thread import AtOnce, DiskThread
from pychat_client.session.session_file import Kept, Need, SessionFile, need
from pychat_client.session.view import View
from pychat_client.text import BREAK, well_formed

LATER = 1.0
"""Seconds until the line being typed is recorded, and texts that have arrived are removed from the disk."""


QUICK = 0.003
"""Seconds for which the loop waits for a sync, and nobody notices. Most syncs are shorter; then a message goes
before the screen is drawn, which takes about as long."""

_NOTHING = SavedEndpoint("")


class Disk(Enum):
    """What is done apart from the loop."""

    IDLE = "idle"
    SYNCING = "syncing"
    TIDYING = "tidying"  # nothing can be written meanwhile


class Keeper:
    """Keeps one conversation, or nothing without a file."""

    def __init__(self, endpoint: Endpoint, file: SessionFile | None, view: View) -> None:
        """view: has the line being typed, and shows a sentence when the file cannot be written; the loop waits for
        the disk where it may."""
        self._endpoint = endpoint
        self._file = file
        self._view = view
        self._inherited = "" if file is None else file.kept.line
        self._timer: asyncio.TimerHandle | None = None
        self._apart = DiskThread() if view.shows_keys else AtOnce()
        self._disk = Disk.IDLE
        self._unsynced = False  # something that has to be durable is written only
        self._waiting: deque[Callable[[], None]] = deque()  # what may happen once all is recorded

    @property
    def works(self) -> bool:
        """Whether what is recorded is kept."""
        return self._file is not None

    @property
    def line(self) -> str:
        """The line being typed, or the one of an earlier program until it is taken."""
        return self._inherited or well_formed(self._view.line)

    def take_inherited(self) -> str:
        """The line that was being typed when an earlier program ended; only the first time."""
        inherited, self._inherited = self._inherited, ""
        return inherited

    def line_changed(self) -> None:
        self._tidy_later()

    def record(self, then: Callable[[], None]) -> None:
        """Records the conversation as it is now. then: is called once that is as durable as it has to be."""
        self._waiting.append(then)
        self._write()
        self._go_on()

    def record_all(self) -> None:
        """Records the conversation as it is now, with what could wait; on return it is in the file, or `works` is
        false."""
        self._settle()
        self._use(lambda file: file.save(self._now()))

    def record_end(self, reason: str = "") -> None:
        """Records the conversation as if the user had given it up; on return that outlives the power. The next
        program ends it, and gives the texts back. One that has not begun leaves nothing to end; its texts are in
        the next program's line."""
        self._settle()
        endpoint = self._endpoint
        if endpoint.ended:  # that is recorded already
            return
        if endpoint.can_go_on and (saved := endpoint.saved()) is not None:
            self._save_now(Kept(replace(saved, left=True, reason=reason), self.line))
        else:
            self._save_now(Kept(None, self._line_behind(endpoint.leftovers().not_sent)))

    def record_line(self, text: str) -> None:
        """The same as if the message `text` were in the line already; on return that outlives the power."""
        self._settle()
        self._save_now(Kept(self._endpoint.saved(), escaped(text)))

    def close(self, *, keep: bool) -> None:
        """The session is done, and all that waited for the disk happens before this returns. keep: another program
        can go on with the conversation; otherwise nothing stays on the disk."""
        self._settle()
        self._use(lambda file: file.save(self._now() if keep else Kept()))
        if self._timer is not None:
            self._timer.cancel()
        if self._file is not None:
            self._file.close()
            self._file = None
        self._apart.close()

    # -------------------------------------------------------------- inside

    def _line_behind(self, messages: Sequence[str]) -> str:
        """The line being typed, behind these messages: all of it is one message then."""
        if not messages:
            return self.line
        return escaped(BREAK.join(filter(None, [*messages, unescaped(self.line)])))

    def _now(self) -> Kept:
        endpoint = self._endpoint.saved()
        return Kept() if endpoint is None else Kept(endpoint, self.line)

    def _write(self) -> None:
        """Writes what cannot wait. What the user sees as said is in the file on return."""
        if self._file is None:
            return
        old, now = self._file.kept, self._now()
        if now == old:
            return
        self._tidy_later()
        needed = need(old.endpoint or _NOTHING, now.endpoint or _NOTHING)
        if needed is Need.NOTHING:
            return
        if self._disk is Disk.TIDYING:
            self._apart.wait()  # `_done` writes it
            return
        self._use(lambda file: file.save(now))
        self._unsynced = self._unsynced or needed is Need.SYNC

    def _go_on(self) -> None:
        """Syncs what has to be, or else lets happen what has waited for it."""
        if self._disk is not Disk.IDLE:
            return
        if self._unsynced and self._file is not None:
            self._unsynced = False
            self._disk = Disk.SYNCING
            covered = len(self._waiting)
            self._apart.start(self._file.sync, lambda error: self._done(error, covered), QUICK)
        else:
            self._release(len(self._waiting))

    def _done(self, error: PychatError | None, covered: int = 0) -> None:
        """What was done apart is done, and the first `covered` of those that wait need no more."""
        self._disk = Disk.IDLE
        if error is not None:
            self._fail(error)
        self._release(covered)
        self._write()
        self._go_on()

    def _release(self, count: int) -> None:
        released = [self._waiting.popleft() for _ in range(count)]
        for then in released:
            then()

    def _tidy_later(self) -> None:
        if self._file is not None and self._timer is None:
            # As what waits: so it begins when nothing else is done apart.
            self._timer = asyncio.get_running_loop().call_later(LATER, self.record, self._tidy)

    def _tidy(self) -> None:
        self._timer = None
        self._use(lambda file: file.save(self._now()))
        if self._file is not None:
            self._disk = Disk.TIDYING
            self._apart.start(self._file.tidy, self._done)  # done later: what waits behind this goes first

    def _settle(self) -> None:
        """On return nothing is done apart, and all that waited for the disk has happened."""
        while self._disk is not Disk.IDLE:
            self._apart.wait()

    def _save_now(self, kept: Kept) -> None:
        """Keeps `kept`, durably on return. Only when all has settled."""
        self._use(lambda file: file.save(kept))
        self._use(lambda file: file.sync())
        self._tidy_later()

    def _use(self, use: Callable[[SessionFile], None]) -> None:
        if self._file is None:
            return
        try:
            use(self._file)
        except PychatError as error:
            self._fail(error)

    def _fail(self, error: PychatError) -> None:
        """The file is gone before anything more is sent: `_go_on` does not wait then."""
        file, self._file = self._file, None
        if file is not None:
            self._apart.forget()
            self._disk = Disk.IDLE
            file.give_up()
            self._view.notice(f"{error} If this program dies now, messages that are not confirmed are lost.")
