"""`python -m tests.bench.screens`: what a person at a terminal feels, beside other programs, in milliseconds.

Programs run on terminals of their own, in turn, again and again. Something counts as seen when its bytes reach the
terminal.
"""

from __future__ import annotations

import os
import random
import select
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pexpect

from tests.bench.goals import CONSOLE, IN_BURSTS, PYCHAT, TOOLKIT, Figures
from tests.bench.live import SYMBOLS, ssh_server
from tests.bench.measure import resident, say
from tests.bench.run import save, version
from tests.bench.systems import KINDS, MissingError, Server, Tools
from tests.support.raw_ends import BlockingEnd
from tests.support.service import BIN, Service

ROUNDS = 5
LINES = 40
"""Messages of a round, each sent with Enter."""

CAPITALS = SYMBOLS[:7]
"""Those that are in no message and no time either."""

LONG, SHORT = 10_000, 1_000
"""Messages of a long conversation, and of a burst in which somebody types."""

STARTS = 3
"""Starts of a program in a round."""

PATIENCE = 60.0
QUIET = 0.05
"""Seconds without output after which a program has nothing more to show."""

PAUSES = (0.02, 0.1)
"""Seconds between two actions: of uneven length, or they could keep step with a timer."""

_ANSWERS = {b"\x1b[6n": b"\x1b[24;1R", b"\x1b[c": b"\x1b[?62c"}
"""What every terminal answers: where its cursor is, and what it is."""


class Window:
    """A program on a terminal of its own, and what it has written since `forget`."""

    def __init__(self, words: Sequence[str], env: Mapping[str, str]) -> None:
        child = pexpect.spawn(words[0], list(words[1:]), env=dict(env), dimensions=(24, 80), echo=False)
        child.delaybeforesend = None
        self._child = child
        self._seen = bytearray()

    def fileno(self) -> int:
        return int(self._child.child_fd)

    def type(self, keys: str) -> None:
        os.write(self.fileno(), keys.encode())

    def forget(self) -> None:
        self._seen.clear()

    def has(self, text: str) -> bool:
        return text.encode() in self._seen

    def read(self, seconds: float) -> bool:
        """Reads what comes within a time. Whether something came. Raises AssertionError when the program ends."""
        if not select.select([self], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self.fileno(), 1 << 16)
        except OSError:
            data = b""
        assert data, f"the program has ended: {self._seen[-500:]!r}"
        before = len(self._seen)
        self._seen += data
        for asked, told in _ANSWERS.items():
            for _ in range(self._seen.count(asked, max(0, before - len(asked) + 1))):  # it may come in two pieces
                os.write(self.fileno(), told)
        return True

    def until(self, text: str) -> float:
        """Waits for `text`; the moment when it was there."""
        end, looked, wanted = time.monotonic() + PATIENCE, 0, text.encode()
        while self._seen.find(wanted, max(0, looked - len(wanted))) < 0:
            looked = len(self._seen)
            assert self.read(end - time.monotonic()), f"{text!r} does not come: {self._seen[-500:]!r}"
        return time.monotonic()

    def settle(self) -> None:
        while self.read(QUIET):
            pass
        self.forget()

    def memory(self) -> int:
        """Rss, in KiB."""
        assert self._child.pid is not None
        return resident(self._child.pid, "Rss")

    def close(self) -> None:
        self._child.close(force=True)


@dataclass
class Desk:
    """Where programs are started that end together."""

    place: Path
    stack: ExitStack
    programs: Path
    """Where those of pychat are."""

    @property
    def env(self) -> dict[str, str]:
        home = {"HOME": str(self.place), "XDG_CONFIG_HOME": f"{self.place}/config"}
        home |= {"XDG_DATA_HOME": f"{self.place}/data"}
        return {**os.environ, **home, "TERM": "xterm-256color", "LANG": "C.UTF-8"}

    def window(self, words: Sequence[str], env: Mapping[str, str] | None = None) -> Window:
        """Raises MissingError."""
        program = shutil.which(words[0], path=f"{self.programs}:{os.environ['PATH']}")
        if program is None:
            raise MissingError(f"{words[0]} is not installed")
        window = Window([program, *words[1:]], env or self.env)
        self.stack.callback(window.close)
        return window

    def service(self) -> Service:
        service = Service(self.place, programs=self.programs)
        self.stack.callback(service.close)
        service.start("--config", service.configure('turns = "free"\nrate = 0\n'))
        return service

    def console(self, service: Service) -> Window:
        return self.window([*service.console_words(), "--handle", "Server"], service.env)

    def irc(self) -> Server:
        server = Server(KINDS["ngircd"], Tools(*[Path(sys.prefix)] * 4), self.place / "ngircd")
        self.stack.callback(server.close)
        return server

    def irssi(self, server: Server, name: str) -> Window:
        """In the channel."""
        home = self.place / name
        home.mkdir()
        (home / "config").write_text(_IRSSI)
        where = ["--connect", "127.0.0.1", "--port", str(server.port), "--nick", name]
        window = self.window(["irssi", "--home", str(home), *where])
        window.until("bench")  # the message of the day
        window.type("/join #bench\r")
        window.until("#bench")
        window.settle()
        return window


_IRSSI = 'settings = { "irc/core" = { cmds_max_at_once = "1000"; cmd_queue_speed = "10msec"; }; };\n'
"""By default it lets messages wait that come fast."""


@contextmanager
def desk(place: Path, programs: Path = BIN) -> Iterator[Desk]:
    with tempfile.TemporaryDirectory(dir=place) as directory, ExitStack() as stack:
        yield Desk(Path(directory), stack, programs)


def _pause(choice: random.Random) -> None:
    time.sleep(choice.uniform(*PAUSES))


# ------------------------------------------------------------------ from Enter to the other screen


def enter_to_screen(sender: Window, receiver: Window, choice: random.Random) -> list[float]:
    times = []
    for _ in range(LINES):
        word = "".join(choice.sample("abcdefghijklmnopqrstuvwxyz", 12))
        sender.type(word)
        for window in (sender, receiver):
            window.settle()
        _pause(choice)
        began = time.monotonic()
        sender.type("\r")
        times.append(receiver.until(word) - began)
    return times


def pychat_pair(at: Desk) -> tuple[Window, Window]:
    """The caller and the operator, after the first message."""
    service = at.service()
    console = at.console(service)
    console.until("Server>")
    words = ["pychat", "--accept-new", "--handle", "Client1", "localhost", str(service.port)]
    client = at.window(words, service.env)
    client.until("Client1>")
    client.type("Hi!\r")
    console.until("Hi!")
    return client, console


def irssi_pair(at: Desk) -> tuple[Window, Window]:
    server = at.irc()
    return at.irssi(server, "bob"), at.irssi(server, "alice")


# ------------------------------------------------------------------ bursts


class PychatBurst:
    """A caller without a screen, on plain TCP, who says much at once. The daemon syncs all, then passes it on."""

    def __init__(self, at: Desk) -> None:
        self._at = at
        self._service = at.service()
        self._caller = self._service.greeted()
        self._caller.send("Client1> Hi!")
        self._caller.reads("\\ack 1")

    def window(self) -> Window:
        return self._at.console(self._service)

    def send(self, count: int, last: str) -> None:
        self._caller.send(*(f"Client1> {text}" for text in _texts(count, last)))


class IrcBurst:
    def __init__(self, at: Desk) -> None:
        self._at = at
        self._server = at.irc()
        sock = socket.create_connection(("127.0.0.1", self._server.port), timeout=PATIENCE)
        at.stack.callback(sock.close)
        self._caller = BlockingEnd(sock)
        self._caller.send("NICK bob", "USER bob 0 * :bob", "JOIN #bench")
        self._caller.reads(":irc.bench.local 366")

    def window(self) -> Window:
        return self._at.irssi(self._server, "alice")

    def send(self, count: int, last: str) -> None:
        self._caller.send(*(f"PRIVMSG #bench :{text}" for text in _texts(count, last)))


Burst = PychatBurst | IrcBurst


def _texts(count: int, last: str) -> list[str]:
    return [*(f"the quick brown fox jumps over the lazy dog {number}" for number in range(count - 1)), last]


def burst_to_screen(burst: Burst, window: Window, count: int, choice: random.Random) -> float:
    """Seconds until the last of so many messages is on the screen."""
    last = "".join(choice.sample("abcdefghijklmnopqrstuvwxyz", 12))
    window.forget()
    with _sending(burst, count, last):
        began = time.monotonic()
        return window.until(last) - began


@contextmanager
def _sending(burst: Burst, count: int, last: str) -> Iterator[None]:
    """Beside what is done here: somebody has to read the terminal meanwhile."""
    thread = threading.Thread(target=burst.send, args=(count, last))
    thread.start()
    try:
        yield
    finally:
        thread.join(PATIENCE)


# ------------------------------------------------------------------ from a key to its echo


def keys_to_echo(window: Window, choice: random.Random) -> list[float]:
    times = []
    for key in choice.sample(SYMBOLS, len(SYMBOLS)):
        _pause(choice)
        window.settle()
        times.append(_echo(window, key))
    window.type("\x15")  # Ctrl-U: the next line begins empty
    window.settle()
    return times


def keys_in_a_burst(burst: Burst, window: Window, choice: random.Random) -> list[float]:
    """The keys that somebody can type, one after the other's echo, until the last message is on the screen."""
    times = []
    last = "".join(choice.sample("abcdefghijklmnopqrstuvwxyz", 12))
    window.settle()
    with _sending(burst, SHORT, last):
        for key in choice.sample(CAPITALS, len(CAPITALS)):
            times.append(_echo(window, key))
            if window.has(last):
                break
            window.forget()
        else:
            window.until(last)
    window.type("\x15")
    window.settle()
    return times


def _echo(window: Window, key: str) -> float:
    began = time.monotonic()
    window.type(key)
    return window.until(key) - began


# ------------------------------------------------------------------ what is measured

Times = list[float]
"""Seconds."""

Row = tuple[str, str]
"""What is measured, and in which program."""


def _enter(pair: Callable[[Desk], tuple[Window, Window]]) -> Callable[[Desk, random.Random], Times]:
    return lambda at, choice: enter_to_screen(*pair(at), choice)


def _long_echo(at: Desk, choice: random.Random) -> Times:
    _, window = _after_many(at, choice)
    return keys_to_echo(window, choice)


def _burst_echo(at: Desk, choice: random.Random) -> Times:
    burst, window = _after_many(at, choice)
    return [time_ for _ in range(10) for time_ in keys_in_a_burst(burst, window, choice)]


def _after_many(at: Desk, choice: random.Random) -> tuple[Burst, Window]:
    burst = PychatBurst(at)
    window = burst.window()
    burst_to_screen(burst, window, LONG, choice)
    window.settle()
    return burst, window


def _python_echo(at: Desk, choice: random.Random) -> Times:
    window = at.window(["ptpython"])
    window.until(">>>")
    window.settle()
    return keys_to_echo(window, choice)


def _burst(kind: type[PychatBurst] | type[IrcBurst]) -> Callable[[Desk, random.Random], Times]:
    def measure(at: Desk, choice: random.Random) -> Times:
        burst = kind(at)
        window = burst.window()
        window.settle()
        return [burst_to_screen(burst, window, LONG, choice)]

    return measure


def _resume(at: Desk, choice: random.Random) -> Times:
    burst, last = PychatBurst(at), "the very last one"
    burst.send(LONG, last)
    began = time.monotonic()
    return [burst.window().until(last) - began]


def _backlog(at: Desk, choice: random.Random) -> Times:
    """weechat shows what its log of a channel has, when it enters the channel."""
    server, home, last = at.irc(), at.place / "weechat", "the very last one"
    (home / "logs").mkdir(parents=True)
    lines = [f"2024-05-01 12:00:00\tbob\t{text}\n" for text in _texts(LONG, last)]
    (home / "logs/irc.bench.#bench.weechatlog").write_text("".join(lines))
    orders = [
        f"/set logger.look.backlog {LONG}",
        f"/set logger.file.path {home}/logs",
        f"/server add bench 127.0.0.1/{server.port} -notls -autojoin=#bench",
        "/connect bench",
    ]
    began = time.monotonic()
    window = at.window(["weechat", "--dir", str(home), "--run-command", ";".join(orders)])
    return [window.until(last) - began]


# ------------------------------------------------------------------ starts


class Start(NamedTuple):
    """The words of a program, and what it shows when its user can type."""

    words: Sequence[str]
    shown: str
    env: Mapping[str, str] | None = None


def _start_pychat(at: Desk) -> Start:
    service = at.service()
    return Start(["pychat", "--accept-new", "localhost", str(service.port)], "Your handle", service.env)


def _start_ssh(at: Desk) -> Start:
    """To the prompt of a shell."""
    ssh = at.stack.enter_context(ssh_server(at.place, "127.0.0.1"))
    return Start([*ssh, "PS1='ready> ' exec sh -i"], "ready> ")


STARTED: dict[str, Callable[[Desk], Start]] = {
    PYCHAT: _start_pychat,
    "weechat": lambda at: Start(["weechat", "--dir", f"{at.place}/weechat"], "Plugins loaded"),
    "profanity": lambda at: Start(["profanity"], "Type '/help'"),
    "ssh": _start_ssh,
    "irssi": lambda at: Start(["irssi", "--home", f"{at.place}/irssi", "--noconnect"], "[(status)]"),
}


def _start(program: str) -> Callable[[Desk, random.Random], Times]:
    def measure(at: Desk, choice: random.Random) -> Times:
        words, shown, env = STARTED[program](at)
        times = []
        for _ in range(STARTS):
            began = time.monotonic()
            window = at.window(words, env)
            times.append(window.until(shown) - began)
            window.close()
        return times

    return measure


ROWS: dict[Row, Callable[[Desk, random.Random], Times]] = {
    ("enter", PYCHAT): _enter(pychat_pair),
    ("enter", "irssi"): _enter(irssi_pair),
    ("echo", CONSOLE): _long_echo,
    ("echo", IN_BURSTS): _burst_echo,
    ("echo", "ptpython"): _python_echo,
    ("burst", CONSOLE): _burst(PychatBurst),
    ("burst", "irssi"): _burst(IrcBurst),
    ("resume", CONSOLE): _resume,
    ("resume", "weechat"): _backlog,
    **{("start", program): _start(program) for program in STARTED},
}
"""report.screens_table says what they are."""


# ------------------------------------------------------------------ memory


def _pychat_memory(at: Desk) -> dict[str, int]:
    client, console = pychat_pair(at)
    return {PYCHAT: client.memory(), CONSOLE: console.memory()}


def _toolkit_memory(at: Desk) -> dict[str, int]:
    window = at.window([sys.executable, "-c", "import prompt_toolkit; input('ready')"])
    window.until("ready")
    return {TOOLKIT: window.memory()}


def _irssi_memory(at: Desk) -> dict[str, int]:
    return {"irssi": at.irssi(at.irc(), "alice").memory()}


def _memory(program: str) -> Callable[[Desk], dict[str, int]]:
    def look(at: Desk) -> dict[str, int]:
        words, shown, env = STARTED[program](at)
        window = at.window(words, env)
        window.until(shown)
        window.settle()
        return {program: window.memory()}

    return look


MEMORY: dict[str, Callable[[Desk], dict[str, int]]] = {
    PYCHAT: _pychat_memory,
    TOOLKIT: _toolkit_memory,
    "irssi": _irssi_memory,
    **{program: _memory(program) for program in ("weechat", "profanity", "ssh")},
}
"""The memory of programs, in KiB."""


# ------------------------------------------------------------------ all of it


def measured(place: Path, rounds: int, seed: int) -> Figures:
    """Milliseconds and KiB; and why something could not be measured."""
    rows: dict[str, dict[str, Times]] = {}
    memory: dict[str, list[int]] = {}
    missing: dict[tuple[str, str], str] = {}
    for number in range(rounds):
        for (what, program), measure in ROWS.items():
            say(f"screens {number + 1}/{rounds}: {what}, {program}")
            try:
                with desk(place) as at:
                    times = [seconds * 1000 for seconds in measure(at, random.Random(seed + number))]
                rows.setdefault(what, {}).setdefault(program, []).extend(times)
            except MissingError as error:
                missing[what, program] = str(error)
        for program, look in MEMORY.items():
            try:
                with desk(place) as at:
                    for name, size in look(at).items():
                        memory.setdefault(name, []).append(size)
            except MissingError as error:
                missing["memory", program] = str(error)
    found = {"long": LONG, "short": SHORT, "rows": rows, "missing": sorted(missing)}
    reasons = {", ".join(row): why for row, why in missing.items()}
    return {"screens": found, "screen_memory": memory, "missing": reasons}


def main() -> int:
    load = os.getloadavg()[0]
    figures = measured(Path("/var/tmp"), ROUNDS, time.time_ns() % 10_000)
    beside = ("irssi", "ngircd", "weechat-curses", "profanity", "profanity-light", "openssh-client")
    versions = {name: version(name) for name in beside}
    figures["screens"] |= {"versions": versions, "load": load, "processors": os.cpu_count()}
    save("screens", figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
