"""A real systemd to test with: Debian, booted in a container of its own (systemd-nspawn).

What Debian packages it is made of is cached; a machine is that, with a tmpfs for what it writes, and has
only a loopback interface. Its mounts and its cgroup mount are in a private mount namespace, so that the
host's own, of whichever version, are left alone. It stops when this process ends, whatever ends it.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tests.support.programs import Piped
from tests.support.waiting import PATIENCE, wait_for

PACKAGES = (
    "systemd,systemd-sysv,libpam-systemd,dbus,libnss-systemd,procps,util-linux,"
    "python3,python3-venv,python3-setuptools,python3-wheel,"
    "python3-cryptography,python3-prompt-toolkit,python3-daemon"
)
"""All that the daemon needs is Debian's own; it is installed without a network."""

SUITES = os.environ.get("PYCHAT_SYSTEM_SUITES", "bookworm trixie").split()
"""The releases of Debian to test on: the oldest that has to do (systemd 252), and the current one (257)."""

CACHE = Path(os.environ.get("PYCHAT_SYSTEM_CACHE", "/var/cache/pychat-system-test"))
BUILD_SECONDS = 600
BOOT_SECONDS = 60.0
RUN_SECONDS = 60
REPOSITORY = Path(__file__).parents[2]
SOURCE = "/mnt/pychat"
"""Where the repository is, inside; read-only."""

_PROBE = """
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir /sys/fs/cgroup/"$1"
rmdir /sys/fs/cgroup/"$1"
mount -t tmpfs tmpfs /mnt
mkdir /mnt/up /mnt/work
mount -t overlay overlay -o lowerdir=/usr,upperdir=/mnt/up,workdir=/mnt/work /mnt
"""

_BOOT = r"""
group=/sys/fs/cgroup/$1 rootfs=$2 repository=$3 source=$4
while umount -l /sys/fs/cgroup 2>/dev/null; do :; done
mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 /sys/fs/cgroup
mkdir "$group"
echo $$ >"$group"/cgroup.procs
mkdir -p /run/systemd/nspawn  # where systemd-nspawn has its locks
mount -t tmpfs -o mode=755 tmpfs /run/systemd/nspawn
mkdir /run/systemd/nspawn/pychat
cd /run/systemd/nspawn/pychat
mkdir upper work root
mount -t overlay overlay -o "lowerdir=$rootfs,upperdir=upper,workdir=work" root
: >root/etc/machine-id
echo pychat >root/etc/hostname
printf '127.0.0.1 localhost\n::1 localhost\n' >root/etc/hosts
for unit in apt-daily.timer apt-daily-upgrade.timer console-getty.service; do
  ln -s /dev/null root/etc/systemd/system/$unit
done
trap 'kill -TERM $nspawn' TERM
status=133
while [ $status = 133 ]; do
  systemd-nspawn --quiet --boot --directory=root --machine=pychat \
    --register=no --keep-unit --private-network --resolv-conf=off --timezone=off --link-journal=no \
    --system-call-filter=bpf --capability=CAP_BPF --bind-ro="$repository:$source" --console=pipe &
  nspawn=$!
  status=0
  wait $nspawn || status=$?
done
wait $nspawn || true  # the signal has ended the first one
"""
"""bpf: what IPAddressDeny= and DevicePolicy= are enforced with. 133: the machine wants to be booted again."""

_CLEAN = """
while umount -l /sys/fs/cgroup 2>/dev/null; do :; done
mount -t cgroup2 cgroup2 /sys/fs/cgroup
test ! -d /sys/fs/cgroup/"$1" || find /sys/fs/cgroup/"$1" -depth -type d -exec rmdir {} +
"""


_numbers = itertools.count()


class UnavailableError(Exception):
    """No machine can be had here; `str()` of it says why."""


class Machine:
    """One booted machine, with the programs of this repository installed."""

    def __init__(self, suite: str = SUITES[0], more: str = "") -> None:
        """Builds what is not cached, and boots. more: further packages, behind commas.

        Raises UnavailableError where this host does not let us."""
        self.suite = suite
        self._group = f"pychat-system-test.{os.getpid()}.{next(_numbers)}"
        self._check_host()
        rootfs = _rootfs(suite, PACKAGES + more)
        self._console = (CACHE / f"console.{os.getpid()}.log").open("w+b")
        Path(self._console.name).unlink()
        self._boot = subprocess.Popen(
            _alone(_BOOT, self._group, rootfs, REPOSITORY, SOURCE),
            stdin=subprocess.DEVNULL,
            stdout=self._console,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a Ctrl-C or a kill of our whole group leaves the end to us
        )
        self._talking: list[subprocess.Popen[bytes]] = []
        try:
            wait_for(self._is_up, "the machine is up", BOOT_SECONDS)
        except AssertionError as error:
            self.close()
            raise AssertionError(f"{error}; its console:\n{self.console()}") from None

    def _check_host(self) -> None:
        if sys.platform != "linux" or os.geteuid() != 0:
            raise UnavailableError("it takes root on Linux")
        if missing := [name for name in ("systemd-nspawn", "mmdebstrap", "nsenter") if not shutil.which(name)]:
            raise UnavailableError(f"no {', '.join(missing)}: 'apt-get install systemd-container mmdebstrap'")
        try:
            _run(_alone(_PROBE, self._group, private="--mount --uts --ipc --net --pid --fork"), timeout=20)
        except subprocess.CalledProcessError as error:
            raise UnavailableError(f"no namespaces or no cgroup2 for us: {error.stderr.strip()}") from None

    def _is_up(self) -> bool:
        assert self._boot.poll() is None, "systemd-nspawn has ended"
        return self._leader() is not None and self.run("systemctl is-system-running", check=False).stdout in (
            "running\n",
            "degraded\n",
        )

    def _leader(self) -> int | None:
        """The pid of the machine's systemd, seen from here."""
        with suppress(OSError):
            for nspawn in _children(self._boot.pid):
                for child in _children(nspawn):
                    if (
                        Path(f"/proc/{child}/status")
                        .read_text()
                        .partition("NSpid:")[2]
                        .split("\n")[0]
                        .endswith("\t1")
                    ):
                        return child
        return None

    def reboot(self, *, at_once: bool = False) -> None:
        """Restarts the machine; what it has written stays, but for /run and /tmp. at_once: no program can end in
        order."""
        self._end_talks()  # nsenter would stop with what it started, and never see its end
        before = self._leader()
        how = "--force --force" if at_once else ""
        self.run(f"systemctl reboot {how}", check=False)  # it may be gone before it has answered
        wait_for(lambda: self._leader() not in (None, before) and self._is_up(), "it is up again", BOOT_SECONDS)

    @property
    def network(self) -> str:
        """A process in its network."""
        return str(self._leader())

    def in_network(self, *words: str) -> None:
        """Runs a program of this host in the machine's network, where it has none of its own."""
        _run(["nsenter", "--target", self.network, "--net", *words], timeout=RUN_SECONDS)

    # -------------------------------------------------------------- inside

    def run(self, script: str, *, user: str | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Runs a shell script inside to its end, as root or as `user`."""
        result = _run(self._inside(["sh", "-eu", "-c", script], user), check=False, timeout=RUN_SECONDS)
        assert not check or result.returncode == 0, (
            f"{script}: {result.returncode}\n{result.stdout}{result.stderr}"
        )
        return result

    def exists(self, path: str) -> bool:
        return self.run(f"test -e {path}", check=False).returncode == 0

    def piped(self, *words: str, user: str | None = None) -> Piped:
        """A program inside, on pipes; it ends with the machine."""
        pipe = subprocess.PIPE
        process = subprocess.Popen(self._inside(words, user), stdin=pipe, stdout=pipe, stderr=pipe)
        self._talking.append(process)
        return Piped(process)

    def _inside(self, words: Sequence[str], user: str | None) -> list[str]:
        path = "/opt/pychat/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        home = f"/home/{user}" if user else "/root"
        enter = f"nsenter --target {self._leader()} --mount --uts --ipc --net --pid --cgroup --root --wd --"
        clean = f"env -i PATH={path} HOME={home} LANG=C.UTF-8"
        become = f"setpriv --reuid {user} --regid {user} --init-groups --inh-caps=-all --" if user else ""
        return [*f"{enter} {clean} {become}".split(), *words]

    # -------------------------------------------------------------- the end

    def console(self) -> str:
        """What the machine wrote to its console."""
        self._console.seek(0)
        return self._console.read().decode(errors="replace")

    def close(self) -> None:
        """Stops the machine, in order if it lets us, and leaves nothing behind."""
        self._end_talks()
        leader = self._leader()
        if self._boot.poll() is None:
            self._boot.send_signal(signal.SIGTERM)  # systemd-nspawn asks systemd to power off
            try:
                self._boot.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                if leader is not None:
                    os.kill(leader, signal.SIGKILL)
                self._boot.kill()
                self._boot.wait()
        _run(_alone(_CLEAN, self._group), timeout=20)

    def _end_talks(self) -> None:
        for process in self._talking:
            with suppress(OSError):  # it has ended
                for child in _children(process.pid):  # nsenter's: it hands no signal on
                    os.kill(child, signal.SIGKILL)
            process.wait(PATIENCE)
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    with suppress(OSError):  # what was not read any more
                        stream.close()
        self._talking = []


def connect(one: Machine, other: Machine, addresses: tuple[str, str]) -> None:
    """Puts a cable between two machines, in place of the one that a reboot has removed."""
    cable = f"ip link add pychat0 netns {one.network} type veth peer name pychat0 netns {other.network}"
    _run(cable.split(), timeout=RUN_SECONDS)
    for machine, address in zip((one, other), addresses, strict=True):
        machine.in_network("ip", "address", "add", f"{address}/24", "dev", "pychat0")
        machine.in_network("ip", "link", "set", "pychat0", "up")


def _rootfs(suite: str, packages: str) -> Path:
    """The directory with the machine's Debian; built when it is not there."""
    rootfs = CACHE / f"{suite}-{hashlib.sha256(packages.encode()).hexdigest()[:12]}"
    if not rootfs.is_dir():
        new = rootfs.with_suffix(f".{os.getpid()}")
        CACHE.mkdir(parents=True, exist_ok=True)
        lean = ["--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/doc/*"]
        words = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={packages}", *lean, suite, str(new)]
        try:
            _run(words, timeout=BUILD_SECONDS)
            new.rename(rootfs)
        except subprocess.CalledProcessError as error:
            told = f"mmdebstrap cannot build {suite}: {error.stderr[-2000:]}"
            raise (AssertionError if suite == SUITES[0] else UnavailableError)(told) from None
        finally:
            shutil.rmtree(new, ignore_errors=True)
    return rootfs


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _alone(script: str, *arguments: object, private: str = "--mount") -> list[str]:
    """`script` with mounts of its own that nobody else sees; ends when this process does."""
    words = f"setpriv --pdeathsig TERM -- unshare {private} --propagation private -- sh -eu -c".split()
    return [*words, script, "sh", *map(str, arguments)]


def _run(words: Sequence[str], *, timeout: float, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=check
    )
