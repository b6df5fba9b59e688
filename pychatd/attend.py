"""Attends a service: runs the operator's conversation over the console socket."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from pychat_client.config.paths import session_file
from pychat_client.config.preferences import Preferences
from pychat_client.config.targets import login_handle
from pychat_client.errors import ExitStatus
from pychat_client.protocol.console_endpoint import ConsoleEndpoint
from pychat_client.session.session import Session, run_session
from pychat_client.session.take_over import ends_in_order, open_if_possible
from pychat_client.session.transcript import Transcript
from pychat_client.transport.connect import dial_unix
from pychat_client.transport.interruptible import run_interruptible
from pychat_client.ui.choose_view import ViewOptions, make_front_end
from pychatd.process.owner import end_with
from pychatd.services import Place


@ends_in_order()
def attend(
    place: Place,
    handle: str | None,
    view_options: ViewOptions,
    preferences: Preferences,
    *,
    take_over: bool,
    retry_for: float | None,
    back: str,
    owners: Sequence[int],
) -> ExitStatus:
    """Shows the service at `place`, and lets the operator talk, until the console detaches.

    handle: None for the one of the service, or else the login name; back: the command that returns to the
    conversation; owners: processes with any of which the console ends. Raises PychatError.
    """
    front_end = make_front_end("pychatd-console", view_options, preferences)
    # Where this console keeps what its user has said and the daemon has not stored yet.
    file = open_if_possible(
        "pychatd-console",
        session_file(str(place.socket)),
        f"The console of port {place.port}",
        take_over=take_over,
    )

    async def run() -> ExitStatus:
        for owner in owners:
            end_with(owner)
        endpoint = ConsoleEndpoint(
            handle or login_handle() or "operator",
            console=os.urandom(8).hex(),
            handle_is_default=handle is None,
            take_over=take_over,
            saved=None if file is None else file.kept.endpoint,
            calls=time.time_ns() // 10**6,  # higher than with any state of this conversation
            quiet=not preferences.signs,
            live=view_options.wants_live(preferences),
        )
        session = Session(
            endpoint,
            front_end,
            f"port {place.port}",
            transcript=Transcript(view_options.log),
            file=file,
            back=back,
        )
        return await run_session(session, front_end.run, lambda: dial_unix(place.socket, session), retry_for)

    return run_interruptible(run())
