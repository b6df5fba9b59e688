"""Where a conversation stands, in words: the toolbar's line, and what `\\status` says."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from pychat_client.protocol import wire
from pychat_client.protocol.endpoint import Endpoint
from pychat_client.protocol.turns import Role, Turns
from pychat_client.text import MESSAGE_MAX, printable
from pychat_client.trust.fingerprint import safety_number

_CLASSIC = "a classic program"


class Emphasis(Enum):
    """How a part of the toolbar is to be seen."""

    PLAIN = "plain"
    TURN = "turn"  # it is this user's
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class ToolbarItem:
    """A few words of the toolbar."""

    words: str
    kind: Emphasis = Emphasis.PLAIN


@dataclass(frozen=True, slots=True)
class Status:
    """A moment of one user's side of the talk.

    place: what the line is called; peer: what the daemon told of the caller (operator's side only);
    calls: how many calls in a row have failed, None while there is a connection; key: the fingerprint
    of the daemon's key, as verified by the client or told by the operator's own daemon; typing: the
    other user is typing now; taken: the line was, when it was called last.
    """

    endpoint: Endpoint
    place: str
    peer: wire.Peer | None
    calls: int | None
    key: str | None
    typing: bool
    taken: bool

    @property
    def reached(self) -> bool:
        """Whether the two hosts are connected now, as far as is known here."""
        endpoint = self.endpoint
        return self.calls is None and (
            endpoint.role is Role.PEER
            or (bool(endpoint.other_handle) and not endpoint.ended and endpoint.other_present)
        )

    @property
    def my_turn(self) -> bool:
        """Whether what this user says now goes at once."""
        return self.endpoint.my_turn and self.calls is None

    def parts(self) -> list[ToolbarItem]:
        """The state in a few words each, the most important first; all of it is also in `status_lines`."""
        endpoint = self.endpoint
        calling = [ToolbarItem(words)] if (words := self._calling()) else []
        if endpoint.ended and endpoint.role is Role.OPERATOR:
            return calling or [ToolbarItem("waiting for the next caller")]
        who = ToolbarItem(printable(endpoint.other_handle) or ("taken" if self.taken else "nobody there yet"))
        parts = [who, *calling]
        if endpoint.is_open or not calling:
            parts.append(ToolbarItem(self.turn(), Emphasis.TURN if self.my_turn else Emphasis.PLAIN))
        if self.typing:
            parts.append(ToolbarItem("typing"))
        if not endpoint.other_present and endpoint.is_open and not calling:
            parts.append(ToolbarItem("away"))
        if self.reached:
            parts.append(self._trust())
        if endpoint.held:
            parts.append(ToolbarItem(f"{len(endpoint.held)} held"))
        if endpoint.outbox and not self._unconfirmed:
            parts.append(ToolbarItem(f"{len(endpoint.outbox)} not confirmed"))
        elif endpoint.classic and endpoint.sent_count:
            parts.append(ToolbarItem("sent"))  # its program does not tell whether they are read
        elif endpoint.read_count < endpoint.stored_count:
            parts += [] if calling else [ToolbarItem("not read")]  # while there is no connection they may be
        elif endpoint.stored_count:
            parts.append(ToolbarItem("read"))
        return parts

    def _trust(self) -> ToolbarItem:
        """What is known of the key at the other end of the connection."""
        if self.plaintext:
            return ToolbarItem("PLAINTEXT", Emphasis.WARNING)
        if self.peer is None:
            return ToolbarItem("key accepted" if self.key is not None else "an authority vouches")
        return ToolbarItem(
            "not verified" if self.peer.name is None else f"verified as {printable(self.peer.name)}"
        )

    def status_lines(self) -> list[str]:
        """All there is to know, a sentence a line."""
        endpoint = self.endpoint
        other = printable(endpoint.other_handle)
        lines = [f"You are {printable(endpoint.handle)}, on {self.place}."]
        if words := self._calling():
            lines.append(f"There is no connection: {words}.")
        lines.append(self._other_side())
        if self.taken:
            lines.append("The line was taken when it was called last.")
        if other and not endpoint.other_present and not endpoint.ended and self.calls is None:
            lines.append(f"{other} is away: messages are kept and shown on return.")
        if self.typing:
            lines.append(f"{other} is typing.")
        turns = "take turns" if endpoint.turns is Turns.ALTERNATE else "speak freely"
        known = "as far as is known here"  # the other side may have gone on since
        lines.append(f"You {turns}; {'now' if self.calls is None or endpoint.ended else known}: {self.turn()}.")
        lines += self._security_lines()
        if endpoint.retention is not None:
            lines.append(f"What is said is kept on the host of this line {kept(endpoint.retention)}.")
        classic = endpoint.classic and bool(endpoint.other_handle)
        arrived = "" if self._unconfirmed else f", of which {endpoint.stored_count} stored"
        arrived += "" if classic else f" and {min(endpoint.read_count, endpoint.sent_count)} read"
        arrived += "" if self._unconfirmed or self.calls is None else f" ({known})"
        lines.append(
            f"Sent {endpoint.sent_count}{arrived}; received {endpoint.received_count}; held {len(endpoint.held)}."
        )
        if classic:
            lines.append("Its program does not tell what has arrived, and cannot go on after a cut.")
        most = (
            f", and of {endpoint.max_text_bytes} bytes"
            if endpoint.is_open and endpoint.max_text_bytes is not None
            else ""
        )
        lines.append(f"A message has at most {MESSAGE_MAX} characters{most}.")
        return lines

    def _other_side(self) -> str:
        """Who is there, or was at the last connection."""
        endpoint, other = self.endpoint, printable(self.endpoint.other_handle)
        if not other:
            return "Nobody is there yet."
        if endpoint.quit_unconfirmed and self.calls is not None:
            return f"You ended the conversation with {other}, who may not know it yet."
        if endpoint.role is Role.OPERATOR and endpoint.ended:
            waiting = ": waiting for the next caller" if self.calls is None else ""
            return f"The conversation with {other} is over{waiting}."
        kind = _CLASSIC if endpoint.classic else "pychat"
        if self.peer is not None:
            return (
                f"{other} {'calls' if self.reached else 'called'} from {printable(self.peer.address)} with {kind}."
            )
        who = f"{other}, {_CLASSIC}" if endpoint.classic else other
        return f"The other side is {who}." if self.reached else f"The last connection was with {who}."

    def _security_lines(self) -> list[str]:
        """How the talk is protected, with the number that both sides can compare."""
        lines = []
        if not self.reached:  # nothing travels; of a caller's last connection a new console knows nothing
            if self.endpoint.role is Role.PEER and self.endpoint.other_handle:
                how = "NOT ENCRYPTED" if self.plaintext else "encrypted with TLS 1.3"
                lines.append(f"The last connection was {how}.")
        elif self.plaintext:
            lines.append("PLAINTEXT, NOT ENCRYPTED: there is no TLS between the two hosts.")
        elif self.peer is not None and self.peer.name is not None:
            lines.append(f"Encrypted; the certificate is that of {printable(self.peer.name)}.")
        else:
            lines.append("Encrypted with TLS 1.3.")
            if self.peer is not None:
                lines.append("Whose key that is has not been verified: this line has no list of who may call.")
            elif self.key is None:
                lines.append("A certificate authority of this system vouches for the host's name.")
            else:
                lines.append("The host has proved to have the accepted key.")
        if self.key is not None and not self.plaintext:
            lines.append(f"The host's key {'is' if self.calls is None else 'was'} {printable(self.key)}:")
            lines.append(f"safety number {safety_number(self.key)}, the same on both sides.")
        return lines

    @property
    def _unconfirmed(self) -> bool:
        """Whether nobody tells what has arrived: a classic program at the other end, and no daemon between."""
        return self.endpoint.classic and self.endpoint.role is Role.PEER

    @property
    def plaintext(self) -> bool:
        """Whether there is no TLS between the two hosts."""
        if self.endpoint.role is Role.PEER:
            return self.endpoint.classic
        return self.peer is not None and self.peer.plain and self.endpoint.is_open

    def _calling(self) -> str:
        """What is done while there is no connection; empty while there is one."""
        if self.calls is None:
            return ""
        return f"calling again ({self.calls})" if self.calls else "calling"

    def turn(self) -> str:
        """Whose turn it is, or why nobody's."""
        endpoint = self.endpoint
        if endpoint.ended:
            return "over"
        if not endpoint.is_open:
            return "you speak first" if endpoint.role is Role.PEER else "waiting for the first message"
        if endpoint.turns is Turns.FREE:
            return "speak freely"
        return "your turn" if endpoint.my_turn else f"{printable(endpoint.other_handle)}'s turn"

    def met(self, *, resumed: bool) -> str:
        """What is said when the other end is known, or is back."""
        other = printable(self.endpoint.other_handle)
        if resumed:
            return f"Connected to {other} again."
        if self.endpoint.classic and self.peer is None:
            return f"Connected to {other}, {_CLASSIC}, NOT ENCRYPTED. You speak first."
        if self.peer is None:
            rule = (
                ""
                if self.endpoint.retention is None
                else f" What is said is kept there {kept(self.endpoint.retention)}."
            )
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
