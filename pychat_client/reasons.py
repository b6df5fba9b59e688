"""What went wrong beneath a connection, in words: errors of the operating system, of TLS and of names.

`link` and the daemon raise their own errors with these sentences; nobody else sees the ones they are about.
"""

from __future__ import annotations

import os
import socket
import ssl

from pychat_client.errors import Absent, LinkError, Untrusted
from pychat_client.text import printable


def dial_error(error: Exception, host: str, port: int) -> LinkError:
    """What a failed call means, as a sentence."""
    name = printable(host)
    match error:
        case ssl.SSLCertVerificationError():
            return Untrusted(f"The key of {name} port {port} is not to be trusted: {error.verify_message}.")
        case ssl.SSLError():
            return LinkError(f"No encrypted connection with {name} port {port}: {reason(error)}.")
        case socket.gaierror():
            return Absent(f"There is no host '{name}': {error.strerror}.")
        case UnicodeError():
            return Absent(f"There is no host '{name}': that is no name of a host.")
        case TimeoutError():
            return Absent(f"{name} does not answer on port {port}.")
        case _:
            return Absent(f"Nobody answers at {name} port {port}: {reason(error)}.")


def reason(error: Exception) -> str:
    """What went wrong, as a clause: the operating system's words without the numbers."""
    if isinstance(error, ssl.SSLError):
        word = (error.reason or "the other side broke off the handshake").lower().replace("_", " ")
        return _ALERTS.get(word, word)
    if isinstance(error, OSError) and error.errno is not None:
        # asyncio puts its own sentence in strerror; the first of several errors stands for all
        return os.strerror(error.errno).lower()
    if isinstance(error, OSError) and "[Errno" in str(error):
        number = str(error).split("[Errno ", 1)[1].split("]", 1)[0]
        return os.strerror(int(number)).lower()
    return str(error) or type(error).__name__


NOT_LISTED = "your certificate is not on the list of who may call there"
_ALERTS = {
    "tlsv13 alert certificate required": NOT_LISTED,
    "tlsv1 alert unknown ca": NOT_LISTED,
    "sslv3 alert bad certificate": NOT_LISTED,
    "sslv3 alert certificate expired": NOT_LISTED,
    "sslv3 alert unsupported certificate": NOT_LISTED,
    "tlsv1 alert protocol version": "the other side speaks no TLS 1.3",
    "unsupported protocol": "the other side speaks no TLS 1.3",
    "wrong version number": "the other side does not speak TLS",
}
