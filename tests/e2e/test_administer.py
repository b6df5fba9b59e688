"""The commands of `pychatd` for the administrator of a running service."""

from __future__ import annotations

import signal
import subprocess
import tomllib
from pathlib import Path

import pytest

from pychat_client.errors import ExitStatus
from pychat_client.trust.certificates import make_certificate
from tests.support.service import BIN, Service
from tests.support.waiting import PATIENCE

# ------------------------------------------------------------------ the configuration


def config(service: Service, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(BIN / "pychatd"), "config", *options],
        env=service.env,
        text=True,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )


def test_a_reload_tells_that_it_has_worked(idle_service: Service) -> None:
    service = idle_service
    service.start("--config", service.configure('turns = "alternate"\n'))
    service.configure('turns = "free"\n')
    result = service.pychatd("reload")
    assert (result.returncode, result.stdout, result.stderr) == (ExitStatus.OK, "", "")
    assert service.status()["turns"] == "free"
    service.configure('turns = "free"\nlisten = "127.0.0.1"\n')
    assert service.pychatd("reload").stdout == "Restart the service to apply: listen.\n"


@pytest.mark.parametrize("wrong", ["turns = 7", "nonsense", 'certificate = "/nowhere/x.pem"', 'handle = "a b"'])
def test_a_reload_with_an_error_fails_and_changes_nothing(idle_service: Service, wrong: str) -> None:
    service = idle_service
    service.start("--config", service.configure('turns = "free"\n'))
    service.configure(f"{wrong}\n")
    result = service.pychatd("reload")
    assert result.returncode == ExitStatus.USAGE
    assert result.stderr.startswith("pychatd: The configuration was not reloaded: ")
    assert len(result.stderr.splitlines()) == 1
    assert service.status()["turns"] == "free"
    service.logs("The configuration was not reloaded: ")


def test_a_reload_without_a_daemon_fails(idle_service: Service) -> None:
    assert idle_service.pychatd("reload").returncode == ExitStatus.ABSENT


def test_config_prints_what_applies(idle_service: Service) -> None:
    file = idle_service.configure('turns = "free"\n[port.7001]\nkeep = "30d"\nlisten = "127.0.0.1"\n')
    shown = tomllib.loads(config(idle_service, "7001", "--config", file).stdout)
    assert (shown["turns"], shown["keep"], shown["listen"]) == ("free", "30d", ["127.0.0.1"])
    (idle_service.directory / "again.toml").write_text(config(idle_service, "7001", "--config", file).stdout)
    again = config(idle_service, "7001", "--config", str(idle_service.directory / "again.toml"))
    assert again.stdout.splitlines()[1:] == config(idle_service, "7001", "--config", file).stdout.splitlines()[1:]
    assert tomllib.loads(config(idle_service, "--config", file).stdout)["keep"] == "forever"


def test_names_of_files_can_be_in_any_encoding(idle_service: Service) -> None:
    service = idle_service
    service.state = service.directory / "Z\udcfcrich"
    service.start()
    (service.state / str(service.port) / "blocked").mkdir()
    why = "Cannot read the list of blocked callers"
    result = service.pychatd("reload")
    assert (result.returncode, why in result.stderr) == (ExitStatus.USAGE, True), result.stderr
    service.logs(f"not reloaded: {why}")
    result = service.pychatd("block", "Bob\udcff")
    assert (result.returncode, "are not UTF-8" in result.stderr) == (ExitStatus.USAGE, True), result.stderr
    service.kill(signal.SIGTERM)
    result = service.pychatd("start")
    assert (result.returncode, why in result.stderr) == (ExitStatus.USAGE, True), result.stderr


@pytest.mark.parametrize("port", [["7001"], []])
def test_config_fails_for_a_wrong_file(idle_service: Service, port: list[str]) -> None:
    file = idle_service.configure("[port.7002]\nkeep = 30\n")
    result = config(idle_service, *port, "--config", file)
    assert (result.returncode, result.stdout) == (ExitStatus.USAGE, "")
    assert f"{file}: [port.7002] keep: " in result.stderr


def test_config_check_tries_the_files_that_are_named(idle_service: Service, tmp_path: Path) -> None:
    file = idle_service.configure('certificate = "/nowhere/x.pem"\n')
    assert config(idle_service, "--config", file).returncode == ExitStatus.OK
    result = config(idle_service, "--check", "--config", file)
    assert result.returncode == ExitStatus.USAGE
    assert "/nowhere/x.pem" in result.stderr
    file = idle_service.configure(f'authorized = "{tmp_path / "nowhere"}"\n')
    idle_service.start()
    words = [str(idle_service.port), "--state-directory", str(idle_service.state), "--config", file]
    result = config(idle_service, "--check", *words)
    assert result.returncode == ExitStatus.USAGE
    assert "Cannot read the allowlist" in result.stderr
    assert config(idle_service, "--check", *words[:-2]).returncode == ExitStatus.OK


@pytest.mark.parametrize(("file", "why"), [("blocked", "300.1.1.1"), ("invitations.json", "is damaged")])
@pytest.mark.parametrize("has_key", [False, True])
def test_config_check_finds_what_a_start_would(idle_service: Service, file: str, why: str, has_key: bool) -> None:
    service = idle_service
    directory = service.state / str(service.port)
    directory.mkdir(parents=True, mode=0o700)
    (directory / file).write_text("300.1.1.1\n")
    if has_key:
        make_certificate(directory / "identity.pem", "pychatd")
    words = [str(service.port), "--state-directory", str(service.state)]
    result = config(service, "--check", *words)
    assert result.returncode == ExitStatus.USAGE
    assert f"{directory / file}" in result.stderr
    assert why in result.stderr
    assert config(service, *words).returncode == ExitStatus.OK
    assert service.pychatd("start").stderr == result.stderr


def test_the_status_is_not_logged(service: Service) -> None:
    for _ in range(3):
        service.status()
    service.pychatd("reload")
    service.logs("reload")
    assert not [line for line in service.log() if "for the status" in line]


# ------------------------------------------------------------------ orders


def test_an_order_that_is_not_utf8_is_refused(service: Service) -> None:
    for verb in ("block", "unblock", "forget"):
        result = service.pychatd(verb, "caf\udce9")
        assert (result.returncode, result.stdout) == (ExitStatus.USAGE, "")
        assert result.stderr == "pychatd: The words after the command contain bytes that are not UTF-8.\n"
