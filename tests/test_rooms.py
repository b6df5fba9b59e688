"""The rooms: which module may know which, what a program loads, and how big a room may be."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import pychat_client
import pychatd

ROOT = Path(__file__).parent.parent

# A module imports only from modules above it. Imports for types alone do not count: they load nothing.
CLIENT = [
    *("errors", "places", "text", "trust", "toml", "preferences"),
    *("wire", "codec", "ledger", "events", "conversation"),
    *("telnet", "burst", "program", "classic", "classic_server", "classic_options"),
    *("signs", "situation", "link", "dial", "log", "commands", "view", "attention", "chat", "redial"),
    *("alerts", "objects", "pipe", "plain", "jsonl", "send"),
    *("background", "palette", "terminal", "history", "editing", "renderer", "screen", "lines", "hosts", "cli"),
]
DAEMON = [
    *("config", "syslog", "process", "listeners", "identity", "journal", "switchboard", "report", "caller"),
    "history",
    *("operator_end", "door", "server"),
    *("query", "transcript", "console", "cli"),
]
ORDER = [f"pychat_client.{name}" for name in ("__init__", *CLIENT)]
ORDER += [f"pychatd.{name}" for name in ("__init__", *DAEMON)]

SANS_IO = ["errors", "text", "wire", "codec", "ledger", "events", "conversation", "signs", "situation"]
SANS_IO += ["telnet", "burst", "program", "classic", "classic_server"]
IO = {"asyncio", "io", "logging", "os", "pathlib", "socket", "subprocess", "sys", "threading", "time"}


def modules() -> dict[str, Path]:
    """Every module of both packages, by its name."""
    packages = [Path(package.__path__[0]) for package in (pychat_client, pychatd)]
    return {f"{package.name}.{file.stem}": file for package in packages for file in package.glob("*.py")}


def imports(file: Path) -> Iterator[str]:
    """The modules that `file` imports anywhere, inside functions too, but for types alone."""
    pending: list[ast.AST] = [ast.parse(file.read_bytes())]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None, "imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            known = [name for name in names if name in modules()]
            yield from known
            if len(known) < len(names):
                yield f"{node.module}.__init__" if f"{node.module}.__init__" in modules() else node.module
        pending += ast.iter_child_nodes(node)


def loaded_by(module: str) -> set[str]:
    """The modules in a fresh interpreter that has imported only `module`."""
    program = f"import sys, {module}; print(*sys.modules)"
    return set(
        subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, check=True).stdout.decode().split()
    )


def test_every_module_has_its_place_in_the_order() -> None:
    assert sorted(modules()) == sorted(ORDER)


@pytest.mark.parametrize("name", ORDER)
def test_imports_point_up_the_list(name: str) -> None:
    above = ORDER[: ORDER.index(name)]
    inside = [other for other in imports(modules()[name]) if other.startswith(("pychat_client", "pychatd"))]
    assert [other for other in inside if other not in above] == []


@pytest.mark.parametrize("name", CLIENT)
def test_the_kit_never_names_the_daemon(name: str) -> None:
    tree = ast.parse(modules()[f"pychat_client.{name}"].read_bytes())
    named = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    named += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    assert [other for other in named if other.split(".")[0] == "pychatd"] == []


@pytest.mark.parametrize("name", SANS_IO)
def test_the_core_does_no_io(name: str) -> None:
    assert {other.split(".")[0] for other in imports(modules()[f"pychat_client.{name}"])} & IO == set()


@pytest.mark.parametrize(
    ("module", "without"),
    [
        (
            "pychatd.server",
            {"prompt_toolkit", "daemon", "cryptography", "importlib.metadata", "pychat_client.events"},
        ),
        (
            "pychatd.cli",
            {"prompt_toolkit", "daemon", "cryptography", "asyncio", "pychat_client.wire", "logging.handlers"},
        ),
        ("pychatd.console", {"prompt_toolkit", "asyncio", "sqlite3", "pychatd.server", "pychatd.journal"}),
        ("pychat_client.cli", {"prompt_toolkit", "asyncio", "pychatd", "importlib.metadata"}),
        ("pychat_client.redial", {"prompt_toolkit", "pychatd", "pychat_client.screen"}),
        ("pychat_client.plain", {"prompt_toolkit", "pychatd"}),
        ("pychat_client.jsonl", {"prompt_toolkit", "pychatd"}),
        ("pychatd.transcript", {"prompt_toolkit", "asyncio", "sqlite3"}),
    ],
)
def test_a_program_loads_only_what_it_uses(module: str, without: set[str]) -> None:
    loaded = loaded_by(module)
    assert module in loaded
    assert loaded & without == set()


def test_every_module_is_in_the_map() -> None:
    rows = (ROOT / "docs" / "development.md").read_text().split("\n| module |")[1].split("\n\n")[0]
    named = set(re.findall(r"`(?:\w+/)?(\w+)\.py`", rows))
    assert named == {file.stem for file in modules().values()} - {"__init__"}
