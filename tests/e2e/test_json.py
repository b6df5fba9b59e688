"""--json: the objects are as docs/scripts.md says, no text is a command, and the bot of that page works."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pychat_client.ui.input_lines import INPUT_LINE_MAX
from tests.support.programs import Piped
from tests.support.service import BIN, Service
from tests.support.waiting import PATIENCE, wait_for

DOCS = Path(__file__).parents[2] / "docs/scripts.md"
TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "string or null": (str, type(None)),
    "boolean": (bool,),
    "number": (int,),
}


def _schema() -> dict[str, dict[str, tuple[type, ...]]]:
    """The types that the page describes, and the keys of each with the types of their values."""
    schema = {}
    for section in DOCS.read_text().split("\n#### ")[1:]:
        rows = re.findall(r"^\| `(\w+)` \| ([a-z ]+) \|", section, re.MULTILINE)
        schema[section.partition("\n")[0]] = {key: TYPES[value] for key, value in rows}
    return schema


SCHEMA = _schema()


def valid(line: str, kind: str | None = None) -> dict[str, Any]:
    """The object in `line`, which is as the page says."""
    assert line.isascii()
    assert line.isprintable()
    told: dict[str, Any] = json.loads(line)
    keys = SCHEMA[kind or told["type"]]
    assert list(told)[:2] == ["v", "type"]
    assert told["v"] == 1
    assert set(told) == {"v", "type", *keys}
    for key, types in keys.items():
        assert type(told[key]) in types, f"{key} of {told}"
    return told


class Program:
    """One of the two programs, with --json on pipes."""

    def __init__(self, service: Service, program: str, *options: str) -> None:
        self.piped: Piped = service.plain(program, "--json", *options)

    def told(self, kind: str | None = None) -> list[dict[str, Any]]:
        """What it has told so far, each as the page says; of a type only, without what all of them have."""
        whole = self.piped.out().rpartition("\n")[0].splitlines()
        return [told for told in map(valid, whole) if kind in (None, told["type"])]

    def tells(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Waits until the newest object of a type has these fields; the object."""
        wait_for(
            lambda: self._newest(kind).items() >= fields.items(), f"{kind} with {fields}; told: {self.told()}"
        )
        return self._newest(kind)

    def _newest(self, kind: str) -> dict[str, Any]:
        return (self.told(kind) or [{}])[-1]

    def say(self, **fields: Any) -> None:
        self.piped.enter(json.dumps(fields))


@pytest.fixture
def console(service: Service) -> Program:
    console = Program(service, "pychatd-console", "--handle", "Server")
    console.tells("state", connected=True)
    return console


@pytest.fixture
def client(service: Service, console: Program) -> Program:
    client = Program(service, "pychat", "--handle", "Client1")
    client.tells("state", connected=True, open=False, your_turn=True, other="Server")
    return client


def test_both_programs_get_the_conversation(console: Program, client: Program) -> None:
    client.say(text="Hi!")
    heard = console.tells("message", text="Hi!", own=False)
    assert (heard["from"], heard["handle"], heard["replayed"]) == ("peer", "Client1", False)
    console.tells("state", open=True, your_turn=True, received=1, other="Client1")
    client.tells("message", text="Hi!", own=True)
    client.tells("state", open=True, your_turn=False, sent=1, stored=1, read=1)
    console.say(text="Hello\nyou")
    heard = client.tells("message", text="Hello\nyou", own=False)
    assert (heard["from"], heard["handle"]) == ("operator", "Server")
    client.tells("state", your_turn=True, received=1)
    client.say(command="quit that is all")
    client.tells("end", status=0)
    assert client.piped.exit_status() == 0
    assert client.told()[-1]["type"] == "end"
    console.tells("state", open=False)
    console.tells("notice", text='Client1 ended the conversation: "that is all".')
    console.piped.end_input()
    assert console.piped.exit_status() == 0
    assert console.told()[-1] == {"v": 1, "type": "end", "status": 0}
    assert console.piped.notices() == ""
    assert client.piped.notices().splitlines()[1:] == []  # the first is that of --accept-new


def test_stored_counts_only_stored_messages(service: Service, console: Program, client: Program) -> None:
    client.say(text="Hi!")
    client.tells("state", stored=1)
    assert [(told["sent"], told["stored"]) for told in client.told("state")][:3] == [(0, 0), (1, 0), (1, 1)]


def test_every_text_arrives_exactly_and_none_is_a_command(console: Program, client: Program) -> None:
    texts = ["\\quit", "\\\\", "\\", "\\help\nme", " x ", "-- not a notice", "\u009b\u202e"[1:]]
    for number, text in enumerate(texts, 1):
        client.say(text=text)
        console.tells("message", text=text, own=False)
        client.tells("state", open=True, stored=number)
        console.say(text=text)
        client.tells("message", text=text, own=False)


def test_an_early_message_is_held_and_can_be_recalled(console: Program, client: Program) -> None:
    client.say(text="Hi!")
    client.say(text="two")
    client.say(text="three\nlines")
    client.tells("held", text="three\nlines")
    client.tells("state", held=2)
    client.say(command="recall")
    client.tells("recalled", text="three\nlines")
    client.tells("state", held=1)
    console.tells("message", text="Hi!")  # before it, there is nothing to quit
    console.say(command="quit")
    client.tells("not_sent", text="two")
    client.tells("end", status=6)
    assert client.piped.exit_status() == 6


def test_a_recalled_text_is_exactly_the_typed_one(console: Program, client: Program) -> None:
    client.say(text="Hi!")
    console.tells("state", your_turn=True)
    console.say(text="an answer")
    for text in ("\\quit", "\\\\", "\\two\nlines"):
        console.say(text=text)
        console.tells("held", text=text)
        console.say(command="recall")
        console.tells("recalled", text=text)
        console.tells("state", held=0)


def test_messages_held_at_the_end_are_given_back(console: Program, client: Program) -> None:
    client.say(text="Hi!")
    console.tells("state", your_turn=True)
    console.say(text="an answer")
    console.say(text="\\never")
    console.tells("held", text="\\never")
    client.say(command="quit")
    console.tells("not_sent", text="\\never")
    console.tells("state", open=False)
    assert console.told("recalled") == []


def test_a_signal_behind_the_end_of_the_input_leaves_held_messages_to_the_next_program(
    service: Service, console: Program, client: Program
) -> None:
    """They arrive then; a bot that reads `not_sent` sends them twice."""
    client.say(text="one")
    client.say(text="two")
    client.tells("held", text="two")
    client.tells("state", stored=1, held=1)
    threads = Path(f"/proc/{client.piped.process.pid}/task")
    before = len(list(threads.iterdir()))
    client.piped.end_input()
    wait_for(lambda: len(list(threads.iterdir())) < before, "the thread that reads the input has ended")
    client.piped.process.send_signal(signal.SIGINT)
    assert client.piped.exit_status() == 130
    assert client.told("not_sent") == []
    assert not any("You ended" in told["text"] for told in client.told("notice"))
    again = Program(service, "pychat", "--handle", "Client1")
    again.tells("state", held=1)


REFUSED: list[tuple[str | bytes, str]] = [
    ("Hi!", "not valid JSON"),
    ("[" * 20_000, "not valid JSON"),
    ("9" * 5000, "not valid JSON: a number has too many digits"),
    ('"Hi!"', '{"text": '),
    ('{"text": 7}', '{"text": '),
    ('{"text": "a", "command": "quit"}', '{"text": '),
    ("{}", '{"text": '),
    ('{"text": ""}', "the message is empty"),
    ('{"text": "a\\u0000"}', "control character"),
    ('{"text": "\\ud800"}', "not UTF-8"),
    ('{"text": "' + "x" * 501 + '"}', "501 characters"),
    ('{"command": "dance"}', "There is no command 'dance'. The commands are: help, "),
    ('{"command": "\\\\quit"}', "There is no command"),
    ('{"command": "quit\\nx"}', "There is no command"),
    ('{"command": "quit a\\nb"}', "There is no command"),
    ('{"command": "quit \\ud800"}', "not UTF-8"),
    (b'{"text": "\xff"}', "not valid JSON"),
]
"""Lines, and a part of the reason why each is refused."""


def test_a_refused_line_gets_a_reason_and_changes_nothing(console: Program, client: Program) -> None:
    for number, (bad, words) in enumerate(REFUSED, 1):
        client.piped.enter(bad)
        client.piped.enter("")
        client.say(text=f"Hi {number}!")
        console.tells("message", text=f"Hi {number}!")
        errors = client.told("error")
        assert len(errors) == number
        assert words in errors[-1]["text"]
        assert errors[-1]["input"] == (bad if isinstance(bad, str) else bad.decode(errors="replace"))
        console.say(text="next")
        client.tells("state", your_turn=True, received=number)
    client.piped.end_input()
    assert client.piped.exit_status() == 6


def test_of_a_line_that_is_too_long_the_beginning_is_repeated(client: Program) -> None:
    begin = '{"text": "' + "x" * INPUT_LINE_MAX
    client.piped.enter(f'{begin}{"y" * INPUT_LINE_MAX}"}}')
    sentence = f"Not sent: a line of the input has more than {INPUT_LINE_MAX} bytes."
    client.tells("error", text=sentence, input=begin[: INPUT_LINE_MAX + 1])


def test_more_than_can_be_held_waits_in_the_pipe(console: Program, client: Program) -> None:
    count = 120  # 100 can be held
    client.piped.enter("\n".join(json.dumps({"text": str(number)}) for number in range(count)))
    client.tells("state", held=100)
    client.piped.end_input()
    for number in range(count):
        console.tells("message", text=str(number), own=False)
        client.piped.out()  # who does not read is waited for
        if number < count - 1:
            console.say(text="next")
    client.tells("end", status=0)
    assert client.told("error") == []


def test_a_new_console_gets_earlier_messages_then_the_state(service: Service) -> None:
    client = Program(service, "pychat", "--handle", "Client1")
    client.say(text="Anybody?")
    client.tells("state", stored=1, here=False)
    console = Program(service, "pychatd-console", "--handle", "Server")
    console.tells("message", text="Anybody?")
    console.tells("state", your_turn=True)
    kinds = [told["type"] for told in console.told() if told["type"] != "notice"]
    assert kinds[:2] == ["message", "state"]
    client.tells("state", here=True)


def test_a_call_that_fails_is_an_error_and_an_end(idle_service: Service) -> None:
    program = Program(idle_service, "pychat", "--handle", "Client1")
    assert program.piped.exit_status() == 3
    assert [told["type"] for told in program.told()] == ["error", "end"]
    assert "Cannot connect" in program.told("error")[0]["text"]
    assert program.told("end")[0]["status"] == 3
    program = Program(idle_service, "pychatd-console")
    assert program.piped.exit_status() == 3
    assert [told["type"] for told in program.told()] == ["error", "end"]


def test_a_busy_service_is_a_notice_and_an_end(service: Service, console: Program, client: Program) -> None:
    client.say(text="Hi!")
    console.tells("message", text="Hi!")
    other = Program(service, "pychat", "--handle", "Client2")
    other.tells("end", status=4)
    assert any("somebody else is talking" in told["text"] for told in other.told("notice"))


def test_an_interrupt_is_an_end_too(client: Program) -> None:
    client.piped.process.terminate()
    client.tells("end", status=130)
    assert client.piped.exit_status() == 130


def test_a_closed_stdout_ends_the_program_without_a_traceback(
    service: Service, console: Program, client: Program
) -> None:
    assert client.piped.process.stdout
    client.piped.process.stdout.close()
    client.say(text="Hi!")
    assert client.piped.process.wait(PATIENCE) != 0
    assert client.piped.process.stderr
    assert client.piped.process.stderr.read() == b"pychat: Cannot write to stdout: Broken pipe.\n"


def test_the_history_is_as_the_page_says(service: Service, console: Program, client: Program) -> None:
    client.say(text="Hi!\nyou")
    console.tells("message", text="Hi!\nyou")
    console.say(text="\u202e")
    client.tells("message", text="\u202e")
    words = [str(BIN / "pychatd-console"), str(service.port), "--runtime-directory", str(service.runtime)]
    done = subprocess.run([*words, "--history", "--json"], env=service.env, capture_output=True, check=True)
    rows = [valid(row, "message of the history") for row in done.stdout.decode().splitlines()]
    assert [(row["from"], row["text"]) for row in rows] == [("peer", "Hi!\nyou"), ("operator", "\u202e")]


def test_a_program_gets_rings(console: Program, client: Program) -> None:
    client.say(text="Hi!")
    console.tells("state", here=True, open=True)
    client.say(command="ring")
    console.tells("ring", handle="Client1", **{"from": "peer"})
    console.say(command="ring")
    client.tells("ring", handle="Server", **{"from": "operator"})
    assert not any("rings" in told["text"] for told in client.told("notice"))  # not told twice


def test_typing_is_part_of_the_state(service: Service, console: Program) -> None:
    client = service.client("Client1")
    client.line_is("Client1>")
    client.enter("Hi!")
    console.tells("state", your_turn=True, typing=False)
    client.type("and")
    console.tells("state", typing=True)
    console.say(text="Hello")
    client.sees("Server> Hello")
    client.enter(" more")
    console.tells("message", text="and more")
    console.tells("state", typing=False)


# ------------------------------------------------------------------ the bot


def _bot(service: Service) -> Callable[[], subprocess.Popen[bytes]]:
    """Starts the bot that stands on the page, as it stands there."""
    (code,) = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert len([row for row in code.splitlines() if row]) == 10
    service.env["PATH"] = f"{BIN}:{service.env['PATH']}"
    words = [sys.executable, "-c", code, str(service.port), "--runtime-directory", str(service.runtime)]
    return lambda: service.popen(words)


def test_the_bot_of_the_page_answers_every_caller(service: Service) -> None:
    bot = _bot(service)()
    wait_for(lambda: service.status()["console"], "the bot is attached")
    for text in ("\\quit", "x" * 500):
        client = Program(service, "pychat", "--handle", "Client1")
        client.say(text=text)
        client.tells("message", own=False, text=f"You said: {text}"[:500])
        client.say(text="again")
        client.tells("message", own=False, text="You said: again", handle="Echo")
        client.piped.end_input()
        assert client.piped.exit_status() == 0
    assert bot.poll() is None


def test_the_bot_of_the_page_answers_missed_messages_once(service: Service) -> None:
    start = _bot(service)
    client = Program(service, "pychat", "--handle", "Client1")
    client.say(text="one")
    client.tells("state", stored=1)
    first = start()
    client.tells("message", own=False, text="You said: one")
    client.tells("state", read=1)
    first.kill()
    client.tells("state", here=False)
    client.say(text="two")
    client.tells("state", stored=2)
    start()
    client.tells("message", own=False, text="You said: two")
    client.tells("state", received=2, your_turn=True)
    assert len([told for told in client.told("message") if not told["own"]]) == 2
