"""Which line is meant by the words of a command line."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from pychat_client.config.preferences import Line, Preferences
from pychat_client.config.targets import find, find_before_text, listed, use
from pychat_client.errors import UsageError
from pychat_client.trust.known_hosts import KnownHosts

ALICE = Line("chat.example.net", 7001, "SHA256:pin", "Bobby")
NAMED = {"alice": ALICE}


def test_one_word_is_a_name_and_two_are_a_host_and_a_port() -> None:
    assert find(["alice"], NAMED) is ALICE
    assert find(["alice", "7002"], NAMED) == Line("alice", 7002)
    assert find(["hostA", "7000"], {}) == Line("hostA", 7000)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "Whom to call? pychat HOST PORT."),
        (
            ["bob"],
            "No line of your configuration is called 'bob'; there are alice. A host needs a port: bob PORT.",
        ),
        (["hostA", "x"], "'x' is not a port"),
        (["hostA", "0"], "'0' is not a port"),
        (["hostA", "65536"], "'65536' is not a port"),
        (["hostA", "\u0667"], "is not a port"),
        (["\x1b[2J"], "called '<U+001B>[2J'"),
    ],
)
def test_what_names_no_line_is_refused_with_what_to_do(words: list[str], sentence: str) -> None:
    with pytest.raises(UsageError) as refused:
        find(words, NAMED)
    assert sentence in str(refused.value)
    with pytest.raises(UsageError):
        find_before_text(words, NAMED)


def test_behind_a_name_or_a_host_and_a_port_comes_the_text() -> None:
    assert find_before_text(["alice"], NAMED) == (ALICE, [])
    assert find_before_text(["alice", "hello", "you"], NAMED) == (ALICE, ["hello", "you"])
    assert find_before_text(["alice", "7 bottles"], NAMED) == (ALICE, ["7 bottles"])
    assert find_before_text(["hostA", "7000", "hello"], NAMED) == (Line("hostA", 7000), ["hello"])
    assert find_before_text(["hostA", "7000"], NAMED) == (Line("hostA", 7000), [])


def test_a_number_behind_a_name_goes_nowhere_before_it_goes_to_the_wrong_line() -> None:
    with pytest.raises(UsageError, match="Is 7002 a port, or does the text begin with it"):
        find_before_text(["alice", "7002", "hello"], NAMED)


def _args(handle: str | None = None, fingerprint: str | None = None, *, ca: bool = False) -> argparse.Namespace:
    return argparse.Namespace(handle=handle, fingerprint=fingerprint, ca=ca, accept_new=True)


def test_an_option_goes_before_the_line_and_that_before_the_preferences() -> None:
    liked = Preferences(handle="Liked")
    args = _args("Given", "SHA256:given")
    use(ALICE, liked, args)
    assert (args.host, args.port, args.handle, args.fingerprint) == (
        "chat.example.net",
        7001,
        "Given",
        "SHA256:given",
    )
    args = _args()
    use(ALICE, liked, args)
    assert (args.handle, args.fingerprint) == ("Bobby", "SHA256:pin")  # also with --accept-new
    args = _args("")  # a mistake to be told, not something to be replaced
    use(ALICE, liked, args)
    assert args.handle == ""
    args = _args(ca=True)
    use(Line("hostA", 7000, "SHA256:pin"), liked, args)
    assert (args.handle, args.fingerprint) == ("Liked", None)


def test_names_and_known_hosts_are_listed_for_a_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert listed(Preferences()) == []
    pins = tmp_path / "pychat/known_hosts"
    for host, port in (("hostB", 7000), ("::1", 7001), ("hosta", 7000)):
        KnownHosts(pins).accept(host, port, b"key")
    with pins.open("a") as file:
        file.write("\n# a comment\n")
    assert listed(Preferences(lines=NAMED)) == ["alice", "::1 7001", "hosta 7000", "hostb 7000"]
