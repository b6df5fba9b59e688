"""The running line: listeners, callers, signals and an orderly stop.

Accepts on TCP and on the console's UNIX socket and hands each connection to its owner (caller,
operator_end). Operating system errors of sockets become sentences here.
"""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import os
import pwd
import signal
import socket
import struct
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

from pychat_client.errors import LinkError, NotPermitted, PychatError, Taken, UsageError
from pychat_client.link import FINISH_SECONDS, Link
from pychatd import process
from pychatd.config import Settings
from pychatd.door import Door, address_of
from pychatd.identity import Identity
from pychatd.identity import load as load_identity
from pychatd.journal import Journal
from pychatd.operator_end import OperatorEnd
from pychatd.report import state_words
from pychatd.switchboard import Switchboard

BACKLOG = 64
"""Connections the kernel may complete before we accept them."""

CONSOLES_MAX = 16
"""Connections to the console socket at once: one holds it, others ask for status and history."""

PRUNE_SECONDS = 86400.0
"""How often what is older than `keep` is removed: that is counted in days."""

ACCEPT_PAUSE = 1.0
"""Seconds to wait when no more files can be opened, instead of spinning."""

log = logging.getLogger("pychatd")


# ------------------------------------------------------------------ sockets


def make_directories(settings: Settings) -> None:
    """The line's own directories, 0700 where we make them. Raises NotPermitted."""
    for directory in (settings.runtime, settings.state):
        try:
            directory.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            directory.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise NotPermitted(f"The directory {directory} cannot be made: {error.strerror}.") from None
        if not os.access(directory, os.W_OK | os.X_OK):
            raise NotPermitted(f"The directory {directory} cannot be written: it is not yours, or read-only.")


def bind_tcp(settings: Settings) -> list[socket.socket]:
    """Listening sockets on every address of `settings`; of the default ones IPv6 may be missing.

    Raises Taken when the port is in use, NotPermitted below 1024 without the right, UsageError for
    an address that is not of this machine.
    """
    optional = Settings(settings.port).listen == settings.listen
    bound: list[socket.socket] = []
    try:
        for address in settings.listen:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            try:
                bound.append(_bind(family, address, settings.port))
            except OSError as error:
                if not (optional and family == socket.AF_INET6 and error.errno in _NO_IPV6):
                    raise _bind_error(error, address, settings.port) from None
    except PychatError:
        for sock in bound:
            sock.close()
        raise
    return bound


_NO_IPV6 = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT)


def _bind(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((address, port))
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def _bind_error(error: OSError, address: str, port: int) -> PychatError:
    match error.errno:
        case errno.EADDRINUSE:
            return Taken(f"Port {port} is in use by another program (on {address}).")
        case errno.EACCES | errno.EPERM:
            return NotPermitted(f"Port {port} cannot be opened: ports below 1024 are root's.")
        case errno.EADDRNOTAVAIL:
            return UsageError(f"{address} is not an address of this machine; see --listen.")
        case _:
            return LinkError(f"Port {port} cannot be opened on {address}: {error.strerror}.")


def bind_console(path: Path) -> socket.socket:
    """The listening console socket, 0660 from its first instant. The pidfile's lock is held, so what
    lies at `path` is a dead daemon's. Raises NotPermitted."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    umask = os.umask(0o117)
    try:
        sock.setblocking(False)
        path.unlink(missing_ok=True)
        sock.bind(str(path))
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise NotPermitted(f"The console socket {path} cannot be made: {error.strerror}.") from None
    finally:
        os.umask(umask)
    return sock


# ------------------------------------------------------------------ serving


class Server:
    """One running line."""

    def __init__(
        self,
        settings: Settings,
        tcp: list[socket.socket],
        console: socket.socket,
        journal: Journal,
        identity: Identity,
    ) -> None:
        self._settings = settings
        self._identity = identity
        self._tcp = tcp
        self._console = console
        self._journal = journal
        self._board = Switchboard(settings, journal, identity.fingerprint, self._tell_state)
        self._door = Door(self._board, settings, identity)
        self._inside: set[asyncio.Task[None]] = set()  # one for each connection
        self._consoles: set[Link] = set()
        self._stopping = asyncio.Event()
        self._reload: Callable[[], Settings] = lambda: settings

    async def run(self, ready: Callable[[], None], reload: Callable[[], Settings]) -> None:
        """Serves until SIGINT or SIGTERM; a second one ends the process at once.

        ready: called once connections are taken; reload: reads the settings again (SIGHUP).
        """
        self._reload = reload
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):  # explicitly: a script's background job ignores SIGINT
            loop.add_signal_handler(number, self._stop_signal, number)
        loop.add_signal_handler(signal.SIGHUP, self._reload_signal)
        loop.set_exception_handler(_log_exception)
        gc.freeze()  # what is here now stays; a dead TLS connection is a cycle of 256 KiB: collect those soon
        gc.set_threshold(200, 5, 2)
        accepting = [
            *(asyncio.create_task(self._accept(sock, self._door.admit)) for sock in self._tcp),
            asyncio.create_task(self._accept(self._console, self._admit_console)),
            asyncio.create_task(self._prune_daily()),
        ]
        addresses = ", ".join(address_of(sock.getsockname()) for sock in self._tcp)
        for complaint in self._identity.complaints:
            log.error("%s", complaint)
        log.info("pychatd serves on %s, console at %s", addresses, self._settings.console_socket)
        process.notify("READY=1")
        self._tell_state()
        ready()
        await self._stopping.wait()
        process.notify("STOPPING=1")
        for task in accepting:
            task.cancel()
        await self._finish()
        log.info("pychatd has stopped")

    async def _prune_daily(self) -> None:
        while True:
            await asyncio.sleep(PRUNE_SECONDS)
            self._board.prune()

    async def _finish(self) -> None:
        """Tells both ends, and gives them a moment to read it."""
        self._board.stop()
        for link in self._door.links | self._consoles:
            link.finish()
        for sock in (*self._tcp, self._console):
            sock.close()
        with suppress(OSError):
            self._settings.console_socket.unlink()
        if closing := [link.closed for link in self._door.links | self._consoles]:
            await asyncio.wait(closing, timeout=FINISH_SECONDS + 1)
        for task in self._inside:
            task.cancel()
        self._journal.close()

    # -------------------------------------------------------------- connections

    async def _accept(
        self, listener: socket.socket, admit: Callable[[socket.socket], Coroutine[None, None, None]]
    ) -> None:
        """Takes connections for ever; `admit` looks after each until it is closed."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, _ = await loop.sock_accept(listener)
            except OSError as error:
                log.warning("A connection could not be taken: %s", error.strerror)
                await asyncio.sleep(ACCEPT_PAUSE)
                continue
            task = asyncio.create_task(admit(sock))
            self._inside.add(task)
            task.add_done_callback(self._inside.discard)

    async def _admit_console(self, sock: socket.socket) -> None:
        pid, uid, gid = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        user = f"{_user_name(uid)} (pid {pid})"
        try:
            if len(self._consoles) >= CONSOLES_MAX:
                raise LinkError("there are too many")
            if not may_use(uid, gid, self._settings.console_socket):
                raise LinkError("not permitted")
            link = OperatorEnd(self._board, user).link
            self._consoles.add(link)
            await asyncio.get_running_loop().connect_accepted_socket(lambda: link, sock)
            await link.closed
        except (OSError, LinkError) as error:
            log.warning("console: %s was not let in: %s", user, error)
        finally:
            self._consoles -= {link for link in self._consoles if link.closed.done()}
            sock.close()

    # -------------------------------------------------------------- signals

    def _stop_signal(self, number: signal.Signals) -> None:
        if self._stopping.is_set():
            log.warning("A second %s: stopped at once", number.name)
            os._exit(128 + number)
        log.info("%s: stopping", number.name)
        self._stopping.set()

    def _reload_signal(self) -> None:
        process.notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            settings = self._reload()
            identity = load_identity(settings)
        except PychatError as error:
            log.error("The configuration was not reloaded: %s", error)
        else:
            now = self._settings
            for complaint in identity.complaints:
                log.error("%s", complaint)
            self._door.use(settings, identity)
            if (settings.listen, settings.durability) != (now.listen, now.durability):
                log.warning("Changed listen and durability settings hold from the next start on")
            self._board.reload(settings, identity.fingerprint)
            log.info("The configuration has been reloaded")
        process.notify("READY=1")

    def _tell_state(self) -> None:
        process.notify(f"STATUS={state_words(self._board)}")


def _log_exception(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """A defect of ours in a callback: the line goes on, and the log has what is needed to mend it."""
    log.error("%s", context["message"], exc_info=context.get("exception"))


def may_use(uid: int, gid: int, path: Path) -> bool:
    """Whether a user may use the console socket at `path`: root, the daemon's own user, and its group.

    The socket's mode says the same; this also holds where a descriptor was handed on, or the mode changed.
    """
    if uid in (0, os.geteuid()):
        return True
    try:
        groups = {gid, *os.getgrouplist(pwd.getpwuid(uid).pw_name, gid)}
    except KeyError:
        groups = {gid}
    return path.stat().st_gid in groups


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
