"""The invitations of a service, in a file of its state directory: with the hashes of the secrets, not the secrets.

An invitation is open until it is used, revoked or too old: then it ends. It stays for a while, so that the daemon
can say why it lets nobody in.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from enum import Enum
from pathlib import Path

from pychat_client import files
from pychat_client.errors import NotAllowedError, PychatError, UsageError
from pychat_client.records import record
from pychat_client.text import printable
from pychat_client.trust.invitation import new_secret, secret_hash

OPEN_MAX = 1000
"""Open invitations at the same time: nobody waits for so many people."""

VALID_MAX = timedelta(days=366)
"""An invitation that is valid for longer than a year is rather forgotten than used."""

REMEMBERED = timedelta(days=30)
"""How long the file has an invitation that has ended."""

ENDED_MAX = 1000
"""Invitations that have ended, of which the file has the newest: a script may make and revoke any number, and each
change writes the whole file."""


class State(Enum):
    """What has become of an invitation."""

    OPEN = "open"
    USED = "used"
    REVOKED = "revoked"
    LATE = "too old"


_REFUSALS = {
    State.USED: "This invitation has been used already. Ask for a new one.",
    State.REVOKED: "This invitation has been revoked. Ask for a new one.",
    State.LATE: "This invitation is too old. Ask for a new one.",
}


class UnknownError(PychatError):
    """No invitation of this service."""


@record
class Record:
    """One invitation. name: who comes with it; until: when it ends or has ended, in seconds since 1970."""

    hash: str
    name: str
    until: float
    state: str

    def state_at(self, now: datetime) -> State:
        state = State(self.state)
        return State.LATE if state is State.OPEN and now.timestamp() >= self.until else state


class Invitations:
    """The file."""

    def __init__(self, path: Path, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """Raises PychatError if the file is there and cannot be used."""
        self._path = path
        self._now = now
        self._records = {record.hash: record for record in _read(path)}
        self._made: set[str] = set()  # the hashes of those that this process has made

    @property
    def ever_made(self) -> bool:
        """Whether this service has invited somebody, and remembers it."""
        return bool(self._records)

    def listed(self) -> list[tuple[Record, State]]:
        """All invitations with their states, those that end first before the others."""
        now = self._now()
        records = sorted(self._records.values(), key=lambda record: record.until)
        return [(record, record.state_at(now)) for record in records]

    def open_names(self) -> set[str]:
        return {record.name for record in self._open()}

    def make(self, name: str, valid: timedelta) -> tuple[bytes, Record]:
        """A new invitation: its secret, and what is kept of it. Raises PychatError."""
        if not timedelta() < valid <= VALID_MAX:
            raise UsageError(f"An invitation is valid for at most {VALID_MAX.days} days.")
        if len(self.open_names()) >= OPEN_MAX:
            raise NotAllowedError(f"{OPEN_MAX} invitations are open. Revoke some of them first.")
        secret = new_secret()
        until = (self._now() + valid).timestamp()
        record = Record(secret_hash(secret), name, until, State.OPEN.value)
        self._write({**self._records, record.hash: record})
        self._made.add(record.hash)
        return secret, record

    def revoke(self, name: str) -> None:
        """Closes the open invitation for `name`. Raises UsageError if there is none, PychatError."""
        if name not in self.open_names():
            raise UsageError(f"There is no open invitation for '{printable(name)}'.")
        self._revoke({record.hash for record in self._open() if record.name == name})

    def revoke_made(self) -> None:
        """Closes those that this process has made and that are open. Raises PychatError."""
        if found := {record.hash for record in self._open()} & self._made:
            self._revoke(found)

    def _revoke(self, found: set[str]) -> None:
        self._write({**self._records, **{one: self._ended(one, State.REVOKED) for one in found}})

    def _open(self) -> list[Record]:
        return [record for record, state in self.listed() if state is State.OPEN]

    def name_for(self, secret: bytes) -> str:
        """Who comes with this secret. Raises UnknownError, or NotAllowedError with the reason."""
        record = self._records.get(secret_hash(secret))
        if record is None:
            raise UnknownError("This service does not know the invitation. Check the port, or ask for a new one.")
        if (state := record.state_at(self._now())) is not State.OPEN:
            raise NotAllowedError(_REFUSALS[state])
        return record.name

    def use(self, secret: bytes) -> None:
        """The invitation has let somebody in, and lets in nobody else. Raises PychatError."""
        used = secret_hash(secret)
        self._write({**self._records, used: self._ended(used, State.USED)})

    def _ended(self, one: str, state: State) -> Record:
        return replace(self._records[one], state=state.value, until=self._now().timestamp())

    def _write(self, records: dict[str, Record]) -> None:
        """Stores these, without those that are not remembered."""
        records = self._remembered(records)
        lines = ",\n".join(json.dumps(asdict(record)) for record in records.values())
        files.write_private(self._path, f"[\n{lines}\n]\n".encode(), "invitations")
        self._records = records

    def _remembered(self, records: dict[str, Record]) -> dict[str, Record]:
        now, oldest = self._now(), (self._now() - REMEMBERED).timestamp()
        ended = [one for one in records.values() if one.state_at(now) is not State.OPEN]
        newest = sorted(ended, key=lambda one: one.until, reverse=True)[:ENDED_MAX]
        forgotten = {one.hash for one in ended} - {one.hash for one in newest if one.until >= oldest}
        return {key: one for key, one in records.items() if key not in forgotten}


def _read(path: Path) -> list[Record]:
    try:
        records = [Record(**entry) for entry in json.loads(files.read_file(path))]
        for record in records:
            State(record.state)
            datetime.fromtimestamp(record.until, UTC)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise PychatError(f"Cannot read the invitations in {path}: {error.strerror}.") from None
    except (ValueError, TypeError, OverflowError):
        raise PychatError(f"The file of the invitations {path} is damaged: remove it, and invite again.") from None
    return records
