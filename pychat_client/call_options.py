"""The options of one call: what the command line and the configuration say about it, checked, in one object."""

from __future__ import annotations

import argparse
import shlex

from pychat_client.classic.server_codec import ServerQuirks
from pychat_client.config.host_names import host_name
from pychat_client.config.preferences import Contact, Preferences
from pychat_client.errors import UsageError
from pychat_client.protocol.saved import REPEATED
from pychat_client.records import record
from pychat_client.text import check_handle, printable
from pychat_client.trust.fingerprint import check_fingerprint
from pychat_client.trust.invitation import Invitation
from pychat_client.trust.invitation import parse as parse_invitation

CLASSIC_TEXT_MAX = 100
"""Characters of a text that a classic server needs; the handles and marks of the known ones are shorter."""


@record
class CallOptions:
    """The host to call, and how."""

    host: str
    port: int
    handle: str | None = None  # None: nothing names one, so ask
    fingerprint: str | None = None  # of the host's certificate: no other is accepted
    accept_new: bool = False  # accept the key of an unknown host without asking
    invitation: Invitation | None = None  # names the host's key, and lets this user in
    via: tuple[str, ...] = ()  # a program that connects, with %h and %p for host and port
    ca: bool = False  # trust a certificate that is signed by the system's CAs
    wait: bool = False  # call again until the service is free
    retry_for: float | None = None  # give up after so many seconds without a connection; None: never
    classic: ServerQuirks | None = None  # the server is a classic program, with these peculiarities
    new: bool = False  # end the conversation that is open with this service, and begin another one
    take_over: bool = False  # take the conversation from another window
    repeat: int = REPEATED  # messages that are shown again when the conversation goes on
    quiet: bool = False  # send no signs of typing and no read marks

    @property
    def title(self) -> str:
        """What the service is called in sentences."""
        return f"{printable(self.host)} port {self.port}"

    @property
    def command(self) -> str:
        """The command that calls this service."""
        return f"pychat {printable(self.host)} {self.port}"


def resolve(args: argparse.Namespace, contact: Contact, preferences: Preferences) -> CallOptions:
    """The call that the parsed command line `args` means. An option wins over the contact, and the contact over
    the other preferences. Raises UsageError or HandleError."""
    invitation = args.invite or contact.invitation
    _check_classic(args, invitation)
    if invitation is not None and (args.fingerprint or args.ca):
        raise UsageError("An invitation names the host's key: leave out --fingerprint and --ca.")
    handle = args.handle
    if handle is None:
        handle = contact.handle or preferences.handle
    fingerprint = args.fingerprint
    if fingerprint is None and not args.ca:  # --accept-new is for unknown hosts, and this key is known
        fingerprint = None if invitation is not None else contact.fingerprint
    return CallOptions(
        host=host_name(contact.host),
        port=contact.port,
        handle=None if handle is None else check_handle(handle),
        fingerprint=None if fingerprint is None else check_fingerprint(fingerprint),
        accept_new=args.accept_new,
        invitation=None if invitation is None else parse_invitation(invitation),
        via=contact.via if args.via is None else check_command(args.via),
        ca=args.ca,
        wait=args.wait,
        retry_for=args.retry_for,
        classic=_quirks(args) if args.classic else None,
        new=args.new,
        take_over=args.take_over,
        repeat=REPEATED if args.repeat is None else args.repeat,
        quiet=not preferences.signs,
    )


def check_command(words: str) -> tuple[str, ...]:
    """A program and its arguments in one word of the command line. Raises UsageError."""
    try:
        command = tuple(shlex.split(words))
    except ValueError:
        command = ()
    if not command or not all(command):  # as in the configuration, no word is empty
        raise UsageError("--via takes a program and its arguments in one word: --via 'ssh -W %h:%p HOST'.")
    return command


def _check_classic(args: argparse.Namespace, invitation: str | None) -> None:
    """Raises UsageError for options that exclude each other."""
    texts = [text for text in (args.hello, args.end_mark, args.quit_word) if text]
    if not args.classic:
        if texts or args.quit_word is not None or args.no_hello:
            raise UsageError("--no-hello, --hello, --end-mark and --quit-word need --classic.")
        return
    if invitation is not None:
        raise UsageError("A classic server knows no invitations: leave out --classic.")
    if args.fingerprint or args.accept_new or args.ca:
        raise UsageError("A classic server has no key: --classic excludes --fingerprint, --accept-new and --ca.")
    if args.wait or args.retry_for:
        raise UsageError("pychat calls a classic server only once: --classic excludes --wait and --retry-for.")
    for text in texts:
        if not text.isprintable() or len(text) > CLASSIC_TEXT_MAX:
            raise UsageError(
                "--hello, --end-mark and --quit-word take only visible characters, "
                f"and at most {CLASSIC_TEXT_MAX} of them."
            )


def _quirks(args: argparse.Namespace) -> ServerQuirks:
    quit_word = None if args.quit_word is None else with_control_characters(args.quit_word)
    return ServerQuirks(
        "" if args.no_hello else args.hello, with_control_characters(args.end_mark or ""), quit_word
    )


def with_control_characters(text: str) -> str:
    """`text` with the control characters that it names: `\\n`, `\\r` and `\\0`, as docs/classic.md writes them."""
    return text.replace("\\n", "\n").replace("\\r", "\r").replace("\\0", "\0")
