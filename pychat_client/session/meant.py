"""Whom the user of a console means by `\\block` and `\\quit`: not a caller who has come unseen."""

from __future__ import annotations

ConversationId = str | int | None


class Meant:
    """The conversation that was on the screen when the line being typed was begun."""

    def __init__(self, *, sees_line: bool) -> None:
        """sees_line: the view tells when a line is begun; otherwise lines arrive whole."""
        self._sees_line = sees_line
        self._seen: ConversationId = None
        self._seen_at_line: ConversationId = None
        self._line = ""

    @property
    def conversation(self) -> ConversationId:
        """Also when the line has just been taken. None for none."""
        return self._seen_at_line if self._sees_line else self._seen

    def displayed(self, conversation: ConversationId) -> None:
        """Messages of `conversation` are on the screen."""
        self._seen = conversation

    def line_changed(self, line: str) -> None:
        if line and not self._line:
            self._seen_at_line = self._seen
        self._line = line
