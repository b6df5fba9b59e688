"""Other users plant directories, files and links where a program looks for its own; users set links themselves.

The attacks need root, who plays the attacker as another user; the programs that are attacked run as root. No test
may name a file of the machine, not even /dev/null: where a mend is missing, root would destroy it.
"""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pychat_client import files
from pychat_client.errors import PermissionDeniedError, PychatError
from pychat_client.trust.certificates import make_certificate
from pychat_client.trust.known_hosts import KnownHosts
from pychat_client.ui.input_history import open_history
from pychatd.network.listeners import make_directory
from pychatd.process.pidfile import holder
from tests.support.as_nobody import NOBODY
from tests.support.service import Service

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can play another user")


@pytest.fixture
def public() -> Iterator[Path]:
    """A directory like /tmp."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o1777)
        yield directory


def given(path: Path, mode: int | None = None) -> Path:
    """A path that belongs to another user."""
    os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    if mode is not None:
        path.chmod(mode)
    return path


def device(path: Path, minor: int = 3) -> Path:
    """A device of our own that is what /dev/null (3) or /dev/full (7) is."""
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, minor))
    except PermissionError:
        pytest.skip("only root can make a device")
    path.chmod(0o666)
    return path


def look(path: Path) -> tuple[int, int, int, bytes | None]:
    """What must not change about something that is not ours."""
    status = path.stat()
    inside = path.read_bytes() if stat.S_ISREG(status.st_mode) else None
    return status.st_ino, status.st_mode, status.st_uid, inside


# ------------------------------------------------------------------ directories of a service


def own_by_another(place: Path) -> None:
    place.mkdir(parents=True)
    given(place)


def parent_by_another(place: Path) -> None:
    place.mkdir(parents=True)
    given(place.parent)


def link_by_another(place: Path) -> None:
    place.parent.mkdir()
    (place.parent / "real").mkdir()
    place.parent.chmod(0o1777)
    place.symlink_to("real")
    given(place)


def link_above_by_another(place: Path) -> None:
    (place.parent.with_name("real") / place.name).mkdir(parents=True)
    place.parent.symlink_to("real")
    given(place.parent)


def writable_parent(place: Path) -> None:
    place.mkdir(parents=True)
    place.parent.chmod(0o777)


def parent_of_another_group(place: Path) -> None:
    place.mkdir(parents=True)
    os.chown(place.parent, 0, NOBODY)
    place.parent.chmod(0o775)


def writable(place: Path) -> None:
    place.mkdir(parents=True)
    place.chmod(0o777)


def writable_and_sticky(place: Path) -> None:
    place.mkdir(parents=True)
    place.chmod(0o1777)


PLANTED = [
    own_by_another,
    parent_by_another,
    link_by_another,
    link_above_by_another,
    writable_parent,
    parent_of_another_group,
    writable,
    writable_and_sticky,
]


@as_root
@pytest.mark.parametrize("plant", PLANTED)
@pytest.mark.parametrize("option", ["--runtime-directory", "--state-directory"])
def test_a_service_refuses_a_directory_that_others_can_change(
    public: Path, idle_service: Service, plant: Callable[[Path], None], option: str
) -> None:
    place = public / "base" / str(idle_service.port)
    plant(place)
    result = idle_service.pychatd("start", option, str(place.parent))
    assert result.returncode == 5
    assert result.stderr.startswith(f"pychatd: Cannot use the directory {place}: ")
    assert list(place.iterdir()) == []
    assert not idle_service.place.exists()  # a start that fails leaves nothing behind


@as_root
@pytest.mark.parametrize("name", ["journal.db", "identity.pem"])
@pytest.mark.parametrize("what", ["another user's", "a device", "a directory"])
def test_a_service_uses_no_journal_and_key_of_others(
    public: Path, idle_service: Service, name: str, what: str
) -> None:
    place = public / "state" / str(idle_service.port)
    place.mkdir(parents=True)
    if what == "another user's":
        (place / name).touch()
        given(place / name)
    elif what == "a device":
        (place / name).symlink_to(device(public / "null"))
    else:
        (place / name).mkdir()
    before = look(place / name)
    result = idle_service.pychatd("start", "--state-directory", str(place.parent))
    assert result.returncode == 5
    assert result.stderr.startswith(f"pychatd: Cannot use {place / name}: ")
    assert len(result.stderr.splitlines()) == 1
    assert look(place / name) == before


def test_a_journal_that_others_could_read_becomes_private(idle_service: Service) -> None:
    state = idle_service.state / str(idle_service.port)
    state.mkdir(parents=True)
    (state / "journal.db").touch()
    (state / "journal.db").chmod(0o666)
    idle_service.start()
    assert {stat.S_IMODE(file.stat().st_mode) for file in state.iterdir()} == {0o600}


@as_root
def test_a_pidfile_is_not_written_through_the_link_of_another(public: Path, idle_service: Service) -> None:
    victim = public / "victim"
    victim.write_text("precious")
    place = public / "run" / str(idle_service.port)
    place.mkdir(parents=True)
    (place / "pid").symlink_to(victim)
    given(place / "pid")
    result = idle_service.pychatd("start", "--runtime-directory", str(place.parent))
    assert result.returncode == 5
    assert victim.read_text() == "precious"


def test_links_that_the_user_has_set_are_followed(tmp_path: Path, idle_service: Service) -> None:
    """A state directory on another disk, by a link at each place of its path."""
    disk = tmp_path / "disk"
    (disk / "state" / str(idle_service.port)).mkdir(parents=True)
    idle_service.state.parent.joinpath("link").symlink_to(disk / "state")
    idle_service.state.symlink_to("link")
    result = idle_service.pychatd("start")
    assert result.returncode == 0, result.stderr
    assert (disk / "state" / str(idle_service.port) / "journal.db").exists()


@as_root
def test_below_an_own_directory_any_owner_will_do(tmp_path: Path) -> None:
    """systemd gives /var/lib/private/pychatd/PORT to the user of the unit; root may start the service by hand."""
    closed = tmp_path / "private"
    (closed / "pychatd/7000").mkdir(parents=True)
    closed.chmod(0o700)
    given(closed / "pychatd/7000")
    (tmp_path / "7000").symlink_to("private/pychatd/7000")
    tmp_path.chmod(0o755)
    make_directory(tmp_path / "7000")


# ------------------------------------------------------------------ stop

HOLD = """
import fcntl, os, sys
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
getattr(fcntl, sys.argv[2])(fd, fcntl.LOCK_EX)
os.truncate(fd, 0)
os.write(fd, sys.argv[3].encode())
print(flush=True)
sys.stdin.read()
"""


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "600"])
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def locked() -> Iterator[Callable[[Path, str, int], subprocess.Popen[bytes]]]:
    """Starts a process that holds a lock on a file, with the pid of another process in it."""
    started: list[subprocess.Popen[bytes]] = []

    def lock(path: Path, how: str, pid: int) -> subprocess.Popen[bytes]:
        words = [sys.executable, "-c", HOLD, str(path), how, str(pid)]
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdout
        process.stdout.readline()
        started.append(process)
        return process

    yield lock
    for process in started:
        process.kill()
        process.communicate()


Lock = Callable[[Path, str, int], "subprocess.Popen[bytes]"]


@as_root
def test_root_is_told_as_whom_to_stop_the_service_of_a_user(public: Path, idle_service: Service) -> None:
    idle_service.runtime = public / "run"
    place = idle_service.runtime / str(idle_service.port)
    parent_by_another(place)
    given(place)
    result = idle_service.pychatd("stop")
    assert result.returncode == 5
    assert result.stderr.endswith(
        f"{idle_service.runtime} belongs to another user (nobody). Run this as nobody.\n"
    )


@pytest.mark.parametrize("how", ["flock", "lockf"])
def test_stop_never_kills_the_process_that_a_file_names(
    idle_service: Service, bystander: subprocess.Popen[bytes], locked: Lock, how: str
) -> None:
    idle_service.place.mkdir(parents=True)
    process = locked(idle_service.place / "pid", how, bystander.pid)
    result = idle_service.pychatd("stop")
    assert bystander.poll() is None
    assert result.returncode == (3 if how == "flock" else 0)
    assert (process.poll() is None) == (how == "flock")  # the holder itself is ended


@as_root
@pytest.mark.parametrize("plant", ["link", "hard link", "directory"])
def test_stop_never_kills_the_holder_of_another_lock(
    public: Path, idle_service: Service, bystander: subprocess.Popen[bytes], locked: Lock, plant: str
) -> None:
    """A file that another daemon has locked, such as /var/lib/dpkg/lock."""
    other = public / "other"
    other.mkdir()
    process = locked(other / "pid", "lockf", bystander.pid)
    place = public / "run" / str(idle_service.port)
    place.parent.mkdir()
    if plant == "directory":
        place.symlink_to(other)
        given(place)
        place.parent.chmod(0o1777)
    else:
        place.mkdir()
        if plant == "link":
            (place / "pid").symlink_to(other / "pid")
            given(place / "pid")
        else:
            (place / "pid").hardlink_to(other / "pid")
    result = idle_service.pychatd("stop", "--runtime-directory", str(place.parent))
    assert result.returncode == 5
    assert process.poll() is None
    assert bystander.poll() is None
    with pytest.raises(PermissionDeniedError):
        holder(place / "pid")


# ------------------------------------------------------------------ files of the client


def write_known_hosts(path: Path) -> None:
    KnownHosts(path).accept("host", 7000, b"key")


def write_key(path: Path) -> None:
    make_certificate(path, "pychat")


def write_history(path: Path) -> None:
    history = open_history(path)
    for number in range(1200):
        history.store_string(f"line {number % 1100}")
    open_history(path)  # shortens it


def write_lock(path: Path) -> None:
    known = path.parent / "known_hosts"
    path.rename(path.parent / "known_hosts.lock")
    KnownHosts(known).accept("host", 7000, b"key")


WRITERS = [write_known_hosts, write_key, write_history, write_lock]


@pytest.fixture
def data(public: Path) -> Path:
    """The user's own directory, where all others can look (the one of pytest is closed)."""
    (public / "home/data").mkdir(parents=True)
    return public / "home/data"


def error_of(write: Callable[[Path], None], path: Path) -> str:
    """The sentence of a write that fails. The history fails silently, and is in memory then."""
    try:
        write(path)
    except PychatError as error:
        return str(error)
    return ""


def _descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("target", ["null", "full", "fifo", "directory"])
def test_what_is_no_file_is_left_as_it_is(data: Path, write: Callable[[Path], None], target: str) -> None:
    place = data.parent / target
    if target == "fifo":
        os.mkfifo(place, 0o644)
    elif target == "directory":
        place.mkdir()
    else:
        device(place, 3 if target == "null" else 7)
    before = look(place)
    (data / "file").symlink_to(place)
    opened = _descriptors()
    error = error_of(write, data / "file")
    assert _descriptors() == opened
    assert error.startswith(("Cannot write the ", "Cannot read the ")) or write is write_history
    assert look(place) == before
    left = [file for file in data.iterdir() if not file.is_symlink()]
    assert [file.name for file in left] == (["file.lock"] if write is write_known_hosts else [])


@as_root
@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("how", ["link", "file"])
def test_a_file_of_another_user_is_left_as_it_is(data: Path, write: Callable[[Path], None], how: str) -> None:
    foreign = (data if how == "file" else data.parent) / "file"
    foreign.write_text("host:1 SHA256:x eA==\n")
    given(foreign, 0o644)
    if how == "link":
        (data / "file").symlink_to(foreign)
    before = look(foreign)
    error = error_of(write, data / "file")
    assert error.endswith(": it belongs to another user (nobody).") or write is write_history
    moved = data / "known_hosts.lock" if write is write_lock and how == "file" else foreign
    assert look(moved) == before


@as_root
@pytest.mark.parametrize("write", WRITERS[:3])
def test_a_link_of_another_user_is_not_followed(public: Path, write: Callable[[Path], None]) -> None:
    victim = public / "victim"
    victim.write_text("precious\n")
    before = look(victim)
    (public / "file").symlink_to(victim)
    given(public / "file")
    error = error_of(write, public / "file")
    assert f"{public / 'file'} belongs to another user (nobody)" in error or write is write_history
    assert look(victim) == before


@pytest.mark.parametrize("write", WRITERS[:3])
@pytest.mark.parametrize("there", [True, False])
def test_a_link_that_the_user_has_set_is_written_through(
    data: Path, write: Callable[[Path], None], *, there: bool
) -> None:
    """A directory for all dotfiles, with its own modes; the second link is relative."""
    dotfiles = data.parent / "dotfiles"
    dotfiles.mkdir(mode=0o750)
    (dotfiles / "link").symlink_to("real")
    (data / "file").symlink_to(dotfiles / "link")
    if there:
        (dotfiles / "real").touch()
        (dotfiles / "real").chmod(0o640)
    write(data / "file")
    assert (data / "file").is_symlink()
    assert (dotfiles / "link").is_symlink()
    assert (dotfiles / "real").stat().st_size > 0
    assert stat.S_IMODE((dotfiles / "real").stat().st_mode) == (0o640 if there else 0o600)
    assert stat.S_IMODE(dotfiles.stat().st_mode) == 0o750
    assert {file.name for file in dotfiles.iterdir()} == {"link", "real"}


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o027, 0o077])
@pytest.mark.parametrize("write", WRITERS[:3])
def test_directories_have_their_modes_with_any_umask(
    data: Path, write: Callable[[Path], None], umask: int
) -> None:
    before = os.umask(umask)
    try:
        write(data / ".local/share/pychat/file")
    finally:
        os.umask(before)
    made = [data / place for place in (".local", ".local/share", ".local/share/pychat")]
    assert [stat.S_IMODE(place.stat().st_mode) for place in made] == [0o755, 0o755, 0o700]
    assert stat.S_IMODE((data / ".local/share/pychat/file").stat().st_mode) == 0o600


def test_a_chain_of_links_has_an_end(data: Path) -> None:
    (data / "a").symlink_to("b")
    (data / "b").symlink_to("a")
    with pytest.raises(PychatError, match="Too many levels of symbolic links"):
        files.write_private(data / "a", b"x", "key")
