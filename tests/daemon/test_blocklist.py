"""Which callers an entry of the list stands for, and what the file of the list may be."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from pychat_client.errors import PychatError, UsageError
from pychat_client.look_alikes import skeleton
from pychat_client.trust.fingerprint import fingerprint
from pychatd.conversation.blocklist import BLOCKED_MAX, Blocklist, described, of_caller, parse

HASH = hashlib.sha256(b"certificate").digest()
KEY = fingerprint(b"certificate")


@pytest.mark.parametrize(
    ("word", "entry"),
    [
        ("192.0.2.9", "192.0.2.9"),
        ("192.0.2.9/24", "192.0.2.0/24"),
        ("::ffff:192.0.2.9", "192.0.2.9"),
        ("2001:DB8::7", "2001:db8::/64"),
        ("2001:db8::7/128", "2001:db8::7/128"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.9/120", "192.0.2.0/24"),
        ("::ffff:192.0.2.9/128", "192.0.2.9/32"),
        ("::ffff:0:0/96", "0.0.0.0/0"),
        ("::ffff:0:0/95", "::fffe:0:0/95"),
        ("::/0", "::/0"),
        (KEY, KEY),
        (f" {KEY}= ", KEY),
        ("Mallory", "Mallory"),
        ("1234", "1234"),
    ],
)
def test_an_entry_has_one_form(word: str, entry: str) -> None:
    assert parse(word) == entry
    assert parse(entry) == entry


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("192.0.2.9", "address"),
        ("192.0.2.0/24", "network"),
        ("2001:db8::/64", "network"),
        (KEY, "key"),
        ("Mallory", "handle"),
        ("v1.2", "handle"),
        ("3.14", "handle"),
        ("a:b", "handle"),
    ],
)
def test_it_is_told_what_an_entry_is(word: str, kind: str) -> None:
    assert described(word) == f"{kind} {word}"


@pytest.mark.parametrize(
    "word", ["", "a b", "SHA256:short", "much-too-long-a-handle", "a\x1b[2J", "192.0.2.9/99", "a\\b"]
)
def test_other_words_are_refused(word: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(word)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("word", "address", "handle", "certificate_hash"),
    [
        ("192.0.2.9", "192.0.2.9:40000", "Bob", None),
        ("192.0.2.9", "[::ffff:192.0.2.9]:40000", "Bob", None),
        ("192.0.2.0/24", "192.0.2.77:1", "Bob", HASH),
        ("::ffff:192.0.2.0/120", "192.0.2.77:1", "Bob", None),
        ("::ffff:192.0.2.0/120", "[::ffff:192.0.2.77]:1", "Bob", None),
        ("2001:db8::7", "[2001:db8::ffff]:40000", "Bob", None),
        ("2001:db8::7/128", "[2001:db8::7]:40000", "Bob", None),
        ("fe80::1", "[fe80::2%eth0]:40000", "Bob", None),
        ("Mallory", "192.0.2.9:1", "mallory", None),
        ("Mallory", "192.0.2.9:1", "Ma11ory", None),
        (KEY, "192.0.2.9:1", "Bob", HASH),
    ],
)
def test_a_caller_is_blocked(
    tmp_path: Path, word: str, address: str, handle: str, certificate_hash: bytes | None
) -> None:
    blocklist = Blocklist(tmp_path / "blocked")
    assert not blocklist.blocks(address, handle, certificate_hash)
    blocklist.add(parse(word))
    assert blocklist.blocks(address, handle, certificate_hash)
    assert Blocklist(tmp_path / "blocked").blocks(address, handle, certificate_hash)
    assert not blocklist.blocks("198.51.100.1:1", "Ann", hashlib.sha256(b"other").digest())
    assert not blocklist.blocks("[2001:db8:1::7]:1", "Ann", None)
    blocklist.remove(parse(word))
    assert not Blocklist(tmp_path / "blocked").blocks(address, handle, certificate_hash)


def test_of_a_caller_the_key_is_blocked_and_else_the_address() -> None:
    assert of_caller("192.0.2.9:1", HASH) == KEY
    assert of_caller("192.0.2.9:1", None) == "192.0.2.9"
    assert of_caller("[2001:db8::7]:1", None) == "2001:db8::/64"


def test_the_file_is_private_and_has_a_line_for_each(tmp_path: Path) -> None:
    blocklist = Blocklist(tmp_path / "blocked")
    for word in ("192.0.2.9", "Mallory", "Mallory"):
        blocklist.add(word)
    assert (tmp_path / "blocked").read_text() == "192.0.2.9\nMallory\n"
    assert (tmp_path / "blocked").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "word", ["300.1.1.1", "10.0.0", "10.0.0.", "1.2.3.4.5", "10.0.0.0/", "10.0.0/33", "fe80:::1", "1::/129"]
)
def test_a_mistyped_address_is_no_handle(word: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(word)
    assert str(caught.value) == f"'{word}' looks like an address or a network, but is none. Look for a typo."


@pytest.mark.parametrize("data", [b"a b\n", b"\xff\xfe", b"192.0.2.9\nSHA256:x\n", b"\x1b[2J\n"])
def test_a_bad_file_is_an_error_and_changes_nothing(tmp_path: Path, data: bytes) -> None:
    blocklist = Blocklist(tmp_path / "blocked")
    blocklist.add("Mallory")
    (tmp_path / "blocked").write_bytes(data)
    with pytest.raises(PychatError) as caught:
        blocklist.load()
    assert str(tmp_path / "blocked") in str(caught.value)
    assert str(caught.value).isprintable()
    assert blocklist.words == ["Mallory"]


@pytest.mark.parametrize("entry", ["Bob{0}", "10.0.{1}.{2}", "2001:db8:{0:x}::/64"])
def test_a_full_list_does_not_keep_a_talk_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry: str
) -> None:
    """Each caller is compared with all entries: none of them is read again for that."""
    words = [entry.format(number, number // 256, number % 256) for number in range(BLOCKED_MAX)]
    (tmp_path / "blocked").write_text("\n".join(words))
    blocklist = Blocklist(tmp_path / "blocked")
    for reading in ("ip_network", "parse"):
        monkeypatch.delattr(f"pychatd.conversation.blocklist.{reading}")
    handles: list[str] = []

    def remembering(handle: str) -> str:
        handles.append(handle)
        return skeleton(handle)

    monkeypatch.setattr("pychatd.conversation.blocklist.skeleton", remembering)
    assert not blocklist.blocks("192.0.2.9:1", "Ann", HASH)
    assert handles == ["Ann"]


def test_the_list_has_a_limit(tmp_path: Path) -> None:
    (tmp_path / "blocked").write_text("".join(f"10.0.{n // 256}.{n % 256}\n" for n in range(BLOCKED_MAX)))
    blocklist = Blocklist(tmp_path / "blocked")
    blocklist.add("10.0.0.1")  # it is there
    with pytest.raises(PychatError, match="block a whole network"):
        blocklist.add("Mallory")
    blocklist.remove("10.0.0.1")
    blocklist.add("Mallory")
