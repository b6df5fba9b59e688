"""packaging/release tags what agrees with its version, and nothing else; tried in a repository of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.packaging.programs import PACKAGING

VERSION = "1.2.3"
STEPS = {
    "check": "true",
    "test": "true",
    "dist": "mkdir dist; touch dist/pychat.whl",
    "deb": "mkdir -p build/deb; touch build/deb/pychat.deb",
}
"""What make does in place of the real thing, for each of its targets in the order of the release."""
FILES = {
    "pychat_client/__init__.py": f'"""The kit."""\n\n__version__ = "{VERSION}"\n',
    "packaging/debian/changelog": f"pychat ({VERSION}) unstable; urgency=medium\n\n  * New.\n",
    "CHANGELOG.md": (
        f"# Changes\n\n## [Unreleased]\n\n## [{VERSION}] - 2026-11-22\n\n### Added\n\n- Something new.\n\n"
        "## [1.2.2] - 2026-11-21\n\n- Something old.\n"
    ),
    ".gitignore": "/build/\n/dist/\n/made\n",
}


def makefile(steps: dict[str, str]) -> str:
    """Each target tells what it was asked for, and does its step."""
    return "".join(f"{target}:\n\t@echo {target} >>made; {step}\n" for target, step in steps.items())


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository that is ready for the release of VERSION; its make only tells what it was asked for."""
    for tool in ("bash", "git", "make"):
        if shutil.which(tool) is None:
            pytest.skip(f"no {tool} here: 'apt-get install {tool}'")
    for name in [name for name in os.environ if name.startswith(("GIT_", "MAKE", "MFLAGS"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    for name, text in {**FILES, "Makefile": makefile(STEPS)}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    shutil.copy(PACKAGING / "release", tmp_path / "packaging")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "config", "user.name", "Alice")
    git(tmp_path, "config", "user.email", "alice@example.org")
    commit(tmp_path)
    return tmp_path


def git(repository: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=repository, stdout=subprocess.PIPE, check=True).stdout.decode()


def commit(repository: Path) -> None:
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "--message", "Change it")


def release(repository: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([repository / "packaging/release", *words], capture_output=True, text=True, check=False)


def made(repository: Path) -> list[str]:
    """What make was asked for."""
    file = repository / "made"
    return file.read_text().split() if file.exists() else []


def test_what_agrees_is_checked_built_and_tagged(repository: Path) -> None:
    done = release(repository, VERSION)
    assert (done.returncode, done.stderr) == (0, "")
    assert made(repository) == [*STEPS]
    assert git(repository, "rev-parse", f"v{VERSION}^{{commit}}") == git(repository, "rev-parse", "HEAD")
    message = git(repository, "for-each-ref", "--format=%(contents)", f"refs/tags/v{VERSION}")
    assert "- Something new." in message
    assert "### Added" in message
    assert "old" not in message
    assert sorted(file.name for file in (repository / "dist").iterdir()) == [
        "SHA256SUMS",
        "pychat.deb",
        "pychat.whl",
    ]
    sums = (repository / "dist/SHA256SUMS").read_text().split()[1::2]
    assert sums == ["pychat.deb", "pychat.whl"]
    assert git(repository, "status", "--porcelain") == ""


def test_a_dry_run_changes_nothing(repository: Path) -> None:
    done = release(repository, "--dry-run", VERSION)
    assert (done.returncode, done.stderr) == (0, "")
    assert "+ make check test" in done.stdout
    assert (made(repository), git(repository, "tag")) == ([], "")


@pytest.mark.parametrize(
    ("file", "was", "now"),
    [
        ("pychat_client/__init__.py", VERSION, "1.2.2"),
        ("packaging/debian/changelog", VERSION, "1.2.2"),
        ("packaging/debian/changelog", "unstable", "UNRELEASED"),
        ("CHANGELOG.md", VERSION, "1.2.4"),
        ("CHANGELOG.md", "2026-11-22", "soon"),
        ("CHANGELOG.md", "- Something new.", ""),
    ],
)
@pytest.mark.parametrize("dry", [["--dry-run"], []], ids=["dry", "real"])
def test_what_disagrees_is_named_and_not_released(
    repository: Path, file: str, was: str, now: str, dry: list[str]
) -> None:
    (repository / file).write_text(FILES[file].replace(was, now))
    commit(repository)
    refused = release(repository, *dry, VERSION)
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"release: {file} ")
    assert len(refused.stderr.splitlines()) == 1
    assert (made(repository), git(repository, "tag")) == ([], "")


def test_all_that_is_wrong_is_named_at_once(repository: Path) -> None:
    git(repository, "tag", "v2.0.0")
    (repository / "forgotten").touch()
    refused = release(repository, "2.0.0")
    assert refused.returncode == 1
    assert len(refused.stderr.splitlines()) == 5  # changes, tag, and three places
    assert git(repository, "tag").split() == ["v2.0.0"]


@pytest.mark.parametrize("broken", STEPS)
def test_a_step_that_fails_leaves_no_tag(repository: Path, broken: str) -> None:
    (repository / "Makefile").write_text(makefile({**STEPS, broken: "false"}))
    commit(repository)
    assert release(repository, VERSION).returncode != 0
    assert made(repository)[-1] == broken
    assert git(repository, "tag") == ""


@pytest.mark.parametrize("words", [[], ["1.2"], ["v1.2.3"], ["1.2.3", "1.2.4"], ["--wet", "1.2.3"]])
def test_wrong_use_is_told(repository: Path, words: list[str]) -> None:
    assert release(repository, *words).returncode == 2
    assert git(repository, "tag") == ""


def test_debian_finds_the_newest_release(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    if shutil.which("uscan") is None:
        pytest.skip("no uscan: 'apt-get install devscripts'")
    for tag in ("v0.2.0", "v0.10.0", "v0.11.0-rc1", "nightly"):
        git(repository, "tag", tag)
    watch = tmp_path_factory.mktemp("debian") / "watch"
    watch.write_text(re.sub("https://[^ ]+", repository.as_uri(), (PACKAGING / "debian/watch").read_text()))
    words = ["uscan", "--no-download", "--dehs", "--watchfile", str(watch), "--package", "pychat"]
    words += ["--upstream-version", "0.1.0"]
    told = subprocess.run(words, cwd=watch.parent, stdout=subprocess.PIPE, text=True, check=True)
    assert "<upstream-version>0.10.0</upstream-version>" in told.stdout
