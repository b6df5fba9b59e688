"""What the log says about callers that are not admitted."""

from __future__ import annotations

import logging
import socket
from contextlib import closing
from pathlib import Path

import pytest

from pychatd.conversation.journal import Journal
from pychatd.conversation.switchboard import Switchboard
from pychatd.network import admission
from pychatd.network.admission import Admission
from pychatd.network.identity import load
from pychatd.settings import Settings
from tests.support.aio import in_loop


@in_loop
async def test_the_log_has_a_reason_for_a_silent_caller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(admission, "HELLO_SECONDS", 0.01)
    monkeypatch.setattr(logging.getLogger("pychatd"), "propagate", True)
    settings = Settings(7000, state=tmp_path)
    identity = load(settings, make=True)
    journal = Journal(settings.journal, full=False)
    with (
        closing(journal),
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()),
    ):
        caller, _ = server.accept()
        caller.setblocking(False)
        with caplog.at_level(logging.INFO, logger="pychatd"):
            await Admission(Switchboard(settings, journal), settings, identity).admit(caller)
    assert caplog.messages == ["127.0.0.1: not admitted: no complete handshake in time"]
