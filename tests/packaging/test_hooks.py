"""The hooks of docs/use.md, run as they stand there: the words of a caller stay words."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.support.waiting import PATIENCE

PAGE = Path(__file__).parents[2] / "docs/use.md"
LINES = re.findall(r'^ {4}(hook = \["sh".*)$', PAGE.read_text(), re.MULTILINE)
KINDS = ("notify-send", "curl", "mail", "loginctl")
HOOKS = {kind: tomllib.loads(line)["hook"] for line in LINES for kind in KINDS if kind in line}
WORDS = [
    r"@/etc/passwd> \0033]0;title\a \x1b[31m %s %n $(id) `id`",
    r"-x> --help; \c lost?",
    "Bob> <b>bold</b> 'one' \"two\"",
]


def _run(hook: list[str], words: str, directory: Path, terminal: str = "") -> str:
    """Runs a hook with programs that write down their arguments and their input."""
    report = directory / "report"
    for name in ("notify-send", "curl", "mail"):
        program = directory / name
        read = "cat" if name == "mail" else ":"
        program.write_text(f'#!/bin/sh\nprintf "<%s>" "$@" >>{report}\n{read} >>{report}\n')
        program.chmod(0o755)
    loginctl = directory / "loginctl"
    loginctl.write_text(f"#!/bin/sh\necho '     3 1000 alice      -    {terminal}'\n")
    loginctl.chmod(0o755)
    environ = {**os.environ, "PATH": f"{directory}:{os.environ['PATH']}", "PYCHAT_WORDS": words}
    subprocess.run(hook, env=environ, check=True, timeout=PATIENCE, stdin=subprocess.DEVNULL)
    return report.read_text() if report.exists() else ""


def test_the_page_has_a_hook_of_each_kind() -> None:
    assert len(LINES) == len(HOOKS) == len(KINDS)


@pytest.mark.parametrize("words", WORDS)
def test_the_words_are_no_option_and_no_file(words: str, tmp_path: Path) -> None:
    assert _run(HOOKS["notify-send"], words, tmp_path).endswith(f"<--><{words}>")


@pytest.mark.parametrize("words", WORDS)
def test_curl_sends_them_as_they_are(words: str, tmp_path: Path) -> None:
    assert f"<--data-raw><{words}>" in _run(HOOKS["curl"], words, tmp_path)


@pytest.mark.parametrize("words", WORDS)
def test_mail_gets_them_as_they_are(words: str, tmp_path: Path) -> None:
    assert _run(HOOKS["mail"], words, tmp_path).endswith(f"{words}\n")


@pytest.mark.parametrize("words", WORDS)
def test_a_terminal_gets_no_control_character(words: str, tmp_path: Path) -> None:
    master, terminal = pty.openpty()
    try:
        name = os.ttyname(terminal).removeprefix("/dev/")
        _run(HOOKS["loginctl"], words, tmp_path, terminal=name)
        assert os.read(master, 1000).decode().strip("\r\n") == words
    finally:
        os.close(master)
        os.close(terminal)
