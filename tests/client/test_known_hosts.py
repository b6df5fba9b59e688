"""The file of the known hosts, new certificates, and which TLS settings can prove one."""

from __future__ import annotations

import fcntl
import shutil
import ssl
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from pychat_client.errors import PychatError, UntrustedHostError
from pychat_client.trust import certificates
from pychat_client.trust.certificates import certificate_der, make_certificate, pem
from pychat_client.trust.fingerprint import fingerprint
from pychat_client.trust.known_hosts import KnownHosts, changed_key
from pychat_client.trust.public_key import public_key_of
from pychat_client.trust.tls import looking_context, pinned_context
from tests.support.certificates import make
from tests.support.fake_hosts import server_context

ONE = fingerprint(b"one")


@pytest.fixture
def hosts(tmp_path: Path) -> KnownHosts:
    return KnownHosts(tmp_path / "known_hosts")


def test_a_host_is_known_from_its_acceptance_until_it_is_forgotten(hosts: KnownHosts) -> None:
    assert hosts.certificate_of("hostA", 7000) is None
    hosts.accept("hostA", 7000, b"one")
    hosts.accept("hostB", 7000, b"two")
    hosts.accept("hostA", 7001, b"three")
    assert [hosts.certificate_of(*name) for name in (("hostA", 7000), ("hostB", 7000), ("hostA", 7001))] == [
        b"one",
        b"two",
        b"three",
    ]
    assert hosts.names() == [("hosta", "7000"), ("hosta", "7001"), ("hostb", "7000")]
    assert hosts.forget("hostA", 7000)
    assert hosts.certificate_of("hostA", 7000) is None
    assert hosts.certificate_of("hostB", 7000) == b"two"
    assert hosts.names() == [("hosta", "7001"), ("hostb", "7000")]


def test_a_host_that_is_not_known_cannot_be_forgotten(hosts: KnownHosts) -> None:
    hosts.accept("hostA", 7000, b"one")
    before = hosts.path.stat()
    assert not hosts.forget("hostB", 7000)
    assert hosts.path.stat().st_ino == before.st_ino


def test_a_new_certificate_takes_the_place_of_the_old_one(hosts: KnownHosts) -> None:
    hosts.accept("hostA", 7000, b"one")
    hosts.accept("HOSTA", 7000, b"two")
    assert hosts.certificate_of("hosta", 7000) == b"two"
    assert len(hosts.path.read_text().splitlines()) == 1


def test_the_last_line_of_a_host_counts(hosts: KnownHosts) -> None:
    hosts.accept("hostA", 7000, b"one")
    first = hosts.path.read_text()
    hosts.accept("hostA", 7000, b"two")
    hosts.path.write_text(first + hosts.path.read_text())
    assert hosts.certificate_of("hostA", 7000) == b"two"


def test_lines_that_are_no_entries_stay_and_are_no_hosts(hosts: KnownHosts) -> None:
    hosts.path.write_text("# mine\n\nhostC\n")
    hosts.accept("hostA", 7000, b"one")
    assert hosts.path.read_text().startswith("# mine\n\nhostC\n")
    assert hosts.names() == [("hosta", "7000")]


def test_a_last_line_without_its_line_feed_stays_an_entry(hosts: KnownHosts) -> None:
    hosts.accept("hostA", 7000, b"one")
    hosts.path.write_text(hosts.path.read_text().removesuffix("\n"))
    assert hosts.certificate_of("hostA", 7000) == b"one"
    hosts.accept("hostB", 7000, b"two")
    assert hosts.certificate_of("hostA", 7000) == b"one"
    assert hosts.certificate_of("hostB", 7000) == b"two"


def test_only_a_line_feed_ends_a_line(hosts: KnownHosts) -> None:
    hosts.path.write_text("# of my friends\u2028hosta:7000 no entry\r\n\n# \x0b\x85\n", newline="")
    assert hosts.names() == []
    hosts.accept("hostB", 7000, b"two")
    assert hosts.path.read_bytes().startswith(
        "# of my friends\u2028hosta:7000 no entry\r\n\n# \x0b\x85\n".encode()
    )


@pytest.mark.parametrize(
    "entry", ["hosta:7000", "hosta:7000 abc ###", f"hosta:7000 {ONE} dHdv", f"hosta:7000 {ONE} b25l!"]
)
def test_a_damaged_entry_is_an_error_and_not_an_unknown_host(hosts: KnownHosts, entry: str) -> None:
    hosts.path.write_text(f"{entry}\n")
    with pytest.raises(PychatError, match=r"The entry of hosta:7000 in .* is damaged"):
        hosts.certificate_of("hostA", 7000)


def test_nobody_else_can_change_the_file_while_it_is_written(
    hosts: KnownHosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = KnownHosts._write
    refused = []

    def check(self: KnownHosts, lines: list[str]) -> None:
        with self.path.with_name(f"{self.path.name}.lock").open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                refused.append(len(lines))
        write(self, lines)

    monkeypatch.setattr(KnownHosts, "_write", check)
    hosts.accept("hostA", 7000, b"one")
    hosts.forget("hostA", 7000)
    assert refused == [1, 0]


def test_a_changed_key_names_both_and_the_command() -> None:
    error = changed_key("hostA", 7000, "SHA256:old", "SHA256:new")
    assert isinstance(error, UntrustedHostError)
    for words in ("accepted before  SHA256:old", "shown now        SHA256:new", "pychat forget hostA 7000"):
        assert words in str(error)


# ------------------------------------------------------------------ certificates


@pytest.mark.filterwarnings("ignore:Properties that return a na")  # Debian 12's version has no other ones
@pytest.mark.parametrize("by_program", [False, True])
def test_a_new_certificate_is_valid_from_yesterday_for_many_years(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_program: bool
) -> None:
    def lacking(*_: object) -> bytes:
        raise ImportError

    if by_program and shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    if by_program:
        monkeypatch.setattr(certificates, "_self_signed", lacking)
    path = tmp_path / "new" / "identity.pem"
    make_certificate(path, "Bob")
    made = x509.load_der_x509_certificate(certificate_der(path))
    now, day = datetime.now(UTC), timedelta(days=1)
    assert timedelta(hours=23) < now - made.not_valid_before.replace(tzinfo=UTC) < timedelta(hours=25)
    assert abs((made.not_valid_after.replace(tzinfo=UTC) - now) / day - 365 * certificates.YEARS) < 1
    assert made.subject == made.issuer
    assert made.subject.rfc4514_string() == "CN=Bob"
    basic = made.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (basic.critical, basic.value.ca) == (True, False)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)


@pytest.mark.parametrize("size", [0, 1, 127, 128, 255, 256, 65535, 65536])
@pytest.mark.parametrize("behind", [b"", b"notes"])
def test_a_certificate_ends_where_its_length_says(tmp_path: Path, size: int, behind: bytes) -> None:
    length = size.to_bytes(4, "big").lstrip(b"\0") or b"\0"
    head = bytes([size]) if size < 0x80 else bytes([0x80 + len(length)]) + length
    der = b"\x30" + head + b"x" * size
    path = tmp_path / "one.pem"
    path.write_text(pem(der + behind))
    assert certificate_der(path) == der
    path.write_text(pem(der[:-1]))
    with pytest.raises(PychatError, match="There is no certificate in"):
        certificate_der(path)


@pytest.mark.parametrize(
    "der",
    [
        pytest.param(b"\x30", id="no length"),
        pytest.param(b"\x31\x01x", id="no sequence"),
        pytest.param(b"\x30\x80x\0\0", id="a length that is not told"),
        pytest.param(b"\x30\x80", id="only that"),
        pytest.param(b"\x30\x82\x01", id="half a length"),
        pytest.param(b"\x30\x84\xff\xff\xff\xffx", id="four gigabytes"),
        pytest.param(b"\x30\xff" + b"\xff" * 127, id="the longest length"),
    ],
)
def test_what_has_no_length_of_der_is_no_certificate(tmp_path: Path, der: bytes) -> None:
    path = tmp_path / "one.pem"
    path.write_text(pem(der))
    with pytest.raises(PychatError, match="There is no certificate in"):
        certificate_der(path)
    with pytest.raises(ValueError, match="not a"):
        public_key_of(der)


# ------------------------------------------------------------------ the settings


def test_only_who_has_a_certificate_can_be_asked_for_it_later(tmp_path: Path) -> None:
    path = tmp_path / "identity.pem"
    make_certificate(path, "Bob")
    accepted = certificate_der(path)
    assert pinned_context(accepted, path).post_handshake_auth
    assert not pinned_context(accepted, None).post_handshake_auth
    assert not looking_context().post_handshake_auth


def test_a_host_that_asks_for_it_gets_the_users_own_certificate(tmp_path: Path) -> None:
    host, path = make(tmp_path, "host"), tmp_path / "identity.pem"
    make_certificate(path, "Bob")
    upward, downward = ssl.MemoryBIO(), ssl.MemoryBIO()
    asking = server_context(host)
    asking.verify_mode = ssl.CERT_REQUIRED
    asking.load_verify_locations(cadata=certificate_der(path))
    near = pinned_context(host.der, path).wrap_bio(downward, upward)
    far = asking.wrap_bio(upward, downward, server_side=True)
    for end in (near, far, near, far):
        with suppress(ssl.SSLWantReadError):
            end.do_handshake()
    assert far.getpeercert(binary_form=True) == certificate_der(path)


def test_a_missing_key_is_left_out_and_a_damaged_one_an_error(tmp_path: Path) -> None:
    path = tmp_path / "identity.pem"
    pinned_context(make(tmp_path, "host").der, path)
    path.write_text("no key")
    with pytest.raises(PychatError, match=r"Cannot use your key in .*: it is damaged\."):
        pinned_context(make(tmp_path, "host").der, path)
