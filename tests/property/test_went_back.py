"""A journal that has lost its newest messages: the caller's end tells exactly what is gone, and gives it back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pychat_client.errors import NotAllowedError
from pychat_client.protocol import wire
from pychat_client.protocol.digest import UNACKED_MAX
from pychat_client.protocol.endpoint import Endpoint
from pychat_client.protocol.events import Connected, Event, WentBack
from pychat_client.protocol.turns import Turns
from tests.support.endpoints import say

counts = st.integers(0, 3) | st.integers(UNACKED_MAX - 1, UNACKED_MAX + 3)
few = st.integers(0, 3)


def _answered(endpoint: Endpoint, got: int, sent: int) -> list[Event]:
    """Calls; the journal has so many of the caller's messages, and of the operator's."""
    endpoint.greet()
    hello = wire.Hello(1, "alice", session="5f0c", turns=Turns.FREE, got=got, sent=sent)
    return endpoint.receive(hello)


@given(own=counts, others=few, own_gone=counts, others_gone=few, unacked=few, restarted=st.booleans())
def test_what_the_journal_lacks_is_told_and_given_back(
    own: int, others: int, own_gone: int, others_gone: int, unacked: int, restarted: bool
) -> None:
    """own, others: what was stored; own_gone, others_gone: so much of it is not there any more, at most;
    unacked: what was said last; restarted: another program goes on, which has not sent the messages itself."""
    own_gone, others_gone = min(own, own_gone), min(others, others_gone)
    endpoint = Endpoint("Bob")
    _answered(endpoint, 0, 0)
    texts = [f"word {number}" for number in range(own + unacked)]
    for number, text in enumerate(texts, 1):
        say(endpoint, text)
        if number <= own:
            endpoint.receive(wire.Ack(number))
    for _ in range(others):
        endpoint.receive(wire.Message("alice", "hello"))
    endpoint.mark_displayed()
    endpoint.connection_lost()
    if restarted:
        endpoint = Endpoint("Bob", saved=endpoint.saved())
    events = _answered(endpoint, own - own_gone, others - others_gone)
    told = [event for event in events if isinstance(event, WentBack)]
    if not own_gone and not others_gone:
        assert not told
        assert not endpoint.ended
        return
    (back,) = told
    assert (back.own, back.others) == (own_gone, others_gone)
    remembered = [] if restarted else texts[own - own_gone : own][-UNACKED_MAX:]
    assert [*back.left.not_sent, *back.left.not_confirmed] == [*remembered, *texts[own:]]
    assert not any(isinstance(event, Connected) for event in events)
    assert endpoint.ended
    assert not endpoint.unacked
    assert isinstance(endpoint.take_frames()[-1], wire.Quit)  # so that the operator learns it, too
    with pytest.raises(NotAllowedError):
        say(endpoint, "more")
