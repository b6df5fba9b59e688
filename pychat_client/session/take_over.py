"""Takes a session file, also from another window of the same user, if the user says so."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

from pychat_client.errors import BusyError, ExitStatus, PychatError
from pychat_client.session.narration import MOVED
from pychat_client.session.session_file import DamagedError, InUseError, SessionFile
from pychat_client.transport.interruptible import MOVE_SIGNAL, ending_signals

TAKE_OVER_SECONDS = 10.0
"""How long the other program may take to leave: it waits for nothing, but its disk may be slow."""

LOOK_SECONDS = 0.02
"""How often we look whether it has left: no system tells when a lock is free without waiting for it forever."""


MOVE_IT = "Use --take-over to move it here."


class MovedError(PychatError):
    """The user goes on in another window."""

    status = ExitStatus.TAKEN


@contextmanager
def ends_in_order() -> Iterator[None]:
    """Around a program that takes a session file: a signal that comes while no session handles it ends the program
    with KeyboardInterrupt, or with MovedError, and not on the spot."""
    moved = False

    def move(*_: object) -> NoReturn:
        nonlocal moved
        moved = True
        raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in ending_signals()}
    for number in before:
        signal.signal(number, signal.default_int_handler)
    signal.signal(MOVE_SIGNAL, move)
    try:
        yield
    except KeyboardInterrupt:
        if moved:
            raise MovedError(MOVED) from None
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.signal(MOVE_SIGNAL, signal.SIG_IGN)  # there is no conversation any more


def open_session_file(path: Path, what: str, *, take_over: bool, advice: str = MOVE_IT) -> SessionFile:
    """The session file at `path`. what: names the conversation in a sentence; take_over: the program that has the
    file leaves, and the conversation stays open; advice: what the user can do if it does not.

    Raises BusyError when another program has the file and keeps it, PychatError when it cannot be used.
    """
    try:
        return SessionFile.take(path)
    except InUseError as error:
        pid = error.holder.pid
        if pid is None:  # nothing can be sent to it
            where = f"{what} is open in another container, or on another host ({error.holder})."
            raise BusyError(f"{where} Close it there, then call again.") from None
        if not take_over:
            where = f"{what} is open in another window ({error.holder})."
            raise BusyError(f"{where} {advice}") from None
        _send_away(pid)
    return _take_when_free(path)


def open_if_possible(
    program: str,
    path: Path,
    what: str,
    *,
    take_over: bool,
    advice: str = MOVE_IT,
    needed: bool = False,
    renew: bool = True,
) -> SessionFile | None:
    """The same for `program`, which says so and goes on without a file where none can be used. needed: not where
    there is one, for what `program` does next would end the conversation; renew: `program` says so and goes on
    with a new file where the old one was damaged. Raises BusyError, PychatError."""
    try:
        return open_session_file(path, what, take_over=take_over, advice=advice)
    except BusyError:
        raise
    except DamagedError as error:
        told = f"{error} {what} cannot go on from it: messages that waited there are not sent."
        if not renew:
            raise PychatError(told) from None
        print(f"{program}: {told}", file=sys.stderr)
        return open_if_possible(program, path, what, take_over=take_over, advice=advice, needed=needed)
    except PychatError as error:
        if needed and os.path.exists(path):  # noqa: PTH110 -- False where we may not look; Path's raises there
            mend = "Make room on its disk, or look at its owner and its mode, then call again."
            raise PychatError(f"{error} {what} may still be open in {path}. {mend}") from None
        print(f"{program}: {error} If {program} dies, messages that are not confirmed are lost.", file=sys.stderr)
        return None


def _send_away(pid: int) -> None:
    """Lets another program of this user leave its conversation open, and end."""
    with suppress(ProcessLookupError):
        for number in (MOVE_SIGNAL, signal.SIGCONT):  # a suspended program reacts only when it goes on
            os.kill(pid, number)


def _take_when_free(path: Path) -> SessionFile:
    end = time.monotonic() + TAKE_OVER_SECONDS
    while True:
        try:
            return SessionFile.take(path)
        except InUseError as error:
            if time.monotonic() > end:
                raise BusyError(
                    f"The other window ({error.holder}) does not end. Close it, then call again."
                ) from None
        time.sleep(LOOK_SECONDS)
