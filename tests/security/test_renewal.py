"""A renewed certificate with the same key is accepted in one line; another key ends the call, as ever."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.certificates import Made, make
from tests.support.fake_hosts import Hosts, server_context
from tests.support.service import Service
from tests.support.user import known_hosts, on_pipes, run, words

RENEWED = "has a new certificate for the same key. It is accepted from now on."


def _serves(service: Service, certificate: Made) -> None:
    """The daemon has this certificate from now on."""
    if (service.place / "pid").exists():
        service.pychatd("stop")
    service.start("--config", service.configure(f'certificate = "{certificate.both}"\n'))


@pytest.mark.parametrize("kind", ["its own", "of an authority", "of another authority", "that may sign"])
def test_a_new_certificate_for_the_same_key_is_accepted(idle_service: Service, tmp_path: Path, kind: str) -> None:
    service = idle_service
    authority, other = (make(tmp_path / name, name, authority=True) for name in ("one", "other"))
    by = {"of an authority": authority, "of another authority": other}.get(kind)
    old = make(tmp_path / "old", "localhost", by=None if kind == "its own" else authority)
    new = make(tmp_path / "new", "localhost", by=by, key_of=old, authority=kind == "that may sign")
    _serves(service, new)
    known_hosts(service).accept("localhost", service.port, old.der)
    caller = on_pipes(service)
    caller.notes("Send the first message")
    assert caller.notices().count(RENEWED) == 1
    assert known_hosts(service).certificate_of("localhost", service.port) == new.der
    caller.enter("\\status")
    caller.notes(new.fingerprint)
    caller.enter("\\quit")
    again = on_pipes(service)
    again.notes("Send the first message")
    assert RENEWED not in again.notices()


def test_a_renewal_while_two_talk_is_no_end(idle_service: Service, tmp_path: Path) -> None:
    service = idle_service
    old = make(tmp_path / "old", "localhost")
    _serves(service, old)
    known_hosts(service).accept("localhost", service.port, old.der)
    caller = on_pipes(service)
    caller.notes("Send the first message")
    caller.enter("before")
    console = service.console()
    console.sees("before")
    _serves(service, make(tmp_path / "new", "localhost", key_of=old))
    caller.notes(RENEWED)
    caller.enter("\\quit")
    assert caller.exit_status() == 0


def test_another_key_with_the_same_name_ends_the_call(hosts: Hosts, idle_service: Service) -> None:
    old, new = hosts.identity(), hosts.identity()
    host = hosts.fake(server_context(new))
    known_hosts(idle_service).accept("localhost", host.port, old.der)
    result = run(idle_service, words(idle_service, port=host.port))
    assert result.returncode == 7
    assert "HAS CHANGED" in result.stderr
    host.idle()
    assert host.told == b""
    assert not any(visit.certificate for visit in host.visits)
    assert known_hosts(idle_service).certificate_of("localhost", host.port) == old.der


def test_a_fingerprint_from_before_the_renewal_still_works(idle_service: Service, tmp_path: Path) -> None:
    service = idle_service
    old = make(tmp_path / "old", "localhost")
    new = make(tmp_path / "new", "localhost", key_of=old)
    _serves(service, new)
    known_hosts(service).accept("localhost", service.port, old.der)
    for _ in range(2):  # each call proves the key anew
        caller = on_pipes(service, "--fingerprint", old.fingerprint)
        caller.notes("Send the first message")
        sentence = f"has a new certificate for the same key. Give its fingerprint from now on: {new.fingerprint}"
        assert caller.notices().count(sentence) == 1
        caller.enter("\\quit")
        assert caller.exit_status() == 0
    caller = on_pipes(service, "--fingerprint", new.fingerprint)
    caller.notes("Send the first message")
    assert "new certificate" not in caller.notices()


def test_another_key_is_refused_with_a_given_fingerprint_too(idle_service: Service, tmp_path: Path) -> None:
    old = make(tmp_path / "old", "localhost")
    _serves(idle_service, make(tmp_path / "new", "localhost"))
    known_hosts(idle_service).accept("localhost", idle_service.port, old.der)
    result = run(idle_service, words(idle_service, "--fingerprint", old.fingerprint))
    assert result.returncode == 7
    assert "HAS CHANGED" in result.stderr


def test_without_the_old_certificate_nothing_proves_the_key(idle_service: Service, tmp_path: Path) -> None:
    old = make(tmp_path / "old", "localhost")
    _serves(idle_service, make(tmp_path / "new", "localhost", key_of=old))
    result = run(idle_service, words(idle_service, "--fingerprint", old.fingerprint))
    assert result.returncode == 7
    assert "The fingerprint also changes when the certificate is renewed." in result.stderr
