"""The running service: accepts connections, handles signals, stops in an orderly way.

Accepts on TCP and on the console's UNIX socket, and hands each socket to `admission`. With `exit_idle`, the
daemon ends after a time without connections; systemd keeps the sockets and starts it again.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any

from pychat_client import garbage
from pychat_client.errors import PychatError, UsageError
from pychat_client.transport.connection import FINISH_SECONDS, TransportState
from pychatd.caller_events import in_one_word
from pychatd.conversation.journal import Journal
from pychatd.conversation.model import JournalError
from pychatd.conversation.orders import Orders
from pychatd.conversation.service_status import idle_sentence, state_sentence, status_json
from pychatd.conversation.switchboard import Switchboard
from pychatd.network.admission import Admission, ConsoleAdmission
from pychatd.network.allowed_callers import AllowedCallers
from pychatd.network.identity import Identity
from pychatd.network.identity import load as load_identity
from pychatd.network.listeners import Listeners
from pychatd.network.management import Management
from pychatd.process import logs, systemd
from pychatd.settings import EVERYWHERE, UNSAFE_NO_SYNC, Settings

PRUNE_SECONDS = 86400.0
"""How often what `keep` does not keep is removed."""

LOG_SECONDS = 60.0
"""How often the log tells how many lines of strangers it has left out."""

RESTART_REQUIRED = ("listen", "exit_idle", "syslog")
"""The settings that a reload does not change (pychatd.toml(5))."""

LISTEN_UNUSED = "'listen' has no effect: ListenStream= in systemd's socket unit opens the port."

EXIT_IDLE_UNUSED = (
    "exit_idle has no effect: without systemd's pychatd@.socket, no call could start the daemon again."
)

STATUS_SECONDS = 0.2
"""How long the state may have changed before systemd learns of it: it need not hear of each message."""

ACCEPT_PAUSE = 1.0
"""Seconds to wait when the process has too many open files to accept, instead of trying all the time."""

ACCEPT_MAX = 8
"""Connections that are accepted before others get a turn: so many take a fraction of a millisecond."""

GARBAGE = (200, 5, 2)
"""The thresholds of gc: a closed TLS connection is a cycle of 256 KiB, so collect those soon."""

Admit = Callable[[socket.socket], Coroutine[None, None, None] | None]

log = logging.getLogger("pychatd")


class Server:
    """One running service."""

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
        self._status_timer: asyncio.TimerHandle | None = None
        self._allowed = allowed = AllowedCallers(settings, identity)
        self._switchboard = Switchboard(
            settings, journal, identity.fingerprint, self._state_changed, allowed.may_go_on
        )
        self._callers = admission = Admission(self._switchboard, settings, allowed)
        management = Management(settings.port, allowed, admission.put_out_unwelcome, admission.update_names)
        self._consoles = ConsoleAdmission(
            self._switchboard,
            listeners.console_path,
            partial(status_json, self._switchboard),
            execute=Orders(self._switchboard, self._reload_settings, management.orders).execute,
        )
        self._connection_tasks: set[asyncio.Task[None]] = set()
        self._idle_timer: asyncio.TimerHandle | None = None  # runs while there is no connection
        self._stopping = asyncio.Event()
        self._signalled = False
        self._reload: Callable[[], Settings] = lambda: settings

    async def run(self, ready: Callable[[], None], reload: Callable[[], Settings]) -> None:
        """Serves until SIGINT or SIGTERM, or until there was no connection for `exit_idle` seconds. A second
        signal ends the process at once.

        ready: called when the service accepts connections. reload: reads the settings again (SIGHUP).
        """
        self._reload = reload
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):  # a shell makes its background jobs ignore SIGINT
            loop.add_signal_handler(number, self._stop_signal, number)
        loop.add_signal_handler(signal.SIGHUP, self._reload_signal)
        loop.set_exception_handler(_log_exception)
        garbage.started(GARBAGE)
        self._put_out_unwelcome()
        for sock in self._listeners.tcp:
            self._listen(sock, self._callers.admit)
        self._listen(self._listeners.console, self._consoles.admit)
        jobs = (self._prune_daily(), self._feed_watchdog(), self._count_log_lines())
        background_tasks = [asyncio.create_task(job) for job in jobs]
        addresses = ", ".join(in_one_word(sock.getsockname()) for sock in self._listeners.tcp)
        self._log_warnings(self._settings, self._identity)
        log.info("pychatd serves on %s, console at %s", addresses, self._listeners.console_path)
        systemd.notify("READY=1")
        self._notify_status()
        self._restart_idle_timer()
        ready()
        await self._stopping.wait()
        systemd.notify("STOPPING=1")
        for task in background_tasks:
            task.cancel()
        await self._finish()
        logs.begin_minute()
        log.info("pychatd has stopped")

    def revoke_invitations(self) -> None:
        """The service was a temporary one: nobody comes later with what an old screen shows."""
        try:
            self._allowed.revoke_made()
        except PychatError as error:
            log.warning("Cannot revoke the invitations that nobody has used: %s", error)

    async def _prune_daily(self) -> None:
        while True:
            await asyncio.sleep(PRUNE_SECONDS)
            self._switchboard.prune()

    async def _count_log_lines(self) -> None:
        while True:
            await asyncio.sleep(LOG_SECONDS)
            logs.begin_minute()

    async def _feed_watchdog(self) -> None:
        """Tells systemd that we are not hung: from the event loop, so only while that runs."""
        seconds = systemd.watchdog_seconds()
        while seconds is not None:
            systemd.notify("WATCHDOG=1")
            await asyncio.sleep(seconds / 2)

    async def _finish(self) -> None:
        """Tells both sides that the daemon stops, and gives them a moment to read it; no more to who was sent
        the end, and may take long to read it. Who was calling then is missed, which the journal has to know."""
        awaited = [
            connection
            for connection in self._callers.connections | self._consoles.connections
            if connection.state is TransportState.OPEN or connection.has_unsent
        ]
        self._switchboard.stop()
        for connection in awaited:
            connection.close()
        self._listeners.close()
        if awaited:
            await asyncio.wait([connection.closed for connection in awaited], timeout=FINISH_SECONDS + 1)
        for task in self._connection_tasks:
            task.cancel()
        if self._connection_tasks:
            await asyncio.wait(self._connection_tasks, timeout=FINISH_SECONDS)
        self._switchboard.missed.stop()  # it has stored the earlier ones already
        self._journal.close()

    # -------------------------------------------------------------- connections

    def _listen(self, listener: socket.socket, admit: Admit) -> None:
        """Accepts connections from now on; `admit` serves each one until it is closed."""
        if not self._stopping.is_set():
            asyncio.get_running_loop().add_reader(listener, self._accept, listener, admit)

    def _accept(self, listener: socket.socket, admit: Admit) -> None:
        """Accepts what waits: strangers who are turned away at once keep nobody waiting behind them."""
        loop = asyncio.get_running_loop()
        try:
            for _ in range(ACCEPT_MAX):
                sock, _ = listener.accept()
                sock.setblocking(False)
                if (serving := admit(sock)) is not None:
                    self._serve(serving)
        except BlockingIOError:  # no more, or the caller has gone again
            return
        except OSError as error:
            log.warning("Cannot accept a connection: %s", error.strerror)
            loop.remove_reader(listener)
            loop.call_later(ACCEPT_PAUSE, self._listen, listener, admit)

    def _serve(self, serving: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(serving)
        self._connection_tasks.add(task)
        task.add_done_callback(self._connection_done)
        self._restart_idle_timer()

    def _connection_done(self, task: asyncio.Task[None]) -> None:
        self._connection_tasks.discard(task)
        self._restart_idle_timer()

    def _restart_idle_timer(self) -> None:
        """Exits after `exit_idle` seconds without a connection, counted from now."""
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None
        seconds = self._settings.exit_idle if self._listeners.passed else None
        others = len(self._connection_tasks) - len(self._switchboard.watchers)  # these keep no daemon awake
        if seconds is not None and others <= 0 and not self._stopping.is_set():
            self._idle_timer = asyncio.get_running_loop().call_later(seconds, self._exit_idle)

    def _exit_idle(self) -> None:
        log.info("No connection for %g s: exiting until the next call", self._settings.exit_idle)
        systemd.notify(f"STATUS={idle_sentence(self._switchboard)}")
        self._stop()

    def _stop(self) -> None:
        """Accepts no more connections. Those that come from now on wait for the next daemon."""
        if self._stopping.is_set():
            return
        for sock in (*self._listeners.tcp, self._listeners.console):
            asyncio.get_running_loop().remove_reader(sock)
        self._stopping.set()

    # -------------------------------------------------------------- signals

    def _stop_signal(self, number: signal.Signals) -> None:
        if self._signalled:
            log.warning("Second %s: stopped at once", number.name)
            os._exit(128 + number)
        self._signalled = True
        log.info("%s: stopping", number.name)
        self._stop()

    def _reload_signal(self) -> None:
        with suppress(PychatError):  # it is in the log
            self._reload_settings()

    def _reload_settings(self) -> list[str]:
        """Takes the settings as they are now. Returns what to tell whoever has asked for it; raises UsageError,
        and changes nothing then: a mistake in a list must not put out who is talking."""
        systemd.notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            settings = self._reload()
            identity = load_identity(settings)
            if identity.complaints:
                raise UsageError(" ".join(identity.complaints))
            self._switchboard.blocklist.load()
        except PychatError as error:
            words = f"The configuration was not reloaded: {error}"
            log.error("%s", words)
            raise UsageError(words) from None
        else:
            return self._apply(settings, identity)
        finally:
            systemd.notify("READY=1")

    def _apply(self, settings: Settings, identity: Identity) -> list[str]:
        self._callers.apply(settings, identity)
        self._log_warnings(settings, identity)
        self._switchboard.reload(settings, identity.fingerprint)
        said = self._warnings(settings, identity)
        if self._put_out_unwelcome():
            said.append("The conversation is over.")
        log.info("The configuration has been reloaded")
        if changed := self._restart_required(settings):
            words = f"Restart the service to apply: {', '.join(changed)}."
            log.warning("%s", words)
            said.append(words)
        return said

    def _put_out_unwelcome(self) -> bool:
        """Ends what callers do who may not call any more. Returns whether that was the conversation."""
        try:
            return self._callers.put_out_unwelcome()
        except JournalError as error:
            self._switchboard.journal_failed(error)
            return False

    def _restart_required(self, settings: Settings) -> list[str]:
        """The changed settings that a reload does not apply."""
        differ = [key for key in RESTART_REQUIRED if getattr(settings, key) != getattr(self._settings, key)]
        unused = ("listen", "syslog") if self._listeners.passed else ("exit_idle",)
        return [key for key in differ if key not in unused]

    def _log_warnings(self, settings: Settings, identity: Identity) -> None:
        """Logs problems that do not prevent the service."""
        for complaint in identity.complaints:
            log.error("%s", complaint)
        for words in self._warnings(settings, identity):
            log.warning("%s", words)

    def _warnings(self, settings: Settings, identity: Identity) -> list[str]:
        """What the settings do not do, although somebody may expect it."""
        passed = self._listeners.passed
        found = {
            LISTEN_UNUSED: passed and settings.listen != EVERYWHERE,
            EXIT_IDLE_UNUSED: not passed and settings.exit_idle is not None,
            f"{UNSAFE_NO_SYNC} is set: confirmed messages may not survive a power failure.": not settings.sync,
        }
        return [*identity.warnings, *(words for words, holds in found.items() if holds)]

    def _state_changed(self) -> None:
        """Many changes at once are one line for systemd."""
        if self._status_timer is None:
            self._status_timer = asyncio.get_running_loop().call_later(STATUS_SECONDS, self._notify_status)

    def _notify_status(self) -> None:
        self._status_timer = None
        if self._idle_timer is None:  # a connection may have become a watcher's
            self._restart_idle_timer()
        if not self._stopping.is_set():
            systemd.notify(f"STATUS={state_sentence(self._switchboard)}")


def _log_exception(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Logs a bug of ours in a callback, with its traceback. The service goes on."""
    log.error("%s", context["message"], exc_info=context.get("exception"))
