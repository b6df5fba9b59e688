"""What users install: the wheel, the source archive, and what can be checked of the packages without Debian."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

from pychat_client import __version__
from pychatd.network.listeners import BACKLOG
from tests.packaging.programs import PACKAGING, PARSERS

ROOT = PACKAGING.parent


def test_packages_and_programs_have_the_same_version() -> None:
    newest = (PACKAGING / "debian/changelog").read_text().splitlines()[0]
    assert newest.startswith(f"pychat ({__version__}) "), "packaging/debian/changelog has another version"


def test_packages_and_wheel_have_the_same_dependencies() -> None:
    # dh_python3 reads what the wheel needs, but not its extra, which the package of the daemon has to name itself.
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["daemon"]
    assert [re.split("[>=]", word)[0] for word in extra] == ["cryptography", "python-daemon"]
    client, _, daemon = (PACKAGING / "debian/control").read_text().partition("Package: pychatd\n")
    for package in ("python3-cryptography", "python3-daemon"):
        assert f" {package},\n" in daemon
        assert package not in client
    assert "Depends: openssl," in client


def test_the_packages_install_the_units_of_users() -> None:
    placed = (PACKAGING / "debian/pychatd.install").read_text().splitlines()
    for unit in (PACKAGING / "systemd/user").iterdir():
        assert f"packaging/systemd/user/{unit.name} usr/lib/systemd/user" in placed


def test_the_socket_unit_has_the_queue_of_the_daemon() -> None:
    unit = (PACKAGING / "systemd/pychatd@.socket").read_text()
    assert re.findall(r"^Backlog=(.*)$", unit, re.MULTILINE) == [str(BACKLOG)]


def test_the_packages_install_all_man_pages_and_completions() -> None:
    placed = "".join(file.read_text() for file in (PACKAGING / "debian").glob("pychat*.*") if file.is_file())
    for directory in ("man", "completions/bash", "completions/zsh", "completions/fish"):
        for file in (PACKAGING / directory).iterdir():
            assert re.search(rf"^packaging/{directory}/{re.escape(file.name)}\b", placed, re.MULTILINE), file


def _with_programs(directory: Path, **programs: str) -> str:
    """A PATH of a bare system, with these programs of the test's own in front."""
    for name in ("sh", "dirname", "make", "env"):
        (directory / name).symlink_to(shutil.which(name) or "")
    for name, text in programs.items():
        (directory / name).write_text(f"#!/bin/sh\n{text}\n")
        (directory / name).chmod(0o755)
    return str(directory)


TOOLS = "tools are missing; as root, 'apt-get update && apt-get build-dep ./packaging' installs them all"


@pytest.mark.parametrize(
    ("programs", "words"),
    [
        ({}, "only Debian has the tools for this; docs/install.md describes other ways to install pychat"),
        ({"apt-get": ""}, TOOLS),
        ({"apt-get": "", "dpkg-checkbuilddeps": "echo 'Unmet build dependencies: debhelper' >&2; exit 1"}, TOOLS),
    ],
)
def test_without_its_tools_make_deb_names_one_command(
    tmp_path: Path, programs: dict[str, str], words: str
) -> None:
    (tmp_path / "bin").mkdir()
    path = _with_programs(tmp_path / "bin", **programs)
    (tmp_path / "packaging").mkdir()
    script = tmp_path / "packaging/make-deb"
    text = re.sub(r"^PATH=.*$", f"PATH={path}", (PACKAGING / "make-deb").read_text(), flags=re.MULTILINE)
    script.write_text(text)
    done = subprocess.run(["/bin/sh", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (3, "", f"make deb: {words}\n")


@pytest.mark.parametrize("python", [None, "exit 1", "case $* in *3,*) exit 1; esac"])
def test_without_python_or_venv_make_names_one_command(tmp_path: Path, python: str | None) -> None:
    (tmp_path / "bin").mkdir()
    path = _with_programs(tmp_path / "bin", **({} if python is None else {"python3": python}))
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    done = subprocess.run(
        ["make", "run"], cwd=tmp_path, env={"PATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith(
        "make: this needs Python 3.11 or newer with venv: on Debian, as root, "
        "'apt-get update && apt-get install python3-venv' installs both\n"
    )
    assert not (tmp_path / ".venv").exists()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy, because setuptools writes files next to the sources."""
    directory = tmp_path_factory.mktemp("wheel")
    for name in ("pychat_client", "pychatd", "tests"):
        shutil.copytree(ROOT / name, directory / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, directory)
    words = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", "dist", "."]
    subprocess.run([sys.executable, *words], cwd=directory, check=True)
    (built,) = (directory / "dist").iterdir()
    return built


def test_the_wheel_has_exactly_both_packages(wheel: Path) -> None:
    assert wheel.name == f"pychat-{__version__}-py3-none-any.whl"
    names = set(zipfile.ZipFile(wheel).namelist())
    code = {
        str(file.relative_to(ROOT))
        for package in ("pychat_client", "pychatd")
        for file in (ROOT / package).rglob("*")
        if file.suffix == ".py" or file.name == "py.typed"
    }
    assert {name for name in names if ".dist-info/" not in name} == code
    assert {"pychat_client/py.typed", "pychatd/py.typed"} <= names
    assert any(name.endswith("/LICENSE") for name in names)


def test_the_source_archive_has_the_whole_repository(tmp_path: Path) -> None:
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("this is no checkout, or there is no git: 'apt-get install git'")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
    tracked = {name for name in listed.decode().split("\0") if name and (ROOT / name).exists()}
    for name in tracked:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    subprocess.run([sys.executable, "-m", "build", "--sdist"], cwd=tmp_path, stdout=subprocess.DEVNULL, check=True)
    with tarfile.open(tmp_path / f"dist/pychat-{__version__}.tar.gz") as archive:
        names = {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}
    generated = {name for name in names - tracked if ".egg-info/" in name or name in ("PKG-INFO", "setup.cfg")}
    assert names - generated == tracked


def test_the_installed_programs_run(wheel: Path, tmp_path: Path) -> None:
    # Uses the dependencies of this environment: a test downloads nothing.
    venv.create(tmp_path, symlinks=True)  # without pip: installing that takes longer than all the rest
    into = ["-m", "pip", "--python", str(tmp_path / "bin/python"), "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([sys.executable, *into, wheel], check=True)
    for program in PARSERS:
        told = subprocess.run([tmp_path / "bin" / program, "--version"], stdout=subprocess.PIPE, check=True)
        assert told.stdout.decode() == f"{program} {__version__}\n"
