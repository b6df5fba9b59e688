"""Calls a host: verifies it, opens the view, and runs the conversation. `pychat` and `pychat send`."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from pychat_client.call_options import CallOptions
from pychat_client.classic.server_codec import ServerCodec
from pychat_client.config.paths import session_file
from pychat_client.config.preferences import Preferences
from pychat_client.config.targets import login_handle
from pychat_client.errors import (
    ExitStatus,
    HandleError,
    PychatError,
    UnreachableError,
    UntrustedHostError,
)
from pychat_client.own_key import own_certificate, own_credentials
from pychat_client.protocol.endpoint import Credentials, Endpoint
from pychat_client.session.reconnect import PAUSE_FIRST, longer_pause
from pychat_client.session.session import Session, run_session
from pychat_client.session.session_file import SessionFile
from pychat_client.session.take_over import MOVE_IT, ends_in_order, open_if_possible
from pychat_client.session.transcript import Transcript
from pychat_client.text import printable
from pychat_client.transport.connect import DIAL_SECONDS, dial
from pychat_client.transport.connection import Connection
from pychat_client.transport.interruptible import run_interruptible
from pychat_client.transport.verify_host import Trust, look_again, trusted_host
from pychat_client.trust.aliases import canonical
from pychat_client.ui.alerts import Alerts
from pychat_client.ui.choose_view import ViewOptions, ask_handle, host_question, make_front_end, wants_plain
from pychat_client.ui.front_end import FrontEnd

_LEAVE_IT = "Leave it there first."
"""What a command that shows no conversation advises while it is open in a window."""


@ends_in_order()
def call(options: CallOptions, view_options: ViewOptions, preferences: Preferences) -> ExitStatus:
    """Calls, and lets the user talk until the conversation ends, or until this program does."""
    log = Transcript(view_options.log)
    file = _session_file(options)
    kept = None if file is None else file.kept.endpoint
    own = options.handle or (None if options.invitation is None else login_handle())
    if own is None and kept is None and not sys.stdin.isatty():
        raise HandleError("There is no terminal to ask for your handle: use --handle NAME.")
    trust = None
    if options.classic is None:
        trust = _verify_host(options, preferences, options.retry_for, plain=view_options.without_screen)
    handle = own or (kept.handle if kept is not None else ask_handle(view_options))
    live = view_options.wants_live(preferences)
    given_back: tuple[str, ...] = ()
    while True:
        front_end = make_front_end("pychat", view_options, preferences)
        talk = Talk(options, handle, front_end, trust=trust, log=log, live=live, given_back=given_back)
        status = run_interruptible(talk.until_over(file, partial(_session_file, options)))
        if not talk.handle_refused or not sys.stdin.isatty():
            return status
        handle, given_back = ask_handle(view_options), talk.given_back
        file = _session_file(options)


@ends_in_order()
def send(
    options: CallOptions,
    words: list[str],
    preferences: Preferences,
    *,
    expect_reply: bool,
    stay_open: bool,
    seconds: float | None,
) -> ExitStatus:
    """Sends one message: `words`, or all of stdin. Gives up after `seconds`; None: never.

    stay_open: the conversation does not end with it; one that is open already never does.
    """
    from pychat_client.ui.one_shot import OneShot, text_of  # what a call does not need, here and below

    handle = options.handle or login_handle()
    if handle is None:
        raise HandleError("Your login name is not a valid handle: use --handle NAME.")
    text = text_of(words)
    view = OneShot(text, expect_reply=expect_reply, seconds=seconds)

    def take_file() -> SessionFile | None:
        file = _session_file(options, _LEAVE_IT)
        if file is None and stay_open:
            raise PychatError("--open needs this file: without it, nobody can fetch the answers.")
        if file is None or file.kept.endpoint is not None or stay_open:
            return file
        file.close()
        return None

    with view.keeps_text():
        file = take_file()
        trust = _verify_host(options, preferences, seconds, plain=False)
        talk = Talk(options, handle, view, trust=trust)
        status = run_interruptible(talk.until_over(file, take_file, repeat=0))
    if status is not ExitStatus.OK:
        view.report()
    return status


@ends_in_order()
def replies(options: CallOptions, preferences: Preferences, *, wait: bool, as_json: bool) -> ExitStatus:
    """Prints what has come in the conversation that is open with a service. wait: until something has."""
    from pychat_client.ui.one_shot import Replies

    file = _session_file(options, _LEAVE_IT, renew=False)
    if file is None or file.kept.endpoint is None:
        begin = f"'pychat send --open {printable(options.host)} {options.port}' begins one."
        raise UnreachableError(f"No conversation with {options.title} is open. {begin}")
    trust = _verify_host(options, preferences, None, plain=False)
    view = Replies(wait=wait, as_json=as_json)
    status = run_interruptible(Talk(options, file.kept.endpoint.handle, view, trust=trust).once(file))
    if status is not ExitStatus.OK:
        view.report()
    return status


def _session_file(options: CallOptions, advice: str = MOVE_IT, *, renew: bool = True) -> SessionFile | None:
    """Where the conversation with this service is kept. A classic server can resume none. advice: what the user
    can do while it is open in another window; renew: as for open_if_possible."""
    if options.classic is not None:
        return None
    path = session_file(f"{canonical(options.host)}:{options.port}")
    what = f"The conversation with {options.title}"
    return open_if_possible(
        "pychat", path, what, take_over=options.take_over, advice=advice, needed=True, renew=renew
    )


def _verify_host(options: CallOptions, preferences: Preferences, seconds: float | None, *, plain: bool) -> Trust:
    """As verify_host.trusted_host, for at most `seconds`. With --wait it calls until the host answers."""
    if options.invitation is not None:
        own_certificate()  # a key has to be there before TLS can show it
    deadline = float("inf") if seconds is None else time.monotonic() + seconds
    pause, alert = PAUSE_FIRST, None
    while True:
        try:
            left = max(deadline - time.monotonic(), 0.1)
            return trusted_host(options, host_question(plain=plain), min(DIAL_SECONDS, left), alert)
        except UnreachableError as error:
            if not options.wait or time.monotonic() + pause > deadline:
                raise
            if alert is None:
                print(f"pychat: {error} Calling again.", file=sys.stderr)
                alert = _alert_without_view(preferences, plain=plain)
        run_interruptible(asyncio.sleep(pause))
        pause = longer_pause(pause)


def _alert_without_view(preferences: Preferences, *, plain: bool) -> Callable[[str], None]:
    """Rings for a user who waits for the host and may look elsewhere, while there is no view yet."""
    if wants_plain(plain):
        preferences = replace(preferences, notify="off")  # a notification is an escape sequence
    elsewhere = not sys.stderr.isatty()  # a bell in a file rings for nobody
    alerts = Alerts(
        preferences,
        lambda sequence: None if elsewhere else print(sequence, end="", file=sys.stderr, flush=True),
        lambda sentence: print(f"pychat: {sentence}", file=sys.stderr),
    )
    return lambda sentence: alerts.alert(sentence, ring=True)


class Talk:
    """The calls of one command, one after the other."""

    def __init__(
        self,
        options: CallOptions,
        handle: str,
        front_end: FrontEnd,
        *,
        trust: Trust | None,
        log: Transcript | None = None,
        live: bool = False,
        given_back: tuple[str, ...] = (),
    ) -> None:
        """given_back: texts that an earlier call of this program has not sent."""
        self._options = options
        self._handle = handle
        self._front_end = front_end
        self._trust = trust
        self._log = log
        self._live = live
        self.handle_refused = False
        """Whether the last call was refused because of the handle."""
        self.given_back = given_back
        """The texts that no call so far has sent."""

    async def until_over(
        self, file: SessionFile | None, next_file: Callable[[], SessionFile | None], repeat: int | None = None
    ) -> ExitStatus:
        """Goes on with the conversation in `file`, and calls anew if that is over or the user wants another.
        next_file: takes the file of the other one."""
        while True:
            session = self._session(file, repeat)
            if self._options.new and file is not None and file.kept.endpoint is not None:
                session.end_earlier()
            status = await self._run(session)
            self.handle_refused, self.given_back = session.handle_refused, session.given_back
            if file is None or not session.over_at_return:
                return status
            file = next_file()

    async def once(self, file: SessionFile | None) -> ExitStatus:
        """Goes on with the conversation in `file`, or calls."""
        return await self._run(self._session(file, repeat=0))

    def _session(self, file: SessionFile | None, repeat: int | None = None) -> Session:
        options = self._options
        classic = options.classic
        endpoint = Endpoint(
            self._handle,
            classic_server=classic is not None,
            max_text_bytes=None if classic is None else classic.max_text_bytes(self._handle),
            saved=None if file is None else file.kept.endpoint,
            repeat=options.repeat if repeat is None else repeat,
            calls=time.time_ns() // 10**6,  # higher than with any state of this conversation
            credentials=Credentials() if self._trust is None else own_credentials(options.invitation),
            quiet=options.quiet,
            live=self._live and classic is None,
        )
        return Session(
            endpoint,
            self._front_end,
            options.title,
            wait=options.wait,
            key=None if self._trust is None else self._trust.key,
            transcript=self._log,
            file=file,
            back=options.command,
            given_back=self.given_back,
        )

    async def _run(self, session: Session) -> ExitStatus:
        options = self._options

        async def connect() -> Connection:
            try:
                return await self._dial(session)
            except UntrustedHostError as error:
                if self._trust is None or self._trust.certificate is None:
                    raise
                self._trust = await look_again(options, self._trust.certificate, error)
                session.certificate_renewed(self._trust.key, given=options.fingerprint is not None)
                return await self._dial(session)

        return await run_session(session, self._front_end.run, connect, options.retry_for)

    async def _dial(self, session: Session) -> Connection:
        options = self._options
        codec = None if options.classic is None else ServerCodec(options.classic)
        context = None if self._trust is None else self._trust.context
        return await dial(options.host, options.port, session, context, codec, via=options.via)
