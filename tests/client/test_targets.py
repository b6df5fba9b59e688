"""Which service the words of a command line mean, and with which options it is called."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from pychat_client import cli
from pychat_client.call_options import CallOptions, resolve
from pychat_client.classic.server_codec import ServerQuirks
from pychat_client.config.preferences import Contact, Preferences
from pychat_client.config.targets import find, find_before_text, listed
from pychat_client.errors import HandleError, UsageError
from pychat_client.trust.known_hosts import KnownHosts

PIN, OTHER = "SHA256:" + 43 * "A", "SHA256:" + 42 * "A" + "E"
ALICE = Contact("chat.example.net", 7001, PIN, "Bobby")
CONTACTS = {"alice": ALICE}


def test_one_word_is_a_contact_and_two_are_host_and_port() -> None:
    assert find(["alice"], CONTACTS) is ALICE
    assert find(["alice", "7002"], CONTACTS) == Contact("alice", 7002)
    assert find(["hostA", "7000"], {}) == Contact("hostA", 7000)


@pytest.mark.parametrize(
    ("word", "host", "port"),
    [
        ("hostA:7000", "hostA", 7000),
        ("chat.example.net.:1", "chat.example.net.", 1),
        ("127.0.0.1:65535", "127.0.0.1", 65535),
        ("[::1]:7000", "::1", 7000),
        ("[fe80::1%eth0]:7000", "fe80::1%eth0", 7000),
        ("pychat://hostA:7000", "hostA", 7000),
        ("PYCHAT://hostA:7000/", "hostA", 7000),
        ("pychat://[2001:db8::1]:7000", "2001:db8::1", 7000),
    ],
)
def test_host_and_port_may_be_one_word(word: str, host: str, port: int) -> None:
    assert find([word], CONTACTS) == Contact(host, port)
    assert find_before_text([word, "hello", "you"], CONTACTS) == (Contact(host, port), ["hello", "you"])
    with pytest.raises(UsageError, match="has a port already: leave out 7001"):
        find([word, "7001"], CONTACTS)
    with pytest.raises(UsageError, match="7001 could be a port, or the text for "):
        find_before_text([word, "7001"], CONTACTS)


@pytest.mark.parametrize("word", ["::1", "[::1]", "pychat://[::1]", "PyChat://::1/"])
def test_a_host_may_be_written_as_in_an_address(word: str) -> None:
    assert find([word, "7000"], {}) == Contact("::1", 7000)


@pytest.mark.parametrize(
    "word",
    [
        "::1",
        "[::1]",
        "2001:db8::7000",
        "pychat://hostA",
        "hostA:",
        ":7000",
        "a@b:7000",
        "a:b:1",
    ],
)
def test_a_word_without_a_clear_port_needs_one(word: str) -> None:
    with pytest.raises(UsageError, match="If it is a host, add its port"):
        find([word], {})


def test_a_contact_wins_over_a_host_with_a_port() -> None:
    assert find(["hostA:7000"], {"hostA:7000": ALICE}) is ALICE
    with pytest.raises(UsageError, match=r"'70000' is not a valid port"):
        find(["hostA:70000"], {})


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "Missing host and port: pychat HOST PORT"),
        (
            ["bob"],
            "'bob' is not a contact. Your contacts: alice. If it is a host, add its port: pychat bob PORT",
        ),
        (["hostA", "x"], "'x' is not a valid port (1-65535)."),
        (["hostA", "0"], "'0' is not a valid port"),
        (["hostA", "65536"], "'65536' is not a valid port"),
        (["hostA", "\u0667"], "is not a valid port"),
        (["\x1b[2J"], "'<U+001B>[2J' is not a contact."),
    ],
)
def test_words_that_mean_no_service_are_refused(words: list[str], sentence: str) -> None:
    with pytest.raises(UsageError) as refused:
        find(words, CONTACTS)
    assert sentence in str(refused.value)
    with pytest.raises(UsageError):
        find_before_text(words, CONTACTS)


def test_without_contacts_the_error_names_none() -> None:
    with pytest.raises(UsageError) as refused:
        find(["x"], {})
    assert str(refused.value) == "'x' is not a contact. If it is a host, add its port: pychat x PORT"


def test_the_advice_names_the_command_that_was_given() -> None:
    with pytest.raises(UsageError, match=r" add its port: pychat forget localhost PORT$"):
        find(["localhost"], {}, "pychat forget")
    with pytest.raises(UsageError, match=r"^Missing host and port: pychat replies HOST PORT$"):
        find([], {}, "pychat replies")
    with pytest.raises(UsageError, match=r" add its port: pychat send localhost PORT$"):
        find_before_text(["localhost"], {})


def test_the_text_follows_a_contact_or_host_and_port() -> None:
    assert find_before_text(["alice"], CONTACTS) == (ALICE, [])
    assert find_before_text(["alice", "hello", "you"], CONTACTS) == (ALICE, ["hello", "you"])
    assert find_before_text(["alice", "7 bottles"], CONTACTS) == (ALICE, ["7 bottles"])
    assert find_before_text(["hostA", "7000", "hello"], CONTACTS) == (Contact("hostA", 7000), ["hello"])
    assert find_before_text(["hostA", "7000"], CONTACTS) == (Contact("hostA", 7000), [])


def test_a_number_after_a_contact_is_refused_as_ambiguous() -> None:
    with pytest.raises(UsageError, match="7002 could be a port, or the text for your contact 'alice'"):
        find_before_text(["alice", "7002", "hello"], CONTACTS)


# ------------------------------------------------------------------ the options of a call


def resolved(words: str, contact: Contact = ALICE, preferences: Preferences | None = None) -> CallOptions:
    return resolve(cli.parse(words.split()), contact, preferences or Preferences(handle="Liked"))


def test_an_option_wins_over_contact_and_preferences() -> None:
    assert resolved(f"x 1 --handle Given --fingerprint {OTHER}") == CallOptions(
        "chat.example.net", 7001, "Given", OTHER
    )


def test_a_contact_wins_over_the_preferences() -> None:
    assert resolved("alice").handle == "Bobby"
    assert resolved("alice", replace(ALICE, handle=None)).handle == "Liked"
    assert resolved("alice", replace(ALICE, handle=None), Preferences()).handle is None


def test_the_key_of_a_contact_counts_also_with_accept_new() -> None:
    assert resolved("alice --accept-new").fingerprint == PIN


def test_a_certificate_of_a_ca_needs_no_key_of_a_contact() -> None:
    options = resolved("alice --ca")
    assert (options.ca, options.fingerprint) == (True, None)


@pytest.mark.parametrize("command", ["{} x 1", "send {} x 1 hello"])
@pytest.mark.parametrize(("option", "error"), [("--handle=", HandleError), ("--fingerprint=SHA256:x", UsageError)])
def test_a_bad_option_is_refused_and_not_replaced(command: str, option: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        resolved(command.format(option))


def test_a_call_has_the_options_of_its_command_line() -> None:
    options = resolved("alice --wait --retry-for 30 --accept-new")
    assert (options.wait, options.retry_for, options.accept_new, options.classic) == (True, 30.0, True, None)
    options = resolved("send alice --wait hello")
    assert (options.wait, options.retry_for, options.accept_new, options.classic) == (True, None, False, None)


@pytest.mark.parametrize(
    ("words", "quirks"),
    [
        ("", ServerQuirks()),
        ("--no-hello", ServerQuirks("")),
        ("--hello 20211 --end-mark @@@ --quit-word bye", ServerQuirks("20211", "@@@", "bye")),
    ],
)
def test_a_classic_server_has_the_quirks_of_the_options(words: str, quirks: ServerQuirks) -> None:
    assert resolved(f"x 1 --classic {words}", Contact("x", 1)).classic == quirks


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--no-hello", "--no-hello, --hello, --end-mark and --quit-word need --classic."),
        ("--quit-word bye", "--no-hello, --hello, --end-mark and --quit-word need --classic."),
        ("--classic --ca", "--classic excludes --fingerprint, --accept-new and --ca."),
        ("--classic --wait", "--classic excludes --wait and --retry-for."),
        ("--classic --retry-for 3", "--classic excludes --wait and --retry-for."),
        ("--classic --hello \x1b", "take only visible characters, and at most 100 of them."),
        (f"--classic --end-mark {101 * '@'}", "take only visible characters, and at most 100 of them."),
    ],
)
def test_options_that_exclude_each_other_are_refused(words: str, sentence: str) -> None:
    with pytest.raises(UsageError) as refused:
        resolved(f"x 1 {words}", Contact("x", 1))
    assert str(refused.value).endswith(sentence)


@pytest.mark.parametrize("word", ["http://hosta:7000", "HTTPS://hosta/", "telnet://hosta", "ssh://[::1]:7000"])
@pytest.mark.parametrize("more", [[], ["7000"]])
def test_an_address_for_other_programs_says_what_to_leave_out(word: str, more: list[str]) -> None:
    scheme = word.partition("//")[0]
    with pytest.raises(UsageError, match=f"^'{re.escape(word)}' is an address for .*: leave out '{scheme}//'\\.$"):
        find([word, *more], CONTACTS)


def test_what_is_left_of_such_an_address_is_understood() -> None:
    assert find(["hosta:7000/"], {}) == Contact("hosta", 7000)
    assert find(["hosta/", "7000"], {}) == Contact("hosta", 7000)


# ------------------------------------------------------------------ commands


def test_a_command_is_the_first_word_and_no_host() -> None:
    assert [cli.command_of(words.split()) for words in ("send x", "forget x", "certificate")] == [
        "send",
        "forget",
        "certificate",
    ]
    for words in ("-- send 7000", "--plain forget 7000", "hostA 7000", ""):
        assert cli.command_of(words.split()) == cli.CALL
    for host in ("send", "forget", "certificate"):
        args = cli.parse(["--", host, "7000"])
        assert (args.host, args.port) == (host, "7000")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("hostA 7000 Hello", "hostA 7000 Hello"),
        ("hostA 7000 text --open --via=x -h", "hostA 7000 text --open --via=x -h"),
        ("hostA 7000 -- --open -- x", "hostA 7000 --open -- x"),
        ("-- hostA 7000 x -- y", "hostA 7000 x -- y"),
        ("-- hostA 7000 -h", "hostA 7000 -h"),
        ("hostA 7000 -- -h", "hostA 7000 -h"),
        ("hostA 7000 text -", "hostA 7000 text -"),
        ("alice Hello --open", "alice Hello --open"),
        ("alice -- --open", "alice --open"),
        ("hostA:7000 x -x", "hostA:7000 x -x"),
        ("hostA 7000", "hostA 7000"),
        ("", ""),
    ],
)
def test_from_the_first_word_of_a_text_on_everything_is_text(line: str, words: str) -> None:
    args = cli.parse(["send", *line.split()])
    assert (args.words, args.open, args.via) == (words.split(), False, None)


@pytest.mark.parametrize("target", ["hostA 7000", "alice", "hostA:7000"])
def test_options_stand_before_the_text(target: str) -> None:
    for line in (
        "--open --timeout 3 --handle Bob {} Hello --open",
        "--handle Bob {} --open --timeout 3 Hello --open",
        "--handle=Bob --timeout=3 --open {} -- Hello --open",
    ):
        args = cli.parse(["send", *line.format(target).split()])
        assert (args.open, args.timeout, args.handle, args.wait) == (True, 3.0, "Bob", False)
        assert args.words == [*target.split(), "Hello", "--open"]
    args = cli.parse(["send", *target.split(), "--wait", "--expect-reply", "-"])
    assert (args.wait, args.expect_reply, args.words) == (True, True, [*target.split(), "-"])


@pytest.mark.parametrize("target", [["hostA", "7000"], ["alice"]])
@pytest.mark.parametrize(
    "text",
    [
        ["--via=touch /tmp/x"],
        ["--via", "touch /tmp/x", "Hello"],
        ["--open", "--via", "x", "Hello"],
        ["-h"],
        ["--help", "me"],
        ["-x y"],
        ["-5"],
        ["--open"],
        ["--timeout", "3"],
        ["--timeout=3", "Hello"],
        ["--ope", "Hello"],
    ],
)
def test_a_text_that_could_be_an_option_is_refused(target: list[str], text: list[str]) -> None:
    with pytest.raises(UsageError, match=r"^Not sent: '-.* write -- before it: pychat send HOST PORT -- TEXT$"):
        cli.parse(["send", *target, *text])


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--forget hostA 7000", "--forget is now 'pychat forget HOST PORT'."),
        ("--show-certificate", "--show-certificate is now 'pychat certificate'."),
    ],
)
def test_a_removed_option_names_its_command(words: str, sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words.split()) == 2
    assert capsys.readouterr() == ("", f"pychat: {sentence}\n")


def test_contacts_and_known_hosts_are_listed_for_a_shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert listed(Preferences()) == []
    pins = tmp_path / "pychat/known_hosts"
    for host, port in (("hostB", 7000), ("::1", 7001), ("hosta", 7000)):
        KnownHosts(pins).accept(host, port, b"key")
    with pins.open("a") as file:
        file.write("\n# a comment\n")
    assert listed(Preferences(contacts=CONTACTS)) == ["alice", "::1 7001", "hosta 7000", "hostb 7000"]
    assert cli.main(["--list-targets"]) == 0
    assert capsys.readouterr().out == "::1 7001\nhosta 7000\nhostb 7000\n"
