"""Contacts: `pychat alice` calls the saved host and port, with the saved key."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.harness import BIN, Line, Terminal
from tests.security.use import fingerprint, known_hosts, run


def _configure(line: Line, *more: str, port: int | None = None) -> Path:
    """Saves this service as the contact alice."""
    file = line.directory / "config/pychat/config.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(["[contacts.alice]", 'host = "localhost"', f"port = {port or line.port}", *more]))
    return file


def _calls_alice(line: Line, *options: str) -> Terminal:
    return line.terminal([str(BIN / "pychat"), *options, "alice"])


def test_a_contact_with_a_key_is_called_without_a_question(line: Line) -> None:
    _configure(line, f'fingerprint = "{fingerprint(line)[0]}"', 'handle = "Bobby"')
    client = _calls_alice(line)
    client.sees("Send the first message")
    client.line_is("Bobby>")
    assert known_hosts(line).certificate_of("localhost", line.port)


def test_a_contact_with_another_key_is_not_called(line: Line) -> None:
    _configure(line, f'fingerprint = "SHA256:{43 * "A"}"', 'handle = "Bobby"')
    client = _calls_alice(line, "--accept-new")  # which is for unknown hosts only
    assert client.exit_status() == 7
    client.sees("is not the one that you gave")


def test_the_key_of_a_contact_wins_over_an_accepted_one(line: Line) -> None:
    known_hosts(line).accept("localhost", line.port, b"another")
    _configure(line, f'fingerprint = "{fingerprint(line)[0]}"', 'handle = "Bobby"')
    _calls_alice(line).sees("Send the first message")


def test_a_contact_without_a_key_asks_at_the_first_call(line: Line) -> None:
    _configure(line, 'handle = "Bobby"')
    _calls_alice(line).sees("(yes/no, or paste the fingerprint)")


def test_every_command_takes_a_contact(line: Line) -> None:
    _configure(line, f'fingerprint = "{fingerprint(line)[0]}"')
    assert run(line, "pychat send alice Hello").returncode == 0
    assert known_hosts(line).certificate_of("localhost", line.port)
    assert run(line, "pychat --list-targets").stdout == f"alice\nlocalhost {line.port}\n"
    assert run(line, "pychat forget alice").returncode == 0
    assert known_hosts(line).certificate_of("localhost", line.port) is None
    assert run(line, "pychat --list-targets").stdout == "alice\n"


def test_an_unknown_contact_is_an_error_that_names_the_others(line: Line) -> None:
    _configure(line)
    result = run(line, "pychat bob")
    assert (result.returncode, result.stdout) == (2, "")
    assert "'bob' is not a contact. Your contacts: alice." in result.stderr


def test_a_broken_configuration_is_an_error_in_both_programs(line: Line) -> None:
    file = _configure(line, "handle = 7")
    console = f"pychatd-console {line.port} --runtime-directory {line.runtime}"
    for command in (
        "pychat alice",
        "pychat send alice x",
        "pychat forget alice",
        "pychat --list-targets",
        console,
    ):
        result = run(line, command)
        assert (result.returncode, result.stdout) == (2, "")
        assert f"{file}: [contacts.alice] handle: " in result.stderr


def test_the_operator_has_the_configured_handle_too(line: Line) -> None:
    file = _configure(line)
    file.write_text('handle = "Chief"')
    console = line.console(handle=None)
    console.sees("Waiting for calls")
    console.line_is("Chief>")
    assert line.console(handle="").exit_status() == 2
