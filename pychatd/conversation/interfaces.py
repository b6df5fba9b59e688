"""What a conversation asks of its connections, which the sessions implement, and of those who may call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from typing import Protocol

from pychat_client.protocol import wire
from pychat_client.protocol.rate_limit import Sign
from pychatd.conversation.model import Conversation, Entry, MissedCall, Opening


class Taken(Enum):
    """Why a caller cannot have the seat: a clause, for the log and the caller. It says nothing of who has it."""

    TALKING = "somebody else is talking"
    CALLING = "somebody else is calling now and has not sent a message yet"
    KEPT = "somebody who was cut off may come back"
    BACK = "somebody who was cut off is back"


class EndInterface(Protocol):
    """What a peer and a console have in common."""

    @property
    def conversation(self) -> Conversation | None:
        """The conversation that this end is being told."""

    def acknowledge(self, entries: Sequence[Entry]) -> None:
        """Messages that this end has sent are stored."""

    def deliver(self, entries: Sequence[Entry]) -> None:
        """Messages that the other end has just sent, and that are stored."""

    def send_backlog(self) -> None:
        """Sends what this end has not received yet, from the journal, as far as it reads."""

    def send_read_mark(self, count: int) -> None:
        """The other user has seen the first `count` messages of this end."""

    def send_sign(self, sign: Sign) -> None:
        """Passes a sign on if this end reads what it is sent."""

    @property
    def live(self) -> bool:
        """Whether its user wants live typing."""

    def send_live(self, wanted: bool) -> None:
        """Tells this end whether the other user wants live typing, if that has changed."""

    def notify(self, frame: wire.Notice | wire.Away | wire.Here | wire.Calling) -> None:
        """Tells this end something that does not change the conversation."""

    def close(self, frames: Iterable[wire.Frame]) -> None:
        """Sends the last frames, and closes the connection."""


class PeerInterface(EndInterface, Protocol):
    """A connection of a caller. With its first message it becomes the peer."""

    @property
    def opening(self) -> Opening:
        """What its hello says. Only a caller that was admitted has one."""

    @property
    def handle(self) -> str:
        """What it has called itself last: a classic caller that was greeted says its name after the hello."""

    @property
    def address(self) -> str: ...

    @property
    def secure(self) -> bool:
        """Whether it calls over TLS."""

    def max_text_bytes(self, handle: str) -> int | None:
        """How many bytes the text of a message from `handle` may have; None for any number."""

    def join(self, conversation: Conversation) -> None:
        """Its first message has started `conversation`."""

    def deliver_waiting(self) -> None:
        """Its conversation ends: what still waits for its turn is delivered all the same. Raises JournalError."""

    def reject_busy(self, why: Taken) -> None:
        """Somebody else has the seat: tells this caller, and closes."""

    def reject_blocked(self) -> None:
        """The operator has blocked this caller: tells it, and closes."""

    def close_displaced(self) -> None:
        """The same program has called again: tells this older connection, and closes it."""


class SilentInterface(Protocol):
    """A connection of which no hello has come for a while. It may be a program that waits to be spoken to."""

    @property
    def address(self) -> str: ...

    @property
    def secure(self) -> bool:
        """Whether it calls over TLS."""

    def greet(self) -> None:
        """The operator speaks first."""


class AllowedCallersInterface(Protocol):
    """Who may call."""

    def name_of(self, certificate: bytes | None) -> str | None:
        """The name of a certificate (DER); None for a stranger where everybody may call. Raises
        PermissionDeniedError for one that does not let in."""

    def is_invited(self, certificate: bytes | None) -> bool:
        """Whether its owner has come with an invitation."""

    def is_awaited(self, hello: wire.Hello, address: str, accept: Callable[[bytes], None]) -> bool:
        """Whether the caller has to prove in TLS the certificate that its hello names. accept: makes TLS accept
        that one (DER) on the caller's connection. Raises ProtocolError."""

    def enrol(self, hello: wire.Hello, certificate: bytes | None, address: str) -> None:
        """Keeps the certificate of a caller with an invitation. Raises ProtocolError."""


class WatcherInterface(Protocol):
    """A program that only watches."""

    @property
    def uid(self) -> int:
        """The user whose program it is."""

    def tell(self, frames: Sequence[wire.Frame]) -> None:
        """Something happens now."""

    def tell_ring(self) -> None:
        """The peer of the running conversation asks for attention."""

    def tell_read(self) -> None:
        """What was unread may have been read, or removed. Raises JournalError."""

    def begin_anew(self) -> None:
        """Another journal has taken the place of the one that the watcher knows."""

    def send_unread(self) -> None:
        """There may be new messages that nobody is there to read: the watcher waits for its turn."""

    def take_turn(self) -> None:
        """Sends a small piece of them, and waits for another turn if there are more."""

    def close(self, frames: Sequence[wire.Frame]) -> None:
        """Sends the last frames, and closes the connection."""


class ConsoleInterface(EndInterface, Protocol):
    """An attached console."""

    @property
    def user(self) -> str:
        """The system's name for the user at the other end of the socket."""

    @property
    def quiet(self) -> bool:
        """Whether its user sends no signs of typing and no read marks."""

    @property
    def console(self) -> str | None:
        """The id that the console's program has given itself."""

    @property
    def call(self) -> int:
        """The number of this call: later ones of its program have higher numbers; 0 without one."""

    @property
    def number(self) -> int:
        """The number of the conversation that the console's messages are for; 0 for none."""

    def tell_missed(self, call: MissedCall) -> None:
        """A call has ended without a message."""

    def send_presence(self) -> None:
        """Tells the console whether the peer is connected, and how."""

    def close_taken_over(self, other: ConsoleInterface) -> None:
        """`other` is the console now: tells this one, and closes."""
