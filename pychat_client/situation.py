"""Where a conversation stands, in words: the toolbar's line, and what `\\status` says."""

from __future__ import annotations

from dataclasses import dataclass

from pychat_client import wire
from pychat_client.conversation import Endpoint, Role, Turns
from pychat_client.text import printable
from pychat_client.trust import safety_number

_CLASSIC = "a classic program"


@dataclass(frozen=True, slots=True)
class Situation:
    """A moment of one user's side of the talk.

    place: what the line is called; peer: what the daemon told of the caller (operator's side only);
    calls: how many calls in a row have failed, None while there is a connection; key: the fingerprint
    of the daemon's key, as verified by the client or told by the operator's own daemon.
    """

    end: Endpoint
    place: str
    peer: wire.Peer | None
    calls: int | None
    key: str | None

    def summary(self) -> str:
        """The state in a line, for a toolbar; all of it is also in `status_lines`."""
        end = self.end
        if end.over and end.role is Role.OPERATOR:
            return "waiting for the next caller"
        who = printable(end.other) or "nobody there yet"
        if self.peer is not None and self.peer.name is not None and end.open:
            who += f" [{printable(self.peer.name)}]"
        parts = [who, self.turn()]
        if self._plaintext():
            parts.append("PLAINTEXT")
        if end.held:
            parts.append(f"{len(end.held)} held")
        if end.outbox:
            parts.append(f"{len(end.outbox)} not stored yet")
        elif end.read < end.stored:
            parts.append("sent" if end.classic else "not read yet")  # a classic program does not tell
        elif end.stored:
            parts.append("read")
        if not end.here and end.open:
            parts.append("away")
        return " | ".join(parts)

    def status_lines(self) -> list[str]:
        """All there is to know, a sentence a line."""
        end = self.end
        other = printable(end.other)
        lines = [f"You are {printable(end.handle)}, on {self.place}."]
        if self.peer is not None and end.open:
            kind = _CLASSIC if end.classic else "pychat"
            lines.append(f"{other} calls from {printable(self.peer.address)} with {kind}.")
        elif other:
            lines.append(f"The other side is {other}{f', {_CLASSIC}' if end.classic else ''}.")
        if other and not end.here:
            lines.append(f"{other} is away: messages are kept and shown on return.")
        turns = "take turns" if end.turns is Turns.ALTERNATE else "speak freely"
        lines.append(f"You {turns}; now: {self.turn()}.")
        lines += self._security_lines()
        if end.keep is not None:
            lines.append(f"What is said is kept on the host of this line {kept(end.keep)}.")
        classic = end.classic and end.open
        stored = "" if classic else f", of which {end.stored} stored and {min(end.read, end.own)} read"
        lines.append(f"Sent {end.own}{stored}; received {end.received}; held {len(end.held)}.")
        if classic:
            lines.append("Its program does not tell what has arrived, and cannot go on after a cut.")
        if classic and end.room is not None:
            lines.append(f"It takes messages of at most {end.room} bytes.")
        return lines

    def _security_lines(self) -> list[str]:
        """How the talk is protected, with the number that both sides can compare."""
        lines = []
        if self.peer is not None and self.end.open and not self.end.here:
            pass  # nobody is connected: nothing is known, and nothing travels
        elif self._plaintext():
            lines.append("NOT ENCRYPTED: there is no TLS between the two hosts.")
        elif self.peer is not None and self.peer.name is not None:
            lines.append(f"Encrypted; the certificate is that of {printable(self.peer.name)}.")
        elif self.end.open or self.end.role is Role.PEER:
            lines.append("Encrypted with TLS 1.3.")
        if self.key is not None and not self._plaintext():
            lines.append(f"The host's key is {printable(self.key)}:")
            lines.append(f"safety number {safety_number(self.key)}, the same on both sides.")
        return lines

    def _plaintext(self) -> bool:
        if self.end.role is Role.PEER:
            return self.end.classic
        return self.peer is not None and self.peer.plain and self.end.open

    def turn(self) -> str:
        """Whose turn it is, or why nobody's."""
        end = self.end
        if self.calls is not None:
            return f"calling again ({self.calls})" if self.calls else "calling"
        if end.over:
            return "over"
        if not end.open:
            return "you speak first" if end.role is Role.PEER else "waiting for the first message"
        if end.turns is Turns.FREE:
            return "speak freely"
        return "your turn" if end.my_turn else f"{printable(end.other)}'s turn"

    def met(self, *, resumed: bool) -> str:
        """What is said when the other end is known, or is back."""
        other = printable(self.end.other)
        if resumed:
            return f"Connected to {other} again."
        if self.end.classic and self.peer is None:
            return f"Connected to {other}, {_CLASSIC}, NOT ENCRYPTED. You speak first."
        if self.peer is None:
            rule = "" if self.end.keep is None else f" What is said is kept there {kept(self.end.keep)}."
            return f"Connected to {other}. You speak first.{rule}"
        named = f", with the certificate of {printable(self.peer.name)}" if self.peer.name is not None else ""
        kind = f", with {_CLASSIC}" if self.peer.classic else ""
        plain = ", NOT ENCRYPTED" if self.peer.plain else ""
        return f"{other} calls from {printable(self.peer.address)}{named}{kind}{plain}."


def kept(keep: str) -> str:
    """The journal's rule, as it stands behind "is kept"."""
    if keep == "none":
        return "only until it is read"
    return "for good" if keep == "forever" else f"for {printable(keep).removesuffix('d')} days"
