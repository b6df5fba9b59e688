"""pychat.pyz, the client in one file: it needs nothing but a Python, and is the same bytes at each build."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from pychat_client import __version__
from tests.packaging.programs import PACKAGING
from tests.support.service import Service

ROOT = PACKAGING.parent
NEWEST = 20
"""Python 3.20 is far away: the versions looked for end there."""


def _pythons(first: int, last: int) -> dict[str, str]:
    """Python 3.first to 3.last, as far as this host has them: on PATH, or those of pyenv; by version."""
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = {}
    for minor in range(first, last + 1):
        name = f"python3.{minor}"
        places = [shutil.which(name) or "", *map(str, versions.glob(f"3.{minor}.*/bin/{name}"))]
        for place in places:
            if place and "/shims/" not in place:  # pyenv's own, which need a setting
                found[f"3.{minor}"] = place
    return found


PYTHONS = _pythons(11, NEWEST) or {"this one": sys.executable}


def _make(root: Path, path: Path, umask: str = "022") -> None:
    command = f"umask {umask}; exec {sys.executable} {root}/packaging/tools/pyz.py {path}"
    made = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    if made.returncode and "pip" in made.stderr:
        pytest.skip("the libraries cannot be downloaded here: no network")
    assert made.returncode == 0, made.stderr


@pytest.fixture(scope="module")
def pyz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pyz") / "pychat.pyz"
    _make(ROOT, path)
    return path


def test_the_same_checkout_gives_the_same_bytes(pyz: Path, tmp_path: Path) -> None:
    for name in ("pychat_client", "packaging"):
        shutil.copytree(ROOT / name, tmp_path / name, copy_function=shutil.copyfile)  # with other dates
    shutil.copy(ROOT / "LICENSE", tmp_path)
    _make(tmp_path, tmp_path / "again.pyz", umask="077")
    assert (tmp_path / "again.pyz").read_bytes() == pyz.read_bytes()


def test_everything_inside_comes_with_its_licence(pyz: Path) -> None:
    names = zipfile.ZipFile(pyz).namelist()
    packages = {name.partition("/")[0] for name in names if name.endswith("/__init__.py")}
    assert packages == {"pychat_client", "prompt_toolkit", "wcwidth"}
    licensed = {re.split(r"[-/]", name)[0] for name in names if name.endswith("/LICENSE")}
    assert licensed == packages


def test_it_runs_by_itself(pyz: Path) -> None:
    told = subprocess.run([pyz, "--version"], capture_output=True, text=True, check=True)
    assert told.stdout == f"pychat {__version__}\n"


@pytest.mark.parametrize("version", _pythons(6, 10))
def test_an_old_python_gets_a_sentence(pyz: Path, version: str) -> None:
    told = subprocess.run([_pythons(6, 10)[version], pyz], capture_output=True, text=True, check=False)
    assert (told.returncode, told.stderr) == (1, f"pychat needs Python 3.11 or newer; this is {version}.\n")


@pytest.mark.parametrize("version", PYTHONS)
def test_an_invited_caller_talks_with_nothing_else_installed(pyz: Path, version: str, service: Service) -> None:
    console = service.ready_console()
    invited = service.pychatd("invite", "--host", "localhost", "--for", "Zoe").stdout
    word = re.search(r"--invite (\S+)", invited)
    assert word, invited
    isolated = [PYTHONS[version], "-I", "-S"]  # no packages of this host
    words = [*isolated, str(pyz), "localhost", str(service.port), "--invite", word[1], "--handle", "Zoe"]
    caller = service.terminal(words)
    caller.sees("Send the first message")
    caller.enter("Hi!")
    console.sees("Zoe> Hi!")
    console.sees("verified as Zoe")
    console.enter("Hello")
    caller.sees("Server> Hello")
    caller.enter("\\quit")
    assert caller.exit_status() == 0
