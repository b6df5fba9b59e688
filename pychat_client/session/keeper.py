"""Keeps one session's conversation in its file, so that another program can go on with it.

What has to be durable is recorded before it is sent. What is typed into the line is recorded a moment later. When
the file cannot be written any more, the keeper says so once, and the conversation goes on without it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from pychat_client.errors import PychatError
from pychat_client.protocol.endpoint import Endpoint
from pychat_client.session.session_file import Kept, SessionFile
from pychat_client.session.view import View

LATER = 1.0
"""Seconds until the line being typed is recorded, and texts that have arrived are removed from the disk."""


class Keeper:
    """Keeps one conversation, or nothing without a file."""

    def __init__(self, endpoint: Endpoint, file: SessionFile | None, view: View) -> None:
        """view: has the line being typed, and shows a sentence when the file cannot be written."""
        self._endpoint = endpoint
        self._file = file
        self._view = view
        self._inherited = "" if file is None else file.kept.draft
        self._timer: asyncio.TimerHandle | None = None

    @property
    def works(self) -> bool:
        """Whether what is recorded is kept."""
        return self._file is not None

    @property
    def draft(self) -> str:
        """The line being typed, or the one of an earlier program until it is taken."""
        return self._inherited or self._view.draft

    def take_inherited(self) -> str:
        """The line that was being typed when an earlier program ended; only the first time."""
        inherited, self._inherited = self._inherited, ""
        return inherited

    def line_changed(self) -> None:
        self._tidy_later()

    def record(self) -> None:
        """On return the conversation is on the disk as it is now."""
        if self._file is None:
            return
        endpoint = self._endpoint.saved()
        self._use(lambda file: file.save(Kept() if endpoint is None else Kept(endpoint, self.draft)))
        self._tidy_later()

    def close(self, *, keep: bool) -> None:
        """The session is done. keep: another program can go on with it; otherwise nothing stays on the disk."""
        if keep:
            self.record()
        else:
            self._use(lambda file: file.save(Kept()))
        if self._timer is not None:
            self._timer.cancel()
        if self._file is not None:
            self._file.close()
            self._file = None

    def _tidy_later(self) -> None:
        if self._file is not None and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LATER, self._tidy)

    def _tidy(self) -> None:
        self.record()
        self._use(lambda file: file.tidy())
        self._timer = None

    def _use(self, use: Callable[[SessionFile], None]) -> None:
        if self._file is None:
            return
        try:
            use(self._file)
        except PychatError as error:
            self._file.close()
            self._file = None
            self._view.notice(f"{error} If this program dies now, messages that are not confirmed are lost.")
