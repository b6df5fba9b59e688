"""Names for lines: `pychat alice` calls who is meant, and nobody else."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.harness import BIN, Line, Terminal
from tests.security.use import fingerprint, known_hosts, run


def _configure(line: Line, *more: str, port: int | None = None) -> Path:
    """Calls this line "alice"."""
    file = line.directory / "config/pychat/config.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(["[lines.alice]", 'host = "localhost"', f"port = {port or line.port}", *more]))
    return file


def _calls_alice(line: Line, *options: str) -> Terminal:
    return line.terminal([str(BIN / "pychat"), *options, "alice"])


def test_a_line_with_a_name_and_a_key_is_called_without_a_question(line: Line) -> None:
    _configure(line, f'fingerprint = "{fingerprint(line)[0]}"', 'handle = "Bobby"')
    client = _calls_alice(line)
    client.sees("Send the first message")
    client.line_is("Bobby>")
    assert known_hosts(line).certificate_of("localhost", line.port)


def test_a_line_with_a_name_and_another_key_is_not_called(line: Line) -> None:
    _configure(line, f'fingerprint = "SHA256:{43 * "A"}"', 'handle = "Bobby"')
    client = _calls_alice(line, "--accept-new")  # what is known is not new
    assert client.exit_status() == 7
    client.sees("is not the one you gave")


def test_the_key_of_the_configuration_goes_before_one_that_was_accepted(line: Line) -> None:
    known_hosts(line).accept("localhost", line.port, b"another")
    _configure(line, f'fingerprint = "{fingerprint(line)[0]}"', 'handle = "Bobby"')
    _calls_alice(line).sees("Send the first message")


def test_without_a_key_the_first_call_asks_as_ever(line: Line) -> None:
    _configure(line, 'handle = "Bobby"')
    _calls_alice(line).sees("(yes/no, or paste the fingerprint)")


def test_a_name_is_for_every_use_of_a_line(line: Line) -> None:
    _configure(line, f'fingerprint = "{fingerprint(line)[0]}"')
    assert run(line, "pychat send alice Hello").returncode == 0
    assert known_hosts(line).certificate_of("localhost", line.port)
    assert run(line, "pychat --list-lines").stdout == f"alice\nlocalhost {line.port}\n"
    assert run(line, "pychat --forget alice").returncode == 0
    assert known_hosts(line).certificate_of("localhost", line.port) is None
    assert run(line, "pychat --list-lines").stdout == "alice\n"


def test_a_name_that_does_not_exist_is_told_with_those_that_do(line: Line) -> None:
    _configure(line)
    result = run(line, "pychat bob")
    assert (result.returncode, result.stdout) == (2, "")
    assert "No line of your configuration is called 'bob'; there are alice." in result.stderr


def test_a_broken_configuration_is_a_sentence_in_both_programs(line: Line) -> None:
    file = _configure(line, "handle = 7")
    console = f"pychatd-console {line.port} --runtime-directory {line.runtime}"
    for command in ("pychat alice", "pychat send alice x", "pychat --list-lines", console):
        result = run(line, command)
        assert (result.returncode, result.stdout) == (2, "")
        assert f"{file}: [lines.alice] handle: " in result.stderr


def test_the_handle_of_the_configuration_is_the_operators_too(line: Line) -> None:
    file = _configure(line)
    file.write_text('handle = "Chief"')
    console = line.console(handle=None)
    console.sees("Waiting for calls")
    console.line_is("Chief>")
    assert line.console(handle="").exit_status() == 2
