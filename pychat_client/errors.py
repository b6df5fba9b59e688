"""Every exception of pychat, and every exit status.

    PychatError            a sentence fit for a user; `status` is the exit status it leads to
    +-- UsageError         the command line or a setting is wrong
    +-- TextError          a handle or a message that cannot be sent, before it is sent
    |   +-- HandleError
    |   +-- MessageError
    +-- Refused            what the user asked for is against the rules now; nothing was changed
    +-- ProtocolError      the other program broke a rule of docs/protocol.md; carries a code
    +-- LinkError          no connection, or not any more
    |   +-- Absent         nobody answers there
    |   +-- Taken          somebody else has the seat, the console, the port or the pidfile
    |   +-- NotPermitted   the system or the other side does not let us
    |   +-- Untrusted      the other end's key is not known, or not the one that was accepted
    +-- JournalError       the journal cannot be written or read (raised by pychatd.journal)

OSError, ssl.SSLError and sqlite3.Error become one of these where they happen (link, server, process,
journal), so that no traceback reaches a user.
"""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """The exit statuses of all three programs; docs/use.md lists them."""

    OK = 0
    FAILED = 1
    USAGE = 2
    ABSENT = 3
    TAKEN = 4
    REFUSED = 5
    NOT_SENT = 6
    UNTRUSTED = 7
    UNANSWERED = 8
    NOT_CONFIRMED = 9
    INTERRUPTED = 130


class PychatError(Exception):
    """Something a user has to be told; `str()` of it is the sentence to tell."""

    status = Exit.FAILED


class UsageError(PychatError):
    """The command line or a setting is wrong."""

    status = Exit.USAGE


class TextError(PychatError):
    """A handle or a message that cannot be sent."""

    status = Exit.USAGE


class HandleError(TextError):
    """Not a handle: one word of 1 to 10 characters."""


class MessageError(TextError):
    """Not a message: 1 to 500 characters, none of them a control character."""


class Refused(PychatError):
    """What was asked for is against the rules of the conversation now; nothing was changed."""

    status = Exit.REFUSED


class ProtocolError(PychatError):
    """The other program broke a rule of docs/protocol.md.

    `code` is the word for programs that travels in `\\error`; `str()` is the sentence for people.
    """

    status = Exit.REFUSED

    def __init__(self, code: str, words: str) -> None:
        super().__init__(words)
        self.code = code


class LinkError(PychatError):
    """There is no connection, or not any more."""


class Absent(LinkError):
    """Nobody answers there."""

    status = Exit.ABSENT


class Taken(LinkError):
    """Somebody else has the seat, the console, the port or the pidfile."""

    status = Exit.TAKEN


class NotPermitted(LinkError):
    """The system or the other side does not let us."""

    status = Exit.REFUSED


class Untrusted(LinkError):
    """The other end's key is not known, or not the one that was accepted."""

    status = Exit.UNTRUSTED


class JournalError(PychatError):
    """The journal cannot be written or read."""
