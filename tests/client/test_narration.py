"""The sentences about a conversation that have more than one form."""

from __future__ import annotations

import pytest

from pychat_client.protocol import wire
from pychat_client.protocol.endpoint import Endpoint
from pychat_client.protocol.events import Ended
from pychat_client.session.narration import Narrator
from pychat_client.session.transcript import Transcript
from tests.support.aio import in_loop
from tests.support.notes import Notes

UNREAD = {
    1: "1 of your messages was stored, but alice has not seen it.",
    2: "2 of your messages were stored, but alice has not seen them.",
}


@pytest.mark.parametrize("count", UNREAD)
def test_the_end_counts_one_unread_message_or_several(count: int) -> None:
    @in_loop
    async def check() -> None:
        view = Notes()
        Narrator(Endpoint("Bob"), view, "hostA", Transcript()).event(Ended("alice", True, "", unread=count))
        assert view.sentences == ["alice ended the conversation.", UNREAD[count]]

    check()


@in_loop
async def test_a_host_that_lost_the_conversation_ends_it_in_one_sentence() -> None:
    view, endpoint = Notes(), Endpoint("Bob")
    narrator = Narrator(endpoint, view, "hostA", Transcript())
    for session in ("old", "new"):
        endpoint.greet()
        for event in endpoint.receive(wire.Hello(wire.VERSION, "alice", session=session, got=0)):
            narrator.event(event)
        if session == "old":
            endpoint.send(endpoint.validate("Hi"))
            endpoint.receive(wire.Ack(1))
        endpoint.connection_lost()
    assert view.sentences[-1] == "alice ended the conversation: the other host has lost this conversation."
