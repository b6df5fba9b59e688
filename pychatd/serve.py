"""Runs a service in this process or in the background: `pychatd run` and `pychatd start`.

The port is opened first, and what serving needs is imported after that: the kernel keeps a caller who comes in
between until the daemon serves it. Knows no command line.
"""

from __future__ import annotations

import faulthandler
import os
from collections.abc import Callable
from contextlib import nullcontext, suppress
from socket import socket

from pychat_client.errors import BusyError, ExitStatus, PermissionDeniedError
from pychat_client.files import open_own
from pychatd.network import listeners
from pychatd.process import linux, systemd
from pychatd.process.pidfile import Pidfile
from pychatd.settings import Settings

Load = Callable[[], Settings]
"""Reads the settings, from the command line and the file as it is now. Raises UsageError."""


def start(load: Load, owner: int | None) -> int:
    """Runs a daemon in the background; returns when it accepts calls. owner: a process with which it ends.

    Raises PychatError.
    """
    from pychatd.process import daemonize

    settings = load()
    daemonize.require()
    service = _Service(settings, load, [])
    assert service.pidfile is not None

    from pychatd.process import logs

    def serve(ready: Callable[[list[str]], None]) -> int:
        warnings = logs.log_to_syslog(settings.syslog, settings.port)  # detaching would close its socket
        return service.serve(lambda: ready(warnings.end()), owner)

    return daemonize.detach(service.pidfile, service.listeners.descriptors(), serve)


def run(load: Load) -> int:
    """Runs a daemon in this process, until it is stopped. Raises PychatError."""
    settings = load()
    os.umask(0o077)
    faulthandler.enable()  # systemd's watchdog sends SIGABRT; the log then shows where the daemon was stuck
    service = _Service(settings, load, systemd.passed_sockets())

    from pychatd.process import logs

    logs.log_to_stderr(settings.port)
    with service.pidfile or nullcontext():
        return service.serve(lambda: None)


class _Service:
    """What a daemon needs before it can serve: directories, pidfile, sockets, key."""

    def __init__(self, settings: Settings, reload: Load, passed: list[socket]) -> None:
        """Acquires all of them; the sockets that systemd has `passed` are used as they are. Raises PychatError."""
        linux.require()
        self._settings = settings
        self._reload = reload
        self.pidfile: Pidfile | None = None
        if not passed:
            self.pidfile = Pidfile(settings.pidfile)
            listeners.make_directory(settings.runtime)
            _acquire(self.pidfile, settings.port)
        try:
            self._open(passed)
        except BaseException:
            if self.pidfile is not None:
                self.pidfile.release()
            raise

    def _open(self, passed: list[socket]) -> None:
        tcp = [] if passed else self._bind()

        from pychatd.network import identity  # only now: it loads ssl

        listeners.make_directory(self._settings.state)
        _check_files(self._settings)
        self._identity = identity.load(self._settings, make=True)
        if passed:
            self.listeners = listeners.sort(passed)
        else:
            console = listeners.bind_console(self._settings.console_socket)
            self.listeners = listeners.Listeners(tcp, console, passed=False)

    def _bind(self) -> list[socket]:
        """The TCP sockets. Raises PychatError; BusyError names the service that has the port, if it is one."""
        try:
            return listeners.bind_tcp(self._settings)
        except BusyError:
            from pychatd import services

            port = self._settings.port
            with suppress(PermissionDeniedError):
                if found := services.running(port, None):
                    raise BusyError(
                        f"A service already runs on port {port}: its files are in {found[0].directory}."
                    ) from None
            raise

    def serve(self, ready: Callable[[], None], owner: int | None = None) -> int:
        """Serves until a signal stops it, or the process `owner` ends. Makes the event loop here, because it would
        not survive the fork."""
        import asyncio

        from pychatd.conversation.journal import Journal
        from pychatd.network.server import Server
        from pychatd.process.owner import end_with

        async def run() -> None:
            if owner is not None:
                end_with(owner)
            journal = Journal(self._settings.journal, full=self._settings.sync)
            server = Server(self._settings, self.listeners, journal, self._identity)
            await server.run(ready, self._reload)
            if owner is not None:
                server.revoke_invitations()

        try:
            asyncio.run(run())
        finally:
            self.listeners.close()  # also after a failure: nothing is left behind
        return ExitStatus.OK


def _acquire(pidfile: Pidfile, port: int) -> None:
    """Raises BusyError that tells how to use the daemon that runs already, and PermissionDeniedError."""
    try:
        pidfile.acquire()
    except BusyError as error:
        raise BusyError(
            f"Port {port}: {error} 'pychatd-console {port}' opens its console, 'pychatd stop {port}' ends it."
        ) from None


def _check_files(settings: Settings) -> None:
    """Makes sure that the journal and the key, if they are there, are this user's own, and private.

    Raises PermissionDeniedError. The operator's own certificate (`certificate`) may be anybody's.
    """
    for path in (settings.journal, settings.state / "identity.pem"):
        try:
            os.close(open_own(path, os.O_RDONLY))
        except FileNotFoundError:
            pass
        except OSError as error:
            raise PermissionDeniedError(f"Cannot use {path}: {error.strerror}.") from None
