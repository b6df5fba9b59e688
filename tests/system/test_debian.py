"""Installations on a real system, as docs/install.md has them: the Debian packages, installed, upgraded with a
conversation open, removed and purged; and the units without the packages.
"""

from __future__ import annotations

import itertools
import re
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pychat_client import __version__
from pychat_client.errors import ExitStatus
from tests.system.conftest import booted
from tests.system.line import SystemLine
from tests.system.machine import BUILD_SECONDS, REPOSITORY, SOURCE, SUITES, Machine

pytestmark = [pytest.mark.system, pytest.mark.timeout(BUILD_SECONDS + 120)]

NEXT_VERSION = f"{__version__}+next"
BUILD = Path("build/system-test")
"""Below the repository, which the machine sees."""

TOOLS_MISSING = 3
"""The exit status of packaging/make-deb."""

APT = "DEBIAN_FRONTEND=noninteractive apt-get -q -y"

_ports = itertools.count(7000)
"""A line of its own for each test: its predecessors' clients and consoles still call theirs."""

FILES = r"""
find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp -o -path /mnt -o -path /root \
  -o -path /home -o -path /var/cache -o -path /var/log -o -path /var/lib/apt -o -path /var/lib/dpkg \
  -o -path '/etc/group*' -o -path '/etc/gshadow*' \) -prune -o -print
"""
"""All but what others keep about packages, and the group, which stays."""


def build(version: str, name: str) -> str:
    """Builds the packages as `version`, in a directory `name`; the pattern of their names in the machine."""
    place = REPOSITORY / BUILD / name
    shutil.rmtree(place, ignore_errors=True)
    for directory in ("pychat_client", "pychatd", "packaging", "docs"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(REPOSITORY / directory, place / directory, ignore=ignored)
    for document in ("pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE"):
        shutil.copy(REPOSITORY / document, place)
    for file in (place / "pychat_client/__init__.py", place / "packaging/debian/changelog"):
        file.write_text(file.read_text().replace(__version__, version, 1))
    result = subprocess.run([place / "packaging/make-deb"], capture_output=True, text=True, check=False)
    if result.returncode == TOOLS_MISSING:
        pytest.skip(result.stderr.strip())
    assert result.returncode == 0, result.stdout + result.stderr
    return f"{SOURCE}/{BUILD}/{name}/build/deb/*.deb"


@pytest.fixture(scope="module")
def packages() -> str:
    """The packages of this version."""
    return build(__version__, "this")


@pytest.fixture(scope="module")
def next_packages() -> str:
    """Those of a version that comes after it."""
    return build(NEXT_VERSION, "next")


@pytest.fixture(scope="module", params=SUITES)
def bare(request: pytest.FixtureRequest) -> Iterator[Machine]:
    """A machine with what the programs depend on and nothing of them; alice and bob are users."""
    with booted(request.param, "useradd --create-home alice; useradd --create-home bob") as machine:
        yield machine


@pytest.fixture
def line(bare: Machine, packages: str) -> Iterator[SystemLine]:
    """A line of a machine on which the packages have just been installed; it does not run yet."""
    bare.run(f"{APT} install {packages}; usermod --append --groups pychat alice")
    yield SystemLine(bare, next(_ports))
    bare.run(f"{APT} purge pychat pychatd")


def version(line: SystemLine) -> str:
    return line.machine.run("pychatd --version").stdout.split()[1]


def test_lintian_finds_nothing(packages: str) -> None:
    if shutil.which("lintian") is None:
        pytest.skip("no lintian: 'apt-get install lintian'")
    (changes,) = (REPOSITORY / BUILD / "this/build/deb").glob("*.changes")
    result = subprocess.run(
        ["lintian", "--allow-root", "--fail-on", "error,warning", changes],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stdout) == (0, ""), result.stderr


def test_built_again_they_are_the_same(bare: Machine, packages: str) -> None:
    again = build(__version__, "again")
    first, second = (bare.run(f"cat {files} | sha256sum").stdout for files in (packages, again))
    assert first == second


def test_installed_two_people_talk(line: SystemLine) -> None:
    documents = line.machine.run("dpkg --listfiles pychatd").stdout
    assert "/pychatd/systemd.md" in documents
    assert "/pychatd/CHANGELOG.md" in documents
    line.machine.run(f"systemd-analyze verify --man=no {line.unit}")
    line.machine.run(f"systemctl enable --now {line.unit}")
    refused = line.machine.run(f"pychatd-console {line.port}", user="bob", check=False)
    assert refused.returncode == ExitStatus.REFUSED
    console, client = line.talk()
    console.enter("Hello, Client1")
    client.says("alice> Hello, Client1")
    client.enter("\\quit")
    assert client.exit_status() == ExitStatus.OK


def test_an_upgrade_keeps_the_conversation(line: SystemLine, next_packages: str) -> None:
    line.machine.run("echo 'grace = 30' >>/etc/pychatd/pychatd.toml")
    line.start()
    waiting = SystemLine(line.machine, next(_ports))
    line.machine.run(f"systemctl enable --now {waiting.socket}")
    console, client = line.talk()
    before = line.show("MainPID")
    with ThreadPoolExecutor() as pool:
        upgrade = pool.submit(line.machine.run, f"{APT} install {next_packages}")
        rounds = 0
        while not upgrade.done() or rounds < 3:
            rounds += 1
            console.enter(f"Question {rounds}.")
            client.says(f"Question {rounds}.")
            client.enter(f"Answer {rounds}.")
            console.says(f"Answer {rounds}.")
        upgrade.result()
    assert version(line) == NEXT_VERSION
    assert line.show("ActiveState") == "active"
    assert line.show("MainPID") != before
    line.has_status("Talking with Client1 from ")
    for end, word in ((console, "Answer"), (client, "Question")):  # none lost, doubled or out of order
        numbers = re.findall(rf"> {word} (\d+)\.$", end.out(), re.MULTILINE)
        assert numbers == [str(number + 1) for number in range(rounds)]
    assert "grace = 30" in line.machine.run("cat /etc/pychatd/pychatd.toml").stdout
    assert waiting.has_left()
    waiting.client().notes("Send the first message")
    client.enter("\\quit")
    assert client.exit_status() == ExitStatus.OK


def test_removed_the_lines_stop_and_what_was_said_stays(line: SystemLine, packages: str) -> None:
    other = SystemLine(line.machine, next(_ports))
    line.start()
    other.start()
    _, client = line.talk()
    client.enter("\\quit")
    client.exit_status()
    line.machine.run(f"{APT} remove pychatd")
    assert (line.show("ActiveState"), other.show("ActiveState")) == ("inactive", "inactive")
    assert line.machine.run("pgrep --full 'pychatd [r]un'", check=False).stdout == ""
    assert line.machine.run("ls /run/pychatd /usr/bin/pychatd", check=False).stdout == ""
    line.machine.run(f"{APT} install {packages}")
    line.start()
    assert "Client1> Hi!" in line.machine.run(f"pychatd-console --history {line.port}", user="alice").stdout


def test_purged_nothing_is_left(bare: Machine, packages: str) -> None:
    line = SystemLine(bare, next(_ports))
    bare.run("mkdir --parents /var/lib/private; chmod 700 /var/lib/private")  # systemd's own, for any unit
    before = set(bare.run(FILES).stdout.splitlines())
    bare.run(f"{APT} install {packages}; usermod --append --groups pychat alice")
    bare.run(f"systemctl enable --now {line.unit}; echo x >/etc/pychatd/own.pem")
    line.talk()
    bare.run(f"{APT} purge pychat pychatd")
    assert set(bare.run(FILES).stdout.splitlines()) ^ before == set()
    assert line.show("ActiveState") == "inactive"


def test_purged_what_units_of_ones_own_use_is_left(line: SystemLine) -> None:
    own = "/etc/systemd/system/pychatd@.service"
    line.machine.run(f"cp /usr/lib/systemd/system/pychatd@.service {own}; echo x >/etc/pychatd/own.pem")
    line.machine.run(f"systemctl daemon-reload; systemctl enable --now {line.unit}")
    line.machine.run(f"{APT} purge pychatd")
    left = f"{line.state}/journal.db /etc/pychatd/own.pem /etc/systemd/system/multi-user.target.wants/{line.unit}"
    line.machine.run(f"ls {left}; rm {left} {own}")


# ------------------------------------------------------------------ without the packages


PROGRAMS = f"""
source=$(mktemp -d)
cp -r {SOURCE}/pychat_client {SOURCE}/pychatd {SOURCE}/pyproject.toml {SOURCE}/README.md {SOURCE}/LICENSE $source/
python3 -m venv --system-site-packages /opt/pipx
/opt/pipx/bin/pip install --quiet --no-index --no-deps --no-build-isolation $source
ln -s /opt/pipx/bin/pychat* /usr/local/bin/
"""
"""What pipx does, without a network."""


def documented(after: str) -> str:
    """The first block of commands in docs/install.md behind the words `after`."""
    behind = (REPOSITORY / "docs/install.md").read_text().partition(after)[2]
    block = re.search(r"(?:^    .*\n)+", behind, re.MULTILINE)
    assert block
    return block[0]


def test_the_units_are_placed_as_documented(bare: Machine) -> None:
    bare.run(PROGRAMS)
    bare.run(f"cd {SOURCE}; {documented('Then, in the checkout')}")
    line = SystemLine(bare, next(_ports))
    bare.run(f"usermod --append --groups pychat alice; systemctl enable --now {line.unit}")
    console, client = line.talk()
    console.enter("Hello, Client1")
    client.says("alice> Hello, Client1")


def test_pages_and_settings_are_placed_as_documented(bare: Machine) -> None:
    bare.run(f"cd {SOURCE}; {documented('### Man pages, completions, settings')}")
    for page in (REPOSITORY / "packaging/man").iterdir():
        bare.run(f"cmp {SOURCE}/packaging/man/{page.name} /usr/local/share/man/man{page.suffix[1:]}/{page.name}")
    bare.run(f"cmp {SOURCE}/packaging/pychatd.toml /etc/pychatd/pychatd.toml")
