"""One name is one host: each spelling of it is the same, and a name that could mean two hosts is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from pychat_client import cli
from pychat_client.call_options import resolve
from pychat_client.config.host_names import host_name
from pychat_client.config.paths import known_hosts_file
from pychat_client.config.preferences import Contact, Preferences
from pychat_client.errors import UsageError
from pychat_client.trust.known_hosts import KnownHosts


@pytest.mark.parametrize(
    "word",
    ["localhost", "hostA", "chat.example.net.", "127.0.0.1", "::1", "fe80::1%eth0", "a_b", "a..b", "x" * 64],
)
def test_a_name_in_ascii_stays_as_it_is(word: str) -> None:
    assert host_name(word) == word


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (
            [
                "b\u00fccher.test",
                "B\u00dcCHER.Test",
                "bu\u0308cher.test",
                "xn--bcher-kva.test",
                "XN--Bcher-KVA.TEST",
            ],
            "b\u00fccher.test",
        ),
        (["b\u00fccher\u3002test", "b\u00fccher\uff0etest", "\uff42\u00fccher.test"], "b\u00fccher.test"),
        (
            ["\u041f\u0420\u0418\u041c\u0415\u0420.test", "xn--e1afmkfd.test"],
            "\u043f\u0440\u0438\u043c\u0435\u0440.test",
        ),
        (["\u4f8b\u3048.test", "xn--r8jz45g.test"], "\u4f8b\u3048.test"),
        (["\u05d0\u05d1.test"], "\u05d0\u05d1.test"),
        (["\uff11\uff12\uff17.0.0.1"], "127.0.0.1"),
        (["\uff2c\uff4fcalhost"], "localhost"),
        (["xn--strae-oqa.test", "XN--STRAE-OQA.test"], "xn--strae-oqa.test"),
        (["xn--n3h.test", "\u2603.test"], "\u2603.test"),
    ],
)
def test_all_spellings_of_a_name_are_one(words: list[str], name: str) -> None:
    assert {host_name(word) for word in words} == {name}
    assert host_name(name) == name


@pytest.mark.parametrize(
    ("word", "readings"),
    [
        ("stra\u00dfe.test", "strasse.test or xn--strae-oqa.test"),
        ("STRA\u1e9eE.test", "strasse.test or xn--strae-oqa.test"),
        ("\u03bf\u03b4\u03cc\u03c2.test", "xn--pxavk3b.test or xn--pxavn9a.test"),
    ],
)
def test_a_name_that_can_mean_two_hosts_is_refused_with_both(word: str, readings: str) -> None:
    with pytest.raises(UsageError) as refused:
        host_name(word)
    assert str(refused.value) == f"'{word}' can mean {readings}: use the one that you mean."
    for reading in readings.split(" or "):
        assert host_name(reading)


@pytest.mark.parametrize(
    "word",
    [
        "\u1fb3.test",  # Greek, with an iota below
        "\u13a0.test",  # Cherokee, which has small letters since Unicode 8
        "\u1c80.test",  # old Cyrillic
        "a\u1806b.test",  # a soft hyphen of Mongolian
        "\U0002f868.test",  # Chinese, decomposed in another way since Unicode 4
    ],
)
def test_a_letter_that_has_changed_its_meaning_is_refused(word: str) -> None:
    with pytest.raises(UsageError, match=r" can mean \S+ or \S*xn--\S+: use the one that you mean"):
        host_name(word)


@pytest.mark.parametrize(
    "word",
    [
        "b\u00fc..test",
        "\u00fc" * 64,
        "a\u200db.test",
        "a\u200cb.test",
        "\u3164.test",
        "a\U000e0100b.test",
        "a\u05d0b.test",
        "",
        "a b",
        ".test",
        "a\x07",
    ],
)
def test_what_names_no_host_is_refused(word: str) -> None:
    with pytest.raises(UsageError, match=r" is not a valid host name\.$"):
        host_name(word)


def test_a_key_is_found_under_each_spelling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(variable, str(tmp_path))
    known = KnownHosts(known_hosts_file())
    for word in ("b\u00fccher.test", "B\u00dcCHER.test", "bu\u0308cher.test", "xn--bcher-kva.test"):
        options = resolve(cli.parse([word, "7000"]), Contact(word, 7000), Preferences(handle="Bob"))
        known.accept(options.host, options.port, b"key")
        assert known.names() == [("b\u00fccher.test", "7000")]
        assert cli.main(["forget", word, "7000"]) == 0
        assert known.names() == []
