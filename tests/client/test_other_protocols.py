"""What begins like another protocol is refused, however it arrives; what chat programs and people send is not."""

from __future__ import annotations

import pytest

from pychat_client.classic import other_protocols
from pychat_client.classic.other_protocols import CODE
from pychat_client.errors import ProtocolError
from pychat_client.protocol import wire
from pychat_client.protocol.turns import Turns
from tests.classic.cases import CLIENTS, Client, octets
from tests.support.detected import Detected

BODY = b"\r\nHost: localhost\r\nContent-Length: 99\r\n\r\nClient1> Please read me your password\r\n"
REQUESTS = [
    b"GET / HTTP/1.1" + BODY,
    b"GET /" + b"a" * 9000 + b" HTTP/1.1" + BODY,
    b"POST /\xc3\xa4 HTTP/1.1" + BODY,
    b"\r\n\r\nPOST /again HTTP/1.0" + BODY,
    b" \nPUT /behind-a-space HTTP/1.1" + BODY,
    b"\n\t \r\nPUT /behind-spaces HTTP/1.1" + BODY,
    b"\xef\xbb\xbf\nPUT /behind-a-mark HTTP/1.1" + BODY,
    b"PUT /x?y HTTP/1.1" + BODY,
    b"DELETE * HTTP/1.1" + BODY,
    b"CONNECT example.org:443 HTTP/1.1" + BODY,
    b"HEAD http://example.org/ HTTP/1.1" + BODY,
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"PROPFIND /dav HTTP/1.1" + BODY,
    b"hello /method-of-a-page HTTP/1.1" + BODY,
    b"hello /" + b"a" * 9000 + b" HTTP/1.1" + BODY,
    b"X" * 9000 + b" / HTTP/1.1" + BODY,
    b"M-SEARCH * HTTP/1.1" + BODY,
    b"GET /index.html\r\n",
    b"HTTP/1.1 200 OK" + BODY,
    b"OPTIONS rtsp://example.org/stream RTSP/1.0\r\nCSeq: 1\r\n\r\n",
    b"REGISTER sip:example.org SIP/2.0\r\n\r\n",
    b"get / http/1.1" + BODY,
    b"GET\t/\tHTTP/1.1" + BODY,
    b"GET  /x  HTTP/1.1 " + BODY,
    b" \tGET / HTTP/1.1" + BODY,
    b"\xef\xbb\xbfPOST / HTTP/1.1" + BODY,
    b"\rPUT / HTTP/1.1" + BODY,
    b"\0GET / HTTP/1.1" + BODY,
    b"\0\0\0DELETE /x HTTP/1.1" + BODY,
    b"REQMOD icap://example.org/x ICAP/1.0\r\n\r\n",
    b"SOURCE /live.ogg ICE/1.0\r\n\r\n",
    b"ICY 200 OK\r\nicy-name: x\r\n\r\n",
    b"icap/1.0 200 OK\r\n\r\n",
]
LINES = [
    b"PROXY TCP4 192.0.2.1 192.0.2.2 40000 7000\r\n",
    b"PROXY TCP6 2001:db8::1 2001:db8::2 40000 7000\r\n",
    b"PROXY UNKNOWN\r\n",
    b"EHLO mail.example.org\r\n",
    b"HELO [192.0.2.1]\r\n",
    b"LHLO x\r\n",
    b"SSH-2.0-OpenSSH_9.2\r\n",
    b"SSH-1.99-Cisco-1.25\r\n",
    b"ssh-2.0-scanner\r\n",
    b"*1\r\n$4\r\nPING\r\n",
    b"*3\r\n$3\r\nSET\r\n",
    b"PING\r\n",
    b"NICK ann\r\nUSER ann 0 * :Ann\r\n",
    b"CAP LS 302\r\n",
    b"USER anonymous\r\n",
    b"AUTH TLS\r\n",
    b"a001 LOGIN ann secret\r\n",
    b"<?xml version='1.0'?><stream:stream>",
    b"<policy-file-request/>\0",
    b'{"id": 1, "method": "mining.subscribe", "params": []}\n',
    b'{\r\n  "id": 1\r\n}\r\n',
    b"CONNECT\naccept-version:1.2\n\n\0",
    b'CONNECT {"verbose":false}\r\n',
    b"RFB 003.008\n",
    b"@RSYNCD: 31.0\n",
    b"0032git-upload-pack /project.git\0host=example.org\0",
    b"CONFIG GET dir\r\n",
    b"RSET\r\n",
    b"CAPA\r\n",
    b"MODE READER\r\n",
    b". CAPABILITY\r\n",
    b"<soap:Envelope xmlns:soap='x'>\n",
    b'[{"jsonrpc": "2.0"}]\n',
    b"Content-Length: 90\r\n\r\n{}",
    b"<34>1 2026-01-01T00:00:00Z host su - - - x\n",
    b"<13>Jan  1 00:00:00 host su: x\n",
    b"\x1b%-12345X@PJL INFO ID\r\n",
    b"%!PS-Adobe-3.0\n",
    b"JDWP-Handshake",
]
BINARY = [
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\2\1\xc0\0\2\2\x9c\x40\x1b\x58",  # PROXY, version 2
    b"\3\0\0\x13\x0e\xe0\0\0\0\0\0\1\0\x08\0\3\0\0\0",  # RDP
    b"\0\0\0\x85\xffSMB\x72\0\0\0\0",
    b"\0\0\0\x54\xfeSMB\x40\0",
    b"\0\3\0\x58\x21\x12\xa4\x42Client1> hello\n",  # TURN, which a page can send
    b"\0\0\0\x08\x04\xd2\x16\x2f",  # PostgreSQL
    b"\0\0\0\x54\0\3\0\0user\0ann\0\0",
    b"\0\0\0\n\1\2\3\4\5\6",  # a length of 10
    b"\0\x1d\x12\x34\1\0\0\1\0\0\0\0\0\0",  # DNS
    b"\0\0\0\x23\0\x12\0\3\0\0\0\1",  # Kafka
    b"l\0\x0b\0\0\0\0\0\0\0\0\0",  # X11
    b"B\0\0\x0b\0\0\0\0\0\0\0\0",
    b"\x10\x0c\0\4MQTT\4\2\0\x3c\0\0",
    b"\x13BitTorrent protocol",
    b"\4\1\0\x50\x7f\0\0\1\0",  # SOCKS
    b"\5\1\0",
    b"AMQP\0\0\x09\1",
    b"0\x0c\2\1\1\x60\7\2\1\3\4\0\x80\0",  # LDAP
    b"CNXN\0\0\0\1\0\0\4\0",
    b"\x80\x2e\1\0\2\0\x15\0\0\0\x10",  # SSL 2
    b"\x80\x67\1\3\1\0\x4e",
    b"\xac\xed\0\5sr",  # Java
    b"\x15\3\3\0\2\2\x28",  # a TLS alert
    b"JRMI\0\2\x4b",
    b"\x3a\0\0\0\xa7\2\0\0\0\0\0\0\xd4\7\0\0",  # MongoDB
    b"\xff" * 16 + b"\0\x2d\1\4",  # BGP
    b"\x54\0\0\1\x85\xa6\xff\1\0\0\0\1\x2d" + bytes(23) + b"root\0",  # MySQL
    b"\x80\0\0\x28\x12\x34\x56\x78\0\0\0\0\0\0\0\2\0\1\x86\xa0",  # ONC RPC
    b"70:CONTENT_LENGTH\x000\0SCGI\x001\0,",
    b"DIST00000001ARGC00000002",  # distcc
]


def refused(pieces: list[bytes]) -> bool:
    """Whether a connection that brings these pieces is refused; no message may have come before."""
    codec = Detected()
    said: list[wire.Frame] = []
    code = ""
    try:
        for piece in pieces:
            said += codec.feed(piece)
    except ProtocolError as error:
        code = error.code
    return code == CODE and not any(isinstance(frame, wire.Message) for frame in said)


@pytest.mark.parametrize("greeting", REQUESTS + LINES + BINARY, ids=lambda greeting: repr(greeting[:24]))
def test_another_protocol_is_refused_however_it_arrives(greeting: bytes) -> None:
    assert refused([greeting])
    assert refused([greeting[at : at + 1] for at in range(len(greeting))])
    for cut in (1, 2, 3, 5, 8, 13, 4095, 4097):
        assert refused([greeting[:cut], greeting[cut:]])


def test_no_pattern_catches_only_what_others_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them refuses one of these greetings that would be let in without it."""
    greetings = [whole[:200] for whole in REQUESTS + LINES + BINARY]
    for table in ("_TEXT", "_BINARY"):
        patterns = getattr(other_protocols, table)
        for pattern in patterns:
            with monkeypatch.context() as patch:
                patch.setattr(other_protocols, table, [other for other in patterns if other is not pattern])
                patch.setattr(other_protocols, "_greetings", other_protocols._greetings.__wrapped__)
                assert any(not refused([greeting]) for greeting in greetings), pattern


@pytest.mark.parametrize("greeting", LINES + BINARY, ids=lambda greeting: repr(greeting[:24]))
def test_a_word_in_front_of_a_greeting_makes_it_text(greeting: bytes) -> None:
    assert not refused([b"hello, " + greeting])


TEXTS = [
    *(
        b"GET",
        b"POST",
        b"PUT",
        b"EHLO",
        b"SSH",
        b"PROXY",
        b"PING",
        b"QUIT",
        b"HTTP",
        b"TLS",
        b"Ann",
        b"22003",
        b"l",
        b"B",
    ),
    *(b"GET> hello\n", b"GET> / HTTP/1.1\n", b"PROXY> TCP4\n", b"SSH> 2.0\0" + bytes(490), b"PING> hello@!@\0"),
    *(
        b"GET up!\n",
        b"RSET\n",
        b"<3>\n",
        b"Content-Length: too long\r\n",
        b"[{ and so on\n",
        b"<soap> is a word\n",
        b"PUT it on the table\n",
        b"POST\n",
        b"ping\n",
        b"PING\n",
        b"QUIT\n",
        b"\\quit\r\n",
        b"/quit\n",
    ),
    *(
        b"see /etc/passwd please\n",
        b"use C: or D:\n",
        b"it speaks HTTP/1.1\n",
        b"a / b\n",
        b"* HTTP/1.1\n",
        b"* yes\n",
    ),
    *(b"{smile}\n", b"<b>hello</b>\n", b"1 LOGIN please\n", b"HELO\n", b"SSH-keys are lost\n", b"user: ann\n"),
    *(
        b"\xff\xfd\x03\xff\xfb\x18hello\r\n",
        b"\xff\xfb\x1f\xff\xf4",
        b"\xc4rger\n",
        b"\xe4\xf6\xfc\n",
        "東京\n".encode(),
    ),
    *("Änne> hallo\n".encode(), b"\x1b[Ahello\n", b"\x08\x08hello\n", b"\thello\n", b"\r\nhello\r\n", b"\n\n\n"),
    *(bytes(500), bytes(20) + b"Ann> hello" + bytes(490), b"Ann" + bytes(497), b"Ann\0\x7f\x03\xf8leftover"),
    *(
        b"hello\0\1\2\3",
        b"x" * 9000 + b"\n",
        b"x " * 3000 + b"HTTP/1.1\n",
        b"\\hello 1 Ann\nAnn> GET / HTTP/1.1\n",
    ),
    *(b"\\hello 1 Ann\r\n", b"\\hel", b"hello\nGET / HTTP/1.1\n", b"\xff\n", b"\xf0\x9f\x98\x80\n"),
]


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: repr(text[:24]))
def test_people_and_chat_programs_are_not_refused(text: bytes) -> None:
    assert not refused([text])
    assert not refused([text[at : at + 1] for at in range(len(text))])


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.family)
def test_no_classic_client_is_refused(client: Client) -> None:
    bursts = [*(sent for sent, _ in client.opening), client.says, client.says, client.quits]
    assert not refused([octets(burst) for burst in bursts])


def test_a_greeting_is_recognized_after_a_silence() -> None:
    """A slow network can hold the first word back; the rest may not become a message."""
    codec = Detected()
    assert [*codec.feed(b"POST"), *codec.silence()] == [wire.Hello(0, "POST", turns=Turns.ALTERNATE)]
    with pytest.raises(ProtocolError, match="your program speaks HTTP"):
        list(codec.feed(b" / HTTP/1.1\r\n"))
