"""The running line: who comes in, signals, and an orderly stop.

Accepts on TCP and on the console's UNIX socket and hands each connection to its owner (caller,
operator_end). Nobody has come for a while: it leaves, where systemd keeps its sockets for the next one.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import pwd
import signal
import socket
import struct
import time
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

from pychat_client.errors import PychatError, TransportError
from pychat_client.transport.connection import FINISH_SECONDS, Connection
from pychatd.conversation.console_session import ConsoleSession
from pychatd.conversation.journal import Journal
from pychatd.conversation.service_status import state_sentence, status_json
from pychatd.conversation.switchboard import Switchboard
from pychatd.network.admission import Admission, address_of
from pychatd.network.identity import Identity
from pychatd.network.identity import load as load_identity
from pychatd.network.listeners import Listeners
from pychatd.process import daemonize
from pychatd.settings import EVERYWHERE, Settings

CONSOLES_MAX = 16
"""Connections to the console socket at once: one holds it, others ask for status and history."""

PRUNE_SECONDS = 86400.0
"""How often what is older than `keep` is removed: that is counted in days."""

FIXED = ("listen", "exit_idle", "durability", "syslog")
"""The settings of which a change holds from the next start on (pychatd.toml(5))."""

ACCEPT_PAUSE = 1.0
"""Seconds to wait when no more files can be opened, instead of spinning."""

Admit = Callable[[socket.socket], Coroutine[None, None, None]]

log = logging.getLogger("pychatd")


class Server:
    """One running line."""

    def __init__(
        self,
        settings: Settings,
        listeners: Listeners,
        journal: Journal,
        identity: Identity,
    ) -> None:
        self._settings = settings
        self._identity = identity
        self._listeners = listeners
        self._journal = journal
        self._switchboard = Switchboard(settings, journal, identity.fingerprint, self._tell_state)
        self._status = partial(status_json, self._switchboard)
        self._door = Admission(self._switchboard, settings, identity)
        self._inside: set[asyncio.Task[None]] = set()  # one for each connection
        self._consoles: set[Connection] = set()
        self._idle: asyncio.TimerHandle | None = None  # until the line leaves, while nobody is here
        self._stopping = asyncio.Event()
        self._signalled = False
        self._reload: Callable[[], Settings] = lambda: settings

    async def run(self, ready: Callable[[], None], reload: Callable[[], Settings]) -> None:
        """Serves until SIGINT, SIGTERM, or nobody has been here for `exit_idle`; a second signal ends the
        process at once.

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
        for sock in self._listeners.tcp:
            self._listen(sock, self._door.admit)
        self._listen(self._listeners.console, self._admit_console)
        chores = [asyncio.create_task(self._prune_daily()), asyncio.create_task(self._feed_watchdog())]
        addresses = ", ".join(address_of(sock.getsockname()) for sock in self._listeners.tcp)
        self._complain(self._settings, self._identity)
        log.info("pychatd serves on %s, console at %s", addresses, self._listeners.console_path)
        daemonize.notify("READY=1")
        self._tell_state()
        self._await_company()
        ready()
        await self._stopping.wait()
        daemonize.notify("STOPPING=1")
        for task in chores:
            task.cancel()
        await self._finish()
        log.info("pychatd has stopped")

    async def _prune_daily(self) -> None:
        while True:
            await asyncio.sleep(PRUNE_SECONDS)
            self._switchboard.prune()

    async def _feed_watchdog(self) -> None:
        """Tells systemd, from this event loop and so only while it runs, that we are not hung."""
        seconds = daemonize.watchdog_seconds()
        while seconds is not None:
            daemonize.notify("WATCHDOG=1")
            await asyncio.sleep(seconds / 2)

    async def _finish(self) -> None:
        """Tells both ends, and gives them a moment to read it."""
        self._switchboard.stop()
        for connection in self._door.connections | self._consoles:
            connection.close()
        self._listeners.close()
        if closing := [connection.closed for connection in self._door.connections | self._consoles]:
            await asyncio.wait(closing, timeout=FINISH_SECONDS + 1)
        for task in self._inside:
            task.cancel()
        self._journal.close()

    # -------------------------------------------------------------- connections

    def _listen(self, listener: socket.socket, admit: Admit) -> None:
        """Takes connections from here on; `admit` looks after each until it is closed."""
        if not self._stopping.is_set():
            asyncio.get_running_loop().add_reader(listener, self._accept, listener, admit)

    def _accept(self, listener: socket.socket, admit: Admit) -> None:
        loop = asyncio.get_running_loop()
        try:
            sock, _ = listener.accept()
        except BlockingIOError:  # it is gone again
            return
        except OSError as error:
            log.warning("A connection could not be taken: %s", error.strerror)
            loop.remove_reader(listener)
            loop.call_later(ACCEPT_PAUSE, self._listen, listener, admit)
            return
        sock.setblocking(False)
        task = loop.create_task(admit(sock))
        self._inside.add(task)
        task.add_done_callback(self._leave_inside)
        self._await_company()

    def _leave_inside(self, task: asyncio.Task[None]) -> None:
        self._inside.discard(task)
        self._await_company()

    def _await_company(self) -> None:
        """Leaves when nobody is here for `exit_idle`, counted from now."""
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        if self._settings.exit_idle is not None and not self._inside and not self._stopping.is_set():
            self._idle = asyncio.get_running_loop().call_later(self._settings.exit_idle, self._leave)

    def _leave(self) -> None:
        log.info("Nobody has been here for %g s: leaving until the next call", self._settings.exit_idle)
        daemonize.notify("STATUS=The next call or console starts the line again.")
        self._stop()

    def _stop(self) -> None:
        """Takes no more connections, at once: those that come now are left to the next daemon."""
        if self._stopping.is_set():
            return
        for sock in (*self._listeners.tcp, self._listeners.console):
            asyncio.get_running_loop().remove_reader(sock)
        self._stopping.set()

    async def _admit_console(self, sock: socket.socket) -> None:
        pid, uid, gid = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        user = f"{_user_name(uid)} (pid {pid})"
        try:
            if len(self._consoles) >= CONSOLES_MAX:
                raise TransportError("there are too many")
            if not may_use(uid, gid, self._listeners.console_path):
                raise TransportError("not permitted")
            connection = ConsoleSession(self._switchboard, user, self._status).connection
            self._consoles.add(connection)
            await asyncio.get_running_loop().connect_accepted_socket(lambda: connection, sock)
            await connection.closed
        except (OSError, TransportError) as error:
            log.warning("console: %s was not let in: %s", user, error)
        finally:
            self._consoles -= {connection for connection in self._consoles if connection.closed.done()}
            sock.close()

    # -------------------------------------------------------------- signals

    def _stop_signal(self, number: signal.Signals) -> None:
        if self._signalled:
            log.warning("A second %s: stopped at once", number.name)
            os._exit(128 + number)
        self._signalled = True
        log.info("%s: stopping", number.name)
        self._stop()

    def _reload_signal(self) -> None:
        daemonize.notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            settings = self._reload()
            identity = load_identity(settings)
        except PychatError as error:
            log.error("The configuration was not reloaded: %s", error)
        else:
            self._complain(settings, identity)
            self._door.use(settings, identity)
            if changed := self._later(settings):
                log.warning("Changed settings hold from the next start on: %s", ", ".join(changed))
            self._switchboard.reload(settings, identity.fingerprint)
            log.info("The configuration has been reloaded")
        daemonize.notify("READY=1")

    def _later(self, settings: Settings) -> list[str]:
        """The settings that differ from ours, and that a reload cannot change."""
        differ = [key for key in FIXED if getattr(settings, key) != getattr(self._settings, key)]
        unused = ("listen", "syslog") if self._listeners.passed else ()  # under systemd
        return [key for key in differ if key not in unused]

    def _complain(self, settings: Settings, identity: Identity) -> None:
        """Logs what is wrong with the settings, though not so wrong that the line could not serve."""
        for complaint in identity.complaints:
            log.error("%s", complaint)
        if self._listeners.passed and settings.listen != EVERYWHERE:
            log.warning("The setting listen changes nothing: systemd opens the port, at its unit's ListenStream=")

    def _tell_state(self) -> None:
        daemonize.notify(f"STATUS={state_sentence(self._switchboard)}")


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
