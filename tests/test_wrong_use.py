"""Wrong use: each program refuses it with exit status 2 and a sentence, before it calls, listens or writes."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from pychat_client import cli
from pychatd import console_cli, daemon_cli
from tests.support.ports import NO_PORTS

PROGRAMS = {"pychat": cli.main, "pychatd": daemon_cli.main, "pychatd-console": console_cli.main}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Directories of a user who has no files yet."""
    for name in ("HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR", "XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    return tmp_path


@pytest.fixture
def host() -> Iterator[socket.socket]:
    """A host that must not be called."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield listener
        with pytest.raises(BlockingIOError):
            listener.accept()


def refused(program: str, *words: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Runs a program, which has to refuse its command line. What it says."""
    try:
        status = PROGRAMS[program](words)
    except SystemExit as end:  # argparse
        status = int(end.code or 0)
    assert status == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.search(rf"^{program}( \w+)?: ", err, re.MULTILINE)
    assert "Traceback" not in err
    return err


def call(host: socket.socket) -> list[str]:
    """HOST and PORT."""
    return ["127.0.0.1", str(host.getsockname()[1])]


@pytest.mark.parametrize("handle", ["Elevenchars", "two words", "", "a>b", "a\\b"])
def test_a_wrong_handle_is_refused(handle: str, host: socket.socket, capsys: pytest.CaptureFixture[str]) -> None:
    assert "handle" in refused("pychat", *call(host), "--handle", handle, capsys=capsys)


@pytest.mark.parametrize("program", ["pychat", "pychatd-console"])
@pytest.mark.parametrize("wrong", [["--nothing"], ["--retry-for", "soon"]])
def test_with_json_a_wrong_option_is_named_on_stderr(
    program: str, wrong: list[str], host: socket.socket, capsys: pytest.CaptureFixture[str]
) -> None:
    place = call(host) if program == "pychat" else ["7000"]
    assert wrong[0] in refused(program, *place, "--json", *wrong, capsys=capsys)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("pychat localhost 7000 --retry-for 0", "'0' is not a time limit: use a number of seconds above 0"),
        ("pychat localhost 7000 --repeat some", "'some' is not a number of messages, such as 20, or 'all'."),
        ("pychat send --timeout \x1bx localhost 7000", "'<U+001B>x' is not a time limit: use a number of"),
        ("pychatd start 7000 --while init", "'init' is not the number of a process."),
        ("pychatd run 7000 --exit-idle soon", "'soon' is not a time limit: use a number of seconds above 0"),
        ("pychatd run 7000 --exit-idle 1", "use at least 2 seconds, or systemd gives up starting the daemon."),
        ("pychatd start 7000 --turns ours", '\'ours\' is not valid; use "alternate" or "free".'),
        ("pychatd start 7000 --listen here", "'here' is not an IPv4 or IPv6 address."),
        ("pychatd start 7000 --handle two:words>", "A handle cannot contain U+003E"),
        ("pychatd status --unread-max 5", "'5' is not a time of 0s or more, such as 30m, 12h or 7d."),
        ("pychatd invite 7000 --valid 1s", "'1s' is not a time of 1m or more, such as 30m, 12h or 7d."),
        ("pychatd-console --watch --remind soon", "'soon' is not a time of 1s or more, such as 30m, 12h or 7d."),
        ("pychatd-console --retry-for soon", "'soon' is not a time limit: use a number of seconds above 0"),
    ],
)
def test_a_bad_value_is_told_in_one_sentence_with_its_option(
    words: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    program, *rest = words.split(" ")
    said = refused(program, *rest, capsys=capsys)
    option = next(word for word in rest if word.startswith("--") and word != "--watch")
    assert said.startswith(f"{program}: {option}: {sentence}")
    assert said.count("\n") == 1


@pytest.mark.parametrize("word", ["SHA256:abc", "MD5:" + "A" * 43, "SHA256:" + "A" * 42 + "!", ""])
def test_what_is_no_fingerprint_is_refused(
    word: str, host: socket.socket, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused("pychat", *call(host), "--handle", "Bob", "--fingerprint", word, capsys=capsys)
    assert "fingerprint" in said


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--no-hello"], "need --classic"),
        (["--hello", "20211"], "need --classic"),
        (["--classic", "--wait"], "only once"),
        (["--classic", "--retry-for", "3"], "only once"),
        (["--classic", "--accept-new"], "has no key"),
        (["--classic", "--end-mark", "a\nb"], "visible"),
    ],
)
def test_options_that_exclude_each_other_are_refused(
    options: list[str], words: str, host: socket.socket, capsys: pytest.CaptureFixture[str]
) -> None:
    assert words in refused("pychat", *call(host), "--handle", "Ann", *options, capsys=capsys)


@pytest.mark.parametrize("kind", ["link", "pipe", "directory", "missing directory"])
def test_a_bad_transcript_file_is_refused_before_the_call(
    kind: str, host: socket.socket, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "transcript"
    if kind == "link":
        log.symlink_to(tmp_path / "elsewhere")
    elif kind == "pipe":
        os.mkfifo(log)
    elif kind == "directory":
        log.mkdir()
    else:
        log = tmp_path / "none/log"
    said = refused("pychat", *call(host), "--handle", "Client1", "--log", str(log), capsys=capsys)
    assert f" the log {log}: " in said
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("command", ["start", "run", "stop", "status", "reload", "config"])
def test_a_word_too_many_shows_how_the_command_is_used(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert PROGRAMS["pychatd"]((command, "7000", "7001")) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"usage: pychatd {command} ")
    assert said.endswith(f"pychatd {command}: error: unrecognized arguments: 7001\n")


@pytest.mark.parametrize("command", ["start", "run", "stop", "status", "fingerprint"])
@pytest.mark.parametrize("port", ["", *NO_PORTS], ids=ascii)
def test_a_bad_port_is_refused(command: str, port: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert " is not a valid port (1-65535).\n" in refused("pychatd", command, "--", port, capsys=capsys)


@pytest.mark.parametrize("port", ["", *NO_PORTS], ids=ascii)
def test_a_bad_port_of_a_call_or_console_is_refused(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    for program, words in (
        ("pychat", ["--handle", "Bob", "--", "localhost", port]),
        ("pychat", ["send", "--", "localhost", port, "x"]),
        ("pychat", ["forget", "--", "localhost", port]),
        ("pychatd-console", ["--", port]),
    ):
        assert " is not a valid port (1-65535).\n" in refused(program, *words, capsys=capsys)


@pytest.mark.parametrize(
    "words", ["HOST 7000 --handle Bob", "send HOST 7000 x", "forget HOST 7000", "zoe --handle Bob"]
)
def test_a_name_that_can_mean_two_hosts_is_refused(
    words: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "pychat").mkdir()
    contact = '[contacts.zoe]\nhost = "stra\u00dfe.test"\nport = 7000\n'
    (home / "pychat/config.toml").write_text(contact, encoding="utf-8")
    said = refused("pychat", *words.replace("HOST", "stra\u00dfe.test").split(), capsys=capsys)
    assert "can mean strasse.test or xn--strae-oqa.test: use the one that you mean." in said


@pytest.mark.parametrize("host", ["", "[]", " ", "two words", ".example.net", "a\x1b[2J"])
@pytest.mark.parametrize("command", ["", "send", "replies", "forget"])
def test_what_cannot_be_a_host_is_refused(command: str, host: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = [*command.split(), host, "7000"]
    assert " is not a valid host name.\n" in refused("pychat", *words, capsys=capsys)


@pytest.mark.parametrize("command", ["", "send", "replies", "listen", "forget", "certificate"])
def test_what_is_no_option_is_shown_without_its_control_characters(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        cli.parse([*command.split(), "--x\x1b[31mred"])
    assert "unrecognized arguments: --x<U+001B>[31mred\n" in capsys.readouterr().err
    assert "--x<U+001B>[31mred\n" in refused("pychatd-console", "--x\x1b[31mred", capsys=capsys)
    assert "\x1b" not in refused("pychatd", "status", "--x\x1b[31mred", capsys=capsys)


def test_an_option_between_two_words_hides_none_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert "'70000' is not a valid port" in refused("pychat", "localhost", "--plain", "70000", capsys=capsys)
    words = ("7000", "--remind", "1h", "70000")
    assert "'70000' is not a valid port" in refused("pychatd-console", "--watch", *words, capsys=capsys)


def test_a_mistyped_command_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    said = refused("pychat", "sned", "localhost", "7300", capsys=capsys)
    known = "send, replies, listen, forget, certificate"
    assert said == f"pychat: 'sned' is not a command of pychat; the commands are {known}.\n"
    assert "unrecognized arguments: hi\n" in refused("pychat", "localhost", "7300", "hi", capsys=capsys)


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        (["forget", "localhost"], "pychat forget localhost PORT"),
        (["forget"], "pychat forget HOST PORT"),
        (["replies", "nosuch"], "pychat replies nosuch PORT"),
        (["send", "localhost"], "pychat send localhost PORT"),
        (["localhost"], "pychat localhost PORT"),
    ],
)
def test_a_missing_port_is_asked_for_with_the_command(
    words: list[str], advice: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused("pychat", *words, capsys=capsys).endswith(f": {advice}\n")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("journal_max = 5.5", "journal_max: use a whole number from 0 to 1000000."),
        ("[ports.7300]\ngrace = 1", "the table of a port is [port.PORT], not [ports.PORT]."),
    ],
)
def test_a_wrong_setting_is_told_what_is_right(
    text: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "pychatd.toml"
    file.write_text(text)
    assert refused("pychatd", "config", "--config", str(file), capsys=capsys) == f"pychatd: {file}: {sentence}\n"


def test_an_error_in_the_configuration_names_file_and_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "pychatd.toml"
    file.write_text("# ours\nhandle = 'Server'\nturns = 'sometimes'\n")
    said = refused("pychatd", "start", "7000", "--config", str(file), capsys=capsys)
    assert said == f'pychatd: {file}: turns: \'sometimes\' is not valid; use "alternate" or "free".\n'
