"""The report of a service (`pychatd status`), from its switchboard. Loaded only when somebody asks for one."""

from __future__ import annotations

import os

from pychat_client.protocol import wire
from pychat_client.protocol.grammar import timestamp
from pychatd.caller_words import told
from pychatd.conversation.switchboard import Switchboard
from pychatd.conversation.unread import Unread
from pychatd.report import CallingReport, ConsoleReport, PeerReport, Report, UnreadReport


def report_of(switchboard: Switchboard, waiting: Unread | None) -> Report:
    """waiting: what waits for the operator; None if the journal cannot be read."""
    calling, operator, journal = switchboard.calling, switchboard.operator, _journal(switchboard)
    return Report(
        port=switchboard.settings.port,
        pid=os.getpid(),
        since=timestamp(switchboard.started),
        turns=switchboard.settings.turns.value,
        key=switchboard.fingerprint or "",
        journal="failing" if waiting is None else journal,
        directory=told(switchboard.settings.state),
        calling=None if calling is None else _calling(calling),
        peer=_peer(switchboard),
        console=None if operator is None else ConsoleReport(operator.user, switchboard.handle),
        unread=None if waiting is None else _unread(waiting),
        missed=len(switchboard.missed),
    )


def _journal(switchboard: Switchboard) -> str:
    if not switchboard.check_journal():
        return "failing"
    return "damaged" if switchboard.journal.was_damaged else "ok"


def _calling(calling: wire.Calling) -> CallingReport:
    return CallingReport(
        calling.handle,
        calling.address,
        encrypted=not calling.plain,
        certificate=calling.name,
        silent=calling.silent,
    )


def _peer(switchboard: Switchboard) -> PeerReport | None:
    conversation, peer = switchboard.conversation, switchboard.peer
    if conversation is None:
        return None
    return PeerReport(
        conversation.handle,
        conversation.address,
        timestamp(conversation.started),
        connected=peer is not None,
        classic=conversation.classic,
        encrypted=None if peer is None else peer.secure,
        certificate=conversation.name,
        received=conversation.turn_state.peer,
        sent=conversation.turn_state.operator,
    )


def _unread(waiting: Unread) -> UnreadReport:
    since = None if waiting.since is None else timestamp(waiting.since)
    return UnreadReport(waiting.count, list(waiting.handles), since)
