"""An invitation lets in one person, who then is known. A wrong one lets nobody in, and its user is told why."""

from __future__ import annotations

import base64
import json
import re
import signal
import socket
from functools import partial
from pathlib import Path

import pytest

from pychat_client.errors import UsageError
from pychat_client.text import printable
from pychat_client.trust import invitation
from pychat_client.trust.certificates import certificate_der
from pychat_client.trust.fingerprint import fingerprint
from pychat_client.trust.invitation import Invitation
from pychatd import control
from tests.support.certificates import Made, make
from tests.support.fake_hosts import Hosts, client_context
from tests.support.programs import Piped
from tests.support.raw_ends import BlockingEnd
from tests.support.service import BIN, Service
from tests.support.user import is_readable
from tests.support.waiting import PATIENCE, wait_for

ENTERED = "Send the first message"
USED = "has been used already. Ask for a new one."


def _invite(service: Service, *options: str) -> str:
    result = service.pychatd("invite", "--host", "localhost", *options)
    assert result.returncode == 0, result.stderr
    found = re.search(r"^    pychat localhost \d+ --invite (\S+)$", result.stdout, re.MULTILINE)
    assert found, result.stdout
    return found[1]


def _guest(service: Service, user: str, *options: str) -> Piped:
    """`pychat` of a user with keys and files of their own, who is asked nothing."""
    home = service.directory / f"home-of-{user}"
    env = {**service.env, "HOME": str(home)}
    for variable in ("XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        env[variable] = str(home / variable)
    words = [str(BIN / "pychat"), *options, "--handle", user]
    return Piped(service.popen(words, env=env))


def _target(service: Service, word: str) -> list[str]:
    return ["localhost", str(service.port), "--invite", word]


def _comes(service: Service, user: str, *options: str) -> Piped:
    guest = _guest(service, user, *options)
    guest.notes(ENTERED)
    return guest


def _is_refused(guest: Piped, sentence: str, status: int = 5) -> None:
    assert guest.exit_status() == status, guest.notices()
    assert sentence in guest.notices(), guest.notices()
    is_readable(guest.notices())


def _has_an_answer(guest: Piped) -> bool:
    return ENTERED in guest.notices() or USED in guest.notices()


def _names(service: Service) -> list[str]:
    result = service.pychatd("authorized")
    assert result.returncode == 0, result.stderr
    return [line.split()[0] for line in result.stdout.splitlines() if "SHA256:" in line]


def _start(service: Service, kind: str) -> None:
    listed = service.directory / "authorized"
    listed.mkdir(exist_ok=True)
    (listed / "admin.pem").write_bytes(make(service.directory / "made", "admin").certificate.read_bytes())
    text = {"open": "", "allowlist": f'authorized = "{listed}"\n', "invited only": "invited_only = true\n"}[kind]
    service.start("--config", service.configure(text))


@pytest.mark.parametrize(
    "name", ["x" * 251, "é" * 125, "\N{GRINNING FACE}" * 62], ids=["x", "two bytes", "four bytes"]
)
def test_the_longest_name_of_a_file_is_listed_whole(idle_service: Service, name: str) -> None:
    listed = idle_service.directory / "authorized"
    listed.mkdir()
    certificate = make(idle_service.directory / "made", "admin").certificate
    (listed / f"{name}.pem").write_bytes(certificate.read_bytes())
    idle_service.start("--config", idle_service.configure(f'authorized = "{listed}"\n'))
    assert _names(idle_service) == [name]


@pytest.mark.parametrize("kind", ["open", "allowlist", "invited only"])
def test_an_invited_caller_is_asked_nothing_and_known_later(idle_service: Service, kind: str) -> None:
    service = idle_service
    _start(service, kind)
    word = _invite(service, "--for", "Zoe")
    console = service.ready_console()
    zoe = _comes(service, "Z", *_target(service, word))
    zoe.enter("hello")
    console.sees("Z> hello")
    console.sees("verified as Zoe")
    zoe.enter("\\status")
    zoe.notes('The host has the key of your invitation. The host knows you as "Zoe".')
    zoe.enter("\\quit")
    assert zoe.exit_status() == 0
    console.sees("Z ended the conversation")
    again = _comes(service, "Z", "localhost", str(service.port))
    again.enter("me again")
    console.sees("verified as Zoe")
    assert service.status()["peer"]["certificate"] == "Zoe"
    assert "Zoe" in _names(service)


def test_the_toolbar_of_the_caller_says_who_has_invited_him(service: Service) -> None:
    service.ready_console()
    words = [str(BIN / "pychat"), *_target(service, _invite(service)), "--handle", "Zoe"]
    caller = service.terminal(words, columns=120)
    caller.sees("invited by Server")
    assert "yes/no" not in caller.text()


@pytest.mark.parametrize("form", ["{word}", "{bare}", "{small}"])
def test_one_argument_is_enough(service: Service, form: str) -> None:
    word = _invite(service)
    part = form.format(word=word, bare=word.replace("-", ""), small=word.lower())
    guest = _comes(service, "Z", f"pychat://localhost:{service.port}/{part}")
    guest.enter("hello")
    assert _names(service) == ["guest1"]


def test_a_blocked_caller_does_not_use_up_an_invitation(service: Service) -> None:
    mallory = _comes(service, "Mallory", *_target(service, _invite(service, "--for", "Before")))
    mallory.enter("\\quit")
    assert mallory.exit_status() == 0
    (key,) = re.findall(r"SHA256:\S+", service.pychatd("authorized").stdout)
    assert service.pychatd("authorized", "--remove", "Before").returncode == 0
    word = _invite(service, "--for", "Zoe")
    shown, secret = make(service.directory / "made", "mallory"), invitation.parse(word).secret
    for blocked in ("127.0.0.1", "Mallory", key):
        assert service.pychatd("block", blocked).returncode == 0
        _is_refused(_guest(service, "Mallory", *_target(service, word)), "The operator has blocked you here.")
        if blocked != key:  # that one is shown, so that it can be proved
            for _ in range(8):  # more often than one invitation may be shown
                caller = _raw(service, shown)
                caller.send(_hello("Mallory", shown, secret))
                assert "The operator has blocked you here." in caller.line()
                caller.close()
        assert service.pychatd("unblock", blocked).returncode == 0
    assert _names(service) == []
    _comes(service, "Zoe", *_target(service, word))
    assert _names(service) == ["Zoe"]


@pytest.mark.parametrize("kind", ["open", "allowlist", "invited only"])
def test_who_was_told_busy_is_known_with_the_invitation_and_without(idle_service: Service, kind: str) -> None:
    service = idle_service
    _start(service, kind)
    bob = _comes(service, "Bob", *_target(service, _invite(service, "--for", "Bob")))
    target = _target(service, _invite(service, "--for", "Zoe"))
    assert _guest(service, "Z", *target).exit_status() == 4
    bob.enter("\\quit")
    assert bob.exit_status() == 0
    for words in (target[:2], target):
        zoe = _comes(service, "Z", *words)
        zoe.enter("hello")
        zoe.enter("\\status")
        zoe.notes('The host knows you as "Zoe".')
        zoe.enter("\\quit")
        assert zoe.exit_status() == 0


def test_strangers_call_an_open_service_as_before(service: Service) -> None:
    word = _invite(service)
    _comes(service, "Z", *_target(service, word)).enter("\\quit")
    own = service.directory / "home-of-A" / "XDG_DATA_HOME" / "pychat" / "identity.pem"
    own.parent.mkdir(parents=True)
    own.write_bytes(make(service.directory / "made", "a").both.read_bytes())
    stranger = _comes(service, "A", "--accept-new", "localhost", str(service.port))
    stranger.enter("hi")
    console = service.console()
    console.sees("anyone can call")


@pytest.mark.parametrize("kind", ["allowlist", "invited only"])
def test_nobody_else_gets_in(idle_service: Service, kind: str) -> None:
    service = idle_service
    _start(service, kind)
    _invite(service)
    stranger = _guest(service, "A", "--accept-new", "localhost", str(service.port))
    _is_refused(stranger, "allowlist" if kind == "allowlist" else "takes only invited callers")


# ------------------------------------------------------------------ invitations that let nobody in


def test_a_used_invitation_lets_in_nobody_else(service: Service) -> None:
    word = _invite(service, "--for", "Zoe")
    _comes(service, "Z", *_target(service, word)).enter("\\quit")
    _is_refused(_guest(service, "M", *_target(service, word)), USED)
    _comes(service, "Z", *_target(service, word))  # the same user, who pastes the same line again
    assert _names(service) == ["Zoe"]


def test_a_revoked_invitation_lets_nobody_in(service: Service) -> None:
    word = _invite(service, "--for", "Zoe")
    assert service.pychatd("invitations", "--revoke", "Zoe").returncode == 0
    _is_refused(_guest(service, "Z", *_target(service, word)), "has been revoked. Ask for a new one.")
    assert "revoked  at " in service.pychatd("invitations").stdout
    again = service.pychatd("invitations", "--revoke", "Zoe")
    assert again.returncode == 2
    assert "no open invitation for 'Zoe'" in again.stderr


def test_a_late_invitation_lets_nobody_in(idle_service: Service) -> None:
    service = idle_service
    service.start()
    word = _invite(service, "--for", "Zoe", "--valid", "1m")
    file = service.state / str(service.port) / "invitations.json"
    records = json.loads(file.read_text())
    records[0]["until"] = 1.0
    service.pychatd("stop")
    file.write_text(json.dumps(records))
    service.start()
    _is_refused(_guest(service, "Z", *_target(service, word)), "is too old. Ask for a new one.")
    assert re.search("too old  since .* 1970$", service.pychatd("invitations").stdout)


def test_a_mistyped_invitation_is_told_before_anything_is_sent(service: Service) -> None:
    word = _invite(service)
    wrong = ("0" if word[0] != "0" else "1") + word[1:]
    before = len(service.log())
    _is_refused(_guest(service, "Z", *_target(service, wrong)), "has a typing error", status=2)
    _is_refused(_guest(service, "Z", *_target(service, word[:-1])), "is not complete", status=2)
    assert len(service.log()) == before


def test_the_invitation_of_another_service_lets_nobody_in(service: Service) -> None:
    word = str(Invitation(invitation.parse(_invite(service)).key, invitation.new_secret()))
    _is_refused(_guest(service, "Z", *_target(service, word)), "does not know the invitation. Check the port")
    service.logs("its invitation is not valid")


def test_a_host_that_is_not_the_invitation_s_gets_nothing(service: Service, hosts: Hosts) -> None:
    word = _invite(service)
    host = hosts.fake(hosts.identity("mallory"))
    guest = _guest(service, "Z", "localhost", str(host.port), "--invite", word)
    _is_refused(guest, "does not have the key of the invitation. Nothing has been sent.", status=7)
    host.idle()
    assert host.told == b""


def test_of_two_users_with_one_invitation_one_gets_in(service: Service) -> None:
    word = _invite(service, "--for", "Zoe")
    guests = [_guest(service, user, *_target(service, word), "--wait") for user in ("A", "B", "C")]
    endings = []
    for guest in guests:
        wait_for(partial(_has_an_answer, guest), "an answer")
        endings.append(ENTERED in guest.notices())
    assert sorted(endings) == [False, False, True]
    assert _names(service) == ["Zoe"]


# ------------------------------------------------------------------ what an attacker sends


def _raw(service: Service, own: Made | None = None) -> BlockingEnd:
    sock = socket.create_connection(("127.0.0.1", service.port), timeout=PATIENCE)
    context = client_context(None if own is None else own.both)
    context.post_handshake_auth = True
    return BlockingEnd(context.wrap_socket(sock))


def _hello(handle: str, shown: Made, secret: bytes) -> str:
    encoded = base64.b64encode(shown.der).decode()
    return f"\\hello 1 {handle} proof={fingerprint(shown.der)} invite={secret.hex()} certificate={encoded}"


def test_a_certificate_without_its_key_is_not_kept(service: Service, tmp_path: Path) -> None:
    bob, mallory = make(tmp_path, "bob"), make(tmp_path, "mallory")
    secret = invitation.parse(_invite(service)).secret
    for own in (mallory, None):
        caller = _raw(service, own)
        caller.send(_hello("Mallory", bob, secret))
        assert "\\hello" not in "".join(caller.rest())
        caller.close()
        service.logs("did not prove its certificate")
    liar = _raw(service)
    liar.send(_hello("Mallory", bob, secret) + "\n\\prove")  # without an answer in TLS
    assert liar.line() == "\\prove"
    assert liar.line().startswith("\\error invitation An invitation needs a certificate that is proved")
    liar.close()
    assert "Traceback" not in "".join(service.log())
    assert _names(service) == []


@pytest.mark.parametrize("certificate", [b"", b"\x30", b"no certificate"])
def test_what_is_no_certificate_gets_a_sentence(service: Service, certificate: bytes) -> None:
    secret = invitation.parse(_invite(service)).secret
    encoded = base64.b64encode(certificate).decode()
    caller = _raw(service)
    caller.send(f"\\hello 1 Ann proof={fingerprint(certificate)} invite={secret.hex()} certificate={encoded}")
    assert caller.line() == "\\error invitation Your certificate cannot be read."
    caller.close()


def test_the_log_has_one_reason_for_a_refused_invitation(service: Service, tmp_path: Path) -> None:
    _invite(service)
    caller = _raw(service)
    caller.send(_hello("Bob", make(tmp_path, "bob"), bytes(20)))
    assert caller.line().startswith("\\error invitation ")
    caller.send("\\prove")
    caller.rest()
    port = caller.socket.getsockname()[1]
    caller.close()
    later = service.connect()  # the daemon has noticed the end when it answers
    later.greet()
    later.close()
    service.logs("has ended without a message")
    lines = [line for line in service.log() if f":{port}:" in line]
    assert [line.rpartition(": ")[2] for line in lines] == ["refused, its invitation is not valid"]


def test_an_invitation_does_not_go_over_plain_tcp(service: Service, tmp_path: Path) -> None:
    secret = invitation.parse(_invite(service)).secret
    caller = service.connect()
    caller.send(_hello("Mallory", make(tmp_path, "bob"), secret))
    assert caller.line().startswith("\\error invitation ")
    assert _names(service) == []


def test_who_guesses_is_heard_ten_times_an_hour(service: Service, tmp_path: Path) -> None:
    bob = make(tmp_path, "bob")
    secret = invitation.parse(_invite(service)).secret
    for _ in range(10):
        caller = _raw(service, bob)
        caller.send(_hello("Mallory", bob, invitation.new_secret()))
        assert "does not know the invitation" in caller.line()
        caller.close()
    caller = _raw(service, bob)
    caller.send(_hello("Mallory", bob, secret))
    assert "Too many wrong invitations" in caller.line()
    caller.close()
    assert _names(service) == []


@pytest.mark.parametrize(
    "words", ["invite=zz proof=x", "invite= proof= certificate=", "proof=SHA256:", "invite=00"]
)
def test_half_a_hello_gets_an_answer(service: Service, words: str) -> None:
    _invite(service)
    caller = _raw(service)
    caller.send(f"\\hello 1 Ann {words}")
    assert caller.line().startswith(("\\error invitation ", "\\hello 1 "))
    assert service.alive()
    caller.close()


@pytest.mark.parametrize("kind", ["open", "allowlist", "invited only"])
def test_a_connection_from_before_a_reload_can_prove_what_is_listed_since(
    idle_service: Service, kind: str
) -> None:
    service = idle_service
    _start(service, kind)
    zoe, ann = (make(service.directory / "made", name) for name in ("zoe", "ann"))
    secret = invitation.parse(_invite(service, "--for", "Zoe")).secret
    invited, listed, late = (_raw(service, own) for own in (zoe, zoe, ann))
    (service.state / str(service.port) / "authorized").mkdir(mode=0o700)
    (service.state / str(service.port) / "authorized" / "Ann.pem").write_bytes(ann.certificate.read_bytes())
    assert service.pychatd("reload").returncode == 0
    hellos = [_hello("Z", zoe, secret), *(f"\\hello 1 A proof={fingerprint(own.der)}" for own in (zoe, ann))]

    def seat_is_free() -> bool:
        calling = service.status()["calling"]
        return calling is None or calling["silent"]  # one of the other connections

    for caller, hello, name in zip((invited, listed, late), hellos, ("Zoe", "Zoe", "Ann"), strict=True):
        caller.send(hello)
        assert caller.line() == "\\prove"
        caller.send("\\prove")
        assert f"invited={name}" in caller.line()
        caller.close()
        wait_for(seat_is_free, "the seat is free")


def test_a_stranger_cannot_use_an_invited_certificate(service: Service) -> None:
    word = _invite(service, "--for", "Zoe")
    _comes(service, "Z", *_target(service, word)).enter("\\quit")
    zoe = service.directory / "home-of-Z" / "XDG_DATA_HOME" / "pychat" / "identity.pem"
    caller = _raw(service, make(service.directory / "made", "mallory"))
    caller.send(f"\\hello 1 Z proof={fingerprint(certificate_der(zoe))}")
    assert "\\hello" not in "".join(caller.rest())
    caller.close()


# ------------------------------------------------------------------ what the operator does


def test_a_removed_caller_is_put_out_at_once(service: Service) -> None:
    word = _invite(service, "--for", "Zoe")
    console = service.ready_console()
    zoe = _comes(service, "Z", *_target(service, word))
    zoe.enter("hello")
    console.sees("verified as Zoe")
    result = service.pychatd("authorized", "--remove", "Zoe")
    assert result.returncode == 0
    assert "The certificate of Zoe lets nobody in any more.\nThe conversation is over.\n" in result.stdout
    assert zoe.exit_status() == 0
    assert "the caller's certificate was removed" in zoe.notices()
    assert "stays open" not in zoe.notices()
    console.sees("the caller's certificate was removed")
    assert _names(service) == []
    again = _guest(service, "Z", *_target(service, word))
    _is_refused(again, "has been used already")


def test_a_removed_caller_who_is_away_has_no_conversation_any_more(service: Service) -> None:
    zoe = _comes(service, "Z", *_target(service, _invite(service, "--for", "Zoe")))
    zoe.enter("hello")
    zoe.enter("\\detach")
    assert zoe.exit_status() == 0
    assert "The conversation is over." in service.pychatd("authorized", "--remove", "Zoe").stdout
    _comes(service, "Y", *_target(service, _invite(service)))  # the seat is not kept for Zoe


def test_a_removed_caller_has_no_conversation_any_more_although_another_file_is_damaged(service: Service) -> None:
    """Until that is mended, only who was removed by name is known not to be allowed."""
    zoe = _comes(service, "Z", *_target(service, _invite(service, "--for", "Zoe")))
    zoe.enter("hello")
    zoe.enter("\\detach")
    assert zoe.exit_status() == 0
    assert service.pychatd("stop").returncode == 0
    (service.state / str(service.port) / "authorized" / "damaged.pem").write_text("rubbish")
    service.start()
    assert service.status()["peer"] is not None
    assert "The conversation is over." in service.pychatd("authorized", "--remove", "Zoe").stdout


def test_a_removed_caller_who_has_said_nothing_is_put_out(service: Service) -> None:
    zoe = _comes(service, "Z", *_target(service, _invite(service, "--for", "Zoe")))
    assert "over" not in service.pychatd("authorized", "--remove", "Zoe").stdout
    zoe.notes("The operator has removed your certificate.")


def test_a_removed_caller_is_a_stranger_where_everybody_may_call_unless_the_key_is_blocked(
    service: Service,
) -> None:
    _comes(service, "Z", *_target(service, _invite(service, "--for", "Zoe"))).enter("\\quit")
    words = service.pychatd("authorized", "--remove", "Zoe").stdout
    assert "everybody may call this service, so Zoe can come back as a stranger." in words
    found = re.search(rf"'pychatd block {service.port} (SHA256:\S+)'", words)
    assert found, words
    _comes(service, "Z", "localhost", str(service.port)).enter("\\quit")
    assert service.pychatd("block", found[1]).returncode == 0
    _is_refused(_guest(service, "Z", "localhost", str(service.port)), "The operator has blocked you here.")


def test_a_removed_caller_is_no_stranger_where_only_the_invited_may_call(idle_service: Service) -> None:
    service = idle_service
    service.start("--config", service.configure("invited_only = true\n"))
    _comes(service, "Z", *_target(service, _invite(service, "--for", "Zoe"))).enter("\\quit")
    words = service.pychatd("authorized", "--remove", "Zoe").stdout
    assert words == "The certificate of Zoe lets nobody in any more.\n"
    _is_refused(_guest(service, "Z", "localhost", str(service.port)), "only invited callers")


def test_a_renamed_caller_has_the_new_name_at_the_next_call(service: Service) -> None:
    word = _invite(service)
    _comes(service, "Z", *_target(service, word)).enter("\\quit")
    assert service.pychatd("authorized", "--rename", "guest1", "Zoe").returncode == 0
    again = _comes(service, "Z", "localhost", str(service.port))
    again.enter("hello")
    again.enter("\\status")
    again.notes('The host has the key that you trust. The host knows you as "Zoe".')


def test_the_operator_sees_the_new_name_of_a_caller_at_once(service: Service) -> None:
    word = _invite(service, "--for", "Zoe")
    console = service.ready_console()
    zoe = _comes(service, "Z", *_target(service, word))
    zoe.enter("hello")
    console.sees("verified as Zoe")
    assert service.pychatd("authorized", "--rename", "Zoe", "Zora").returncode == 0
    console.type("\\status\r")
    console.sees("Zora")
    zoe.enter("\\detach")
    assert service.pychatd("authorized", "--rename", "Zora", "Zia").returncode == 0
    assert service.status()["peer"]["certificate"] == "Zia"
    service.pychatd("stop")
    service.start()
    assert service.status()["peer"]["certificate"] == "Zia"


def test_the_invited_callers_outlive_the_daemon(service: Service) -> None:
    word = _invite(service, "--for", "Zoe")
    _comes(service, "Z", *_target(service, word)).enter("\\quit")
    service.pychatd("stop")
    service.start()
    assert _names(service) == ["Zoe"]
    _is_refused(_guest(service, "M", *_target(service, word)), "has been used already")
    assert (service.state / str(service.port) / "invitations.json").stat().st_mode & 0o077 == 0


def test_a_lost_directory_of_the_invited_lets_nobody_else_in(service: Service) -> None:
    _comes(service, "Z", *_target(service, _invite(service, "--for", "Zoe")))
    directory = service.state / str(service.port) / "authorized"
    directory.rename(directory.with_name("away"))
    directory.write_text("not a directory")
    result = service.pychatd("reload")
    complaint = f"Cannot read {directory}: Not a directory."
    words = f"pychatd: The configuration was not reloaded: {complaint}\n"
    assert (result.returncode, result.stdout, result.stderr) == (2, "", words)
    assert _names(service) == ["Zoe"]
    service.kill(signal.SIGTERM)
    service.start()
    service.logs(f" {complaint}")
    assert _names(service) == []


def test_the_secret_is_not_on_the_disk(service: Service) -> None:
    word = _invite(service)
    one = invitation.parse(word)
    for file in (service.state / str(service.port)).rglob("*"):
        if file.is_file():
            data = file.read_bytes()
            assert one.secret not in data
            assert one.secret.hex().encode() not in data
            assert word.encode() not in data
    assert not any(one.secret.hex() in line or word in line for line in service.log())


def test_who_may_call_is_told_also_before_anybody_may(service: Service) -> None:
    nobody = (
        f"No caller is known by a certificate yet. 'pychatd invitations {service.port}' lists the invitations.\n"
    )
    assert service.pychatd("authorized").stdout == nobody
    _invite(service, "--for", "Zoe")  # it does not count before it is used
    assert service.pychatd("authorized").stdout == nobody


@pytest.mark.parametrize("name", ["", "two words", "../up", "a/b", "-x", "x" * 33, "x.pem"])
def test_a_name_that_is_no_name_is_refused(shared_service: Service, name: str) -> None:
    result = shared_service.pychatd("invite", f"--for={name}")
    assert result.returncode == 2
    assert "is not a valid name" in result.stderr


def test_a_name_that_is_taken_is_refused(service: Service) -> None:
    _invite(service, "--for", "Zoe")
    result = service.pychatd("invite", "--for", "Zoe")
    assert result.returncode == 2
    assert "'Zoe' is invited already" in result.stderr


@pytest.mark.parametrize("time", ["0d", "1", "1w", "367d", "-1d", "999999d", "1.5h"])
def test_a_time_that_is_no_time_is_refused(shared_service: Service, time: str) -> None:
    result = shared_service.pychatd("invite", f"--valid={time}")
    assert result.returncode == 2
    too_long = "An invitation is valid for at most 366 days."
    assert (too_long if time in ("367d", "999999d") else "is not a time of 1m or more") in result.stderr


@pytest.mark.parametrize(
    "host",
    [".host", "a b", "a/b", "user@host", "host:7000", "[::1]", "pychat://host", "ho\x1bst", "straße.test", "a..ü"],
)
def test_what_pychat_would_not_call_is_not_invited_to(shared_service: Service, host: str) -> None:
    result = shared_service.pychatd("invite", "--host", host)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith(f"pychatd: '{printable(host)}' "), result.stderr


@pytest.mark.parametrize(
    ("host", "url_host"),
    [("192.0.2.7", "192.0.2.7"), ("fe80::1%eth0", "[fe80::1%eth0]"), ("Bücher.test", "bücher.test")],
)
def test_an_invitation_names_the_host_as_pychat_calls_it(service: Service, host: str, url_host: str) -> None:
    _, _, _, command, _, url, *_ = service.pychatd("invite", "--host", host).stdout.splitlines()
    assert command.startswith(f"    pychat {url_host.strip('[]')} {service.port} --invite ")
    assert url.startswith(f"    pychat pychat://{url_host}:{service.port}/")


@pytest.mark.parametrize(
    ("name", "seconds", "why"),
    [
        *[
            ("Zoe", time, "An invitation is valid for at most 366 days.")
            for time in (0, -60, 366 * 86400 + 1, 1e12)
        ],
        *[("Zoe", time, "does not know this form of the command") for time in (1e20, float("nan"), "60")],
        *[(name, 60, "does not know this form of the command") for name in (5, [5])],
    ],
)
def test_the_daemon_checks_what_is_asked_of_it(
    shared_service: Service, name: object, seconds: object, why: str
) -> None:
    """Any program of the operator can ask for an invitation."""
    order = f"invite {json.dumps({'name': name, 'seconds': seconds})}"
    with pytest.raises(UsageError, match=why):
        control.order(shared_service.place / "console.sock", order)
    assert shared_service.pychatd("invitations").stdout == "There are no invitations.\n"


def test_a_service_that_does_not_run_is_told_as_one(idle_service: Service) -> None:
    result = idle_service.pychatd("invite")
    assert result.returncode == 3
    assert "No service runs on port" in result.stderr
