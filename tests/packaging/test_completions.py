"""Completions offer every option of the programs and no other; tried in the real shells."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.packaging.programs import PACKAGING, PARSERS, commands, difference, options
from tests.support.programs import Terminal

COMPLETIONS = PACKAGING / "completions"
Complete = Callable[[str, dict[str, str]], set[str]]
WAYS = [(program, command) for program in PARSERS for command in commands(program)]
KNOWN = (
    "hosta:7000 SHA256:x y\nhosta:7001 SHA256:x y\nhostb:7002 SHA256:x y\nmyhostb:7004 SHA256:x y\n"
    "x$(touch\tobeyed):1 SHA256:x y\n"
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a user with known hosts and a contact, whose own service runs on port 6119."""
    tmp_path = tmp_path_factory.mktemp("home")
    (tmp_path / "data/pychat").mkdir(parents=True)
    (tmp_path / "data/pychat/known_hosts").write_text(KNOWN)
    (tmp_path / "config/pychat").mkdir(parents=True)
    (tmp_path / "config/pychat/config.toml").write_text('[contacts.zoe]\nhost = "hostc"\nport = 7003\n')
    (tmp_path / "state/pychatd/run/6119").mkdir(parents=True)
    return {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",  # fish completes for programs that are there
        "HOME": str(tmp_path),
        "TERM": "xterm",
        "LANG": "C.UTF-8",
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "XDG_DATA_HOME": str(tmp_path / "data"),
        "XDG_STATE_HOME": str(tmp_path / "state"),
    }


def shell(name: str) -> str:
    """The path of a shell; skips the test if it is not installed."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"no {name} here: 'apt-get install {name}'")
    return path


def bash(line: str, env: dict[str, str]) -> set[str]:
    """What bash offers for the last word of `line`."""
    words = line.split(" ")
    script = (
        'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
        'before=${COMP_WORDS[COMP_CWORD - 1]}; compopt() { :; }; "_${1//-/_}" "$1" "${@: -1}" "$before"; '
        "printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    file = COMPLETIONS / "bash" / words[0].removesuffix("-console")
    return _offered([shell("bash"), "--norc", "-uc", script, "bash", str(file), *words], env)


def fish(line: str, env: dict[str, str]) -> set[str]:
    """What fish offers for the last word of `line`."""
    script = "set -p fish_complete_path $argv[1]; complete --do-complete $argv[2] | string replace -r '\\t.*' ''"
    return _offered([shell("fish"), "-c", script, str(COMPLETIONS / "fish"), line], env)


def _offered(words: list[str], env: dict[str, str]) -> set[str]:
    result = subprocess.run(words, env=env, capture_output=True, text=True, check=False, timeout=20)
    assert result.stderr == ""
    return set(result.stdout.split())


@pytest.mark.parametrize("complete", [bash, fish])
@pytest.mark.parametrize(("program", "command"), WAYS)
def test_options_are_those_of_the_program(
    complete: Complete, program: str, command: str, home: dict[str, str]
) -> None:
    offered = complete(" ".join(filter(None, [program, command, "--"])), home)
    assert difference(f"completions/{complete.__name__}/{program}", offered, options(program, command)) == ""


@pytest.mark.parametrize("program", PARSERS)
def test_zsh_options_are_those_of_the_program(program: str) -> None:
    source = (COMPLETIONS / "zsh" / f"_{program}").read_text()
    offered = set(re.findall(r"(--[a-z-]+)(?=[\[,}])", source))
    assert difference(f"completions/zsh/_{program}", offered, options(program)) == ""


@pytest.mark.parametrize("complete", [bash, fish])
def test_commands_hosts_and_ports_are_offered(complete: Complete, home: dict[str, str]) -> None:
    assert complete("pychatd ", home) == set(commands("pychatd")) - {""}
    assert complete("pychatd start --turns ", home) == {"alternate", "free"}
    assert {"send", "replies", "forget", "certificate", "hosta", "hostb", "zoe"} <= complete("pychat ", home)
    assert complete("pychat send hosta ", home) == {"7000", "7001"}
    assert {"hosta", "hostb", "zoe"} <= complete("pychat replies ", home)
    assert {"hosta", "hostb", "zoe"} <= complete("pychat forget ", home)
    assert complete("pychat forget hosta ", home) == {"7000", "7001"}
    assert complete("pychat certificate ", home) == set()
    assert complete("pychat hosta ", home) == {"7000", "7001"}
    assert complete("pychat --wait hostb ", home) == {"7002"}
    for line in ("pychatd stop ", "pychatd status --json ", "pychatd-console --history "):
        assert "6119" in complete(line, home)
    assert not (Path(home["HOME"]) / "obeyed").exists()


@pytest.fixture(scope="module", params=["bash", "zsh", "fish"])
def terminal(request: pytest.FixtureRequest, home: dict[str, str]) -> Iterator[Terminal]:
    """An interactive shell."""
    name: str = request.param
    directory = Path(home["HOME"])
    words = ["sh", "-c", 'stty echo; exec "$@"', "sh", shell(name)]  # bash shows what is typed only then
    files = COMPLETIONS / name
    if name == "bash":
        (directory / "rc").write_text(f"PS1='$ '; for file in {files}/*; do source $file; done\n")
        words += ["--noprofile", "--rcfile", str(directory / "rc"), "-i"]
    elif name == "zsh":
        setting = f"PS1='$ '; fpath=({files} $fpath); autoload -U compinit; compinit -u -D\n"
        (directory / ".zshrc").write_text(setting)
        words += ["--no-globalrcs", "-i"]
    else:
        setting = f"function fish_prompt; echo -n '$ '; end; set fish_greeting; set -p fish_complete_path {files}"
        words += ["--init-command", setting, "-i"]
    terminal = Terminal(words, home, 100, 24)
    try:
        yield terminal
    finally:
        terminal.close()


@pytest.fixture
def prompt(terminal: Terminal) -> Iterator[Terminal]:
    """A shell at its prompt."""
    terminal.line_is("$")
    yield terminal
    terminal.type("\x15")  # Ctrl-U: an empty line


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("pychat --han", "pychat --handle"),
        ("pychat zo", "pychat zoe"),
        ("pychat --wait myh", "pychat --wait myhostb"),
        ("pychat hostb ", "pychat hostb 7002"),
        ("pychat send hostb ", "pychat send hostb 7002"),
        ("pychat replies hostb ", "pychat replies hostb 7002"),
        ("pychat forget hostb ", "pychat forget hostb 7002"),
        ("pychat certi", "pychat certificate"),
        ("pychatd fing", "pychatd fingerprint"),
        ("pychatd stop --run", "pychatd stop --runtime-directory"),
        ("pychatd-console --take", "pychatd-console --take-over"),
        ("pychatd-console 611", "pychatd-console 6119"),
    ],
)
def test_tab_completes(prompt: Terminal, typed: str, completed: str) -> None:
    prompt.type(f"{typed}\t")
    prompt.line_is(f"$ {completed}")
