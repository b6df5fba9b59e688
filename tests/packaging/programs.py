"""The options and commands of the programs, from their parsers; the documents must have the same."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pychat_client.cli
import pychatd.console_cli
import pychatd.daemon_cli

PACKAGING = Path(__file__).parents[2] / "packaging"

PARSERS = {
    "pychat": pychat_client.cli.PARSERS[pychat_client.cli.CALL],
    "pychatd": pychatd.daemon_cli._parser,
    "pychatd-console": pychatd.console_cli._parser,
}


def parser(program: str) -> argparse.ArgumentParser:
    return PARSERS[program]()


def commands(program: str) -> dict[str, argparse.ArgumentParser]:
    """The program's commands, each with its parser; the program's own is that of the command ""."""
    if program == "pychat":  # no subparsers: a host may stand where the command does
        return {command: make() for command, make in pychat_client.cli.PARSERS.items()}
    top = parser(program)
    found = {"": top}
    for action in top._actions:
        if isinstance(action, argparse._SubParsersAction):
            found |= action.choices
    return found


def parse(words: list[str]) -> argparse.Namespace:
    """Lets a program parse its command line. Raises SystemExit or UsageError for a wrong one."""
    program, *rest = words
    return pychat_client.cli.parse(rest) if program == "pychat" else parser(program).parse_args(rest)


def options(program: str, command: str | None = None) -> set[str]:
    """The long options of a program, or of one of its commands; without those that `--help` hides."""
    chosen = commands(program).values() if command is None else [commands(program)[command]]
    shown = [action for each in chosen for action in each._actions if action.help != argparse.SUPPRESS]
    return {string for action in shown for string in action.option_strings if string.startswith("--")}


def statuses(program: str) -> set[int]:
    """The exit statuses in the help of the program and its commands."""
    words = " ".join(each.epilog or "" for each in commands(program).values())
    return {int(number) for number in re.findall(r"(?:status: |, )(\d+) ", words)}


def difference(what: str, documented: set[str], real: set[str]) -> str:
    """Tells what is missing in a document and what is too much; empty if they agree."""
    words = []
    if missing := sorted(real - documented):
        words.append(f"{what} lacks {', '.join(missing)}")
    if gone := sorted(documented - real):
        words.append(f"{what} has {', '.join(gone)}, which the programs do not have")
    return "; ".join(words)
