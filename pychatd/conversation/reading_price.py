"""What it costs a caller to be read: each read and each line has a price, whether it is of use or not.

Owns the account of one connection. It does not count the messages of the peer, which have an account of their own
(`rate`). An ack costs nothing if it confirms something.
"""

from __future__ import annotations

from pychat_client.protocol.codec import LINE_MAX
from pychatd.conversation.token_bucket import TokenBucket

READ_PRICE = 10
"""What a read costs; a line costs 1. To wake up for a read takes about ten times as long as to read a line."""

STRANGERS_RATE = 4000.0
"""What all callers without the seat may spend in a second, in equal parts: 360 reads of one line, or 4,000 lines
in few reads. Either takes less than a tenth of a processor."""

PEER_RATE = 1000.0
"""What the peer may spend in a second: 90 pings, or 1,000 lines in few reads. Its program sends one at most."""

BURST = 60.0
"""What every caller may spend at once: its hello and its first message cost 22."""

STRANGER_READ = LINE_MAX
"""Bytes that are read at a time from a caller without the seat: any line fits, and the talk of others waits for no
more than this."""


class ReadingPrice:
    """The account of one connection. Each method returns the seconds for which it is not read."""

    def __init__(self) -> None:
        self._account = TokenBucket()
        self._shown = 0

    def of_stranger(self, data: bytes, shown: int, callers: int, now: float) -> float:
        """A caller without the seat, one of at most `callers`. shown: how many messages it has confirmed."""
        return self._pay(READ_PRICE + data.count(b"\n"), shown, STRANGERS_RATE / callers, now)

    def of_peer(self, data: bytes, shown: int, now: float) -> float:
        """The peer. A read with a message costs nothing but its other lines."""
        control = data.count(b"\n\\") + data.startswith(b"\\")
        has_message = data.count(b"\n") > control
        return self._pay(control + (0 if has_message else READ_PRICE), shown, PEER_RATE, now)

    def _pay(self, price: int, shown: int, rate: float, now: float) -> float:
        confirmed, self._shown = shown - self._shown, shown
        owed = price - confirmed * (READ_PRICE + 1)
        return self._account.spend(owed, rate, max(rate, BURST), now) if owed > 0 else 0.0
