"""What each end of a conversation does with everything that can happen to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from pychat_client.errors import MessageError, NotAllowedError, ProtocolError
from pychat_client.protocol import wire
from pychat_client.protocol.console_endpoint import ConsoleEndpoint
from pychat_client.protocol.digest import UNACKED_MAX
from pychat_client.protocol.endpoint import Endpoint
from pychat_client.protocol.events import (
    Connected,
    EndConfirmed,
    Ended,
    EndedBy,
    Event,
    Leftovers,
    MessageQueued,
    MessageShown,
    Notice,
    Presence,
    RemoteError,
    Renamed,
    SignsOff,
)
from pychat_client.protocol.outbox import HELD_MAX
from pychat_client.protocol.phase import Phase
from pychat_client.protocol.saved import SavedEndpoint
from pychat_client.protocol.turns import Role, Turns, TurnState
from tests.support.endpoints import HANDLES, NOON, OTHER, make_endpoint, say

PEER, OPERATOR = Role.PEER, Role.OPERATOR


def says(role: Role, text: str) -> wire.Message:
    return wire.Message(HANDLES[role], text)


def hello(*, session: str = "5f0c", got: int | None = None, turns: Turns = Turns.ALTERNATE) -> wire.Hello:
    """The daemon's answer to a peer's hello."""
    return wire.Hello(1, "alice", session=session, got=got, turns=turns)


def conversation(
    *, number: int = 7, got: int = 0, heard: int = 0, told: int = 0, turns: Turns = Turns.ALTERNATE
) -> wire.Peer:
    """What tells a console which conversation follows, and from where on."""
    return wire.Peer("Client1", number, got, heard, told, turns, NOON, "192.0.2.7")


def told(endpoint: Endpoint, *frames: wire.Frame) -> list[Event]:
    """What the user sees of `frames`."""
    events = [event for frame in frames for event in endpoint.receive(frame)]
    endpoint.mark_displayed()
    return events


def begin(role: Role, turns: Turns = Turns.ALTERNATE) -> Endpoint:
    """An end whose user may speak: a peer that has been greeted, an operator with a first message."""
    endpoint = make_endpoint(role, HANDLES[role])
    endpoint.greet()
    if role is PEER:
        told(endpoint, hello(turns=turns))
    else:
        told(endpoint, wire.Hello(1, "alice"), conversation(turns=turns), says(PEER, "one"))
    endpoint.take_frames()
    return endpoint


def again(endpoint: Endpoint, *frames: wire.Frame) -> tuple[list[Event], list[wire.Frame]]:
    """The connection is cut, a new one comes up, and `frames` arrive: what is shown, and sent behind the hello."""
    endpoint.connection_lost()
    endpoint.greet()
    endpoint.take_frames()
    return told(endpoint, *frames), endpoint.take_frames()


# ------------------------------------------------------------------ turns


def is_legal(history: str, turns: Turns) -> bool:
    """Whether the messages of peer (p) and operator (o) may have been said in this order: the rules of
    docs/protocol.md as a person would check them, without counting."""
    if turns is Turns.FREE:
        return not history.startswith("o")
    return not history.startswith("o") and "pp" not in history and "oo" not in history


@pytest.mark.parametrize("turns", Turns)
def test_turns_allow_each_legal_history_and_no_other(turns: Turns) -> None:
    legal = [""]
    for before in legal:
        for who, role in (("p", PEER), ("o", OPERATOR)):
            counts = TurnState(turns, before.count("p"), before.count("o"))
            allowed = is_legal(before + who, turns)
            assert counts.may_speak(role) == allowed
            if allowed:
                assert counts.add(role) == counts.count(role) == before.count(who) + 1
                legal += [before + who] if len(before) < 8 else []
                continue
            with pytest.raises(
                ProtocolError, match="sends the first message" if not before else "other side's turn"
            ) as broken:
                counts.add(role)
            assert broken.value.code == "turn"
            assert (counts.peer, counts.operator) == (before.count("p"), before.count("o"))
    assert len(legal) == (9 if turns is Turns.ALTERNATE else 2**8)


@pytest.mark.parametrize("role", Role)
def test_late_messages_of_a_classic_peer_count_out_of_turn(role: Role) -> None:
    counts = TurnState(Turns.ALTERNATE)
    assert [counts.add(role, in_turn=False) for _ in range(3)] == [1, 2, 3]
    assert (counts.count(role), counts.count(OTHER[role])) == (3, 0)


# ------------------------------------------------------------------ every state, every input

Input = Callable[[Endpoint], object]


def arrives(frame: wire.Frame) -> Input:
    return lambda endpoint: endpoint.receive(frame)


def other_speaks(endpoint: Endpoint) -> object:
    return endpoint.receive(says(OTHER[endpoint.role], "x"))


def _token(endpoint: Endpoint) -> str:
    return endpoint.session if isinstance(endpoint.session, str) else "5f0c"


def reconnects(endpoint: Endpoint, *, stranger: bool = False) -> object:
    """A new connection: the daemon tells of the conversation that this end was in, or of a `stranger`'s."""
    endpoint.connection_lost()
    endpoint.greet()
    if endpoint.role is PEER:
        return endpoint.receive(hello(session="99" if stranger else _token(endpoint), got=endpoint.stored_count))
    number = 99 if stranger else endpoint.session
    answers: list[wire.Frame] = [wire.Hello(1, "alice")]
    if isinstance(number, int):
        goes_on = number == endpoint.session and not endpoint.ended
        heard, told = (endpoint.received_count, endpoint.stored_count) if goes_on else (0, 0)
        answers.append(conversation(number=number, got=endpoint.stored_count, heard=heard, told=told))
    return [event for frame in answers for event in endpoint.receive(frame)]


WAYS: dict[Role, dict[str, Input]] = {
    PEER: {
        "offline": lambda endpoint: None,
        "calling": lambda endpoint: endpoint.greet(),
        "met": arrives(hello()),
        "unacked": lambda endpoint: say(endpoint, "one"),
        "theirs": arrives(wire.Ack(1)),
        "mine": other_speaks,
    },
    OPERATOR: {
        "offline": lambda endpoint: None,
        "calling": lambda endpoint: endpoint.greet(),
        "waiting": arrives(wire.Hello(1, "alice")),
        "met": arrives(conversation()),
        "mine": other_speaks,
        "unacked": lambda endpoint: say(endpoint, "one"),
        "theirs": arrives(wire.Ack(1)),
    },
}
"""The states that one conversation goes through, and the input that leads to each."""

BRANCHES: dict[str, tuple[str, Input]] = {
    "held": ("theirs", lambda endpoint: say(endpoint, "early")),
    "cut": ("unacked", lambda endpoint: endpoint.connection_lost()),
    "over": ("mine", arrives(wire.Quit())),
    "left": ("unacked", lambda endpoint: endpoint.quit()),
}
"""The states beside that way: from where, and how."""

INPUTS: dict[str, Input] = {
    "say": lambda endpoint: [say(endpoint, "hi")],
    "recall": lambda endpoint: endpoint.recall(),
    "quit": lambda endpoint: [endpoint.quit()],
    "lost": lambda endpoint: endpoint.connection_lost(),
    "reconnect": reconnects,
    "hello": arrives(hello()),
    "stranger": lambda endpoint: reconnects(endpoint, stranger=True),
    "message": other_speaks,
    "ack 1": arrives(wire.Ack(1)),
    "ack 9": arrives(wire.Ack(9)),
    "stored": arrives(wire.Stored(1)),
    "read": arrives(wire.Read(1)),
    "at": arrives(wire.Timestamp(NOON)),
    "away": arrives(wire.Away()),
    "here": arrives(wire.Here()),
    "ready": arrives(wire.Ready()),
    "peer": arrives(conversation(number=99)),
    "goodbye": arrives(wire.Quit()),
    "busy": arrives(wire.Busy()),
    "error": arrives(wire.Error("stopping")),
    "notice": arrives(wire.Notice("bye")),
    "typing": arrives(wire.Typing()),
    "ring": arrives(wire.Ring()),
    "status": arrives(wire.Status()),
}

# A row is an input, and then each outcome with the states that have it:
#
#     say       | Queued: calling held | Shown/Message: met mine | refused: over
#
# In the states "calling" and "held", `say` gives the event MessageQueued, and nothing is sent. In "met" and "mine"
# it gives MessageShown, and a Message is sent. In "over" it raises NotAllowedError. `-` is no event. `+` joins
# several. `!ack` is a ProtocolError with the code "ack". `text` is a string. `never`: it cannot happen there.
TABLE = {
    PEER: """
say       | Queued: offline calling unacked theirs held cut | Shown/Message: met mine | refused: over left
recall    | -: offline calling met unacked theirs mine cut over left | text: held
quit      | Ended: offline calling cut | Ended/Quit: met unacked theirs mine held over left
lost      | -: offline calling met unacked theirs mine held cut over left
reconnect | Connected/Hello: offline calling met theirs mine held | Connected/Hello+Message: unacked cut
reconnect | -/Hello: over
reconnect | -/Hello+Quit: left
stranger  | Connected/Hello: offline calling met | Connected/Hello+Message: unacked cut
stranger  | Ended/Hello: theirs mine held
stranger  | -/Hello: over left
hello     | Connected: calling | !hello: met unacked theirs mine held over left | never: offline cut
message   | Shown/Ack: met unacked theirs mine over left | Shown+Shown/Message+Ack: held | Shown: calling
message   | never: offline cut
ack 1     | -: unacked theirs mine held over left | !ack: calling met | never: offline cut
ack 9     | !ack: calling met unacked theirs mine held over left | never: offline cut
read      | -: calling met unacked theirs mine held over left | never: offline cut
at        | -: calling met unacked theirs mine held over left | never: offline cut
away      | Presence: calling met unacked theirs mine held over left | never: offline cut
here      | -: calling met unacked theirs mine held over left | never: offline cut
ready     | -: calling met unacked theirs mine held over left | never: offline cut
peer      | -: calling met unacked theirs mine held over left | never: offline cut
stored    | -: calling met unacked theirs mine held over left | never: offline cut
goodbye   | Ended: calling met unacked theirs mine held | -: over left | never: offline cut
busy      | RemoteError: calling met unacked theirs mine held over left | never: offline cut
error     | RemoteError: calling met unacked theirs mine held over left | never: offline cut
notice    | Notice: calling met unacked theirs mine held over left | never: offline cut
typing    | -: calling met unacked theirs mine held over left | never: offline cut
ring      | -: calling met unacked theirs mine held over left | never: offline cut
status    | -: calling met unacked theirs mine held over left | never: offline cut
""",
    OPERATOR: """
say       | Queued: unacked theirs held cut | Shown/Message: mine | refused: offline calling waiting met over left
recall    | -: offline calling waiting met mine unacked theirs cut over left | text: held
quit      | Ended: offline calling cut | Ended/Quit: waiting met mine unacked theirs held over left
lost      | -: offline calling waiting met mine unacked theirs held cut over left
reconnect | -/Hello: offline calling waiting | Connected/Hello+Ack: met mine theirs held over
reconnect | Connected/Hello+Ack+Message: unacked cut | -/Hello+Ack+Quit: left
stranger  | Connected/Hello+Ack: offline calling waiting met mine theirs over
stranger  | Ended+Connected/Hello+Ack: unacked held cut left
hello     | -: calling | !hello: waiting met mine unacked theirs held over left | never: offline cut
message   | Shown/Ack: waiting met mine unacked theirs over left | Shown+Shown/Message+Ack: held | Shown: calling
message   | never: offline cut
ack 1     | -: unacked theirs held left | !ack: calling waiting met mine over | never: offline cut
ack 9     | !ack: calling waiting met mine unacked theirs held over left | never: offline cut
read      | -: calling waiting met mine unacked theirs held over left | never: offline cut
at        | -: calling waiting met mine unacked theirs held over left | never: offline cut
away      | Presence: calling waiting met mine unacked theirs held over left | never: offline cut
here      | -: calling waiting met mine unacked theirs held over left | never: offline cut
ready     | -: calling waiting met mine unacked theirs held over left | never: offline cut
peer      | Connected/Ack: calling waiting met mine theirs over | Ended+Connected/Ack: unacked held left
peer      | never: offline cut
stored    | -: calling waiting met mine unacked theirs held over left | never: offline cut
goodbye   | Ended: calling waiting met mine unacked theirs held | -: over | EndConfirmed: left
goodbye   | never: offline cut
busy      | RemoteError: calling waiting met mine unacked theirs held over left | never: offline cut
error     | RemoteError: calling waiting met mine unacked theirs held over left | never: offline cut
notice    | Notice: calling waiting met mine unacked theirs held over left | never: offline cut
typing    | -: calling waiting met mine unacked theirs held over left | never: offline cut
ring      | -: calling waiting met mine unacked theirs held over left | never: offline cut
status    | -: calling waiting met mine unacked theirs held over left | never: offline cut
""",
}


def cells() -> Iterator[tuple[Role, str, str, str]]:
    """Role, state, input and outcome of every cell of the table."""
    for role, table in TABLE.items():
        for row in table.strip().splitlines():
            given, *outcomes = (part.strip() for part in row.split("|"))
            for outcome, _, states in (part.partition(":") for part in outcomes):
                yield from ((role, state, given, outcome) for state in states.split())


def end_in(role: Role, state: str) -> Endpoint:
    endpoint = make_endpoint(role, HANDLES[role])
    start, branch = BRANCHES.get(state, (state, WAYS[role]["offline"]))
    for name, step in WAYS[role].items():
        step(endpoint)
        if name == start:
            break
    branch(endpoint)
    endpoint.mark_displayed()
    endpoint.take_frames()
    return endpoint


def _short(thing: object) -> str:
    """How the table calls an event or a frame."""
    name = type(thing).__name__
    return name.removeprefix("Message") or name


def outcome_of(endpoint: Endpoint, given: str) -> str:
    try:
        result = INPUTS[given](endpoint)
    except NotAllowedError:
        return "refused"
    except ProtocolError as error:
        return f"!{error.code}"
    if isinstance(result, str):
        return "text"
    events = result if isinstance(result, list) else []
    endpoint.mark_displayed()
    shown, sent = ("+".join(_short(thing) for thing in things) for things in (events, endpoint.take_frames()))
    return f"{shown or '-'}/{sent}".removesuffix("/")


def test_the_table_has_each_state_and_input_once() -> None:
    every = [(role, state, given) for role in Role for state in [*WAYS[role], *BRANCHES] for given in INPUTS]
    key = str
    assert sorted((cell[:3] for cell in cells()), key=key) == sorted(every, key=key)


@pytest.mark.parametrize(
    ("role", "state", "given", "outcome"),
    [pytest.param(*cell, id="-".join(cell[1:])) for cell in cells() if cell[3] != "never"],
)
def test_each_input_in_each_state_has_its_outcome(role: Role, state: str, given: str, outcome: str) -> None:
    assert outcome_of(end_in(role, state), given) == outcome


PHASES: dict[Phase, set[str]] = {
    Phase.OFFLINE: {"offline", "cut"},
    Phase.CALLING: {"calling"},
    Phase.WAITING: {"waiting"},
    Phase.MET: {"met", "mine", "unacked", "theirs", "held"},  # apart by the counts
    Phase.OVER: {"over"},
    Phase.LEFT: {"left"},
}


@pytest.mark.parametrize("role", Role)
def test_each_state_of_the_table_is_in_a_phase(role: Role) -> None:
    for phase, states in PHASES.items():
        for state in states & {*WAYS[role], *BRANCHES}:
            assert end_in(role, state).phase is phase


# ------------------------------------------------------------------ what the user says


def test_early_texts_go_in_order_one_each_turn() -> None:
    endpoint = begin(PEER)
    assert [say(endpoint, text) for text in ("one", "two", "three")] == [
        MessageShown(says(PEER, "one"), own=True),
        MessageQueued("two"),
        MessageQueued("three"),
    ]
    assert endpoint.take_frames() == [says(PEER, "one")]
    for reply, text in (("a", "two"), ("b", "three")):
        events = told(endpoint, wire.Ack(endpoint.sent_count), says(OPERATOR, reply))
        assert events == [MessageShown(says(OPERATOR, reply), own=False), MessageShown(says(PEER, text), own=True)]
        assert endpoint.take_frames() == [says(PEER, text), wire.Ack(endpoint.received_count)]


def test_with_free_turns_all_held_texts_go_at_once() -> None:
    endpoint = Endpoint("Client1")
    for text in ("one", "two"):
        assert say(endpoint, text) == MessageQueued(text)
    endpoint.greet()
    events = told(endpoint, hello(turns=Turns.FREE))
    assert events == [
        Connected("alice", resumed=False),
        *(MessageShown(says(PEER, text), own=True) for text in ("one", "two")),
    ]
    assert endpoint.take_frames()[1:] == [says(PEER, "one"), says(PEER, "two")]


def test_the_number_of_unacked_messages_is_limited() -> None:
    endpoint = begin(PEER, Turns.FREE)
    for n in range(UNACKED_MAX):
        say(endpoint, str(n))
    assert say(endpoint, "more") == MessageQueued("more")
    assert told(endpoint, wire.Ack(1)) == [MessageShown(says(PEER, "more"), own=True)]
    assert endpoint.take_frames()[-1] == says(PEER, "more")


def test_recall_takes_back_the_newest_held_text() -> None:
    endpoint = begin(PEER)
    for text in ("one", "two", "three"):
        say(endpoint, text)
    assert [endpoint.recall() for _ in range(3)] == ["three", "two", None]
    assert endpoint.sent_count == 1  # what has gone is not recalled


def test_the_number_of_held_texts_is_limited() -> None:
    endpoint = Endpoint("Client1")
    for n in range(HELD_MAX):
        say(endpoint, str(n))
    with pytest.raises(NotAllowedError, match=f"{HELD_MAX} messages already wait"):
        say(endpoint, "one too many")
    assert list(endpoint.held) == [str(n) for n in range(HELD_MAX)]
    endpoint.recall()
    assert say(endpoint, "now") == MessageQueued("now")


def test_an_invalid_message_changes_nothing() -> None:
    endpoint = begin(PEER)
    for text in ("", "a\x1bb", "x" * 501):
        with pytest.raises(MessageError):
            say(endpoint, text)
    assert (endpoint.sent_count, len(endpoint.held), endpoint.take_frames()) == (0, 0, [])


def test_validate_returns_the_message_and_sends_nothing() -> None:
    endpoint = begin(PEER)
    assert endpoint.validate("e\u0301\n") == "é\u2028"
    assert (endpoint.sent_count, len(endpoint.held), endpoint.take_frames()) == (0, 0, [])


# ------------------------------------------------------------------ acks


def test_a_message_is_kept_until_it_is_acked() -> None:
    endpoint = begin(PEER, Turns.FREE)
    for text in ("one", "two", "three"):
        say(endpoint, text)
    told(endpoint, wire.Ack(2))
    assert (endpoint.stored_count, list(endpoint.unacked)) == (2, ["three"])
    told(endpoint, wire.Ack(1))  # old news
    assert (endpoint.stored_count, list(endpoint.unacked)) == (2, ["three"])


def test_an_ack_of_more_than_was_sent_is_an_error() -> None:
    endpoint = begin(PEER)
    say(endpoint, "one")
    with pytest.raises(ProtocolError, match="2 messages were confirmed, but only 1 were sent"):
        endpoint.receive(wire.Ack(2))
    assert list(endpoint.unacked) == ["one"]


def test_a_displayed_message_is_acked_once() -> None:
    endpoint = begin(OPERATOR)
    assert endpoint.take_frames() == []
    endpoint.receive(says(PEER, "two"))
    assert endpoint.take_frames() == []  # not before it is shown
    endpoint.mark_displayed()
    endpoint.mark_displayed()
    assert endpoint.take_frames() == [wire.Ack(2)]


def test_what_waits_to_be_displayed_is_neither_acked_nor_saved() -> None:
    endpoint = begin(PEER, Turns.FREE)
    endpoint.receive(says(OPERATOR, "one"))
    endpoint.receive(says(OPERATOR, "two"))
    acked: list[tuple[list[wire.Frame], int]] = []
    for waiting in (2, 1, 2, 0):
        endpoint.mark_displayed(waiting)
        saved = endpoint.saved()
        assert saved is not None
        acked.append((endpoint.take_frames(), saved.received))
    assert acked == [([], 0), ([wire.Ack(1)], 1), ([], 1), ([wire.Ack(2)], 2)]


def test_the_next_hello_counts_what_was_displayed_offline() -> None:
    peer, operator = begin(PEER), begin(OPERATOR)
    say(peer, "one")
    for endpoint in (peer, operator):
        endpoint.receive(says(OTHER[endpoint.role], "news"))
        endpoint.connection_lost()
        endpoint.mark_displayed()
        endpoint.greet()
    assert peer.take_frames() == [wire.Hello(1, "Client1", session="5f0c", got=1, sent=0, call=2)]
    assert operator.take_frames() == [wire.Hello(1, "alice", session="7", got=2, sent=0, call=2, since=NOON)]
    told(operator, wire.Hello(1, "alice"), conversation(heard=2))
    assert operator.take_frames() == [wire.Ack(2)]


def test_read_counts_only_grow() -> None:
    endpoint = begin(PEER, Turns.FREE)
    for text in ("one", "two"):
        say(endpoint, text)
    endpoint.receive(wire.Ack(2))
    seen = []
    for count in (1, 0, 2):
        endpoint.receive(wire.Read(count))
        seen.append(endpoint.read_count)
    assert seen == [1, 1, 2]


def test_what_is_told_again_to_a_console_is_read_as_before() -> None:
    console = ConsoleEndpoint("alice")
    again(console, wire.Hello(1, "alice"), conversation(got=2, turns=Turns.FREE), wire.Read(2))
    counts = [(console.read_count, console.unread_count)]
    for text in ("one", "two"):
        told(console, wire.Timestamp(NOON, own=True), says(OPERATOR, text))
        counts.append((console.read_count, console.unread_count))
    assert counts == [(0, 0), (1, 0), (2, 0)]


# ------------------------------------------------------------------ resume


def test_a_resumed_peer_sends_again_what_was_not_stored() -> None:
    endpoint = begin(PEER, Turns.FREE)
    for text in ("one", "two", "three"):
        say(endpoint, text)
    events, sent = again(endpoint, hello(got=2, turns=Turns.FREE))
    assert events == [Connected("alice", resumed=True)]
    assert sent == [says(PEER, "three")]
    assert endpoint.stored_count == 2


def test_without_a_message_there_is_nothing_to_resume() -> None:
    events, _ = again(begin(PEER), hello())
    assert events == [Connected("alice", resumed=False)]


def test_texts_typed_offline_follow_the_resent_ones() -> None:
    endpoint = begin(PEER)
    say(endpoint, "one")
    endpoint.connection_lost()
    assert say(endpoint, "two") == MessageQueued("two")
    assert again(endpoint, hello(got=0)) == ([Connected("alice", resumed=True)], [says(PEER, "one")])
    assert again(endpoint, hello(got=1), says(OPERATOR, "a"))[1] == [says(PEER, "two"), wire.Ack(1)]


def test_stricter_turns_of_a_new_conversation_hold_texts() -> None:
    endpoint = begin(PEER, Turns.FREE)
    for text in ("one", "two", "three"):
        say(endpoint, text)
    _, sent = again(endpoint, hello(session="new", turns=Turns.ALTERNATE))
    assert sent == [says(PEER, "one")]
    assert list(endpoint.held) == ["two", "three"]


def test_a_resumed_console_shows_a_repeated_message_once() -> None:
    endpoint = begin(OPERATOR)
    say(endpoint, "two")
    endpoint.connection_lost()
    endpoint.greet()
    assert endpoint.take_frames() == [wire.Hello(1, "alice", session="7", got=1, sent=0, call=2, since=NOON)]
    repeated = (
        wire.Timestamp(NOON, own=True, mine=True),
        says(OPERATOR, "two"),
        wire.Timestamp(NOON),
        says(PEER, "three"),
    )
    heading = conversation(got=1, heard=1)
    events = told(endpoint, wire.Hello(1, "alice"), heading, *repeated)
    assert events == [
        Connected("Client1", resumed=True, detail=heading),
        MessageShown(says(PEER, "three"), False, NOON),
    ]
    assert endpoint.take_frames() == [wire.Ack(1), wire.Ack(2)]
    assert (endpoint.stored_count, endpoint.sent_count, endpoint.received_count) == (1, 1, 2)


def test_a_console_acks_a_conversation_at_once() -> None:
    endpoint = ConsoleEndpoint("alice")
    endpoint.greet()
    endpoint.take_frames()
    told(endpoint, wire.Hello(1, "alice"), conversation())
    assert endpoint.take_frames() == [wire.Ack(0)]


def test_a_new_console_shows_both_sides() -> None:
    endpoint = ConsoleEndpoint("alice")
    endpoint.greet()
    repeated = (says(PEER, "one"), wire.Timestamp(NOON, own=True), says(OPERATOR, "two"), says(PEER, "three"))
    events = told(endpoint, wire.Hello(1, "alice"), conversation(got=1), *repeated)
    assert [(event.message.text, event.own) for event in events if isinstance(event, MessageShown)] == [
        ("one", False),
        ("two", True),
        ("three", False),
    ]
    assert say(endpoint, "four") == MessageShown(says(OPERATOR, "four"), own=True)


def test_a_console_counts_from_where_the_daemon_begins() -> None:
    endpoint = begin(OPERATOR)
    say(endpoint, "lost?")
    heading = conversation(got=2, heard=3, told=2)
    (over, met), sent = again(endpoint, wire.Hello(1, "alice"), heading)
    assert sent == [wire.Ack(3)]
    assert isinstance(over, Ended)
    assert over.left == Leftovers(not_confirmed=("lost?",))
    assert met == Connected("Client1", resumed=False, detail=heading)
    assert (endpoint.received_count, endpoint.sent_count) == (3, 2)
    assert say(endpoint, "four") == MessageShown(says(OPERATOR, "four"), own=True)


def test_a_console_sends_nothing_during_the_replay() -> None:
    endpoint = ConsoleEndpoint("alice")
    endpoint.greet()
    told(endpoint, wire.Hello(1, "alice"), conversation(got=1, turns=Turns.FREE), says(PEER, "one"))
    endpoint.take_frames()
    assert say(endpoint, "mine") == MessageQueued("mine")
    events = told(endpoint, wire.Timestamp(NOON, own=True), says(OPERATOR, "two"))
    assert events == [
        MessageShown(says(OPERATOR, "two"), True, NOON),
        MessageShown(says(OPERATOR, "mine"), own=True),
    ]
    assert endpoint.take_frames() == [says(OPERATOR, "mine")]


def test_a_repeated_message_without_its_text_counts_as_stored() -> None:
    endpoint = begin(OPERATOR)
    say(endpoint, "two")
    gone = (wire.Timestamp(NOON, own=True, mine=True, gone=True), says(OPERATOR, "?"))
    events, sent = again(endpoint, wire.Hello(1, "alice"), conversation(got=1, heard=1), *gone)
    assert (events[1:], sent) == ([], [wire.Ack(1)])
    assert (endpoint.stored_count, list(endpoint.unacked)) == (1, [])


def test_another_consoles_message_comes_before_the_own_text() -> None:
    endpoint = begin(OPERATOR)
    for text in ("mine", "mine too"):
        say(endpoint, text)
    repeated = (wire.Timestamp(NOON, own=True), says(OPERATOR, "another's"))
    events, sent = again(endpoint, wire.Hello(1, "alice"), conversation(got=1, heard=1), *repeated)
    assert events[1:] == [MessageShown(says(OPERATOR, "another's"), True, NOON), MessageQueued("mine")]
    assert says(OPERATOR, "mine") not in sent
    assert list(endpoint.held) == ["mine", "mine too"]
    told(endpoint, says(PEER, "two"))
    assert endpoint.take_frames() == [says(OPERATOR, "mine"), wire.Ack(2)]


def test_another_console_can_have_had_several_turns() -> None:
    endpoint = begin(OPERATOR)
    say(endpoint, "mine")
    talk = (
        *(wire.Timestamp(NOON, own=True), says(OPERATOR, "another's"), says(PEER, "two")),
        *(wire.Timestamp(NOON, own=True), says(OPERATOR, "another's too"), says(PEER, "three")),
    )
    _, sent = again(endpoint, wire.Hello(1, "alice"), conversation(got=2, heard=1), *talk)
    assert sent == [wire.Ack(1), says(OPERATOR, "mine"), wire.Ack(3)]
    assert (endpoint.stored_count, endpoint.sent_count, endpoint.received_count) == (2, 3, 3)


def test_a_console_takes_the_daemons_handle_and_asks_once() -> None:
    endpoint = ConsoleEndpoint("root", handle_is_default=True, take_over=True)
    endpoint.greet()
    assert endpoint.take_frames() == [wire.Hello(1, "root", call=1, suggested=True, take=True)]
    told(endpoint, wire.Hello(1, "alice"))
    endpoint.connection_lost()
    endpoint.greet()
    assert endpoint.take_frames() == [wire.Hello(1, "alice", call=2)]


def test_a_text_before_the_peer_line_goes_behind_its_ack() -> None:
    endpoint = begin(OPERATOR)
    endpoint.connection_lost()
    endpoint.greet()
    endpoint.receive(wire.Hello(1, "alice"))
    say(endpoint, "two")
    endpoint.receive(conversation(heard=1))
    assert endpoint.take_frames()[1:] == [wire.Ack(1), says(OPERATOR, "two")]


@pytest.mark.parametrize("role", Role)
def test_on_a_new_connection_the_other_end_is_present(role: Role) -> None:
    endpoint = begin(role)
    told(endpoint, wire.Away())
    again(endpoint, *([hello()] if role is PEER else [wire.Hello(1, "alice"), conversation(heard=1)]))
    assert endpoint.other.present


def test_an_endpoint_is_ready_when_it_knows_what_was_before() -> None:
    peer, operator = Endpoint("Client1"), ConsoleEndpoint("alice")
    peer.greet()
    operator.greet()
    told(operator, wire.Hello(1, "alice"), conversation())
    assert not peer.ready
    assert not operator.ready
    told(operator, wire.Ready())
    told(peer, hello())
    assert operator.ready
    assert peer.ready


def test_an_endpoint_knows_how_long_messages_are_kept() -> None:
    for role in Role:
        endpoint = make_endpoint(role, HANDLES[role])
        endpoint.greet()
        told(endpoint, wire.Hello(1, "alice", session="5f0c", keep="30d"))
        assert endpoint.retention == "30d"


def test_another_console_brings_its_own_handle() -> None:
    endpoint = begin(PEER)
    for frame, handle in ((wire.Here("bob"), "bob"), (wire.Here(), "bob"), (wire.Message("carol", "hi"), "carol")):
        told(endpoint, frame)
        assert endpoint.other.handle == handle


# ------------------------------------------------------------------ times


def test_a_time_is_for_the_next_message_only() -> None:
    endpoint = begin(PEER, Turns.FREE)
    events = told(endpoint, wire.Timestamp(NOON), wire.Read(0), says(OPERATOR, "then"), says(OPERATOR, "now"))
    assert [event.time for event in events if isinstance(event, MessageShown)] == [NOON, None]


def test_a_time_without_its_message_is_lost_at_a_cut() -> None:
    endpoint = begin(PEER)
    told(endpoint, wire.Timestamp(NOON))
    events, _ = again(endpoint, hello(), says(OPERATOR, "now"))
    assert events[1:] == [MessageShown(says(OPERATOR, "now"), own=False)]


# ------------------------------------------------------------------ the end


def test_the_others_quit_gives_back_what_is_not_stored() -> None:
    endpoint = begin(PEER)
    for text in ("one", "two"):
        say(endpoint, text)
    left = Leftovers(not_sent=("one", "two"))
    assert told(endpoint, wire.Quit("bye")) == [Ended("alice", EndedBy.OTHER, "bye", left)]
    assert endpoint.take_back() == Leftovers()


def test_after_the_own_quit_acks_can_still_come() -> None:
    endpoint = begin(PEER, Turns.FREE)
    for text in ("one", "two"):
        say(endpoint, text)
    assert endpoint.quit("bye") == Ended("alice", EndedBy.YOU, "bye")
    assert endpoint.take_frames() == [says(PEER, "one"), says(PEER, "two"), wire.Quit("bye")]
    told(endpoint, wire.Ack(1))
    assert endpoint.take_back() == Leftovers(not_confirmed=("two",))


def test_the_own_quit_gives_back_held_texts() -> None:
    endpoint = begin(PEER)
    for text in ("one", "two"):
        say(endpoint, text)
    assert endpoint.quit() == Ended("alice", EndedBy.YOU, "", Leftovers(not_sent=("two",)))
    assert list(endpoint.held) == []


def test_a_message_that_crossed_the_own_quit_is_shown() -> None:
    endpoint = begin(OPERATOR)
    endpoint.quit()
    endpoint.take_frames()
    assert told(endpoint, says(PEER, "crossed")) == [MessageShown(says(PEER, "crossed"), own=False)]
    assert endpoint.take_frames() == [wire.Ack(2)]


def test_a_daemon_that_forgot_the_conversation_ends_it() -> None:
    endpoint = begin(PEER)
    say(endpoint, "one")
    told(endpoint, wire.Ack(1), says(OPERATOR, "a"))
    say(endpoint, "two")
    events, sent = again(endpoint, hello(session="new"))
    lost = Leftovers(not_confirmed=("one", "two"))
    reason = "the other host does not have it any more (it had 1 of your messages and 1 of alice's messages)"
    assert events == [Ended("alice", EndedBy.SERVICE, reason, lost)]
    assert sent == []


def test_a_new_conversation_gives_the_texts_for_the_old_one_back() -> None:
    endpoint = begin(OPERATOR)
    for text in ("two", "early"):
        say(endpoint, text)
    new = conversation(number=8)
    over, met, said = told(endpoint, new, says(PEER, "one"))
    assert isinstance(over, Ended)
    assert over.left == Leftovers(not_sent=("early",), not_confirmed=("two",))
    assert (met, said) == (
        Connected("Client1", resumed=False, detail=new),
        MessageShown(says(PEER, "one"), own=False),
    )
    assert (endpoint.stored_count, endpoint.sent_count, endpoint.received_count) == (0, 0, 1)
    assert endpoint.my_turn


def test_after_the_others_quit_the_next_conversation_is_new() -> None:
    endpoint = begin(OPERATOR)
    say(endpoint, "two")
    told(endpoint, wire.Ack(1), wire.Read(1), wire.Quit(), conversation(number=8), says(PEER, "one"))
    assert (endpoint.stored_count, endpoint.read_count, endpoint.received_count) == (0, 0, 1)
    assert say(endpoint, "two") == MessageShown(says(OPERATOR, "two"), own=True)


def test_only_an_own_quit_is_resumed_to_say_so() -> None:
    for role, session in ((PEER, "5f0c"), (OPERATOR, "7")):
        left, over = begin(role), begin(role)
        left.quit()
        told(over, wire.Quit())
        for endpoint in (left, over):
            endpoint.connection_lost()
            endpoint.greet()
        (call,) = left.take_frames()
        assert isinstance(call, wire.Hello)
        assert call.session == session
        assert over.take_frames() == [wire.Hello(1, HANDLES[role], call=2)]


def test_a_quit_while_calling_is_sent_after_the_answer() -> None:
    endpoint = begin(PEER)
    say(endpoint, "one")
    endpoint.connection_lost()
    endpoint.greet()
    endpoint.quit()
    told(endpoint, hello(got=1))
    assert endpoint.take_frames()[-1] == wire.Quit()


def test_what_the_hello_confirms_is_not_given_back() -> None:
    endpoint = begin(PEER)
    say(endpoint, "one")
    endpoint.connection_lost()
    endpoint.greet()
    endpoint.quit()
    told(endpoint, hello(got=1))
    assert endpoint.take_back() == Leftovers()


def test_only_transmitted_messages_are_not_confirmed() -> None:
    endpoint = begin(PEER, Turns.FREE)
    say(endpoint, "given")
    endpoint.connection_lost()
    say(endpoint, "kept here")
    assert endpoint.take_back() == Leftovers(("kept here",), ("given",))


def test_an_ack_leaves_the_later_messages_as_they_are() -> None:
    endpoint = begin(PEER, Turns.FREE)
    for text in ("one", "two"):
        say(endpoint, text)
    told(endpoint, wire.Ack(1))
    endpoint.connection_lost()
    say(endpoint, "three")
    assert endpoint.take_back() == Leftovers(("three",), ("two",))


def test_messages_sent_again_are_not_confirmed() -> None:
    endpoint = begin(PEER, Turns.FREE)
    say(endpoint, "one")
    endpoint.connection_lost()
    say(endpoint, "two")
    again(endpoint, hello(turns=Turns.FREE))
    assert endpoint.take_back() == Leftovers(not_confirmed=("one", "two"))


def test_busy_to_a_later_call_leaves_it_open_what_arrived() -> None:
    endpoint = begin(PEER)
    say(endpoint, "one")
    endpoint.take_frames()
    endpoint.connection_lost()
    endpoint.greet()
    told(endpoint, wire.Busy())
    assert endpoint.take_back() == Leftovers(not_confirmed=("one",))


def test_a_repeated_message_that_was_given_back_counts_once() -> None:
    endpoint = begin(OPERATOR, Turns.FREE)
    say(endpoint, "one")
    endpoint.take_back()
    repeated = (wire.Timestamp(NOON, own=True, mine=True), says(OPERATOR, "one"))
    again(endpoint, wire.Hello(1, "alice"), conversation(got=1, heard=1, turns=Turns.FREE), *repeated)
    say(endpoint, "two")
    told(endpoint, wire.Stored(1))
    assert endpoint.take_back() == Leftovers(not_sent=("two",))


def test_an_own_quit_counts_what_an_absent_caller_has_not_seen() -> None:
    endpoint = begin(OPERATOR, Turns.FREE)
    say(endpoint, "one")
    told(endpoint, wire.Ack(1), wire.Away())
    endpoint.quit()
    assert told(endpoint, wire.Quit()) == [EndConfirmed("Client1", Leftovers(), unread=1)]


def test_messages_of_a_refused_console_are_stored_or_not_sent() -> None:
    endpoint = begin(OPERATOR, Turns.FREE)
    for text in ("one", "two", "three"):
        say(endpoint, text)
    told(endpoint, wire.Ack(1))
    endpoint.connection_lost()
    endpoint.greet()
    told(endpoint, wire.Stored(2))
    assert endpoint.take_back() == Leftovers(not_sent=("three",))


def test_a_text_after_the_refusal_is_not_sent() -> None:
    endpoint = begin(OPERATOR, Turns.FREE)
    told(endpoint, wire.Stored(0))
    say(endpoint, "late")
    assert endpoint.take_frames() == []
    assert endpoint.take_back() == Leftovers(not_sent=("late",))


def test_messages_of_a_busy_call_are_not_sent() -> None:
    endpoint = begin(PEER)
    say(endpoint, "one")
    told(endpoint, wire.Busy())
    assert endpoint.take_back() == Leftovers(not_sent=("one",))


def test_after_a_busy_the_next_call_is_the_first_one_again() -> None:
    """Otherwise a program that waits would take the seat of another one on its host."""
    endpoint = Endpoint("Bob")
    for _ in range(2):
        endpoint.greet()
        assert endpoint.take_frames() == [wire.Hello(1, "Bob", call=1)]
        told(endpoint, wire.Busy())
        endpoint.connection_lost()
    for call in (1, 2):
        endpoint.greet()
        assert endpoint.take_frames() == [wire.Hello(1, "Bob", call=call)]
        endpoint.connection_lost()


def test_what_is_said_behind_a_busy_leaves_nothing_open() -> None:
    endpoint = begin(PEER, Turns.FREE)
    say(endpoint, "one")
    endpoint.take_frames()
    told(endpoint, wire.Busy())
    say(endpoint, "two")
    assert endpoint.take_frames() == []
    assert endpoint.take_back() == Leftovers(not_sent=("one", "two"))


def test_a_console_that_quits_offline_gets_all_texts_back() -> None:
    endpoint = begin(OPERATOR, Turns.FREE)
    say(endpoint, "given")
    endpoint.connection_lost()
    say(endpoint, "kept here")
    assert endpoint.quit().left == Leftovers(("kept here",), ("given",))


def test_a_console_gets_back_what_crossed_the_others_quit() -> None:
    endpoint = begin(OPERATOR)
    say(endpoint, "two")
    endpoint.quit()
    assert told(endpoint, wire.Quit()) == [EndConfirmed("Client1", Leftovers(not_sent=("two",)))]


def test_the_end_counts_the_unread_messages() -> None:
    endpoint = begin(PEER, Turns.FREE)
    for text in ("one", "two", "three"):
        say(endpoint, text)
    told(endpoint, wire.Ack(3), wire.Read(1))
    assert told(endpoint, wire.Quit()) == [Ended("alice", EndedBy.OTHER, "", unread=2)]


def test_an_equal_text_of_another_console_is_not_the_own_one() -> None:
    endpoint = begin(OPERATOR, Turns.FREE)
    say(endpoint, "two")
    repeated = (wire.Timestamp(NOON, own=True), says(OPERATOR, "two"))
    events, sent = again(
        endpoint, wire.Hello(1, "alice"), conversation(got=1, heard=1, turns=Turns.FREE), *repeated
    )
    assert events[1:] == [MessageShown(says(OPERATOR, "two"), True, NOON)]
    assert sent == [wire.Ack(1), says(OPERATOR, "two")]


def test_another_consoles_message_without_text_is_not_own() -> None:
    endpoint = begin(OPERATOR, Turns.FREE)
    say(endpoint, "two")
    gone = (wire.Timestamp(NOON, own=True, gone=True), says(OPERATOR, "?"))
    _, sent = again(endpoint, wire.Hello(1, "alice"), conversation(got=1, heard=1, turns=Turns.FREE), *gone)
    assert sent == [wire.Ack(1), says(OPERATOR, "two")]


def test_a_quit_offline_is_sent_on_the_next_connection() -> None:
    endpoint = begin(OPERATOR)
    endpoint.connection_lost()
    endpoint.quit("bye")
    _, sent = again(endpoint, wire.Hello(1, "alice"), conversation(heard=1))
    assert sent == [wire.Ack(1), wire.Quit("bye")]
    assert endpoint.ended


def left_behind(*texts: str, left: bool) -> ConsoleEndpoint:
    """A console that goes on where a program died whose `texts` were on their way."""
    saved = SavedEndpoint(
        "alice",
        "Client1",
        session="7",
        console="c0",
        turns=Turns.FREE,
        received=1,
        numbered=len(texts),
        transmitted=len(texts),
        texts=texts,
        left=left,
    )
    return ConsoleEndpoint("alice", saved=saved)


def test_after_a_quit_only_what_the_daemon_repeats_is_stored() -> None:
    endpoint = left_behind("two", "three", "four", left=True)
    repeated = [
        frame
        for text in ("two", "three")
        for frame in (wire.Timestamp(NOON, own=True, mine=True), says(OPERATOR, text))
    ]
    told_of = conversation(got=2, heard=1, turns=Turns.FREE)
    again(endpoint, wire.Hello(1, "alice"), told_of, *repeated)
    assert endpoint.leftovers() == Leftovers(not_confirmed=("four",))


def test_a_conversation_that_the_daemon_does_not_name_is_over() -> None:
    endpoint = left_behind("two", left=False)
    events, sent = again(endpoint, wire.Hello(1, "alice"), wire.Ready())
    reason = "the journal does not have it any more (it had 1 of Client1's messages)"
    assert events == [Ended("Client1", EndedBy.SERVICE, reason, Leftovers(not_confirmed=("two",)))]
    assert sent == []
    assert endpoint.ended
    assert endpoint.saved() is None


def test_nor_is_a_quit_owed_to_one() -> None:
    endpoint = left_behind("two", left=True)
    events, _ = again(endpoint, wire.Hello(1, "alice"), wire.Ready())
    assert events == [EndConfirmed("Client1", Leftovers(not_confirmed=("two",)))]
    assert not endpoint.phase.is_left


def test_a_conversation_that_the_daemon_names_goes_on() -> None:
    endpoint = left_behind("two", left=False)
    _, sent = again(endpoint, wire.Hello(1, "alice"), conversation(heard=1, turns=Turns.FREE), wire.Ready())
    assert sent == [wire.Ack(1), says(OPERATOR, "two")]
    assert told(endpoint, wire.Ready()) == []


# ------------------------------------------------------------------ another handle


def test_a_new_handle_is_reported_once() -> None:
    endpoint = begin(PEER)
    al2 = wire.Message("Al2", "Hello")
    assert told(endpoint, wire.Here("Al2"), wire.Here("Al2")) == [Renamed("alice", "Al2")]
    say(endpoint, "Hi!")
    assert told(endpoint, al2) == [MessageShown(al2, False)]
    assert endpoint.other.handle == "Al2"


def test_after_an_absence_a_new_handle_is_not_reported() -> None:
    endpoint = begin(PEER)
    assert told(endpoint, wire.Away(), wire.Here("Al2")) == [Presence(here=False), Presence(here=True)]
    assert endpoint.other.handle == "Al2"


@pytest.mark.parametrize("role", Role)
def test_a_message_under_a_new_handle_reports_it_first(role: Role) -> None:
    endpoint = begin(role, Turns.FREE)
    message = wire.Message("Other", "Hello")
    assert told(endpoint, message) == [Renamed(HANDLES[OTHER[role]], "Other"), MessageShown(message, False)]


def test_after_a_resume_the_handle_comes_behind_the_hello() -> None:
    endpoint = begin(PEER, Turns.FREE)
    say(endpoint, "Hi!")
    told(endpoint, wire.Ack(1))
    # The daemon was restarted, so there is no console.
    back = wire.Hello(1, "operator", session="5f0c", got=1, turns=Turns.FREE)
    assert again(endpoint, back, wire.Away())[0] == [Connected("alice", True), Presence(here=False)]
    at, before = wire.Timestamp(NOON), says(OPERATOR, "before")
    back = wire.Hello(1, "Al2", session="5f0c", got=1, turns=Turns.FREE)
    assert again(endpoint, back, wire.Here("Al2"), at, before)[0] == [
        Connected("alice", True),
        Renamed("alice", "Al2"),
        MessageShown(before, False, NOON),
    ]
    assert endpoint.other.handle == "Al2"


def test_the_first_handle_of_a_classic_program_is_not_reported() -> None:
    endpoint = begin(PEER)
    endpoint.calls_classic_server = True
    assert told(endpoint, wire.Here("Ann")) == []
    assert endpoint.other.handle == "Ann"


# ------------------------------------------------------------------ what the daemon may not say


def test_another_version_is_an_error() -> None:
    for role in Role:
        endpoint = make_endpoint(role, HANDLES[role])
        endpoint.greet()
        with pytest.raises(ProtocolError, match="Version 2 is not supported") as broken:
            endpoint.receive(wire.Hello(2, "alice"))
        assert broken.value.code == "version"


def test_words_of_the_daemon_become_events() -> None:
    endpoint = begin(PEER)
    words = (wire.Busy("later"), wire.Error("turn", "wait"), wire.Notice("hello all"), wire.Away(), wire.Here())
    assert told(endpoint, *words) == [
        RemoteError("busy", "later"),
        RemoteError("turn", "wait"),
        Notice("hello all"),
        Presence(here=False),
        Presence(here=True),
    ]


def test_counts_are_equal_if_their_numbers_are() -> None:
    counts: object = TurnState(Turns.FREE, 2, 1)
    assert counts == TurnState(Turns.FREE, 2, 1)
    for other in (TurnState(Turns.ALTERNATE, 2, 1), TurnState(Turns.FREE, 1, 1), TurnState(Turns.FREE, 2, 2), 2):
        assert counts != other


@pytest.mark.parametrize("role", Role)
def test_that_the_other_one_sends_no_signs_is_told_once(role: Role) -> None:
    endpoint = begin(role)
    here = wire.Here("", quiet=True)
    assert told(endpoint, here) == [SignsOff(endpoint.other.handle)]
    assert told(endpoint, wire.Away()) + told(endpoint, here) == [Presence(False), Presence(True)]
    assert endpoint.unread_count == 0
    assert told(endpoint, wire.Here("")) == []
    assert told(endpoint, here) == [SignsOff(endpoint.other.handle)]


def test_the_hello_says_that_the_operator_sends_no_signs() -> None:
    endpoint = Endpoint("Client1", quiet=True)
    endpoint.greet()
    assert endpoint.take_frames() == [wire.Hello(1, "Client1", call=1, quiet=True)]
    hello = wire.Hello(1, "alice", session="5f0c", quiet=True)
    assert told(endpoint, hello) == [Connected("alice", False), SignsOff("alice")]
    endpoint.connection_lost()
    endpoint.greet()
    assert SignsOff("alice") not in told(endpoint, hello)
    assert endpoint.other.quiet


def test_another_operator_before_the_conversation_begins_may_send_signs() -> None:
    endpoint = Endpoint("Client1")
    for quiet in (True, False):
        endpoint.greet()
        told(endpoint, wire.Hello(1, "alice", session="5f0c", quiet=quiet))
        assert endpoint.other.quiet is quiet
        endpoint.connection_lost()


@pytest.mark.parametrize("known", [1, 2])
def test_a_program_that_owes_its_goodbye_may_find_more_stored(known: int) -> None:
    """An earlier program has given its last message back, although the daemon had stored it."""
    left = SavedEndpoint("Client1", "alice", session="5f0c", received=1, stored=1, left=True, reason="bye")
    peer = Endpoint("Client1", saved=left)
    peer.greet()
    peer.take_frames()
    assert peer.receive(hello(got=known)) == []
    assert peer.take_frames() == [wire.Quit("bye")]
