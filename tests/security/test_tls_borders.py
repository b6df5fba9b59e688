"""TLS at its borders: certificates of authorities, older versions, plain TCP, a service's own certificate."""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
import subprocess
from pathlib import Path

import pytest

from pychatd.network.admission import Admission
from pychatd.network.allowed_callers import AllowedCallers
from pychatd.network.identity import Identity
from pychatd.settings import Settings
from tests.support.certificates import Made
from tests.support.fake_hosts import Hosts, client_context, server_context
from tests.support.in_process import InProcessService, with_service
from tests.support.service import Service
from tests.support.user import fingerprint, is_readable, known_hosts, on_pipes, own_key, run, words
from tests.support.waiting import PATIENCE


def _start_with(service: Service, identity: Made, *, apart: bool = False) -> str:
    """The daemon shows `identity`; the configuration's path."""
    place = f'certificate = "{identity.both}"\n'
    if apart:
        place = f'certificate = "{identity.certificate}"\nkey = "{identity.key}"\n'
    config = service.configure(place)
    assert service.pychatd("start", "--config", config).returncode == 0
    return config


# ------------------------------------------------------------------ the system's authorities


def test_a_host_that_an_authority_vouches_for_needs_no_pin(idle_service: Service, hosts: Hosts) -> None:
    authority = hosts.identity("Test CA", authority=True)
    _start_with(idle_service, hosts.identity("localhost", by=authority))
    result = run(idle_service, words(idle_service, "--ca"), SSL_CERT_FILE=str(authority.certificate))
    assert result.returncode == 0, result.stderr
    assert not known_hosts(idle_service).path.exists()


@pytest.mark.parametrize("trouble", ["wrong name", "expired", "unknown authority", "self-signed"])
def test_a_host_that_no_authority_vouches_for_is_told_nothing(
    idle_service: Service, hosts: Hosts, trouble: str
) -> None:
    authority = hosts.identity("Test CA", authority=True)
    identity, says = {
        "wrong name": (hosts.identity("other.example", by=authority), "localhost"),
        "expired": (hosts.identity("localhost", by=authority, ends=-1), "expired"),
        "unknown authority": (
            hosts.identity("localhost", by=hosts.identity("Other CA", authority=True)),
            "unable to get local issuer",
        ),
        "self-signed": (hosts.identity("localhost"), "self"),
    }[trouble]
    host = hosts.fake(identity)
    known_hosts(idle_service).accept("localhost", host.port, identity.der)  # a pin does not help either
    result = run(
        idle_service, words(idle_service, "--ca", port=host.port), SSL_CERT_FILE=str(authority.certificate)
    )
    assert result.returncode == 7
    assert says in result.stderr
    is_readable(result.stderr)
    host.idle()
    assert host.told == b""


def test_an_expired_accepted_certificate_is_no_changed_key(idle_service: Service, hosts: Hosts) -> None:
    """The key is still the accepted one, so nobody has to be suspected."""
    identity = hosts.identity(ends=-1)
    host = hosts.fake(identity, hangs_up=True)
    known_hosts(idle_service).accept("localhost", host.port, identity.der)
    result = run(idle_service, words(idle_service, "--retry-for", "1", port=host.port))
    assert "HAS CHANGED" not in result.stderr
    if result.returncode == 7:  # let in by its pin, or refused with the reason
        assert "expired" in result.stderr


# ------------------------------------------------------------------ a service's own certificate


@pytest.mark.parametrize("apart", [False, True])
def test_a_configured_certificate_is_the_one_that_callers_see(
    idle_service: Service, hosts: Hosts, apart: bool
) -> None:
    identity = hosts.identity("chat.example")
    config = _start_with(idle_service, identity, apart=apart)
    assert fingerprint(idle_service, "--config", config)[0] == identity.fingerprint
    client = on_pipes(idle_service, "--fingerprint", identity.fingerprint)
    client.notes("Send the first message")
    assert not (idle_service.state / str(idle_service.port) / "identity.pem").exists()


@pytest.mark.parametrize("trouble", ["missing", "rubbish", "no key", "wrong key"])
def test_a_useless_certificate_keeps_the_daemon_from_starting(
    idle_service: Service, hosts: Hosts, tmp_path: Path, trouble: str
) -> None:
    identity = hosts.identity()
    file = tmp_path / "line.pem"
    if trouble == "rubbish":
        file.write_bytes(b"\x1b]0;rubbish\x07\xff\n" * 50)
    elif trouble in ("no key", "wrong key"):
        shutil.copy(identity.certificate, file)
    text = f'certificate = "{file}"\n'
    if trouble == "wrong key":
        text += f'key = "{hosts.identity().key}"\n'
    result = idle_service.pychatd("start", "--config", idle_service.configure(text))
    assert result.returncode == 2
    assert str(file) in result.stderr
    is_readable(result.stderr)
    assert "\x1b" not in result.stderr
    assert not idle_service.alive()


# ------------------------------------------------------------------ other versions


def test_a_host_that_speaks_only_tls_1_2_is_told_nothing(idle_service: Service, hosts: Hosts) -> None:
    identity = hosts.identity()
    context = server_context(identity)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    host = hosts.fake(context)
    for accepted in (False, True):
        if accepted:
            known_hosts(idle_service).accept("localhost", host.port, identity.der)
        result = run(idle_service, words(idle_service, "--accept-new", port=host.port))
        assert result.returncode == 1
        assert "TLS 1.3" in result.stderr
        is_readable(result.stderr)
    host.idle()
    assert host.told == b""


def test_a_caller_that_speaks_only_tls_1_2_does_not_get_in(service: Service) -> None:
    context = client_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        socket.create_connection(("127.0.0.1", service.port), timeout=PATIENCE) as sock,
        pytest.raises(OSError, match="SSL"),
    ):
        context.wrap_socket(sock)


def test_a_caller_that_could_speak_older_versions_speaks_tls_1_3(service: Service) -> None:
    context = client_context()
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with (
        socket.create_connection(("127.0.0.1", service.port), timeout=PATIENCE) as sock,
        context.wrap_socket(sock) as tls,
    ):
        assert tls.version() == "TLSv1.3"


# ------------------------------------------------------------------ plain and TLS


def test_a_plain_host_gets_no_word_and_the_caller_a_sentence(idle_service: Service, hosts: Hosts) -> None:
    host = hosts.fake(None, says=b"\\hello 1 Server session=0 turns=alternate\n\x1b]0;title\x07")
    known_hosts(idle_service).accept("127.0.0.1", host.port, hosts.identity().der)
    for name in ("localhost", "127.0.0.1"):  # not known yet, and known
        result = run(idle_service, words(idle_service, "--accept-new", host=name, port=host.port))
        assert result.returncode == 1
        assert "does not use TLS" in result.stderr
        is_readable(result.stderr)
        assert "\x1b" not in result.stderr
    host.idle()
    assert b"Client1" not in host.told
    assert b"\\hello" not in host.told


@pytest.mark.parametrize(
    "says", [b"", b"\x16", b"\x15\x03\x03\x00\x02\x02\x28", b"\x16\x03\x03\xff\xff" + b"x" * 999]
)
def test_a_host_that_breaks_off_is_told_of_in_a_sentence(idle_service: Service, hosts: Hosts, says: bytes) -> None:
    host = hosts.fake(None, says=says, hangs_up=True)
    result = run(idle_service, words(idle_service, "--accept-new", port=host.port))
    assert result.returncode in (1, 3)
    is_readable(result.stderr)
    assert f"port {host.port}" in result.stderr


def test_a_host_that_hangs_up_after_the_handshake_is_reported(idle_service: Service, hosts: Hosts) -> None:
    host = hosts.fake(hosts.identity(), hangs_up=True)
    result = run(idle_service, words(idle_service, "--accept-new", port=host.port))
    assert result.returncode == 1
    assert "Connection lost" in result.stderr


def test_the_console_says_that_nc_is_not_encrypted(service: Service) -> None:
    console = service.ready_console()
    nc = service.connect()
    nc.send("guest> Hi from nc")
    console.sees("guest> Hi from nc")
    console.sees("NOT ENCRYPTED")
    console.sees("PLAINTEXT")
    console.enter("\\status")
    console.sees("NOT ENCRYPTED: there is no TLS between the two hosts.")


def test_without_plaintext_nc_reads_one_line_that_helps(idle_service: Service) -> None:
    idle_service.start("--config", idle_service.configure('plaintext = "never"\n'))
    nc = idle_service.connect()
    nc.send("guest> Hi from nc")
    (answer,) = nc.rest()  # to its end: a reset could take the line away before it is read
    assert "encrypted" in answer
    assert "'pychat HOST PORT'" in answer
    on_pipes(idle_service, "--accept-new").notes("Send the first message")  # and what it names works


class _From(socket.socket):
    """A socket whose other end is at `address`."""

    address = ""

    def getpeername(self) -> tuple[str, int]:
        return (self.address, 40000)


@pytest.mark.parametrize(
    ("plaintext", "address", "taken"),
    [
        ("loopback", "127.0.0.1", True),
        ("loopback", "127.9.9.9", True),
        ("loopback", "::1", True),
        ("loopback", "::ffff:127.0.0.1", True),
        ("loopback", "198.51.100.7", False),
        ("loopback", "2001:db8::7", False),
        ("loopback", "fe80::7%eth0", False),
        ("loopback", "::ffff:198.51.100.7", False),
        ("always", "198.51.100.7", True),
        ("never", "127.0.0.1", False),
        ("never", "198.51.100.7", False),
        ("authorized", "127.0.0.1", False),
    ],
)
def test_plain_is_taken_from_where_it_may_come(
    tmp_path: Path, hosts: Hosts, plaintext: str, address: str, taken: bool
) -> None:
    identity = hosts.identity()
    names = {identity.der: "x"} if plaintext == "authorized" else None
    settings = Settings(7000, plaintext="always" if plaintext == "authorized" else plaintext)

    @with_service()
    async def call(service: InProcessService) -> None:
        allowed = AllowedCallers(settings, Identity(server_context(identity), identity.der, names))
        door = Admission(service.switchboard, settings, allowed)
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        far = _From(fileno=ours.detach())
        far.address = address
        far.setblocking(False)
        serving = door.admit(far)
        assert serving is not None
        visit = asyncio.create_task(serving)
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(theirs, b"\\hello 1 Bob\n")
        answer = await loop.sock_recv(theirs, 4096)
        assert answer.startswith(b"\\hello 1 " if taken else b"\\error plaintext "), answer
        theirs.close()
        await visit

    call(tmp_path)


def test_a_real_nc_talks_in_plain(service: Service) -> None:
    nc = shutil.which("nc") or shutil.which("ncat")
    if nc is None:
        pytest.skip("there is no nc")
    console = service.ready_console()
    process = service.popen([nc, "127.0.0.1", str(service.port)])
    assert isinstance(process, subprocess.Popen)
    assert process.stdin
    process.stdin.write(b"nc> Hi!\n")
    process.stdin.flush()
    console.sees("nc> Hi!")


def test_an_unusable_own_key_gets_a_sentence(service: Service) -> None:
    own_key(service).parent.mkdir(parents=True)
    own_key(service).write_bytes(b"\x1b]0;rubbish\x07")
    result = run(service, words(service, "--accept-new"))
    assert result.returncode == 1
    assert str(own_key(service)) in result.stderr
    is_readable(result.stderr)
