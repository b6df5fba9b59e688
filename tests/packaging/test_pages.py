"""The man pages have every option, command, exit status, setting, variable and signal, and no other."""

from __future__ import annotations

import ast
import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

import pychat_client
import pychatd
from pychat_client.config import preferences
from pychat_client.config.preferences import Preferences
from pychat_client.errors import ExitStatus
from pychat_client.protocol.turns import Role
from pychat_client.session.session import Session
from pychat_client.ui.plain import Plain
from pychatd import settings
from pychatd.network.server import RESTART_REQUIRED
from tests.packaging.programs import PACKAGING, commands, difference, options, parse, statuses
from tests.support.endpoints import make_endpoint
from tests.support.typeshed import names

MAN = PACKAGING / "man"
PAGES = {"pychat": "pychat.1", "pychatd-console": "pychatd-console.1", "pychatd": "pychatd.8"}
ALL = sorted(MAN.iterdir())


def text(program: str) -> str:
    return (MAN / PAGES[program]).read_text()


def section(page: str, name: str) -> str:
    """The source of a section of a page, without its heading."""
    found = re.search(rf"^\.Sh {name}\n(.*?)(?=^\.Sh |\Z)", page, re.MULTILINE | re.DOTALL)
    assert found, f"no section {name}"
    return found[1]


def long_options(source: str) -> set[str]:
    return {f"-{name}" for name in re.findall(r"\bFl (-[a-z-]+)", source)} | {
        f"-{name}" for name in re.findall(r"^\.It .*, (-[a-z-]+)$", source, re.MULTILINE)
    }


def synopsis(program: str) -> Iterator[tuple[str, set[str]]]:
    """Each form in the synopsis: the command, or "", and its options."""
    for way in re.split(r"^\.Nm\n", section(text(program), "SYNOPSIS"), flags=re.MULTILINE)[1:]:
        found = re.match(r"\.Cm (\w+)\n", way)
        yield found[1] if found else "", long_options(way)


@pytest.mark.parametrize("page", ALL, ids=lambda page: page.name)
def test_a_page_is_well_formed(page: Path) -> None:
    checked = False
    for words in (["mandoc", "-T", "lint", "-W", "warning"], ["man", "--warnings", "-E", "UTF-8", "-l"]):
        if shutil.which(words[0]):
            result = subprocess.run([*words, page], capture_output=True, text=True, check=False)
            assert result.stderr == "" or "outdated mandoc.db" in result.stderr, result.stderr
            assert result.returncode == 0, result.stdout
            checked = True
    if not checked:
        pytest.skip("neither man nor mandoc is installed")


@pytest.mark.parametrize("program", PAGES)
def test_options_are_those_of_the_program(program: str) -> None:
    described = long_options(section(text(program), "DESCRIPTION"))
    assert difference(f"{PAGES[program]}, DESCRIPTION,", described, options(program)) == ""


@pytest.mark.parametrize("program", PAGES)
def test_the_synopsis_is_that_of_the_program(program: str) -> None:
    ways = list(synopsis(program))
    shown = {command for command, _ in ways}
    assert difference(f"{PAGES[program]}, SYNOPSIS,", shown, set(commands(program))) == ""
    for command in commands(program):
        named = set().union(*(given for way, given in ways if way == command))
        help_alone = {"--help"} if command else set()  # every command has it; only DESCRIPTION names it
        what = " ".join([f"{PAGES[program]}, SYNOPSIS of", program, command])
        assert difference(what, named | help_alone, options(program, command)) == ""


def test_the_commands_of_pychatd_are_described() -> None:
    described = set(re.findall(r"^\.It Cm (\w+)", section(text("pychatd"), "DESCRIPTION"), re.MULTILINE))
    assert difference("pychatd.8", described, set(commands("pychatd")) - {""}) == ""


@pytest.mark.parametrize("program", PAGES)
def test_exit_statuses_are_those_of_the_program(program: str) -> None:
    listed = set(re.findall(r"^\.It (\d+)$", section(text(program), "EXIT STATUS"), re.MULTILINE))
    assert difference(PAGES[program], listed, set(map(str, statuses(program)))) == ""
    assert listed <= {str(int(status)) for status in ExitStatus}


def test_every_exit_status_is_on_some_page() -> None:
    assert set().union(*map(statuses, PAGES)) == {int(status) for status in ExitStatus}


@pytest.mark.parametrize(
    ("pages", "role"),
    [(["pychat"], Role.PEER), (["pychat", "pychatd-console"], Role.OPERATOR)],
    ids=["pychat", "pychatd-console"],
)
def test_the_commands_of_a_conversation_are_described(pages: list[str], role: Role) -> None:
    described = set(re.findall(r"^\.It Ic \\e(\w+)", "".join(map(text, pages)), re.MULTILINE))
    real = set(Session(make_endpoint(role, "Client1"), Plain("pychat", Preferences()), "here").commands)
    assert difference(" and ".join(PAGES[page] for page in pages), described, real) == ""


def test_settings_are_those_of_the_daemon() -> None:
    page = (MAN / "pychatd.toml.5").read_text()
    described = set(re.findall(r"^\.It Va (\w+)", section(page, "SETTINGS"), re.MULTILINE))
    assert difference("pychatd.toml.5", described, set(settings._KEYS)) == ""


def test_settings_that_need_a_restart_are_those_of_the_daemon() -> None:
    page = (MAN / "pychatd.toml.5").read_text()
    sentence = re.search(r"^Changes of\n(.*?)^take effect", page, re.MULTILINE | re.DOTALL)
    assert sentence
    named = set(re.findall(r"^\.Va (\w+)", sentence[1], re.MULTILINE))
    assert difference("pychatd.toml.5, Changes of,", named, set(RESTART_REQUIRED)) == ""


def test_preferences_are_those_of_the_client() -> None:
    part = section(text("pychat"), "CONFIGURATION")
    described = set(re.findall(r"^\.(?:It )?Va (\w+)", part, re.MULTILINE))
    assert difference("pychat.1", described, set(preferences._KEYS) | set(preferences._CONTACT_KEYS)) == ""


def test_defaults_of_preferences_are_those_of_the_client() -> None:
    part = section(text("pychat"), "CONFIGURATION")
    shown = re.findall(r"^\.It Va (\w+)\n(?:(?!\.It ).*\n)*?\.Ql (\S+)\n\(default\)", part, re.MULTILINE)
    real = {field.name: getattr(Preferences(), field.name) for field in fields(Preferences)}
    assert {name: value.replace("\\(dq", '"') for name, value in shown} == {
        name: json.dumps(value) for name, value in real.items() if isinstance(value, str | bool)
    }


def strings(directory: str) -> Iterator[str]:
    """Every string in the code of a package."""
    for file in Path(directory).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_bytes())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def test_environment_variables_are_those_of_the_programs() -> None:
    described = set(re.findall(r"Ev ([A-Z_]+)", "".join(map(text, PAGES))))
    code = {word for package in (pychat_client, pychatd) for word in strings(package.__path__[0])}
    systems = {
        name for module in ("os", "socket") for platform in ("linux", "darwin") for name in names(module, platform)
    }
    real = {word for word in code - systems if re.fullmatch(r"[A-Z]+_[A-Z_]+|TERM", word)}
    assert difference("ENVIRONMENT of the man pages", described, real - {settings.UNSAFE_NO_SYNC}) == ""


def test_signals_are_those_that_the_daemon_handles() -> None:
    described = set(re.findall(r"SIG[A-Z]+", section(text("pychatd"), "DESCRIPTION")))
    server = Path(pychatd.__path__[0], "network/server.py").read_text()
    assert difference("pychatd.8", described, set(re.findall(r"signal\.(SIG[A-Z]+)", server))) == ""


@pytest.mark.parametrize("program", PAGES)
def test_the_examples_are_commands_of_the_program(program: str) -> None:
    shown = re.findall(r"^\.Dl (.*)$", section(text(program), "EXAMPLES"), re.MULTILINE)
    for line in shown:
        for part in line.replace("\\e", "\\").partition(" >")[0].split("|"):
            words = shlex.split(part)
            if words[0] in PAGES:
                parse(words)  # exits with a message if it is wrong
    assert any(line.split("| ")[-1].startswith(program) for line in shown)


def test_the_example_of_settings_is_one(tmp_path: Path) -> None:
    page = (MAN / "pychatd.toml.5").read_text()
    shown = re.search(r"^\.Bd [^\n]*\n(.*?)^\.Ed", section(page, "EXAMPLES"), re.MULTILINE | re.DOTALL)
    assert shown
    (tmp_path / "pychatd.toml").write_text(shown[1])
    assert settings.load(7001, {}, config=tmp_path / "pychatd.toml").keep_days == 30
