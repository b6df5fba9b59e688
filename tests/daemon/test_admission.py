"""What the log says about callers that are not admitted."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, closing
from pathlib import Path

import pytest

from pychatd.conversation import peer_session
from pychatd.conversation.journal import Journal
from pychatd.conversation.switchboard import Switchboard
from pychatd.network import admission
from pychatd.network.admission import CALLERS_PER_NETWORK, Admission
from pychatd.network.allowed_callers import AllowedCallers
from pychatd.network.identity import load
from pychatd.settings import Settings
from tests.support.aio import in_loop


@in_loop
@pytest.mark.parametrize(
    ("first", "why"),
    [(b"", "sent nothing in time"), (b"\x16\x03\x01", "closed the connection in the handshake")],
)
async def test_the_log_has_a_reason_for_a_caller_that_is_not_admitted(
    first: bytes, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if not first:
        monkeypatch.setattr(admission, "HELLO_SECONDS", 0.01)
    monkeypatch.setattr(logging.getLogger("pychatd"), "propagate", True)
    settings = Settings(7000, state=tmp_path)
    identity = load(settings, make=True)
    journal = Journal(settings.journal, full=False)
    with (
        closing(journal),
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as program,
    ):
        caller, _ = server.accept()
        caller.setblocking(False)
        if first:
            program.sendall(first)
            program.shutdown(socket.SHUT_WR)
        with caplog.at_level(logging.INFO, logger="pychatd"):
            allowed = AllowedCallers(settings, identity)
            serving = Admission(Switchboard(settings, journal), settings, allowed).admit(caller)
            assert serving is not None
            await serving
    assert caplog.messages == [f"127.0.0.1: not admitted: {why}"]


@asynccontextmanager
async def _silent_caller(
    state: Path,
) -> AsyncIterator[tuple[Switchboard, socket.socket, asyncio.Task[None]]]:
    """A program that has said nothing and is seen: the switchboard, the program's socket, and its admission."""
    settings = Settings(7000, state=state)
    journal = Journal(settings.journal, full=False)
    board = Switchboard(settings, journal)
    with (
        closing(journal),
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as program,
    ):
        caller, _ = server.accept()
        caller.setblocking(False)
        serving = Admission(board, settings, AllowedCallers(settings, load(settings, make=True))).admit(caller)
        assert serving is not None
        admitted = asyncio.create_task(serving)
        while not board.silent_callers:
            await asyncio.sleep(0.01)
        yield board, program, admitted


@in_loop
async def test_a_silent_caller_is_shown_and_put_out_with_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "SEEN_SECONDS", 0.01)
    monkeypatch.setattr(admission, "SILENT_SECONDS", 0.1)
    async with _silent_caller(tmp_path) as (board, program, admitted):
        program.setblocking(False)
        sentence = await asyncio.get_running_loop().sock_recv(program, 500)
        program.close()
        await admitted
        assert sentence.startswith(b"\\error slow You did not send a message in time.")
        assert not board.silent_callers


@in_loop
async def test_a_silent_caller_that_sends_a_port_is_greeted_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "SEEN_SECONDS", 0.01)
    monkeypatch.setattr(peer_session, "SEEN_SECONDS", 100.0)
    async with _silent_caller(tmp_path) as (board, program, admitted):
        silent = board.silent_callers.first
        program.sendall(b"27101")
        while board.silent_callers.first is silent:
            await asyncio.sleep(0.01)
        while board.conversation is None:
            board.greet()
            await asyncio.sleep(0.01)
        assert not board.silent_callers
        program.close()
        await admitted


@in_loop
async def test_who_is_put_out_before_its_task_begins_is_not_served(tmp_path: Path) -> None:
    """Several are accepted at a time."""
    settings = Settings(7000, state=tmp_path)
    with (
        closing(Journal(settings.journal, full=False)) as journal,
        socket.create_server(("127.0.0.1", 0)) as server,
        ExitStack() as programs,
    ):
        allowed = AllowedCallers(settings, load(settings, make=True))
        door = Admission(Switchboard(settings, journal), settings, allowed)
        tasks = []
        for _ in range(2 * CALLERS_PER_NETWORK):
            programs.enter_context(socket.create_connection(server.getsockname()))
            caller, _ = server.accept()
            caller.setblocking(False)
            serving = door.admit(caller)
            assert serving is not None
            tasks.append(asyncio.create_task(serving))
        while sum(task.done() for task in tasks) < CALLERS_PER_NETWORK:
            await asyncio.sleep(0)
        programs.close()
        await asyncio.wait(tasks)
