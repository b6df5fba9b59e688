"""What a program loads at its start; and the names of modules. pyproject.toml has the layers (`lint-imports`)."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.support.ports import free_port

ROOT = Path(__file__).parent.parent


def loaded_by(module: str) -> set[str]:
    """The modules in a fresh interpreter that has imported only `module`."""
    program = f"import sys, {module}; print(*sys.modules)"
    return set(
        subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, check=True).stdout.decode().split()
    )


@pytest.mark.parametrize(
    ("module", "without"),
    [
        (
            "pychatd.network.server",
            {
                "prompt_toolkit",
                "daemon",
                "cryptography",
                "importlib.metadata",
                "pychat_client.protocol.events",
                "pychatd.report",
                "wcwidth",
            },
        ),
        (
            "pychatd.daemon_cli",
            {
                "prompt_toolkit",
                "daemon",
                "cryptography",
                "asyncio",
                "pychat_client.protocol.wire",
                "logging",
                "socket",
                "tomllib",
                "wcwidth",
            },
        ),
        (
            "pychatd.console_cli",
            {"prompt_toolkit", "asyncio", "sqlite3", "pychatd.network.server", "pychatd.conversation.journal"},
        ),
        (
            "pychat_client.cli",
            {"prompt_toolkit", "asyncio", "pychatd", "importlib.metadata", "dataclasses", "typing", "json", "ssl"},
        ),
        (
            "pychat_client.calling",
            {
                "prompt_toolkit",
                "pychatd",
                "cryptography",
                "json",
                "pychat_client.ui.screen",
                "pychat_client.ui.one_shot",
            },
        ),
        ("pychat_client.config.targets", {"asyncio", "ssl", "pychat_client.protocol.wire"}),
        ("pychat_client.session.reconnect", {"prompt_toolkit", "pychatd", "pychat_client.ui.screen"}),
        ("pychat_client.ui.plain", {"prompt_toolkit", "pychatd", "wcwidth"}),
        ("pychat_client.ui.json_lines", {"prompt_toolkit", "pychatd"}),
        ("pychatd.print_history", {"prompt_toolkit", "asyncio", "sqlite3"}),
    ],
)
def test_a_program_loads_only_what_it_uses(module: str, without: set[str]) -> None:
    loaded = loaded_by(module)
    assert module in loaded
    assert loaded & without == set()


LATE = {
    *("asyncio", "bz2", "cryptography", "daemon", "dataclasses", "hashlib", "inspect", "json", "logging", "lzma"),
    *(
        "prompt_toolkit",
        "shutil",
        "sqlite3",
        "ssl",
        "subprocess",
        "pychat_client.protocol.wire",
        "pychatd.services",
    ),
}
"""What serving needs, and what nothing needs that early."""

AT_THE_PORT = """
import os, sys
from pychatd import daemon_cli
from pychatd.network import listeners

bind = listeners.bind_tcp

def tell(settings):
    bind(settings)
    print(*sys.modules, flush=True)
    os._exit(0)

listeners.bind_tcp = tell
daemon_cli.main(sys.argv[1:])
"""


@pytest.mark.parametrize("config", [None, 'turns = "free"\n'])
def test_a_daemon_opens_its_port_before_it_loads_the_rest(tmp_path: Path, config: str | None) -> None:
    file = tmp_path / "pychatd.toml"
    file.write_text(config or "")
    places = ("--state-directory", tmp_path / "state", "--runtime-directory", tmp_path / "run")
    words = ["run", free_port(), *(("--config", file) if config else ()), *places]
    program = [sys.executable, "-c", AT_THE_PORT, *map(str, words)]
    loaded = set(subprocess.run(program, stdout=subprocess.PIPE, check=True).stdout.decode().split())
    assert "pychatd.network.listeners" in loaded
    assert loaded & LATE == set()
    assert ("tomllib" in loaded) == (config is not None)


def test_no_two_modules_share_a_name() -> None:
    files = [file for package in ("pychat_client", "pychatd") for file in (ROOT / package).rglob("*.py")]
    names = Counter(file.name for file in files if file.name not in ("__init__.py", "__main__.py"))
    assert [name for name, count in names.items() if count > 1] == []


def test_programs_of_tests_are_compiled_once() -> None:
    words = [sys.executable, "-c", "import sys; print(sys.dont_write_bytecode)"]
    assert subprocess.run(words, stdout=subprocess.PIPE, check=True).stdout == b"False\n"
