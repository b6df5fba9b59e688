"""Contacts: `pychat alice` calls the saved host and port, with the saved key."""

from __future__ import annotations

from pathlib import Path

from tests.support.programs import Terminal
from tests.support.service import BIN, Service
from tests.support.user import fingerprint, known_hosts, run


def _configure(service: Service, *more: str, port: int | None = None) -> Path:
    """Saves this service as the contact alice."""
    file = service.directory / "config/pychat/config.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(["[contacts.alice]", 'host = "localhost"', f"port = {port or service.port}", *more]))
    return file


def _calls_alice(service: Service, *options: str) -> Terminal:
    return service.terminal([str(BIN / "pychat"), *options, "alice"])


def test_a_contact_with_a_key_is_called_without_a_question(service: Service) -> None:
    _configure(service, f'fingerprint = "{fingerprint(service)[0]}"', 'handle = "Bobby"')
    client = _calls_alice(service)
    client.sees("Send the first message")
    client.line_is("Bobby>")
    assert known_hosts(service).certificate_of("localhost", service.port)


def test_a_contact_with_another_key_is_not_called(service: Service) -> None:
    _configure(service, f'fingerprint = "SHA256:{43 * "A"}"', 'handle = "Bobby"')
    client = _calls_alice(service, "--accept-new")  # which is for unknown hosts only
    assert client.exit_status() == 7
    client.sees("does not have the fingerprint")


def test_the_key_of_a_contact_wins_over_an_accepted_one(service: Service) -> None:
    known_hosts(service).accept("localhost", service.port, b"another")
    _configure(service, f'fingerprint = "{fingerprint(service)[0]}"', 'handle = "Bobby"')
    _calls_alice(service).sees("Send the first message")


def test_a_contact_without_a_key_asks_at_the_first_call(service: Service) -> None:
    _configure(service, 'handle = "Bobby"')
    _calls_alice(service).sees("(yes/no, or paste the fingerprint)")


def test_every_command_takes_a_contact(service: Service) -> None:
    _configure(service, f'fingerprint = "{fingerprint(service)[0]}"')
    assert run(service, "pychat send alice Hello").returncode == 0
    assert known_hosts(service).certificate_of("localhost", service.port)
    assert run(service, "pychat --list-targets").stdout == f"alice\nlocalhost {service.port}\n"
    assert run(service, "pychat forget alice").returncode == 0
    assert known_hosts(service).certificate_of("localhost", service.port) is None
    assert run(service, "pychat --list-targets").stdout == "alice\n"


def test_an_unknown_contact_is_an_error_that_names_the_others(service: Service) -> None:
    _configure(service)
    result = run(service, "pychat bob")
    assert (result.returncode, result.stdout) == (2, "")
    assert "'bob' is not a contact. Your contacts: alice." in result.stderr


def test_a_broken_configuration_is_an_error_in_both_programs(service: Service) -> None:
    file = _configure(service, "handle = 7")
    console = f"pychatd-console {service.port} --runtime-directory {service.runtime}"
    for command in (
        "pychat alice",
        "pychat send alice x",
        "pychat forget alice",
        "pychat --list-targets",
        console,
    ):
        result = run(service, command)
        assert (result.returncode, result.stdout) == (2, "")
        assert f"{file}: [contacts.alice] handle: " in result.stderr


def test_the_operator_has_the_configured_handle_too(service: Service) -> None:
    file = _configure(service)
    file.write_text('handle = "Chief"')
    console = service.ready_console(handle=None)
    console.line_is("Chief>")
    assert service.console(handle="").exit_status() == 2
