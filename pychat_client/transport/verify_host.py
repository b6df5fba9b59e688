"""Decides whether a host's key is trusted: known, given on the command line, signed by a CA, or accepted now.

Asks the user once for each host, as ssh does. Until then, nothing but a TLS handshake goes to the host.
"""

from __future__ import annotations

import ssl
import sys
from collections.abc import Callable
from contextlib import suppress

from pychat_client.call_options import CallOptions
from pychat_client.config.paths import key_file, known_hosts_file
from pychat_client.errors import PychatError, UntrustedHostError, UsageError
from pychat_client.layout import fit_page
from pychat_client.records import record
from pychat_client.text import printable
from pychat_client.transport.connect import DIAL_SECONDS, fetch_certificate
from pychat_client.transport.interruptible import run_interruptible
from pychat_client.transport.question import Ask
from pychat_client.trust import fingerprint, known_hosts, tls
from pychat_client.trust.invitation import Invitation
from pychat_client.trust.public_key import key_id, public_key_of


@record
class Trust:
    """How a call knows the right host. certificate: the only one that is accepted (DER); None with --ca."""

    context: ssl.SSLContext
    certificate: bytes | None

    @property
    def key(self) -> str | None:
        """The fingerprint of the certificate."""
        return None if self.certificate is None else fingerprint.fingerprint(self.certificate)


def trusted_host(
    options: CallOptions,
    ask: Ask,
    seconds: float = DIAL_SECONDS,
    alert: Callable[[str], None] | None = None,
) -> Trust:
    """TLS settings that accept only the right host.

    ask: asks the user. seconds: how long an unknown host may take to show its key. alert: calls the user, who may
    be in another window, before a question.
    Raises UntrustedHostError when the key is not trusted, and what connect.fetch_certificate raises.
    """
    host, port = options.host, options.port
    if options.ca:
        return Trust(tls.authority_context(key_file()), None)
    known = known_hosts.KnownHosts(known_hosts_file())
    accepted = known.certificate_of(host, port)
    wanted = options.fingerprint
    pinned = None if accepted is None else fingerprint.fingerprint(accepted)
    if accepted is None or (wanted is not None and wanted != pinned) or not _fits(options.invitation, accepted):
        shown = run_interruptible(fetch_certificate(host, port, tls.looking_context(), seconds, options.via))
        if not _fits(options.invitation, shown):
            raise _not_inviting(options, fingerprint.fingerprint(shown))
        if options.invitation is None:
            _decide(options, fingerprint.fingerprint(shown), ask, alert)
        try:
            known.accept(host, port, shown)
        except PychatError as error:
            if accepted is not None:  # the file keeps the old key, and the next call would use that one
                raise
            words = "pychat uses this key for one call, and asks you again at the next call."
            _print(f"pychat: {error} {words}")
        accepted = shown
    return Trust(tls.pinned_context(accepted, key_file()), accepted)


def _fits(invitation: Invitation | None, certificate: bytes) -> bool:
    """Whether a certificate (DER) has the key that an invitation names; without one, any does."""
    if invitation is None:
        return True
    try:
        return key_id(certificate) == invitation.key
    except ValueError:
        return False


def _not_inviting(options: CallOptions, shown: str) -> UntrustedHostError:
    return UntrustedHostError(
        f"{options.title} does not have the key of the invitation. Nothing has been sent.\n"
        "Somebody may be between you and that host, or the invitation is for another host or port.\n"
        f"The key shown is {shown}. Ask the other person whether host and port are right."
    )


async def look_again(options: CallOptions, accepted: bytes, error: UntrustedHostError) -> Trust:
    """Looks at a host again that has not shown the accepted certificate, without showing anything of ours.

    If it proves that it has the same key, its new certificate is accepted: from now on, or for this call where the
    user has given a fingerprint. Raises UntrustedHostError for another key, with both fingerprints, and `error`
    where nothing has changed.
    """
    host, port = options.host, options.port
    shown = await fetch_certificate(host, port, tls.looking_context(), via=options.via)
    if shown == accepted:
        raise error
    if not _have_one_key(accepted, shown):
        raise known_hosts.changed_key(host, port, *map(fingerprint.fingerprint, (accepted, shown)))
    if options.fingerprint is None:  # a given one needs the certificate that it is for, to prove the key again
        with suppress(PychatError):  # the next call looks again then, and finds the same key
            known_hosts.KnownHosts(known_hosts_file()).accept(host, port, shown)
    return Trust(tls.pinned_context(shown, key_file()), shown)


def _have_one_key(one: bytes, other: bytes) -> bool:
    """Whether two certificates (DER) are for the same key."""
    try:
        return public_key_of(one) == public_key_of(other)
    except ValueError:
        return False


def _decide(options: CallOptions, shown: str, ask: Ask, alert: Callable[[str], None] | None) -> None:
    """Raises UntrustedHostError unless the user accepts the key that the host shows."""
    port = options.port
    name = f"{printable(options.host)} port {port}"
    if options.fingerprint is not None:
        _compare(name, shown, options.fingerprint)
        return
    if options.accept_new:
        _print(f"pychat: accepted the key of {name}: {shown}")
        return
    page = (
        f"The key of {name} is not known yet:\n\n    {shown}\n\n"
        f"Its safety number:\n\n    {fingerprint.safety_number(shown)}\n\n"
        f"Ask the other person to run 'pychatd fingerprint {port}' and compare it, for example by phone.\n"
    )
    if not sys.stdin.isatty():
        raise UntrustedHostError(
            f"{page}pychat cannot ask you without a terminal. To accept this key, call or send with --fingerprint "
            f"{shown}; to accept any new key, with --accept-new."
        )
    if alert is not None:
        alert(f"{name} answers with a key that is not known yet.")
    _ask(name, shown, page, ask)


def _ask(name: str, shown: str, page: str, ask: Ask) -> None:
    """Raises UntrustedHostError unless the user answers yes, or with this key."""
    question = "Trust this host from now on? (yes/no, or paste the fingerprint)"
    while True:
        answer = ask(f"{page}\n{question}")
        question = "Please type yes, no, or the full fingerprint:"
        if answer is None:
            continue
        if answer.strip().lower() == "yes":
            return
        if not answer or answer.strip().lower() in ("no", "n"):
            raise UntrustedHostError("You did not accept the key. Nothing has been sent.")
        with suppress(UsageError):  # not a fingerprint: ask again
            _compare(name, shown, fingerprint.check_fingerprint(answer))
            return


def _print(text: str) -> None:
    print(fit_page(sys.stderr, text), file=sys.stderr)


def _compare(name: str, shown: str, given: str) -> None:
    """Raises UntrustedHostError unless the host shows the key that the user has given."""
    if given != shown:
        raise UntrustedHostError(
            f"{name} does not have the fingerprint that you gave. Nothing has been sent.\n"
            f"It has {shown}. Ask the other person which one is right, for example by phone.\n"
            "The fingerprint also changes when the certificate is renewed."
        )
