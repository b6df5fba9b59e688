"""What a console is shown of many conversations that nobody has read, and how they are removed."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime

import pytest

from pychat_client.errors import ExitStatus
from pychat_client.protocol import wire
from pychat_client.protocol.turns import Role, Turns, TurnState
from pychatd.conversation.console_session import UNREAD_SHOWN
from pychatd.conversation.journal import REMOVED_AT_ONCE, Journal
from pychatd.conversation.model import Conversation, Entry
from pychatd.conversation.orders import LISTED_MAX
from tests.support.service import BIN, Service
from tests.support.waiting import PATIENCE, wait_for

PAST = datetime(2024, 5, 1, 12, 30, tzinfo=UTC)
MANY = LISTED_MAX + UNREAD_SHOWN + 20


def start_with(service: Service, conversations: int, messages: int = 2) -> None:
    """Starts a service that strangers have called while nobody was there."""
    path = service.state / str(service.port) / "journal.db"
    path.parent.mkdir(parents=True, mode=0o700)
    journal = Journal(path, full=False)
    for number in range(1, conversations + 1):
        conversation = Conversation(f"Bob{number}", "198.51.100.7:4", None, TurnState(Turns.FREE), PAST)
        turn_state = TurnState(Turns.FREE)
        texts = [wire.Message(conversation.handle, f"text {number} {n}.") for n in range(messages)]
        entries = [Entry.numbered(turn_state, Role.PEER, text, PAST) for text in texts]
        journal.append(conversation, entries, turn_state)
        journal.end_conversation(conversation, "", PAST)
    journal.close()
    service.pychatd("start")


def history(service: Service, *options: str) -> subprocess.CompletedProcess[str]:
    words = [
        str(BIN / "pychatd-console"),
        str(service.port),
        "--runtime-directory",
        str(service.runtime),
        *options,
    ]
    return subprocess.run(words, env=service.env, text=True, capture_output=True, timeout=PATIENCE, check=False)


def test_a_console_shows_the_newest_and_lists_the_others(idle_service: Service) -> None:
    service = idle_service
    start_with(service, MANY)
    console = service.plain("pychatd-console")
    console.says(f"text {MANY} 1.")
    console.notes(f"Also unread: {MANY - UNREAD_SHOWN} older conversation")
    shown = [line for line in console.out().splitlines() if "text" in line]
    assert len(shown) == 2 * UNREAD_SHOWN
    assert f"text {MANY - UNREAD_SHOWN + 1} 0." in shown[0]
    console.notes("Waiting for calls")
    console.enter("\\unread")
    last = MANY - UNREAD_SHOWN
    console.notes("There are older ones")
    listed = [line for line in console.notices().splitlines() if "2 messages" in line]
    assert len(listed) == LISTED_MAX
    assert f"{last}: Bob{last} from 198.51.100.7:4, 2024-05-01 12:30 UTC, 2 messages" in listed[0]
    assert f"{last - 1}: Bob{last - 1} " in listed[1]


def test_one_that_is_opened_is_read(idle_service: Service) -> None:
    service = idle_service
    start_with(service, UNREAD_SHOWN + 3)
    console = service.plain("pychatd-console")
    console.says(f"text {UNREAD_SHOWN + 3} 1.")
    console.enter("\\unread 2")
    console.says("text 2 1.")
    console.enter("\\unread")
    console.notes("1: Bob1 from")
    assert "2: Bob2 from" not in console.notices()
    assert "text 3 " not in console.out(), "and only the one"
    for number in ("2", "99", "x", "1" * 30):
        console.enter(f"\\unread {number}")
    console.notes("There is no unread conversation 2.")
    console.notes("There is no unread conversation 99.")
    console.notes("'x' is not the number of a conversation.")


def test_while_somebody_talks_an_older_one_is_not_mixed_in(idle_service: Service) -> None:
    service = idle_service
    start_with(service, UNREAD_SHOWN + 1)
    console = service.plain("pychatd-console")
    console.says(f"text {UNREAD_SHOWN + 1} 1.")
    caller = service.greeted("Ann")
    caller.send("Ann> hello")
    console.says("Ann> hello")
    console.enter("\\unread 1")
    console.notes(f"Run 'pychatd-console --history --conversation 1 {service.port}' to read it.")
    console.enter("hi")
    assert caller.reads("Operator>", "operator>", "root>", "\\ack")
    assert "text 1 " not in console.out()
    shown = history(service, "--history", "--conversation", "1")
    assert [line for line in shown.stdout.splitlines() if "text" in line][-1].endswith("text 1 1.")
    assert "text 2 " not in shown.stdout


def test_the_history_of_no_conversation_is_an_error(idle_service: Service) -> None:
    start_with(idle_service, 2)
    for options, words in (([], "."), (["--json"], "."), (["--since", "1m"], " with messages since then.")):
        result = history(idle_service, "--history", "--conversation", "7", *options)
        assert (result.returncode, result.stdout) == (ExitStatus.USAGE, "")
        assert result.stderr == f"pychatd-console: There is no conversation 7{words}\n"
    assert history(idle_service, "--conversation", "7").returncode == ExitStatus.USAGE
    for word in ("0", "-1", "x", "1" * 30):
        assert history(idle_service, "--history", "--conversation", word).returncode == ExitStatus.USAGE


def test_the_history_tells_the_number_of_a_conversation_and_who_ended_it(service: Service) -> None:
    console = service.ready_plain("pychatd-console")
    for caller, line in (("Ann", "\\quit see you"), ("Bob", ""), ("Eve", "")):
        peer = service.greeted(caller)
        peer.send(f"{caller}> hello")
        console.says(f"{caller}> hello")
        if line:
            peer.send(line)
            console.notes("Ann ended the conversation")
        else:
            console.enter("\\quit nothing more" if caller == "Bob" else "\\block Eve")
            peer.reads("\\quit")
        peer.close()
    notes = [line.split(" ", 3)[3] for line in history(service, "--history").stdout.splitlines() if line[0] == "-"]
    heads, ends = notes[::2], notes[1::2]
    assert [head.partition(" called from ")[0] for head in heads] == [
        f"conversation {number}: {caller}" for number, caller in enumerate(("Ann", "Bob", "Eve"), 1)
    ]
    assert ends == [
        'Ann ended it: "see you"',
        'the operator ended it: "nothing more"',
        'the operator ended it: "the caller was blocked"',
    ]


@pytest.mark.parametrize("messages", [1, REMOVED_AT_ONCE, 3 * REMOVED_AT_ONCE + 7])
def test_a_forgotten_conversation_is_gone(idle_service: Service, messages: int) -> None:
    service = idle_service
    start_with(service, 3, messages)
    assert service.pychatd("forget", "2").returncode == ExitStatus.OK
    wait_for(lambda: "text 2 " not in history(service, "--history").stdout, "it is removed")
    left = history(service, "--history").stdout
    assert "text 1 0." in left
    assert f"text 3 {messages - 1}." in left
    journal = service.state / str(service.port) / "journal.db"

    def is_gone() -> bool:
        files = [journal, journal.with_name("journal.db-wal")]
        return service.pychatd("forget", "2").returncode != 0 and not any(
            b"text 2 " in f.read_bytes() for f in files
        )

    wait_for(is_gone, "its text is in no file")


def test_the_running_conversation_is_not_forgotten(service: Service) -> None:
    caller = service.greeted("Ann")
    caller.send("Ann> hello")
    caller.reads("\\ack 1")
    assert service.pychatd("forget", "1").stderr == "pychatd: Conversation 1 is going on: end it first.\n"
    assert service.pychatd("forget", "2").stderr.startswith("pychatd: There is no conversation 2.")
