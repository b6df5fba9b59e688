"""Known answers of fingerprints, TLS settings and private files; several programs change the known hosts at once.

tests/security/test_tls.py tests what all this is for.
"""

from __future__ import annotations

import os
import shutil
import ssl
import stat
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from pychat_client.cli import main
from pychat_client.errors import PychatError
from pychat_client.files import write_private
from pychat_client.trust import certificates, tls
from pychat_client.trust.fingerprint import fingerprint, safety_number
from pychat_client.trust.known_hosts import KnownHosts, changed_key
from tests.support.certificates import Made, make
from tests.support.disk import Disk
from tests.support.fake_hosts import server_context

WRITERS, EACH = 6, 20

_WRITER = """
import sys
from pathlib import Path
from pychat_client.trust.known_hosts import KnownHosts
path, name, count = sys.argv[1:]
print(flush=True)
sys.stdin.readline()
for number in range(int(count)):
    KnownHosts(Path(path)).accept(name, 1 + number, f"{name} {number}".encode())
"""


def test_programs_that_accept_hosts_at_once_lose_none(tmp_path: Path) -> None:
    pins = tmp_path / "pychat/known_hosts"
    KnownHosts(pins).accept("first", 1, b"first")
    pipe = subprocess.PIPE
    names = [f"host{number}" for number in range(WRITERS)]
    words = [[sys.executable, "-c", _WRITER, str(pins), name, str(EACH)] for name in names]
    writers = [subprocess.Popen(command, stdin=pipe, stdout=pipe) for command in words]
    for writer in writers:  # all have started
        assert writer.stdout
        writer.stdout.read(1)
    for writer in writers:  # now all at once
        assert writer.stdin
        writer.stdin.close()
    assert [writer.wait(60) for writer in writers] == [0] * WRITERS
    known = KnownHosts(pins)
    assert known.certificate_of("first", 1) == b"first"
    for name in names:
        for number in range(EACH):
            assert known.certificate_of(name, 1 + number) == f"{name} {number}".encode()


def test_the_lock_of_the_known_hosts_is_private(tmp_path: Path) -> None:
    pins = tmp_path / "pychat/known_hosts"
    KnownHosts(pins).accept("host", 1, b"key")
    assert {stat.S_IMODE(file.stat().st_mode) for file in pins.parent.iterdir()} == {0o600}
    assert stat.S_IMODE(pins.parent.stat().st_mode) == 0o700


def test_a_lock_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "known_hosts.lock").mkdir()
    with pytest.raises(PychatError, match=r"Cannot write the known hosts to .*known_hosts: Is a directory"):
        KnownHosts(tmp_path / "known_hosts").accept("host", 1, b"key")


def test_paragraphs_of_a_changed_key_are_single_lines() -> None:
    """A terminal narrower than a line would break a paragraph of two lines twice."""
    page = str(changed_key("host", 7000, "SHA256:before", "SHA256:now")).split("\n")
    assert not [pair for pair in pairwise(page) if all(line and not line.startswith(" ") for line in pair)]


# ------------------------------------------------------------------ numbers


@pytest.mark.parametrize(
    ("certificate", "key", "number"),
    [
        (b"", "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU", "31562 94882 17610 47922 56899 00627"),
        (
            b"certificate 169651",
            "SHA256:1ubAh70CB5pIU+KzXSr37hMwUTIGHoyuLo59X+AsCWs",
            "00000 92542 23554 75941 29593 97582",
        ),
    ],
)
def test_fingerprint_and_safety_number_are_known_answers(certificate: bytes, key: str, number: str) -> None:
    """Other programs compute the same; people compare them with those of another version.

    printf '' | openssl dgst -sha256 -binary | base64
    printf 'pychat safety number SHA256:...' | sha256sum     and of this, in bc: ibase=16; ... % A^1E
    """
    assert fingerprint(certificate) == key
    assert safety_number(key) == number


# ------------------------------------------------------------------ TLS settings


def _takes(client: ssl.SSLContext, host: Made) -> bool:
    """Whether a client with these settings accepts a host that shows this certificate."""
    upward, downward = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = client.wrap_bio(downward, upward)
    far = server_context(host).wrap_bio(upward, downward, server_side=True)
    for end in (near, far, near, far):
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLCertVerificationError:
            return False
    return near.version() == "TLSv1.3"


def test_the_tls_settings_for_an_accepted_certificate(tmp_path: Path) -> None:
    context = tls.pinned_context(make(tmp_path, "host").der, None)
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, False)
    assert context.minimum_version is ssl.TLSVersion.TLSv1_3
    # X509_V_FLAG_PARTIAL_CHAIN and _NO_CHECK_TIME, as openssl/x509_vfy.h has them, and no other
    assert context.verify_flags == ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).verify_flags | 0x80000 | 0x200000
    assert context.cert_store_stats() == {"x509": 1, "crl": 0, "x509_ca": 0}


def test_the_tls_settings_for_the_cas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(make(tmp_path, "Test CA", authority=True).certificate))
    context = tls.authority_context(None)
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.minimum_version is ssl.TLSVersion.TLSv1_3
    assert context.verify_flags == ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).verify_flags
    assert context.cert_store_stats() == {"x509": 1, "crl": 0, "x509_ca": 1}


def test_the_tls_settings_that_only_fetch_a_certificate() -> None:
    context = tls.looking_context()
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_NONE, False)
    assert context.minimum_version is ssl.TLSVersion.TLSv1_3
    assert context.cert_store_stats() == {"x509": 0, "crl": 0, "x509_ca": 0}


@pytest.mark.parametrize("ends", [1, -1])
def test_an_accepted_certificate_may_have_expired(tmp_path: Path, ends: int) -> None:
    host = make(tmp_path, "host", ends=ends)
    assert _takes(tls.pinned_context(host.der, None), host)


def test_another_certificate_of_the_same_name_is_refused(tmp_path: Path) -> None:
    accepted, other = make(tmp_path / "1", "host"), make(tmp_path / "2", "host")
    assert accepted.name == other.name
    assert not _takes(tls.pinned_context(accepted.der, None), other)


def test_another_certificate_of_the_same_authority_is_refused(tmp_path: Path) -> None:
    authority = make(tmp_path / "0", "Test CA", authority=True)
    accepted, other = (make(tmp_path / number, "host", by=authority) for number in ("1", "2"))
    context = tls.pinned_context(accepted.der, None)
    assert _takes(context, accepted)  # whose authority is not known here
    assert not _takes(context, other)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_an_accepted_certificate_that_may_sign_lets_in_no_other(tmp_path: Path, depth: int) -> None:
    accepted = signed = make(tmp_path / "0", "0", authority=True)
    chain = b""
    for number in range(1, depth + 1):
        signed = make(tmp_path / str(number), str(number), by=signed, authority=number < depth)
        chain = signed.certificate.read_bytes() + chain
    signed.both.write_bytes(signed.key.read_bytes() + chain)
    context = tls.pinned_context(accepted.der, None)
    assert _takes(context, accepted)
    assert not _takes(context, signed)


# ------------------------------------------------------------------ certificates in files

AROUND = {
    "plain": b"%s",
    "text before": "Bag Attributes\n    friendlyName: Zoë – Büro\nsubject=CN = Zoë\n".encode() + b"%s",
    "text behind": b"%s\n" + "Größe, 東京\n".encode(),
    "latin-1": b"M\xfcller\n%s",
    "bom": b"\xef\xbb\xbf%s",
    "crlf": b"%s",
    "blanks": b"%s",
    "a key before": b"%key%s",
    "another behind": b"%s%s",
    "a broken end before": b"-----END CERTIFICATE-----\n%s",
}


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("kind", ["CERTIFICATE", "X509 CERTIFICATE"])
def test_a_certificate_is_read_whatever_text_is_around_it(tmp_path: Path, around: str, kind: str) -> None:
    made = make(tmp_path, "host")
    text = made.certificate.read_bytes().replace(b"CERTIFICATE", kind.encode())
    text = AROUND[around].replace(b"%key", made.key.read_bytes()).replace(b"%s", text)
    if around == "crlf":
        text = text.replace(b"\n", b"\r\n")
    elif around == "blanks":
        text = text.replace(b"\n", b"  \n")
    made.certificate.write_bytes(text)
    assert certificates.certificate_der(made.certificate) == made.der
    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(made.certificate)  # OpenSSL reads it, too


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
@pytest.mark.parametrize("options", [["-text"], ["-trustout", "-addtrust", "serverAuth", "-setalias", "Zoë"]])
def test_a_certificate_that_openssl_has_printed_is_read(tmp_path: Path, options: list[str]) -> None:
    made = make(tmp_path, "host")
    command = ["openssl", "x509", "-in", str(made.certificate), "-out", str(tmp_path / "printed"), *options]
    subprocess.run(command, check=True)
    assert certificates.certificate_der(tmp_path / "printed") == made.der


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\x30\x82\x01",
        b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
        b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
        b"-----BEGIN CERTIFICATE-----\nMIIB!\n-----END CERTIFICATE-----\n",
        b"-----BEGIN CERTIFICATE-----\nM\n-----END CERTIFICATE-----\n",
        b"-----BEGIN CERTIFICATE REQUEST-----\nMIIB\n-----END CERTIFICATE REQUEST-----\n",
    ],
)
def test_what_is_no_certificate_is_an_error(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "file").write_bytes(text)
    with pytest.raises(PychatError, match="There is no certificate in "):
        certificates.certificate_der(tmp_path / "file")


def test_nothing_waits_for_a_key_that_is_a_fifo(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "key.pem")
    for read in (certificates.certificate_der, tls.authority_context):
        with pytest.raises(PychatError, match="it is not a regular file"):
            read(tmp_path / "key.pem")


def test_a_key_that_cannot_be_reached_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    (tmp_path / "pychat").symlink_to("pychat")
    assert main(["certificate"]) == 1
    assert capsys.readouterr().err.startswith("pychat: Cannot ")


# ------------------------------------------------------------------ private files


def test_a_private_file_is_synced_before_it_is_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "pychat"
    path = place / "known_hosts"
    write_private(path, b"old", "known hosts")
    disk = Disk(monkeypatch)
    write_private(path, b"new", "known hosts")
    above, (_, new, held), rename, inside = disk.asked
    assert above == ("sync", tmp_path, ["pychat"])
    assert (new.parent, held) == (place, b"new")
    assert rename == ("rename", path, b"old")
    assert inside == ("sync", place, ["known_hosts"])
    assert path.read_bytes() == b"new"


def test_a_private_file_is_0600_from_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    opened = os.open

    def watch(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        fd = opened(path, flags, mode, dir_fd=dir_fd)
        if flags & os.O_CREAT:
            made.append(stat.S_IMODE(os.fstat(fd).st_mode))
        return fd

    monkeypatch.setattr(os, "open", watch)
    before = os.umask(0)
    try:
        write_private(tmp_path / "key.pem", b"secret", "key")
    finally:
        os.umask(before)
    assert made == [0o600]
    assert stat.S_IMODE((tmp_path / "key.pem").stat().st_mode) == 0o600


@pytest.mark.parametrize(("breaks", "left"), [("file", b"old"), ("directory", b"new")])
def test_a_private_file_that_cannot_be_synced_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, breaks: str, left: bytes
) -> None:
    path = tmp_path / "key.pem"
    write_private(path, b"old", "key")
    Disk(monkeypatch).breaks = lambda synced: tmp_path == (synced.parent if breaks == "file" else synced)
    with pytest.raises(PychatError) as refused:
        write_private(path, b"new", "key")
    assert str(refused.value) == f"Cannot write the key to {path}: Input/output error."
    assert path.read_bytes() == left
    assert [file.name for file in tmp_path.iterdir()] == ["key.pem"]


def test_the_certificate_that_is_printed_is_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An operator may add it to an allowlist; the program that made the key may have died before the sync."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert main(["certificate"]) == 0
    disk = Disk(monkeypatch)
    assert main(["certificate"]) == 0
    assert disk.directories == [tmp_path / "pychat"]
    first, second = capsys.readouterr().out.split("-----END CERTIFICATE-----\n", 1)
    assert second.startswith(first)
