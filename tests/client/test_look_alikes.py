"""Handles that people take for each other."""

from __future__ import annotations

import pytest

from pychat_client.look_alikes import looks_like


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("alice", "Alice"),
        ("alice", "\u0430lice"),  # a Cyrillic letter
        ("alice", "\u0410LI\u0421\u0415"),
        ("alice", "\u03b1l\u0456ce"),
        ("alice", "al1ce"),
        ("alice", "aIice"),
        ("alice", "a|ice"),
        ("alice", "\uff41lice"),
        ("alice", "\U0001d41alice"),  # a mathematical letter
        ("alice", "\u1d00\u029f\u026a\u1d04\u1d07"),  # small capitals
        ("alice", "alic\u00e9"),
        ("alice", "alice\u0332"),
        ("B0b", "\u0412ob"),
        ("Server", "\u13daerver"),  # Cherokee
        ("Server", "\ua4e2\ua4f0\ua4e3\ua4e6\ua4f0\ua4e3"),  # Lisu
        ("Server", "\u054ferver"),  # Armenian
        ("Server", "\U00016f3aerver"),  # Miao
        ("Server", "Ser\U00010347er"),  # Gothic
        ("Server", "S\u0258rver"),  # turned
        ("Server", "Serve\u027e"),
        ("Server", "Serve\uab47"),
        ("Server", "S\u212erver"),
        ("Server", "5erver"),
        ("Server", "$erver"),
        ("Server", "Server."),
        ("Server", "-Server:"),
        ("Bob", "B\u03bfb"),
        ("Norm", "Norrn"),
        ("Straße", "STRASSE"),
        ("Oleg", "0leg"),
        ("\u041e\u043b\u0435\u0433", "O\u043beg".replace("g", "\u0433")),
    ],
)
def test_handles_that_people_take_for_each_other_look_alike(one: str, other: str) -> None:
    assert looks_like(one, other)
    assert looks_like(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("alice", "alice2"),
        ("Bob", "Rob"),
        ("Server", "Client1"),
        ("日本", "日木"),
        ("Anna", "Hanna"),
        ("Иван", "Ивах"),
        ("Bob東", "Bob京"),
        ("שלום", "שלוט"),
        ("-", "--"),
        ("🙂", "🙃"),
        ("ÄÖ", "ÄÜ"),
    ],
)
def test_other_handles_do_not(one: str, other: str) -> None:
    assert not looks_like(one, other)
