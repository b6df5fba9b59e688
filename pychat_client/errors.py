"""Every exception of pychat, and every exit status.

    PychatError            a sentence fit for a user; `status` is the exit status it leads to
    +-- UsageError         the command line or a setting is wrong
    +-- TextError          a handle or a message that cannot be sent, before it is sent
    |   +-- HandleError
    |   +-- MessageError
    +-- NotAllowedError    what the user asked for is against the rules now; nothing was changed
    +-- ProtocolError      the other program broke a rule of docs/protocol.md; carries a code
    +-- TransportError     no connection, or not any more
    |   +-- UnreachableError       nobody answers there
    |   +-- BusyError              somebody else has the seat, the console, the port or the pidfile
    |   +-- PermissionDeniedError  the system or the other side does not let us
    |   +-- UntrustedHostError     the other end's key is not known, or not the one that was accepted
    MisuseError            a bug of this program, never the other one's fault; no user should see it

OSError, ssl.SSLError and sqlite3.Error become one of these in the module where they happen, so that no
traceback reaches a user.
"""

from __future__ import annotations

from enum import IntEnum


class ExitStatus(IntEnum):
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

    status = ExitStatus.FAILED


class UsageError(PychatError):
    """The command line or a setting is wrong."""

    status = ExitStatus.USAGE


class TextError(PychatError):
    """A handle or a message that cannot be sent."""

    status = ExitStatus.USAGE


class HandleError(TextError):
    """Not a handle: one word of 1 to 10 characters."""


class MessageError(TextError):
    """Not a message: 1 to 500 characters, none of them a control character."""


class NotAllowedError(PychatError):
    """What was asked for is against the rules of the conversation now; nothing was changed."""

    status = ExitStatus.REFUSED


class ProtocolError(PychatError):
    """The other program broke a rule of docs/protocol.md.

    `code` is the word for programs that travels in `\\error`; `str()` is the sentence for people.
    """

    status = ExitStatus.REFUSED

    def __init__(self, code: str, words: str) -> None:
        super().__init__(words)
        self.code = code


class MisuseError(Exception):
    """This program has used one of its own objects in a way that is not allowed: a bug."""


class TransportError(PychatError):
    """There is no connection, or not any more."""


class UnreachableError(TransportError):
    """Nobody answers there."""

    status = ExitStatus.ABSENT


class BusyError(TransportError):
    """Somebody else has the seat, the console, the port or the pidfile."""

    status = ExitStatus.TAKEN


class PermissionDeniedError(TransportError):
    """The system or the other side does not let us."""

    status = ExitStatus.REFUSED


class UntrustedHostError(TransportError):
    """The other end's key is not known, or not the one that was accepted."""

    status = ExitStatus.UNTRUSTED
