"""What the command lines start: a view that also reads what the user types."""

from __future__ import annotations

from abc import abstractmethod

from pychat_client.session.session import Session
from pychat_client.session.view import View


class FrontEnd(View):
    """A view with a user, or a program, at it."""

    @abstractmethod
    async def run(self, session: Session) -> None:
        """Gives the session what the user types, until the session is done."""
