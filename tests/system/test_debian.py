"""Installations on a real system, as docs/install.md has them: the Debian packages, installed, upgraded with a
conversation open, removed and purged; and the units without the packages.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pychat_client import __version__
from pychat_client.errors import ExitStatus
from tests.system.conftest import booted
from tests.system.machine import BUILD_SECONDS, REPOSITORY, SOURCE, SUITES, Machine
from tests.system.system_service import SystemService

pytestmark = [pytest.mark.system, pytest.mark.timeout(BUILD_SECONDS + 120)]

NEXT_VERSION = f"{__version__}+next"
BUILD = Path("build/system-test")
"""Below the repository, which the machine sees."""

LATER = 1_900_000_000.0
"""The time of the files of a copy that was made later: in 2030."""

TOOLS_MISSING = 3
"""The exit status of packaging/make-deb."""

APT = "DEBIAN_FRONTEND=noninteractive apt-get -q -y"

_ports = itertools.count(7000)
"""A service of its own for each test: clients and consoles of earlier tests still call theirs."""

FILES = r"""
find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp -o -path /mnt -o -path /root \
  -o -path /home -o -path /var/cache -o -path /var/log -o -path /var/lib/apt -o -path /var/lib/dpkg \
  -o -path '/etc/group*' -o -path '/etc/gshadow*' \) -prune -o -print
"""
"""All but what others keep about packages, and the group, which stays."""


def build(version: str, name: str, elsewhere: Sequence[str] = ()) -> str:
    """Builds the packages as `version`, in a directory `name`; the pattern of their names in the machine.

    elsewhere: a command that runs another one as a user would who has another umask and got the files later
    """
    place = REPOSITORY / BUILD / name
    shutil.rmtree(place, ignore_errors=True)
    for directory in ("pychat_client", "pychatd", "packaging", "docs"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(REPOSITORY / directory, place / directory, ignore=ignored)
    for document in ("pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE"):
        shutil.copy(REPOSITORY / document, place)
    for file in (place / "pychat_client/__init__.py", place / "packaging/debian/changelog"):
        file.write_text(file.read_text().replace(__version__, version, 1))
    for path in place.rglob("*") if elsewhere else []:
        path.chmod(path.stat().st_mode & ~0o077)
        os.utime(path, (LATER, LATER))
    command = [*elsewhere, str(place / "packaging/make-deb")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
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


@pytest.fixture(params=SUITES)
def host_b(request: pytest.FixtureRequest) -> Iterator[Machine]:
    """A machine without what only the daemon depends on."""
    script = f"useradd --create-home alice; useradd --create-home bob; {APT} purge python3-daemon"
    with booted(request.param, script) as machine:
        yield machine


@pytest.fixture
def service(bare: Machine, packages: str) -> Iterator[SystemService]:
    """A service on a machine on which the packages have just been installed; it does not run yet."""
    bare.run(f"{APT} install {packages}; usermod --append --groups pychat alice")
    yield SystemService(bare, next(_ports))
    bare.run(f"{APT} purge pychat pychatd")


def version(service: SystemService) -> str:
    return service.machine.run("pychatd --version").stdout.split()[1]


def test_lintian_finds_nothing(packages: str) -> None:
    if shutil.which("lintian") is None:
        pytest.skip("no lintian: 'apt-get install lintian'")
    (changes,) = (REPOSITORY / BUILD / "this/build/deb").glob("*.changes")
    result = subprocess.run(
        ["lintian", "--allow-root", "--pedantic", "--display-info", "--display-experimental", changes],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stdout) == (0, ""), result.stderr


def test_built_elsewhere_they_are_the_same(packages: str, tmp_path: Path) -> None:
    """By another user, at another time and place, in another language: the source and the packages."""
    if shutil.which("faketime") is None:
        pytest.skip("no faketime: 'apt-get install faketime'")
    variables = ("TZ=Pacific/Kiritimati", "LANG=tr_TR.UTF-8", "LANGUAGE=tr", f"HOME={tmp_path}")
    umask = ("sh", "-c", 'umask 077; exec "$@"', "sh")
    build(__version__, "else/where", ["env", *variables, *umask, "faketime", "2031-03-04 05:06:07"])
    first, second = (REPOSITORY / BUILD / name / "build/deb" for name in ("this", "else/where"))
    made = [path.name for path in first.iterdir() if path.name.endswith((".deb", ".dsc", ".tar.xz"))]
    assert len(made) == 4
    for name in made:
        assert (first / name).read_bytes() == (second / name).read_bytes(), (
            f"'diffoscope' tells how {name} differs"
        )


def test_the_test_of_the_packages_passes(service: SystemService) -> None:
    """debian/tests, which autopkgtest runs in Debian."""
    talk = service.machine.run(f"sh {SOURCE}/packaging/debian/tests/talk")
    assert talk.stdout.endswith("Two people have talked.\n")


def test_the_client_comes_without_the_daemon(host_b: Machine, packages: str) -> None:
    """The host that is called is a daemon that runs from the sources."""
    host_b.run(f"{APT} install {packages.replace('*.deb', 'pychat_*.deb')}")
    assert host_b.run("ls /usr/bin/pychat*").stdout == "/usr/bin/pychat\n"
    assert not host_b.exists("/usr/lib/systemd/system/pychatd@.service")
    assert not host_b.exists("/usr/lib/python3/dist-packages/pychatd")
    daemon = f"import sys; sys.path.append('{SOURCE}'); from pychatd.daemon_cli import main; main()"
    host_b.piped("python3", "-c", daemon, "run", "7000", user="alice")
    host_b.run("pychat send --wait --accept-new --handle Bob localhost 7000 Hello", user="bob")


def test_installed_two_people_talk(service: SystemService) -> None:
    documents = service.machine.run("dpkg --listfiles pychatd").stdout
    assert "/pychatd/systemd.md" in documents
    assert "/pychatd/CHANGELOG.md" in documents
    service.machine.run(f"systemd-analyze verify --man=no {service.unit}")
    service.machine.run(f"systemctl enable --now {service.unit}")
    refused = service.machine.run(f"pychatd-console {service.port}", user="bob", check=False)
    assert refused.returncode == ExitStatus.REFUSED
    console, client = service.talk()
    console.enter("Hello, Client1")
    client.says("alice> Hello, Client1")
    client.enter("\\quit")
    assert client.exit_status() == ExitStatus.OK


def test_an_upgrade_keeps_the_conversation(service: SystemService, next_packages: str) -> None:
    service.machine.run("echo 'grace = 30' >>/etc/pychatd/pychatd.toml")
    service.start()
    waiting = SystemService(service.machine, next(_ports))
    service.machine.run(f"systemctl enable --now {waiting.socket}")
    console, client = service.talk()
    before = service.show("MainPID")
    with ThreadPoolExecutor() as pool:
        upgrade = pool.submit(service.machine.run, f"{APT} install {next_packages}")
        rounds = 0
        while not upgrade.done() or rounds < 3:
            rounds += 1
            console.enter(f"Question {rounds}.")
            client.says(f"Question {rounds}.")
            client.enter(f"Answer {rounds}.")
            console.says(f"Answer {rounds}.")
        upgrade.result()
    assert version(service) == NEXT_VERSION
    assert service.show("ActiveState") == "active"
    assert service.show("MainPID") != before
    service.has_status("Talking with Client1 from ")
    for end, word in ((console, "Answer"), (client, "Question")):  # none lost, doubled or out of order
        numbers = re.findall(rf"> {word} (\d+)\.$", end.out(), re.MULTILINE)
        assert numbers == [str(number + 1) for number in range(rounds)]
    assert "grace = 30" in service.machine.run("cat /etc/pychatd/pychatd.toml").stdout
    assert waiting.has_left()
    waiting.client().notes("Send the first message")
    client.enter("\\quit")
    assert client.exit_status() == ExitStatus.OK


def test_removing_the_package_stops_services_and_keeps_journals(service: SystemService, packages: str) -> None:
    other = SystemService(service.machine, next(_ports))
    service.start()
    other.start()
    _, client = service.talk()
    client.enter("\\quit")
    client.exit_status()
    service.machine.run(f"{APT} remove pychatd")
    assert (service.show("ActiveState"), other.show("ActiveState")) == ("inactive", "inactive")
    assert service.machine.run("pgrep --full 'pychatd [r]un'", check=False).stdout == ""
    assert service.machine.run("ls /run/pychatd /usr/bin/pychatd", check=False).stdout == ""
    service.machine.run(f"{APT} install {packages}")
    service.start()
    assert "Client1> Hi!" in service.machine.run(f"pychatd-console --history {service.port}", user="alice").stdout


def test_purged_nothing_is_left(bare: Machine, packages: str) -> None:
    service = SystemService(bare, next(_ports))
    bare.run("mkdir --parents /var/lib/private; chmod 700 /var/lib/private")  # systemd's own, for any unit
    before = set(bare.run(FILES).stdout.splitlines())
    bare.run(f"{APT} install {packages}; usermod --append --groups pychat alice")
    bare.run(f"systemctl enable --now {service.unit}; echo x >/etc/pychatd/own.pem")
    service.talk()
    bare.run(f"{APT} purge pychat pychatd")
    assert set(bare.run(FILES).stdout.splitlines()) ^ before == set()
    assert service.show("ActiveState") == "inactive"


def test_purged_what_units_of_ones_own_use_is_left(service: SystemService) -> None:
    own = "/etc/systemd/system/pychatd@.service"
    service.machine.run(f"cp /usr/lib/systemd/system/pychatd@.service {own}; echo x >/etc/pychatd/own.pem")
    service.machine.run(f"systemctl daemon-reload; systemctl enable --now {service.unit}")
    service.machine.run(f"{APT} purge pychatd")
    wanted = f"/etc/systemd/system/multi-user.target.wants/{service.unit}"
    left = f"{service.state}/journal.db /etc/pychatd/own.pem {wanted}"
    service.machine.run(f"ls {left}; rm {left} {own}")


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
    service = SystemService(bare, next(_ports))
    bare.run(f"usermod --append --groups pychat alice; systemctl enable --now {service.unit}")
    console, client = service.talk()
    console.enter("Hello, Client1")
    client.says("alice> Hello, Client1")


def test_pages_and_settings_are_placed_as_documented(bare: Machine) -> None:
    bare.run(f"cd {SOURCE}; {documented('### Man pages, completions, settings')}")
    for page in (REPOSITORY / "packaging/man").iterdir():
        bare.run(f"cmp {SOURCE}/packaging/man/{page.name} /usr/local/share/man/man{page.suffix[1:]}/{page.name}")
    bare.run(f"cmp {SOURCE}/packaging/pychatd.toml /etc/pychatd/pychatd.toml")
