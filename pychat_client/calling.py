"""Calls a host: verifies it, opens the view, and runs the conversation. `pychat` and `pychat send`."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from ssl import SSLContext

from pychat_client.call_options import CallOptions
from pychat_client.classic.server_codec import ServerCodec
from pychat_client.config.preferences import Preferences
from pychat_client.config.targets import login_handle
from pychat_client.errors import ExitStatus, HandleError, PychatError, UnreachableError, UntrustedHostError
from pychat_client.protocol.endpoint import Endpoint
from pychat_client.session.reconnect import PAUSE_FIRST, longer_pause
from pychat_client.session.session import Session, ending_signals, run_session
from pychat_client.session.transcript import Transcript
from pychat_client.text import printable
from pychat_client.transport.connect import DIAL_SECONDS, dial
from pychat_client.transport.connection import Connection
from pychat_client.transport.verify_host import explain_change, trusted_context
from pychat_client.ui.alerts import Alerts
from pychat_client.ui.choose_view import ViewOptions, ask_handle, make_front_end, wants_plain
from pychat_client.ui.front_end import FrontEnd
from pychat_client.ui.one_shot import OneShot, text_of


def call(options: CallOptions, view_options: ViewOptions, preferences: Preferences) -> ExitStatus:
    """Calls, and lets the user talk until the conversation ends."""
    if options.handle is None and not sys.stdin.isatty():
        raise HandleError("No terminal to ask for your name: use --handle NAME.")
    log = Transcript(view_options.log)
    context, key = None, None
    if options.classic is None:
        seconds = options.retry_for if options.wait else None
        context, key = _verify_host(options, preferences, seconds, plain=view_options.plain)
    handle = options.handle or ask_handle(view_options)
    front_end = make_front_end("pychat", view_options, preferences)
    return asyncio.run(_talk(options, handle, front_end, context=context, key=key, log=log))


def send(
    options: CallOptions, words: list[str], preferences: Preferences, *, expect_reply: bool, seconds: float | None
) -> ExitStatus:
    """Sends one message: `words`, or all of stdin. Gives up after `seconds`; None: never."""
    handle = options.handle or login_handle()
    if handle is None:
        raise HandleError("Your login name is not a valid handle: use --handle NAME.")
    text = text_of(words)
    view = OneShot(text, expect_reply=expect_reply, seconds=seconds)
    for number in ending_signals():  # until the session handles them
        signal.signal(number, signal.default_int_handler)
    try:
        context, key = _verify_host(options, preferences, seconds, plain=False)
    except (PychatError, KeyboardInterrupt):  # stdin cannot be read again, so print the text
        view.not_sent(text)
        view.report()
        raise
    status = asyncio.run(_talk(options, handle, view, context=context, key=key))
    if status is not ExitStatus.OK:
        view.report()
    return status


def _verify_host(
    options: CallOptions, preferences: Preferences, seconds: float | None, *, plain: bool
) -> tuple[SSLContext, str | None]:
    """As verify_host.trusted_context. With --wait it calls until the host answers, for at most `seconds`."""
    deadline = float("inf") if seconds is None else time.monotonic() + seconds
    pause, alert = PAUSE_FIRST, None
    while True:
        try:
            return trusted_context(options, min(DIAL_SECONDS, max(deadline - time.monotonic(), 0.1)), alert)
        except UnreachableError as error:
            if not options.wait or time.monotonic() + pause > deadline:
                raise
            if alert is None:
                print(f"pychat: {error} Calling again.", file=sys.stderr)
                alert = _alert_without_view(preferences, plain=plain)
        time.sleep(pause)
        pause = longer_pause(pause)


def _alert_without_view(preferences: Preferences, *, plain: bool) -> Callable[[str], None]:
    """Rings for a user who waits for the host and may look elsewhere, while there is no view yet."""
    if wants_plain(plain):
        preferences = replace(preferences, notify="off")  # a notification is an escape sequence
    alerts = Alerts(
        preferences,
        lambda sequence: print(sequence, end="", file=sys.stderr, flush=True),
        lambda sentence: print(f"pychat: {sentence}", file=sys.stderr),
    )
    return lambda sentence: alerts.alert(sentence, ring=True)


async def _talk(
    options: CallOptions,
    handle: str,
    front_end: FrontEnd,
    *,
    context: SSLContext | None,
    key: str | None,
    log: Transcript | None = None,
) -> ExitStatus:
    codec = None if options.classic is None else ServerCodec(options.classic)
    max_bytes = None if codec is None else codec.max_text_bytes(handle)
    endpoint = Endpoint(handle, classic=codec is not None, max_text_bytes=max_bytes)
    title = f"{printable(options.host)} port {options.port}"
    session = Session(endpoint, front_end, title, wait=options.wait, key=key, transcript=log)

    async def connect() -> Connection:
        try:
            return await dial(options.host, options.port, session, context, codec)
        except UntrustedHostError as error:
            if key is None:
                raise
            raise await explain_change(options.host, options.port, key, error) from None

    return await run_session(session, front_end.run, connect, options.retry_for)
