"""Stops running daemons, and tells what they do: `pychatd stop`, `status` and `fingerprint`."""

from __future__ import annotations

import argparse
import os
import select
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pychat_client.entrypoint import print_result
from pychat_client.errors import (
    ExitStatus,
    PermissionDeniedError,
    PychatError,
    TransportError,
    UnreachableError,
    UsageError,
)
from pychat_client.files import make_sure
from pychat_client.layout import fit_page
from pychat_client.text import parse_port
from pychat_client.trust.certificates import certificate_der
from pychat_client.trust.fingerprint import fingerprint, safety_number
from pychatd import services
from pychatd.control import ask_status
from pychatd.process import linux
from pychatd.process.pidfile import holder, is_left_behind
from pychatd.report import Report
from pychatd.services import Place
from pychatd.settings import Settings

STOP_SECONDS = 15.0
"""How long `stop` waits for the daemon to end before it reports a failure."""


def stop(args: argparse.Namespace) -> int:
    linux.require()
    assert hasattr(os, "pidfd_open")
    assert hasattr(signal, "pidfd_send_signal")
    port = parse_port(args.port)
    place, pid = _daemon(port, args.runtime_directory)
    try:
        handle = os.pidfd_open(pid)
        if holder(place.pidfile) == pid:  # otherwise it has ended, and its pid may be another program's
            signal.pidfd_send_signal(handle, signal.SIGTERM)
    except ProcessLookupError:
        return ExitStatus.OK
    except PermissionError:
        raise PermissionDeniedError(
            f"Permission denied: pychatd on port {port} (pid {pid}) belongs to another user: "
            "run this as root, or as that user."
        ) from None
    if not select.select([handle], [], [], STOP_SECONDS)[0]:
        raise TransportError(
            f"pychatd on port {port} did not stop within {STOP_SECONDS:.0f} s; 'kill -9 {pid}' ends it."
        )
    return ExitStatus.OK


def _daemon(port: int, runtime: Path | None) -> tuple[Place, int]:
    """The place and the pid of the daemon that `pychatd start` or `run` has started.

    Raises UsageError if there are several, UnreachableError if there is none, TransportError for systemd's.
    """
    pids: dict[Place, int] = {}
    refused: PermissionDeniedError | None = None
    for place in services.places(port, runtime):
        try:
            if (pid := holder(place.pidfile)) is not None:
                pids[place] = pid
        except PermissionDeniedError as error:  # another user's
            refused = PermissionDeniedError(f"{error}{_as_whom(place)}")
    if pids:
        place = services.only_one(list(pids))
        return place, pids[place]
    if refused is not None:
        raise refused
    if services.running(port, runtime):
        raise TransportError(
            f"systemd runs the service on port {port}: stop it with 'systemctl stop pychatd@{port}.socket'."
        )
    raise services.not_running(port, runtime, "'pychatd status' shows which ones run.")


def _as_whom(place: Place) -> str:
    """What root can do about a service that is another user's: what that user can change is not trusted."""
    with suppress(OSError, KeyError):  # KeyError: the user has no name
        if os.geteuid() == 0 != place.directory.stat().st_uid:
            return f" Run this as {place.directory.owner()}."
    return ""


def status(args: argparse.Namespace) -> int:
    if args.unread_max is not None and not args.check:
        raise UsageError("--unread-max needs --check.")
    port = None if args.port is None else parse_port(args.port)
    answers = [answer for answer in _ask_all(services.places(port, args.runtime_directory)) if answer is not None]
    for answer in answers:
        if isinstance(answer, Report):
            print_result(answer.json() if args.json else fit_page(sys.stdout, answer.in_words()))
        elif args.json or port is not None or answer.status is ExitStatus.REFUSED:
            print(f"pychatd: {answer}", file=sys.stderr)
        else:
            print_result(fit_page(sys.stdout, str(answer)))
    if not answers:
        raise services.not_running(port, args.runtime_directory)
    failed = [answer.status for answer in answers if isinstance(answer, PychatError)]
    silent = [status for status in failed if status is not ExitStatus.REFUSED]
    if silent or len(failed) == len(answers):
        return (silent or failed)[0]
    reports = [answer for answer in answers if isinstance(answer, Report)]
    return _check(reports, args.unread_max) if args.check else ExitStatus.OK


def _check(reports: Sequence[Report], unread_max: timedelta | None) -> ExitStatus:
    """The worst that monitoring has to know of services that answer. Says why, if the reports do not."""
    if any(report.journal_words for report in reports):
        return ExitStatus.JOURNAL_FAILS
    if unread_max is None:
        return ExitStatus.OK
    now = datetime.now(UTC)
    late = [
        report for report in reports if report.unread_since is not None and now - report.unread_since > unread_max
    ]
    for report in late:
        words = "a message has been unread for longer than --unread-max allows."
        print(f"pychatd: Port {report.port}: {words}", file=sys.stderr)
    return ExitStatus.UNREAD if late else ExitStatus.OK


def _ask_all(places: list[Place]) -> list[Report | PychatError | None]:
    """The answers of all services, asked side by side: one that hangs must not keep us from the others."""
    from concurrent.futures import ThreadPoolExecutor

    if not places:
        return []
    with ThreadPoolExecutor(len(places)) as pool:
        return list(pool.map(_ask, places))


def _ask(place: Place) -> Report | PychatError | None:
    """The status of the daemon at a place, or why it cannot be told; None when no daemon has to be there."""
    try:
        return ask_status(place.socket)
    except UnreachableError:
        pass
    except PermissionDeniedError as error:
        return error
    except TransportError as error:
        return TransportError(f"Port {place.port}: {error}")
    try:
        pid = holder(place.pidfile)
        died = is_left_behind(place.pidfile)
    except PermissionDeniedError as error:
        return error
    if died:
        return UnreachableError(
            f"Port {place.port}: pychatd has died. Start it with 'pychatd start {place.port}', or remove "
            f"{place.directory} if you do not need it any more."
        )
    if pid is None:
        return None
    return TransportError(
        f"Port {place.port}: pychatd runs with pid {pid}, but its socket {place.socket} is gone. Stop it with "
        f"'pychatd stop {place.port}', and start it again."
    )


# ------------------------------------------------------------------ fingerprint


def print_fingerprint(settings: Settings, runtime: Path | None) -> int:
    """Prints the fingerprint and the safety number of the certificate. Raises PychatError."""
    try:
        found = services.running(settings.port, runtime)
    except PermissionDeniedError:
        if not settings.has_identity:  # it is not this user's service that is meant
            raise
        found = []
    if found:  # a running daemon tells it to all who may use its console
        key = ask_status(services.only_one(found).socket).key
    else:
        if not settings.has_identity:
            raise UnreachableError(
                f"The service on port {settings.port} has no key yet: start it once to make one."
            )
        make_sure(settings.identity)
        key = fingerprint(certificate_der(settings.identity))
    print_result(f"{key}\nsafety number {safety_number(key)}")
    return ExitStatus.OK
