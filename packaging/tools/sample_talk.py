"""A short conversation between the real programs, always the same: for snapshots of the screen, and for pictures.

Times, ports and addresses differ from run to run; `steady` replaces them by constants of the same width.
"""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.programs import Terminal
from tests.support.service import BIN, Service

_UNSTEADY = (
    (re.compile(r"^\d\d:\d\d(?= |$)", re.MULTILINE), "17:04"),
    (re.compile(r"\b127\.0\.0\.1:\d{5}\b"), "127.0.0.1:50000"),
    (re.compile(r"(\bport\s+)\d{5}\b"), r"\g<1>40000"),
)


def steady(text: str) -> str:
    """`text` with constants for what is different in each run."""
    for pattern, words in _UNSTEADY:
        text = pattern.sub(words, text)
    return text


def screen(terminal: Terminal) -> str:
    """What a person sees, with the scrollback; each wide character once."""
    return steady("\n".join(terminal.lines())) + "\n"


def prefer(service: Service, settings: str) -> None:
    """Writes the configuration file of the users."""
    file = Path(service.env["XDG_CONFIG_HOME"]) / "pychat" / "config.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(settings, encoding="utf-8")


def play(service: Service, columns: int, rows: int, *options: str) -> tuple[Terminal, Terminal]:
    """Alice at the console and Bob at the client talk. At the end one message is held, and Alice is typing.

    options: of both programs.
    """
    console = service.console(*options, handle="alice", columns=columns, lines=rows)
    console.line_is("alice>")
    words = ["fingerprint", str(service.port), "--state-directory", str(service.state)]
    key = service.popen([str(BIN / "pychatd"), *words]).communicate()[0].decode().split()[0]
    call = [str(BIN / "pychat"), "127.0.0.1", str(service.port), "--fingerprint", key, "--handle", "Bob", *options]
    client = service.terminal(call, columns=columns, lines=rows)
    client.sees("Connected")
    client.enter("Hi!")
    client.sees("Bob> Hi!")
    console.sees("Bob> Hi!")
    console.enter("Hello, Bob. How is the weather at your end? Here it has been raining since the early morning.")
    client.sees("Hello,")
    client.enter("東京は晴れ: sunny in Tōkyō.\x1b\rThe forecast says it stays.")
    console.sees("stays.")
    client.enter("Bring an umbrella!")
    client.sees("umbrella!")
    console.type("Bright and w")
    console.line_is("alice> Bright and w")
    return console, client
