"""The word of an invitation, and the public key that it names."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from pychat_client.errors import UsageError
from pychat_client.trust import invitation, public_key
from pychat_client.trust.invitation import Invitation
from tests.support import certificates


def made() -> Invitation:
    return Invitation(os.urandom(16), invitation.new_secret())


def test_an_invitation_is_read_as_it_was_written() -> None:
    for _ in range(100):
        one = made()
        assert invitation.parse(str(one)) == one


def test_it_has_only_characters_that_nothing_changes() -> None:
    for _ in range(100):
        assert re.fullmatch(r"([0-9A-Z]{4}-){11}[0-9A-Z]{4}", str(made()))
    assert not set("ILOU") & set(str(made()))


def test_capitals_hyphens_and_look_alikes_do_not_matter() -> None:
    one = Invitation(bytes(16), bytes(10))
    word = str(one)
    for other in (word.lower(), word.replace("-", ""), word.replace("0", "O"), f" {word[:20]}\n{word[20:]} "):
        assert invitation.parse(other) == one


def test_each_wrong_letter_and_each_swap_is_found() -> None:
    word = str(made()).replace("-", "")
    for place, letter in enumerate(word):
        for other in "05AZ":
            if other != letter:
                with pytest.raises(UsageError, match="has a typing error"):
                    invitation.parse(word[:place] + other + word[place + 1 :])
    for place in range(len(word) - 1):
        if word[place] != word[place + 1]:
            with pytest.raises(UsageError, match="has a typing error"):
                invitation.parse(word[:place] + word[place + 1] + word[place] + word[place + 2 :])


@pytest.mark.parametrize("word", ["", "-", "0", "0" * 47, "0" * 49, str(Invitation(bytes(16), bytes(10)))[:-1]])
def test_a_part_of_an_invitation_is_told_as_one(word: str) -> None:
    with pytest.raises(UsageError, match="is not complete"):
        invitation.parse(word)


@pytest.mark.parametrize("letter", ["U", "\N{GREEK CAPITAL LETTER ALPHA}", "+", "\0"])
def test_a_foreign_character_is_a_typing_error(letter: str) -> None:
    with pytest.raises(UsageError, match="has a typing error"):
        invitation.parse(letter * 48)


def test_the_secret_is_in_no_repr() -> None:
    assert "secret" not in repr(made())


# ------------------------------------------------------------------ the public key


def test_the_public_key_is_the_one_that_cryptography_finds(tmp_path: Path) -> None:
    authority = certificates.make(tmp_path, "authority", authority=True)
    for made_ in (authority, certificates.make(tmp_path, "host", by=authority)):
        real = x509.load_der_x509_certificate(made_.der).public_key()
        form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        key = real.public_bytes(*form)
        assert public_key.public_key_of(made_.der) == key
        assert public_key.key_id(made_.der) == hashlib.sha256(key).digest()[:16]  # docs/protocol.md


def test_what_is_no_certificate_has_no_key(tmp_path: Path) -> None:
    der = certificates.make(tmp_path, "host").der
    for end in range(len(der)):
        with pytest.raises(ValueError, match="not a"):
            public_key.public_key_of(der[:end])
    for bad in (b"\x30\x80" + der[4:], b"\x31" + der[1:]):
        with pytest.raises(ValueError, match="not a"):
            public_key.public_key_of(bad)
