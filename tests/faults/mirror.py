"""The disk of a service as two hosts have it that replicate it synchronously: a mirror (btrfs RAID1) of two loop
devices. One device is that of each host; it can be torn away at any instant, with all that it has by then.

A torn device keeps its bytes, and fails every later read and write: the kernel takes it for one of nearly no size.
The mirror is mounted in a mount namespace of its own, in which the daemon runs. A namespace that another program
makes meanwhile would have it too, and it could not be unmounted.
"""

from __future__ import annotations

import fcntl
import os
import random
import shutil
import struct
import subprocess
from contextlib import suppress
from pathlib import Path

from tests.support.service import Service
from tests.support.waiting import wait_for

DEVICE_BYTES = 160 << 20
"""A little more than the least that mkfs.btrfs takes. The files are sparse: a run writes a few megabytes."""

_GET_STATUS, _SET_STATUS = 0x4C05, 0x4C04
"""LOOP_GET_STATUS64 and LOOP_SET_STATUS64 of <linux/loop.h>."""
_STATUS_BYTES, _SIZE_LIMIT_AT = 232, 32
"""The size of struct loop_info64, and where its lo_sizelimit is."""
_TORN_BYTES = 4096
"""The size of a torn device: less than where a file system begins."""

_SPACE = ["unshare", "--mount", "--propagation", "private", "--", "sh", "-c", "echo ready; exec cat"]
"""A mount namespace, which is there until the end of our stdin."""


class UnavailableError(Exception):
    """This machine does not let us; `str()` of it says why."""


class Mirror:
    """Two devices below a mounted directory. `path` is that directory, for who is `inside`."""

    def __init__(self, directory: Path, rng: random.Random) -> None:
        self.path = directory / "mirror"
        self._rng = rng
        self._files = [directory / "device-a", directory / "device-b"]
        self._devices: dict[Path, str] = {}  # the loop device of each file that is attached
        self._whole = list(self._files)  # those that have not been torn away
        if missing := [tool for tool in ("losetup", "nsenter", "mkfs.btrfs") if shutil.which(tool) is None]:
            raise UnavailableError(f"no {', '.join(missing)}: 'apt-get install mount util-linux btrfs-progs'")
        self._space = subprocess.Popen(_SPACE, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            self._make()
        except (OSError, subprocess.SubprocessError) as error:
            self.close()
            raise UnavailableError(f"no mirror of loop devices can be made: {error}") from None

    def _make(self) -> None:
        assert self._space.stdout
        if self._space.stdout.readline() != b"ready\n":
            raise OSError("there is no mount namespace")
        self.path.mkdir()
        for file in self._files:
            file.touch()
            os.truncate(file, DEVICE_BYTES)
            self._attach(file)
        first, second = self._devices.values()
        _run("mkfs.btrfs", "--quiet", "--data", "raid1", "--metadata", "raid1", first, second)
        self._mount(f"device={second}", first)

    def tear(self) -> None:
        """One of the devices is gone from this instant on; the other one goes on."""
        _tear(self._devices[self._whole.pop(self._rng.randrange(len(self._whole)))])

    def lose_host(self) -> None:
        """A host is gone from this instant on. If there are two, one device stays for the other host."""
        survivor = self._rng.choice(self._whole)
        for file in sorted(self._whole, key=lambda file: file != survivor):
            _tear(self._devices[file])
        self._whole = [survivor]

    def mount_survivor(self) -> None:
        """Mounts, where both were, the one device that is left, as it was when the host was lost."""
        self._unmount()
        (file,) = self._whole
        self._mount("degraded", self._attach(file))

    def close(self) -> None:
        with suppress(subprocess.SubprocessError, AssertionError):
            self._unmount()
        self._space.communicate(timeout=30)  # the end of its stdin ends it

    def inside(self, *words: str) -> list[str]:
        """The command that does `words` where the mirror is mounted."""
        return ["nsenter", f"--target={self._space.pid}", "--mount", "--", *words]

    def _attach(self, file: Path) -> str:
        self._devices[file] = _run("losetup", "--find", "--show", str(file)).strip()
        return self._devices[file]

    def _mount(self, option: str, device: str) -> None:
        _run(*self.inside("mount", "-t", "btrfs", "-o", option, device, str(self.path)))

    def _unmount(self) -> None:
        path = str(self.path)
        if _succeeds(*self.inside("mountpoint", "--quiet", path)):
            wait_for(lambda: _succeeds(*self.inside("umount", path)), "it is unmounted")
        for device in self._devices.values():
            _succeeds("btrfs", "device", "scan", "--forget", device)  # or it is looked for at the next mount
            _run("losetup", "--detach", device)
        self._devices = {}


class MirroredService(Service):
    """A service with its state on a mirror."""

    def __init__(self, directory: Path, rng: random.Random) -> None:
        self.mirror = Mirror(directory, rng)
        super().__init__(directory)
        self.state = self.mirror.path

    def command(self, command: str, *options: str) -> list[str]:
        return self.mirror.inside(*super().command(command, *options))

    def close(self) -> None:
        super().close()
        self.mirror.close()


def _tear(device: str) -> None:
    with Path(device).open("rb") as opened:
        status = bytearray(_STATUS_BYTES)
        fcntl.ioctl(opened, _GET_STATUS, status)
        struct.pack_into("<Q", status, _SIZE_LIMIT_AT, _TORN_BYTES)
        fcntl.ioctl(opened, _SET_STATUS, bytes(status))


def _run(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True, timeout=30).stdout


def _succeeds(*words: str) -> bool:
    return subprocess.run(words, check=False, capture_output=True, timeout=30).returncode == 0
