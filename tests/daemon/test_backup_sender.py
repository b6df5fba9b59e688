"""A backup over the console socket: one at a time, for readers that read, and never a part of the journal."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from pychat_client.protocol.turns import Role
from pychatd.conversation import backup_sender, journal_copy
from pychatd.conversation.journal import Journal
from pychatd.conversation.journal_copy import CopyError
from tests.support.in_process import InProcessService, with_service
from tests.support.raw_ends import AsyncEnd

LONG = ["x" * 500] * 2000
"""Messages that make many pieces, and more than sockets take unread."""


async def asked(service: InProcessService) -> AsyncEnd:
    reader = await service.connect(service.console_session())
    await reader.say("\\backup")
    return reader


async def answer(reader: AsyncEnd) -> tuple[bytes, str]:
    """The bytes that a backup has sent, and its last line."""
    data = b""
    while (line := await reader.hear()).startswith("\\backup "):
        data += base64.b64decode(line.removeprefix("\\backup "), validate=True)
    return data, line


@with_service(turns="free")
async def test_all_of_the_file_is_sent(service: InProcessService) -> None:
    service.fill(Role.PEER, LONG)
    data, last = await answer(await asked(service))
    assert last == "\\ready"
    assert data == service.file.read_bytes()
    assert len(data) > 1_000_000


@with_service(turns="free")
async def test_two_backups_at_a_time_are_too_many(service: InProcessService) -> None:
    service.fill(Role.PEER, LONG)
    first = await asked(service)
    assert (await first.hear()).startswith("\\backup ")
    _, refused = await answer(await asked(service))
    assert refused == "\\error order Another backup of this service is being made: try again later."
    assert (await answer(first))[1] == "\\ready"
    assert (await answer(await asked(service)))[1] == "\\ready"


@with_service(turns="free")
async def test_a_reader_that_takes_nothing_is_dropped(service: InProcessService) -> None:
    service.fill(Role.PEER, LONG)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backup_sender, "STALL_SECONDS", 0.05)
        reader = await asked(service)
        await service.closed(reader)
    assert (await answer(await asked(service)))[1] == "\\ready"


@with_service(turns="free")
async def test_a_reader_that_leaves_holds_nothing(service: InProcessService) -> None:
    service.fill(Role.PEER, LONG)
    reader = await asked(service)
    await reader.hear()
    await service.lose(reader)
    assert (await answer(await asked(service)))[1] == "\\ready"


@with_service(turns="free")
async def test_a_journal_that_fails_fails_the_backup(service: InProcessService) -> None:
    """The file changes when the journal is opened again: no part of another moment is sent."""
    service.fill(Role.PEER, LONG)
    reader = await asked(service)
    await reader.hear()
    service.journal.close()
    assert service.journal.running() is not None
    _, last = await answer(reader)
    assert last == "\\error order The journal failed during the backup: try again."


@pytest.mark.parametrize("replaced", [False, True])
def test_a_backup_of_a_journal_that_is_not_at_its_place_is_refused(tmp_path: Path, replaced: bool) -> None:
    """Another file is no backup. Both users go on talking when it is back, and are told nothing."""

    @with_service()
    async def check(service: InProcessService) -> None:
        console, peer, _ = await service.talk(acked=True)
        Journal(tmp_path / "other.db", full=False).close()
        service.file.rename(service.file.with_name("moved"))
        words = f"The journal {service.file} cannot be copied: No such file or directory."
        if replaced:
            (tmp_path / "other.db").rename(service.file)
            words = f"The journal {service.file} was replaced while pychatd had it open: restart the service."
        assert await answer(await asked(service)) == (b"", f"\\error order {words}")
        service.file.with_name("moved").rename(service.file)
        await console.say("alice> Hello")
        told = [line for end in (console, peer) for line in await end.news()]
        assert told == ["\\ack 1", "\\read 1", "alice> Hello"]
        data, last = await answer(await asked(service))
        assert (data != b"", last) == (True, "\\ready")

    check(tmp_path)


@with_service(turns="free")
async def test_a_backup_that_the_journal_fails_says_nothing_of_messages(service: InProcessService) -> None:
    service.journal.close()
    service.file.unlink()
    service.file.mkdir()
    _, last = await answer(await asked(service))
    assert last == f"\\error journal The journal {service.file} cannot be used: unable to open database file."


@with_service(turns="free")
async def test_a_backup_ends_when_too_much_comes_meanwhile(service: InProcessService) -> None:
    conversation = service.fill(Role.PEER, LONG)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal_copy, "WAL_MAX", 10_000)
        reader = await asked(service)
        await reader.hear()
        service.journal.forget_text(conversation, Role.PEER, 500)
        _, last = await answer(reader)
    assert last.startswith("\\error order The backup was too slow")


@with_service(keep="none", turns="free")
async def test_what_is_forgotten_during_a_backup_does_not_stay(service: InProcessService) -> None:
    conversation = service.fill(Role.PEER, ["a secret"])
    copy = service.journal.begin_copy()
    service.journal.forget_text(conversation, Role.PEER, 2)
    service.journal.end_copy(copy)
    files = [service.file, service.file.with_name("journal.db-wal")]
    assert not [file for file in files if b"a secret" in file.read_bytes()]


def test_the_file_does_not_change_while_it_is_copied(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db", full=False)
    copy = journal.begin_copy()
    before = copy.read(0, 1 << 20)
    for _ in range(3):
        journal._db.execute("CREATE TABLE IF NOT EXISTS filler (data BLOB)")
        journal._db.execute("INSERT INTO filler VALUES (zeroblob(6000000))")
    assert copy.read(0, 1 << 20) == before
    journal.end_copy(copy)
    assert (tmp_path / "journal.db-wal").stat().st_size == 0
    with pytest.raises(CopyError):
        copy.read(0, 1)
    journal.close()
