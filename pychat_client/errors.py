"""The exceptions that all layers share, and all exit statuses.

    PychatError            its str() is a sentence for the user; its `status` is the exit status
    +-- UsageError         the command line or a setting is wrong
    +-- TextError          a handle or a message is not valid, so it was not sent
    |   +-- HandleError
    |   +-- MessageError
    +-- NotAllowedError    the rules of the conversation do not allow it now; nothing was changed
    +-- ProtocolError      the other program broke a rule of docs/protocol.md; has a code
    +-- TransportError     there is no connection
    |   +-- UnreachableError       nobody answers there
    |   +-- BusyError              the service, the console, the port or the pidfile is in use
    |   +-- PermissionDeniedError  the system or the other side does not allow it
    |   +-- UntrustedHostError     the host's key is not known, or is not the accepted one
    MisuseError            a bug of this program, never the other one's fault; no user should see it

What is raised and caught in one place only, such as JournalError, is a subclass that is defined there.

The module where an OSError, ssl.SSLError or sqlite3.Error happens turns it into one of these. So no user sees
a traceback.
"""

from __future__ import annotations

from enum import IntEnum


class ExitStatus(IntEnum):
    """The exit statuses of all three programs; docs/use.md explains them."""

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
    JOURNAL_FAILS = 10
    UNREAD = 11
    INTERRUPTED = 130


def how_ended(status: int) -> str:
    """The end of a sentence about a program that has ended. status: as subprocess has it, -N for signal N."""
    return f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"


class PychatError(Exception):
    """An error that the user has to know; its str() is the sentence for the user."""

    status = ExitStatus.FAILED


class UsageError(PychatError):
    """The command line or a setting is wrong."""

    status = ExitStatus.USAGE


class TextError(PychatError):
    """A handle or a message is not valid."""

    status = ExitStatus.USAGE


class HandleError(TextError):
    """Not a valid handle (text.check_handle)."""


class MessageError(TextError):
    """Not a valid message (text.check_message)."""


class NotAllowedError(PychatError):
    """The rules of the conversation do not allow it now; nothing was changed."""

    status = ExitStatus.REFUSED


class ProtocolError(PychatError):
    """The other program broke a rule of docs/protocol.md.

    `code` is the word for programs in `\\error`; str() is the sentence for people.
    """

    status = ExitStatus.REFUSED

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


class MisuseError(Exception):
    """This program has used one of its own objects in a way that is not allowed: a bug."""


class TransportError(PychatError):
    """There is no connection."""


class UnreachableError(TransportError):
    """Nobody answers there."""

    status = ExitStatus.ABSENT


class BusyError(TransportError):
    """The service, the console, the port or the pidfile is in use."""

    status = ExitStatus.TAKEN


class PermissionDeniedError(TransportError):
    """The system or the other side does not allow it."""

    status = ExitStatus.REFUSED


class UntrustedHostError(TransportError):
    """The host's key is not known, or is not the accepted one."""

    status = ExitStatus.UNTRUSTED
