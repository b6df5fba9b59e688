"""A user without a home directory, as in a container: a sentence that says what to set, or which option to use."""

from __future__ import annotations

import os
import pwd
from itertools import count
from pathlib import Path

import pytest

from pychat_client import cli
from pychat_client.config import paths
from pychatd import console_cli, daemon_cli, settings

PROGRAMS = {"pychat": cli.main, "pychatd": daemon_cli.main, "pychatd-console": console_cli.main}
STRANGER = next(uid for uid in count(54321) if uid not in {entry.pw_uid for entry in pwd.getpwall()})
DIRECTORIES = ("CONFIG_HOME", "DATA_HOME", "STATE_HOME", "RUNTIME_DIR")


@pytest.fixture(autouse=True, params=[None, "", "home", "~"])
def _stranger(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """This user is in no list of users, and HOME is no absolute path."""
    for name in DIRECTORIES:
        monkeypatch.delenv(f"XDG_{name}", raising=False)
    monkeypatch.delenv("HOME", raising=False)
    if request.param is not None:
        monkeypatch.setenv("HOME", request.param)
    for name in ("getuid", "geteuid"):
        monkeypatch.setattr(os, name, lambda: STRANGER)


@pytest.mark.parametrize(
    ("program", "words", "variable", "option"),
    [
        ("pychat", "localhost 7 --handle Bob", "XDG_CONFIG_HOME", ""),
        ("pychat", "send localhost 7 x", "XDG_CONFIG_HOME", ""),
        ("pychat", "forget localhost 7", "XDG_CONFIG_HOME", ""),
        ("pychat", "certificate", "XDG_DATA_HOME", ""),
        ("pychat", "--list-targets", "XDG_CONFIG_HOME", ""),
        ("pychatd-console", "7", "XDG_CONFIG_HOME", ""),
        ("pychatd", "start 7", "XDG_STATE_HOME", "--state-directory"),
        ("pychatd", "start 7 --state-directory /nowhere", "XDG_STATE_HOME", "--runtime-directory"),
        ("pychatd", "fingerprint 7", "XDG_STATE_HOME", "--state-directory"),
        ("pychatd", "status", "XDG_STATE_HOME", "--runtime-directory"),
        ("pychatd", "stop 7", "XDG_STATE_HOME", "--runtime-directory"),
    ],
)
def test_the_sentence_says_what_to_set(
    program: str, words: str, variable: str, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert PROGRAMS[program](words.split()) == 2
    instead = f", or use {option}" if option else ""
    said = f"Your home directory is not known: set HOME or {variable} to a directory{instead}."
    assert capsys.readouterr() == ("", f"{program}: {said}\n")


def test_a_service_with_directories_needs_no_home() -> None:
    found = settings.load(7000, {}, state=Path("/nowhere/state"), runtime=Path("/nowhere/run"))
    assert (found.state, found.runtime) == (Path("/nowhere/state/7000"), Path("/nowhere/run/7000"))
    assert found.file is None


def test_the_list_of_users_knows_the_home_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = pwd.getpwall()[0]
    monkeypatch.setattr(os, "getuid", lambda: entry.pw_uid)
    assert paths.config_file() == Path(entry.pw_dir) / ".config/pychat/config.toml"
