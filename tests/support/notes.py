"""A view without a terminal."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime

from pychat_client.protocol import wire
from pychat_client.session.session import Session
from pychat_client.session.view import View


class Notes(View):
    """A view that keeps what it is given, and reads nothing."""

    def __init__(self) -> None:
        self.sentences: list[str] = []
        self.messages: list[str] = []
        self.rings: list[str] = []
        self._stopped = asyncio.Event()

    def message(self, message: wire.Message, *, own: bool, time: datetime, replayed: bool) -> None:
        self.messages.append(message.text)

    def notice(self, sentence: str) -> None:
        self.sentences.append(sentence)

    def alert(self, words: str, *, ring: bool) -> None:
        self.rings += [words] if ring else []

    keys: Sequence[tuple[str, str]] = ()

    def refresh(self) -> None: ...

    async def run(self, session: Session) -> None:
        await self._stopped.wait()

    def stop(self) -> None:
        self._stopped.set()
