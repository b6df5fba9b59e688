"""Where a conversation stands, as one list of facts.

The toolbar, `\\status` and the JSON state are made from this list. A fact has a sentence, and may have a few words
for the toolbar and keys for JSON. So whatever the toolbar shows, `\\status` tells in a sentence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from enum import Enum

from pychat_client.phrases import counted
from pychat_client.protocol import wire
from pychat_client.protocol.console_endpoint import ConsoleEndpoint
from pychat_client.protocol.endpoint import Endpoint
from pychat_client.protocol.turns import Role, Turns
from pychat_client.records import record
from pychat_client.text import MESSAGE_MAX, printable, quoted
from pychat_client.trust.fingerprint import safety_number

CLASSIC = "a classic program"

_AS_FAR_AS_KNOWN = "as far as this program knows"  # without a connection the other side may have gone on

JsonValue = str | int | bool | None


class Emphasis(Enum):
    """How the toolbar shows an item."""

    PLAIN = "plain"
    TURN = "turn"  # it is this user's
    WARNING = "warning"


@record
class ToolbarItem:
    """A few words of the toolbar."""

    words: str
    kind: Emphasis = Emphasis.PLAIN


@record
class Fact:
    """One thing to know. sentence: for `\\status`, empty when there is nothing to say now; item: for the toolbar;
    keys: for JSON, the same ones at any time."""

    sentence: str = ""
    item: ToolbarItem | None = None
    keys: Mapping[str, JsonValue] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.item is not None and not self.sentence:
            raise ValueError(f"The toolbar says {self.item.words!r}, and \\status does not.")


@record
class ConversationStatus:
    """One user's side of a conversation at one moment.

    title: what this service is called; caller: what the daemon told of the caller (console only);
    attempts: how many calls in a row have failed, None while there is a connection; key: the fingerprint of
    the daemon's key, which the client has verified, or which the console's own daemon has told; typing: the
    other user is typing; busy: somebody else had the seat at the last call; late: for how many seconds an own
    message has not been confirmed, None if that is not long.
    """

    endpoint: Endpoint
    title: str
    caller: wire.Peer | None
    attempts: int | None
    key: str | None
    typing: bool
    busy: bool
    late: float | None = None

    # -------------------------------------------------------------- for the views

    def facts(self) -> list[Fact]:
        """All there is to know, the most important for the toolbar first."""
        return [fact(self) for fact in _FACTS]

    def parts(self) -> list[ToolbarItem]:
        """The toolbar."""
        return [fact.item for fact in self.facts() if fact.item is not None]

    def status_lines(self) -> list[str]:
        """The lines of `\\status`."""
        return [fact.sentence for fact in self.facts() if fact.sentence]

    def state(self) -> dict[str, JsonValue]:
        """The state as JSON has it; docs/scripts.md describes the keys."""
        return {key: value for fact in self.facts() for key, value in fact.keys.items()}

    # -------------------------------------------------------------- what the facts are made from

    @property
    def connected(self) -> bool:
        """Whether this program is connected to the daemon."""
        return self.attempts is None

    @property
    def reached(self) -> bool:
        """Whether the two hosts are connected now, as far as is known here."""
        endpoint = self.endpoint
        return self.connected and (
            endpoint.role is Role.PEER
            or (bool(endpoint.other.handle) and not endpoint.ended and endpoint.other.present)
        )

    @property
    def my_turn(self) -> bool:
        """Whether a message of this user goes at once."""
        return self.endpoint.my_turn and self.connected

    @property
    def other(self) -> str:
        """The other user's handle, printable; empty while it is not known."""
        return printable(self.endpoint.other.handle)

    @property
    def calling(self) -> wire.Calling | None:
        """A caller who has not sent the first message yet (console only)."""
        return self.endpoint.calling if isinstance(self.endpoint, ConsoleEndpoint) else None

    @property
    def watched(self) -> bool:
        """Whether both users see what the other one types."""
        return self.connected and self.endpoint.is_watched

    @property
    def live_typing(self) -> str:
        """What this user has to know of live typing; empty while it is off."""
        if self.watched:
            return f"Live typing is on: {self.other} sees what you type, and you see what {self.other} types."
        if self.endpoint.live and not self.endpoint.is_open:  # the other side is not asked earlier
            return "Live typing is on at your side. It begins after the first message, if the other side wants it."
        if self.endpoint.live:
            return (
                "Live typing is on at your side only. Nobody sees what you type until the other side wants it too."
            )
        return ""

    @property
    def between_callers(self) -> bool:
        """Whether this is a console whose conversation has ended."""
        return self.endpoint.role is Role.OPERATOR and self.endpoint.ended

    @property
    def plaintext(self) -> bool:
        """Whether there is no TLS between the two hosts."""
        if self.endpoint.role is Role.PEER:
            return self.endpoint.calls_classic_server
        return self.caller is not None and self.caller.plain and self.endpoint.is_open

    @property
    def unconfirmed(self) -> bool:
        """Whether nothing tells what has arrived: a classic program at the other end, and no daemon between."""
        return self.endpoint.calls_classic_server


# ------------------------------------------------------------------ the facts


def _own_side(status: ConversationStatus) -> Fact:
    handle = status.endpoint.handle
    doing = "calling" if status.endpoint.role is Role.PEER else "answering calls on"
    return Fact(f"You are {printable(handle)}, {doing} {status.title}.", keys={"handle": handle})


def _other_side(status: ConversationStatus) -> Fact:
    endpoint, other = status.endpoint, status.other
    calling = status.calling
    keys = {"other": endpoint.other.handle or None, "calling": None if calling is None else calling.handle}
    if calling is not None and not endpoint.is_open:
        return _calling(calling, keys)
    if not other and endpoint.role is Role.PEER:
        return Fact(keys=keys)
    if not other:
        return Fact("There is no caller yet.", ToolbarItem("no caller yet"), keys)
    if status.between_callers and endpoint.phase.is_left and not status.connected:
        return Fact(f"You ended the conversation with {other}. {other} may not know it yet.", keys=keys)
    if status.between_callers:
        over = f"The conversation with {other} has ended."
        if not status.connected:
            return Fact(over, keys=keys)
        return Fact(f"{over} Waiting for the next caller.", ToolbarItem("waiting for the next caller"), keys)
    return Fact(_who(status), ToolbarItem(other), keys)


def _calling(calling: wire.Calling, keys: Mapping[str, JsonValue]) -> Fact:
    if calling.silent:
        return Fact(silent_call(calling.address), ToolbarItem("a caller says nothing: \\greet"), keys)
    who = printable(calling.handle)
    sentence = f"{who} is calling and will send the first message."
    return Fact(sentence, ToolbarItem(f"waiting for {who}'s first message"), keys)


def silent_call(address: str) -> str:
    """What the operator reads of a caller that may wait to be spoken to."""
    return (
        f"A caller at {printable(address)} is connected, and has said nothing yet. "
        "If it is a classic program that waits for you, \\greet lets you speak first."
    )


def _who(status: ConversationStatus) -> str:
    """Who the other side is, or was at the last connection."""
    other, kind = status.other, CLASSIC if status.endpoint.other_is_classic else "pychat"
    if status.caller is not None:
        calls = "calls" if status.reached else "called"
        return f"{other} {calls} from {printable(status.caller.address)} with {kind}."
    who = f"{other}, {CLASSIC}" if status.endpoint.other_is_classic else other
    return f"The other side is {who}." if status.reached else f"The last connection was with {who}."


def _caller(status: ConversationStatus) -> Fact:
    caller = status.caller if status.endpoint.is_open else None
    address, name = (None, None) if caller is None else (caller.address, caller.name)
    return Fact(keys={"address": address, "name": name})


def _connection(status: ConversationStatus) -> Fact:
    keys = {"connected": status.connected}
    if status.attempts is None:
        return Fact(keys=keys)
    words = f"calling again ({status.attempts})" if status.attempts else "calling"
    return Fact(f"Not connected: {words}.", ToolbarItem(words), keys)


def _busy(status: ConversationStatus) -> Fact:
    return Fact("The service was busy at the last call.", ToolbarItem("busy")) if status.busy else Fact()


def _turn(status: ConversationStatus) -> Fact:
    endpoint = status.endpoint
    words, sentence = _turn_words(status)
    rule = "You take turns." if endpoint.turns is Turns.ALTERNATE else "There are no turns."
    keys = {"open": endpoint.is_open, "your_turn": endpoint.my_turn, "turns": endpoint.turns.value}
    hidden = status.between_callers or not words or not (endpoint.is_open or status.connected)
    emphasis = Emphasis.TURN if status.my_turn else Emphasis.PLAIN
    item = None if hidden else ToolbarItem(words, emphasis)
    return Fact(sentence if endpoint.ended else f"{rule} {sentence}", item, keys)


def _turn_words(status: ConversationStatus) -> tuple[str, str]:
    """Whose turn it is, or why there is none: for the toolbar, and as a sentence."""
    endpoint, other = status.endpoint, status.other
    if endpoint.ended:
        return "ended", "The conversation has ended."
    if not endpoint.is_open and endpoint.role is Role.PEER:
        return "you send first", "You send the first message."
    if not endpoint.is_open and not other:
        return "", "The caller sends the first message."
    if not endpoint.is_open:
        return f"waiting for {other}'s first message", f"{other} sends the first message."
    if endpoint.turns is Turns.FREE:
        return "no turns", "Both sides can send at any time."
    whose = "your" if endpoint.my_turn else f"{other}'s"
    unless_moved_on = "" if status.connected else f", {_AS_FAR_AS_KNOWN}"
    return f"{whose} turn", f"It is {whose} turn{unless_moved_on}."


def _typing(status: ConversationStatus) -> Fact:
    keys = {"typing": status.typing}
    return Fact(f"{status.other} is typing.", ToolbarItem("typing"), keys) if status.typing else Fact(keys=keys)


def _live(status: ConversationStatus) -> Fact:
    item = ToolbarItem("watched") if status.watched else None
    return Fact(status.live_typing, item, {"live": status.watched})


def _presence(status: ConversationStatus) -> Fact:
    endpoint = status.endpoint
    keys = {"here": status.reached and endpoint.other.present}
    if endpoint.other.present or endpoint.ended or not status.other or not status.connected:
        return Fact(keys=keys)
    return Fact(away(endpoint.role, status.other, endpoint.other.away_words), ToolbarItem("away"), keys)


def _protection(status: ConversationStatus) -> Fact:
    keys = {"plaintext": status.plaintext}
    if not status.reached:  # a new console knows nothing about the caller's last connection
        if status.endpoint.role is Role.OPERATOR or not status.other:
            return Fact(keys=keys)
        how = "NOT ENCRYPTED" if status.plaintext else "encrypted with TLS 1.3"
        return Fact(f"The last connection was {how}.", keys=keys)
    if status.plaintext:
        item = ToolbarItem("PLAINTEXT", Emphasis.WARNING)
        return Fact("PLAINTEXT, NOT ENCRYPTED: there is no TLS between the two hosts.", item, keys)
    sentence, words = _identity(status)
    return Fact(f"Encrypted with TLS 1.3. {sentence}", ToolbarItem(words), keys)


def _identity(status: ConversationStatus) -> tuple[str, str]:
    """What is known of the key at the other end of an encrypted connection, as a sentence and in a few words."""
    if status.caller is None:
        sentence, words = _host_identity(status)
        name = status.endpoint.invited_as
        return (sentence if name is None else f"{sentence} The host knows you as {quoted(name)}.", words)
    if status.caller.name is None:
        return (
            "The service has no allowlist: anyone can call, and the caller's name is not verified.",
            "anyone can call",
        )
    name = printable(status.caller.name)
    return f"The caller has the certificate of {name}.", f"verified as {name}"


def _host_identity(status: ConversationStatus) -> tuple[str, str]:
    """What this call has checked of the host. That the host speaks of an invitation proves nothing."""
    if status.endpoint.credentials.invite is not None and status.endpoint.invited_as is not None:
        return "The host has the key of your invitation.", f"invited by {status.other}"
    if status.key is not None:
        return "The host has the key that you trust.", "known host"
    return (
        "A certificate authority that this system trusts has signed the host's certificate.",
        "certificate valid",
    )


def _host_key(status: ConversationStatus) -> Fact:
    if status.key is None or status.plaintext:
        return Fact()
    is_or_was = "is" if status.connected else "was"
    return Fact(f"The fingerprint of the host's certificate {is_or_was} {printable(status.key)}.")


def _safety_number(status: ConversationStatus) -> Fact:
    if status.key is None or status.plaintext:
        return Fact()
    return Fact(f"The safety number is {safety_number(status.key)}; both sides see the same one.")


def _retention(status: ConversationStatus) -> Fact:
    retention = status.endpoint.retention
    host = "The other host" if status.endpoint.role is Role.PEER else "This host"
    return Fact() if retention is None else Fact(kept(retention, host))


def _held(status: ConversationStatus) -> Fact:
    count = len(status.endpoint.held)
    keys = {"held": count}
    if not count:
        return Fact(keys=keys)
    return Fact(
        f"{count} {'message is' if count == 1 else 'messages are'} held until your turn.",
        ToolbarItem(f"{count} held"),
        keys,
    )


def _delivery(status: ConversationStatus) -> Fact:
    endpoint = status.endpoint
    arrived = [] if status.unconfirmed else [f"{endpoint.stored_count} stored"]
    arrived += [] if _tells_nothing(status) else [f"{endpoint.read_count} read"]
    arrived += [] if status.unconfirmed or status.connected else [_AS_FAR_AS_KNOWN]
    details = f" ({', '.join(arrived)})" if arrived else ""
    words = "" if status.between_callers else _delivery_words(status)
    return Fact(
        f"Sent: {endpoint.sent_count}{details}. Received: {endpoint.received_count}.",
        ToolbarItem(words) if words else None,
        {
            "sent": endpoint.sent_count,
            "stored": endpoint.stored_count,
            "read": endpoint.read_count,
            "received": endpoint.received_count,
        },
    )


def _tells_nothing(status: ConversationStatus) -> bool:
    """Whether the other side never tells what its user has read."""
    return bool(status.endpoint.other_is_classic and status.endpoint.other.handle) or status.endpoint.other.quiet


def _delivery_words(status: ConversationStatus) -> str:
    """What has become of this user's newest messages."""
    endpoint = status.endpoint
    if endpoint.unacked and not status.unconfirmed:
        since = "yet" if status.late is None else f"for {status.late:.0f} s"
        return f"{len(endpoint.unacked)} not confirmed {since}"
    if endpoint.other_is_classic or endpoint.other.quiet:
        return "sent" if endpoint.sent_count else ""  # nobody tells whether they are read
    if endpoint.read_count < endpoint.stored_count:
        return "not read yet" if status.connected else ""  # without a connection they may have been read
    return "read" if endpoint.stored_count else ""


def _classic(status: ConversationStatus) -> Fact:
    if not (status.endpoint.other_is_classic and status.other):
        return Fact()
    return Fact(
        f"{status.other} uses {CLASSIC}. It does not confirm messages, and the conversation ends "
        "when the connection is lost."
    )


def _limit(status: ConversationStatus) -> Fact:
    endpoint = status.endpoint
    limited = endpoint.is_open and endpoint.max_text_bytes is not None
    most = f", and at most {endpoint.max_text_bytes} bytes" if limited else ""
    return Fact(f"A message has at most {MESSAGE_MAX} characters{most}.")


_FACTS: tuple[Callable[[ConversationStatus], Fact], ...] = (
    _own_side,
    _other_side,
    _caller,
    _busy,
    _connection,
    _turn,
    _typing,
    _live,
    _presence,
    _protection,
    _host_key,
    _safety_number,
    _retention,
    _held,
    _delivery,
    _classic,
    _limit,
)


# ------------------------------------------------------------------ sentences that notices have too


def away(role: Role, other: str, words: str) -> str:
    """That the other side is away, and when it gets the messages. role: this side's; words: the other's own."""
    if role is Role.PEER:
        says = f" {other} says: {quoted(words)}." if words else ""
        return f"{other} is not at the console now. Your messages wait there until {other} is back.{says}"
    return f"{other} is not connected now. Your messages are delivered when {other} is back."


def kept(retention: str, host: str) -> str:
    """How long the daemon keeps the messages (`keep` of its hello)."""
    if retention == "none":
        return f"{host} deletes messages once they are read."
    time = "" if retention == "forever" else f" for {counted(int(retention.removesuffix('d')), 'day')}"
    return f"{host} keeps a copy of this conversation{time}."
