"""What other protocols send first: a caller that speaks one of them is no chat program, and is refused.

A web page can make a browser send its words to any port, and a monitor or a proxy greets what it is pointed at.
None of this may become a message. This module knows the first bytes of a connection; the codec behind it knows the
rest.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache

from pychat_client.classic.caller_codec import CallerCodec
from pychat_client.classic.detecting_codec import HELLO, DetectingCodec
from pychat_client.classic.framing import split_by_lengths
from pychat_client.classic.program_codec import ProgramCodec
from pychat_client.errors import ProtocolError
from pychat_client.protocol import wire
from pychat_client.protocol.codec import LINE_MAX, Codec

CODE = "other-protocol"
"""The code of the error that such a caller gets."""

GREETING_MAX = 64
"""Bytes after which only the end of the first line can tell more, so bytes that come one by one cost little."""

_TARGET = rb"(?:/|\*|[A-Za-z][A-Za-z0-9+.-]*:)[^ \t\r\n]*"
_VERSION = rb"[A-Za-z]{3,8}/[0-9](?:\.[0-9])?"
_LOOSE = rb"[ \t\r\n\0\xef\xbb\xbf]*+"
"""What can come before a line of text, as servers skip it; also a byte order mark."""

_HTTP_METHODS = rb"GET|HEAD|POST|PUT|DELETE|CONNECT|OPTIONS|TRACE|PATCH|PRI"
_CONTROL = rb"\x01-\x07\x0b\x0c\x0e-\x1a\x1c-\x1f"
"""What no chat program begins with: they begin with text, and pad it with NULs behind. Escape and backspace are
keys that a person hits."""

_COUNTED = rb"\0\0[\0-\x0f].(?:\Z|[ -~\xc2-\xf4])"
"""What a classic program begins with that sends the length of a text in front of it: then text. Binary protocols
begin with numbers there, too, and more of them follow."""

_NUMBER = re.compile(rb"\0\0(?:[%s]|.[%s\x80-\xff])" % (_CONTROL, _CONTROL), re.DOTALL)

_TEXT = (
    ("HTTP", rb"(?:%s) (?:[/*]|https?://|[\w.-]+:[0-9])" % _HTTP_METHODS),
    # A page can name a method of its own, with the letters that browsers allow. Some write the line loosely.
    ("HTTP", rb"[\w!#$%%&'*+.^`|~-]+[ \t]+%s[ \t]+%s[ \t]*\r?\n" % (_TARGET, _VERSION)),
    ("HTTP", rb"(?i:HTTP|RTSP|SIP|ICAP)/[0-9]\.[0-9] |ICY [0-9]{3} "),
    ("the PROXY protocol", rb"PROXY (?:TCP[46]|UNKNOWN)[ \r\n]"),
    ("SMTP", rb"(?:EHLO|HELO|LHLO) [^ \r\n]+\r?\n|MAIL FROM:|(?:RSET|NOOP|STARTTLS)\r\n"),
    ("SSH", rb"(?i:SSH)-[0-9]\.[0-9]+-"),
    ("Redis", rb"\*[0-9]+\r\n|(?:PING|INFO|QUIT)\r\n|CONFIG (?:GET|SET) [^\r\n]+\r\n"),
    (
        "IRC or FTP",
        rb"(?:NICK|PASS|USER) [^ \r\n]+[^\r\n]*\r\n|CAP (?:LS|REQ|END)[^\r\n]*\r\n|AUTH (?:TLS|SSL)\r\n",
    ),
    ("POP3 or NNTP", rb"(?:CAPA|STLS|MODE READER)\r\n"),
    ("IMAP", rb"(?:\.|[A-Za-z]{0,4}[0-9]+) (?:CAPABILITY|LOGIN|STARTTLS|AUTHENTICATE|NOOP|LOGOUT)[^\r\n]*\r\n"),
    ("XML", rb"<\?xml |<stream:stream|<soap(?:env)?:Envelope|<policy-file-request|<!DOCTYPE "),
    ("JSON", rb"(?:\[[ \t]*)?\{[ \t]*(?:\r?\n|\"[A-Za-z_]+\"[ \t]*:)|Content-Length: [0-9]+\r\n"),
    ("syslog", rb"<[0-9]{1,3}>(?:1 [0-9]{4}-|[A-Z][a-z]{2} [ 0-9][0-9] )"),
    ("a printer's language", rb"\x1b%-12345X|@PJL |%!PS-Adobe"),
    ("JDWP", rb"JDWP-Handshake"),
    ("STOMP or NATS", rb"(?:CONNECT|STOMP)\r?\n|CONNECT \{"),
    ("VNC", rb"RFB [0-9]{3}\.[0-9]{3}\n"),
    ("rsync", rb"@RSYNCD: [0-9]"),
    ("git", rb"[0-9a-f]{4}git-(?:upload|receive)-"),
)
_BINARY = (
    ("the PROXY protocol", rb"\r\n\r\n\0\r\nQUIT\n"),
    ("X11", rb"l\0\x0b\0|B\0\0\x0b"),
    ("AMQP", rb"AMQP[\0-\x03]"),
    ("adb", rb"CNXN\0\0\0\x01"),
    ("LDAP", rb"0.{1,5}\x02\x01[\0-\x7f]\x60"),
    ("MongoDB", rb".{3}\0.{4}\0{4}(?:\xdd\x07|\xd4\x07)\0\0"),
    ("a binary protocol", rb"JRMI\0|GIOP\x01|ZBXD\x01|ES\0\0|\xff{3}"),
    ("MySQL", rb"..\0\x01.{9}\0{23}"),
    ("ONC RPC", rb"\x80\0.{6}\0{7}\x02"),
    ("a binary protocol", rb"[0-9]{1,5}:CONTENT_LENGTH\0|DIST0000000[0-9]"),
    ("a binary protocol", rb"[%s]" % _CONTROL),
    ("a binary protocol", rb"[\x80-\xfe].{0,2}[%s]|[\x81-\xbf]\0\0" % _CONTROL),
    ("a binary protocol", rb"(?!%s)\0++.{0,7}?[%s\x80-\xff]" % (_COUNTED, _CONTROL)),
)
_NAMES = [name for name, _ in _TEXT + _BINARY]


@cache
def _greetings() -> re.Pattern[bytes]:
    """One group for each name. Compiled for the first caller that speaks something else, because this takes a
    thirtieth of the whole start."""
    text, binary = (b"|".join(b"(%s)" % pattern for _, pattern in table) for table in (_TEXT, _BINARY))
    return re.compile(rb"%s(?:%s)|%s" % (_LOOSE, text, binary), re.DOTALL)


_PROXY_2 = b"\r\n\r\n\0\r\nQUIT\n"
_BLANK_LINES = rb"(?:[ \t\r\xef\xbb\xbf]*\n)*+"
_FIRST_LINE = re.compile(rb"%s|\0++.{8}[^\n]*\n|(?!\0)%s[^\n]+\n" % (re.escape(_PROXY_2), _BLANK_LINES), re.DOTALL)
"""Blank lines can come before it. Among the first bytes behind NULs, a line feed can be a number."""


def recognize(start: bytes) -> str | None:
    """The protocol that the first bytes of a connection belong to; None if none is known yet."""
    found = _greetings().match(start[: _line_end(start) or GREETING_MAX])
    return None if found is None or found.lastindex is None else _NAMES[found.lastindex - 1]


def _line_end(start: bytes) -> int:
    """Where the first line of text ends; 0 while it has not ended. What comes behind it tells nothing, so it does
    not matter how the network splits a stream."""
    found = None if _PROXY_2.startswith(start) else _FIRST_LINE.match(start)
    return 0 if found is None else found.end()


class ScreeningCodec:
    """The codec of a connection until it is certain that the caller speaks no other protocol.

    It looks at the first line, however slowly that comes. Meanwhile another codec does the work.
    """

    def __init__(self, hand_over: Callable[[Codec], None], *, prompt: bool = False, answers: bool = True) -> None:
        """hand_over: is given the codec that the connection uses from then on; prompt: see PersonCodec; answers:
        see ProgramCodec."""
        self._hand_over = hand_over
        self._codec: Codec = DetectingCodec(self._use, prompt=prompt, answers=answers)
        self._start = b""
        self._passed = False

    @property
    def patience(self) -> float | None:
        return self._codec.patience

    def feed(self, data: bytes) -> Iterator[wire.Frame]:
        if not self._passed:
            self._screen(data)
        yield from self._codec.feed(data)

    def silence(self) -> Iterator[wire.Frame]:
        self._check_length()
        yield from self._codec.silence()

    def eof(self) -> Iterator[wire.Frame]:
        self._check_length()
        yield from self._codec.eof()

    def greet(self) -> Iterator[wire.Frame]:
        """The operator speaks first; nothing for a program of version 1."""
        return self._codec.greet() if isinstance(self._codec, DetectingCodec | CallerCodec) else iter(())

    @property
    def waits(self) -> bool:
        """Whether the caller is a program that has said nothing, but perhaps a port."""
        return isinstance(self._codec, ProgramCodec)

    def encode(self, frame: wire.Frame) -> bytes:
        return self._codec.encode(frame)

    def max_text_bytes(self, handle: str) -> int | None:
        return self._codec.max_text_bytes(handle)

    def _use(self, codec: Codec) -> None:
        self._codec = codec
        if self._passed:
            self._hand_over(codec)

    def _screen(self, data: bytes) -> None:
        """Raises ProtocolError if the caller speaks another protocol."""
        examined = len(self._start)
        self._start = _shortened(self._start + data)
        if examined >= GREETING_MAX and b"\n" not in data:
            return
        if self._start.startswith(HELLO):
            self._pass()
        elif (name := recognize(self._start)) is not None:
            raise _refusal(name)
        elif _line_end(self._start) and not _NUMBER.match(self._start):  # more bytes cannot change it
            self._pass()

    def _check_length(self) -> None:
        """Raises ProtocolError if a number came first, and is not the length of a text behind it."""
        if self._passed or not _NUMBER.match(self._start):
            return
        if not split_by_lengths(self._start):
            raise _refusal("a binary protocol")
        self._pass()

    def _pass(self) -> None:
        self._passed = True
        self._start = b""
        self._hand_over(self._codec)


def _refusal(name: str) -> ProtocolError:
    return ProtocolError(CODE, f"This is a pychat service, and your program speaks {name}.")


def _shortened(start: bytes) -> bytes:
    """A first line that is too long, without its middle: its beginning and its end tell what it is."""
    if len(start) <= 2 * LINE_MAX:
        return start
    end = start.find(b"\n", LINE_MAX) + 1 or len(start)
    return start[:LINE_MAX] + start[LINE_MAX:end][-LINE_MAX:]
