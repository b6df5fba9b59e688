"""A bad wire between two network namespaces: `python wire.py A B SEED LOSS DELAY`, for root.

It holds a TUN device in each (made with `ip tuntap add`), carries packets from one to the other, loses
some, delays all, a random part of them longer, so that they overtake each other. It reads "down" and "up"
on stdin, as if somebody pulled the cable: nothing crosses, and nobody is told. It stands alone, because
it enters the namespaces.
"""

from __future__ import annotations

import ctypes
import fcntl
import heapq
import os
import random
import select
import struct
import sys
import time

DEVICE = "wire0"
_TUNSETIFF, _IFF_TUN, _IFF_NO_PI, _CLONE_NEWNET = 0x400454CA, 0x0001, 0x1000, 0x40000000


def _open(namespace: str) -> int:
    """The TUN device of `namespace`; this process is in there from now on."""
    place = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    if ctypes.CDLL(None, use_errno=True).setns(place, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")
    os.close(place)
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH22x", DEVICE.encode(), _IFF_TUN | _IFF_NO_PI))
    return device


def carry(ends: tuple[int, int], seed: int, loss: float, delay: float) -> None:
    """Until stdin ends. loss: the part that is lost; delay: seconds, up to half as much again for some."""
    rng = random.Random(seed)
    other = {ends[0]: ends[1], ends[1]: ends[0]}
    waiting: list[tuple[float, int, int, bytes]] = []  # when, a number that keeps it sortable, where, what
    count, up = 0, True
    while True:
        pause = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        ready, _, _ = select.select([0, *ends], [], [], pause)
        if 0 in ready:
            word = os.read(0, 100)
            if not word:
                return
            up = word.split()[-1] != b"down"
            os.write(1, word)
        for end in ends:
            if end in ready:
                packet = os.read(end, 65536)
                if up and rng.random() >= loss:
                    count += 1
                    more = delay * rng.uniform(0, 0.5) if rng.random() < 0.25 else 0.0
                    heapq.heappush(waiting, (time.monotonic() + delay + more, count, other[end], packet))
        while waiting and waiting[0][0] <= time.monotonic():
            _, _, where, packet = heapq.heappop(waiting)
            if up:
                os.write(where, packet)


if __name__ == "__main__":
    first, second, seed_, loss_, delay_ = sys.argv[1:]
    both = (_open(first), _open(second))
    os.write(1, b"ready\n")
    carry(both, int(seed_), float(loss_), float(delay_))
