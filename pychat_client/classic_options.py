"""The options of `pychat --classic`, and what they make."""

from __future__ import annotations

import argparse

from pychat_client.errors import UsageError

TYPE_CHECKING = False  # as typing's, see cli
if TYPE_CHECKING:
    from pychat_client.classic.server_codec import ServerCodec
    from pychat_client.protocol.endpoint import Endpoint

WORDS_MAX = 100
"""Characters of an option's words; the seed's handle and prefix have fewer."""


def add(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "classic servers", "the seed's own program and its siblings: nothing is encrypted or confirmed"
    )
    group.add_argument("--classic", action="store_true", help="HOST PORT is such a server")
    hello = group.add_mutually_exclusive_group()
    hello.add_argument("--no-hello", action="store_true", help="one that wants nothing before the first message")
    hello.add_argument(
        "--hello", metavar="WORDS", help="one that wants WORDS, such as 20211, in place of the handle"
    )
    group.add_argument("--end-mark", metavar="MARK", help="one that needs MARK behind each message, such as @@@")
    group.add_argument("--quit-word", metavar="WORD", help="one that takes WORD for the end, such as bye")


def check(args: argparse.Namespace) -> None:
    """Raises UsageError for options that do not go together."""
    if not args.classic and (args.no_hello or args.hello or args.end_mark or args.quit_word):
        raise UsageError("--no-hello, --hello, --end-mark and --quit-word go with --classic.")
    if args.classic and (args.fingerprint or args.accept_new or args.ca):
        raise UsageError("A classic server has no key: --classic does not go with --fingerprint and its like.")
    if args.classic and (args.wait or args.retry_for):
        raise UsageError("A classic server is called once: --classic does not go with --wait and --retry-for.")
    for words in (args.hello or "", args.end_mark or "", args.quit_word or ""):
        if not words.isprintable() or len(words) > WORDS_MAX:
            raise UsageError(f"What a server wants has at most {WORDS_MAX} characters, all of them visible.")


def codec(args: argparse.Namespace, endpoint: Endpoint) -> ServerCodec:
    """What speaks with the server; tells `end` what such a server cannot do."""
    from pychat_client.classic.server_codec import ServerCodec, ServerQuirks

    made = ServerCodec(
        ServerQuirks("" if args.no_hello else args.hello, args.end_mark or "", args.quit_word or "")
    )
    endpoint.classic, endpoint.max_text_bytes = True, made.room(endpoint.handle)
    return made
