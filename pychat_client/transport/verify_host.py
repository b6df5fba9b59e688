"""Before the first word to a host: is its key known, given, vouched for, or accepted by the user now?

Asks on the terminal, once for each host, as ssh does. Nothing but a TLS handshake is sent until then.
"""

from __future__ import annotations

import ssl
import sys
from collections.abc import Callable
from contextlib import suppress

from pychat_client.call_options import CallOptions
from pychat_client.config.paths import key_file, known_hosts_file
from pychat_client.errors import PychatError, UntrustedHostError, UsageError
from pychat_client.text import printable
from pychat_client.transport.connect import DIAL_SECONDS, look
from pychat_client.trust import fingerprint, known_hosts, tls


def trusted_context(
    options: CallOptions,
    seconds: float = DIAL_SECONDS,
    call: Callable[[str], None] | None = None,
) -> tuple[ssl.SSLContext, str | None]:
    """The TLS settings that connect with the right host only, and its fingerprint (None with --ca).

    seconds: how long a host that is not known yet may take to show its key; call: calls a user who may look
    elsewhere when there is a question.
    Raises UntrustedHostError when there is no reason to trust the key, and what dial.look raises.
    """
    host, port = options.host, options.port
    if options.ca:
        return tls.authority_context(key_file()), None
    known = known_hosts.KnownHosts(known_hosts_file())
    accepted = known.certificate_of(host, port)
    wanted = options.fingerprint
    pinned = None if accepted is None else fingerprint.fingerprint(accepted)
    if accepted is None or (wanted is not None and wanted != pinned):
        shown = look(host, port, tls.looking_context(), seconds)
        _decide(options, fingerprint.fingerprint(shown), call)
        try:
            known.accept(host, port, shown)
        except PychatError as error:
            if accepted is not None:  # another key stands there, and would be the one that counts
                raise
            words = "This call goes on with the key; the next one will not know it."
            print(f"pychat: {error} {words}", file=sys.stderr)
        accepted = shown
    return tls.pinned_context(accepted, key_file()), fingerprint.fingerprint(accepted)


def explain_change(host: str, port: int, accepted: str, error: UntrustedHostError) -> UntrustedHostError:
    """Why the accepted key, by its fingerprint, did not fit (`error`): looks at what the host shows now."""
    shown = fingerprint.fingerprint(look(host, port, tls.looking_context()))
    return error if shown == accepted else known_hosts.changed_key(host, port, accepted, shown)


def _decide(options: CallOptions, shown: str, call: Callable[[str], None] | None) -> None:
    """Raises UntrustedHostError unless the key that the host shows is to be accepted."""
    port = options.port
    name = f"{printable(options.host)} port {port}"
    if options.fingerprint is not None:
        _compare(name, shown, options.fingerprint)
        return
    page = (
        f"The key of {name} is not known yet:\n\n    {shown}\n"
        f"    safety number {fingerprint.safety_number(shown)}\n\n"
        f"The person there sees the same with 'pychatd fingerprint {port}'; compare by telephone.\n"
    )
    if options.accept_new:
        print(f"pychat: accepted the key of {name}: {shown}", file=sys.stderr)
        return
    if not sys.stdin.isatty():
        raise UntrustedHostError(
            f"{page}Without a terminal to ask, accept it with --fingerprint {shown}, or any with --accept-new."
        )
    print(page, file=sys.stderr)
    if call is not None:
        call(f"{name} answers, with a key that is not known yet.")
    question = "Accept it, now and from now on (yes/no/[fingerprint])? "
    while True:
        print(question, end="", file=sys.stderr, flush=True)
        question = "Please type the whole word, yes or no, or the whole fingerprint: "
        answer = sys.stdin.readline()
        if answer.strip().lower() == "yes":
            return
        if not answer or answer.strip().lower() in ("no", "n"):
            raise UntrustedHostError("Not accepted; nothing has been sent.")
        with suppress(UsageError):  # it is no fingerprint either
            _compare(name, shown, fingerprint.check_fingerprint(answer))
            return


def _compare(name: str, shown: str, given: str) -> None:
    """Raises UntrustedHostError unless the key that the host shows is the one that the user has given."""
    if given != shown:
        raise UntrustedHostError(
            f"The key of {name} is not the one you gave. Nothing has been sent.\nIt is {shown}."
        )
