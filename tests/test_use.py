"""What the help, the hints in the programs and the pages tell users to type works; and the links of the pages."""

from __future__ import annotations

import ast
import dataclasses
import re
import shlex
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from pychat_client import cli
from pychat_client.config import targets
from pychat_client.config.preferences import Contact, load
from pychat_client.errors import ExitStatus, NotAllowedError, UsageError
from pychat_client.protocol.turns import Role
from pychat_client.session.session import Session
from pychat_client.ui.key_bindings import KEYS
from pychatd import settings
from tests.packaging import programs
from tests.packaging.programs import difference
from tests.support.aio import in_loop
from tests.support.endpoints import make_endpoint
from tests.support.notes import Notes

ROOT = Path(__file__).parent.parent
USE = (ROOT / "docs" / "use.md").read_text()


class Helped(Notes):
    """A view with the screen's keys."""

    keys = KEYS


def session(role: Role) -> tuple[Session, Helped]:
    view = Helped()
    return Session(make_endpoint(role, "Bob"), view, "the test"), view


def rows(heading: str) -> list[tuple[str, str]]:
    """The table below a heading of docs/use.md, without its head."""
    table = USE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    cells = [row.strip("|").split(" | ") for row in table.splitlines() if row.startswith("| ")]
    return [(what.strip().strip("`"), words.strip()) for what, words in cells[1:]]


@in_loop
async def test_the_page_has_the_commands_as_the_help_has_them() -> None:
    one, view = session(Role.OPERATOR)
    one.submit("\\help")
    told = [tuple(re.split(r"  +", sentence, maxsplit=1)) for sentence in view.sentences]
    assert told == rows("Commands") + rows("Keys")


@in_loop
async def test_the_page_has_the_keys_as_the_help_has_them() -> None:
    assert rows("Keys") == [*KEYS]


def test_the_page_has_all_exit_statuses() -> None:
    listed = {status for status, _ in rows("Exit statuses")}
    assert difference("docs/use.md, Exit statuses,", listed, {str(int(status)) for status in ExitStatus}) == ""


@pytest.mark.parametrize("role", Role)
def test_every_command_of_the_help_exists(role: Role) -> None:
    @in_loop
    async def check() -> None:
        one, view = session(role)
        one.submit("\\help")
        named = [sentence.split()[0] for sentence in view.sentences if re.match(r"\\\w", sentence)]
        assert named == [f"\\{name}" for name in one.commands]
        for command in named:
            one.validate(command)  # raises NotAllowedError for an unknown one

    check()


# ------------------------------------------------------------------ hints


@cache
def sentences() -> tuple[str, ...]:
    """All texts; once, and not in each process that collects tests."""
    return (*_sentences(),)


def _sentences() -> Iterator[str]:
    """Every text in the programs, with 7000 for each inserted value; without docstrings, the wire and tables."""
    for file in (*ROOT.glob("pychat_client/**/*.py"), *ROOT.glob("pychatd/**/*.py")):
        tree = ast.parse(file.read_bytes() if file.name not in ("wire.py", "journal_schema.py") else b"")
        nodes = [*ast.walk(tree)]
        passed = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
        for node in nodes:
            if isinstance(node, ast.JoinedStr):
                passed |= {id(part) for part in node.values}
                yield "".join(
                    str(part.value) if isinstance(part, ast.Constant) else "7000" for part in node.values
                )
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in passed:
                yield node.value


_PROGRAM = re.compile(r"'(pychat[\w-]*(?: [^']+)?)'")
_COMMAND = re.compile(r"(?<![\\\w])\\([a-z]{3,})(?= [a-z]+s\b)")  # followed by what it does


def hints(kind: re.Pattern[str]) -> list[str]:
    return sorted({hint for text in sentences() for hint in kind.findall(text)})


def test_every_command_line_in_a_hint_is_valid() -> None:
    found = hints(_PROGRAM)
    assert len(found) > 5
    for hint in found:
        parse(shlex.split(hint.replace("PORT", "7000").replace("HOST", "localhost")))


def parse(words: list[str]) -> None:
    """Lets the program parse its command line; fails for a wrong one."""
    contacts = {"alice": Contact("localhost", 7000)}
    words = [word for word in words if not word.startswith(">")]  # that is for the shell
    try:
        args = programs.parse(words)
        if words[0] == "pychat":
            match cli.command_of(words[1:]):
                case cli.CALL | "replies" | "forget":
                    targets.find([word for word in (args.host, args.port) if word], contacts)
                case "send":
                    targets.find_before_text(args.words, contacts)
    except UsageError as error:
        pytest.fail(f"{words} is not a valid command line: {error}")
    except SystemExit as end:  # --help ends it too
        if end.code != 0:
            pytest.fail(f"{words} is not a valid command line")


def test_every_command_in_a_hint_exists() -> None:
    one, _ = session(Role.OPERATOR)
    found = hints(_COMMAND)
    assert "help" in found
    for name in found:
        try:
            assert one.validate(f"\\{name}").command is not None
        except NotAllowedError:
            pytest.fail(f"\\{name} is no command")


# ------------------------------------------------------------------ pages


PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
_EXAMPLE = re.compile(r"    (?:\$ |\S.* \| )?((?:pychat|pychatd|pychatd-console) [^#<|]*)")


def examples() -> Iterator[tuple[str, str]]:
    """The command lines of our programs in the code blocks of all pages, each with its page."""
    for page in PAGES:
        for line in page.read_text().splitlines():
            if found := _EXAMPLE.match(line):
                yield page.name, found[1].strip()


@pytest.mark.parametrize(("page", "line"), sorted(set(examples())))
def test_every_command_line_of_a_page_is_valid(page: str, line: str) -> None:
    parse(shlex.split(line))


def test_the_pages_have_command_lines() -> None:
    assert {page for page, _ in examples()} >= {"README.md", "quickstart.md", "use.md", "scripts.md"}


def test_the_readme_has_the_two_commands() -> None:
    shown = (ROOT / "README.md").read_text().split("\n## Two commands\n")[1].split("\n## ")[0]
    commands = [line.partition("#")[0].strip() for line in shown.splitlines() if line.startswith("    ")]
    assert commands == [
        "pychat listen",
        "pychat hostA 7000 --invite XXXX-…",
        "make run",
        "sh /tmp/…/call localhost 7000 --invite …",
    ]
    assert re.search(r"^run:", (ROOT / "Makefile").read_text(), re.M)
    for command in (*commands[:2], commands[3]):
        parse(command.replace("sh /tmp/…/call", "pychat").split())


def anchors(page: Path) -> set[str]:
    """What a link can name after the #: the headings, as repository hosts spell them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.M)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" not in target:
            file, _, anchor = target.partition("#")
            other = page.parent / file if file else page
            assert other.exists(), target
            assert not anchor or anchor in anchors(other), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_module_that_a_page_names_exists(page: Path) -> None:
    modules = {file.name for package in ("pychat_client", "pychatd") for file in (ROOT / package).rglob("*.py")}
    for name in re.findall(r"`([\w/]+\.py)`", page.read_text()):
        assert (ROOT / name).exists() if "/" in name else name in modules, name


def shown_settings(heading: str) -> str:
    """The first file of settings in a section of docs/configuration.md."""
    section = (ROOT / "docs" / "configuration.md").read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    shown = re.search(r"^    .*\n(?:(?:    .*)?\n)*", section, re.M)
    assert shown
    return re.sub(r"^    ", "", shown[0], flags=re.M)


def test_the_page_has_all_settings_of_the_daemon(tmp_path: Path) -> None:
    text = shown_settings("The daemon")
    file = tmp_path / "pychatd.toml"
    file.write_text(text)
    assert settings.load(7001, {}, config=file).turns is not settings.load(7000, {}, config=file).turns
    shown = tomllib.loads(text)
    shown.pop("port")
    assert difference("docs/configuration.md, The daemon,", set(shown), set(settings._KEYS)) == ""


def test_the_page_has_all_settings_of_the_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown_settings("The programs").replace("SHA256:…", "SHA256:" + "A" * 43)
    (tmp_path / "pychat").mkdir()
    (tmp_path / "pychat" / "config.toml").write_text(text)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    preferences = load()
    settable = {field.name for field in dataclasses.fields(preferences)} - {"contacts"}
    assert all(re.search(rf"^{name} = ", text, re.M) for name in settable)
    assert list(preferences.contacts) == ["alice"]
