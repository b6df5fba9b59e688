"""A user's preferences: the values of each setting, contacts, and the errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from pychat_client import cli
from pychat_client.config import preferences
from pychat_client.config.preferences import Contact, Preferences, load
from pychat_client.errors import UsageError

PIN = "SHA256:" + 43 * "A"


def read(tmp_path: Path, text: str) -> Preferences:
    file = tmp_path / "config.toml"
    file.write_text(text)
    return load(file)


def test_without_a_file_there_are_defaults(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert load() == Preferences(None, "emacs", "unfocused", "off", (), True, True, False, {})


def test_the_file_is_where_xdg_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "pychat").mkdir()
    (tmp_path / "pychat/config.toml").write_text('handle = "Bob"')
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert load().handle == "Bob"


GOOD: list[tuple[str, str, object]] = [
    ("handle", '"Zoe\u0308"', "Zo\u00eb"),
    ("keys", '"vi"', "vi"),
    ("keys", '"emacs"', "emacs"),
    ("bell", '"unfocused"', "unfocused"),
    ("bell", '"all"', "all"),
    ("bell", '"off"', "off"),
    ("notify", '"osc9"', "osc9"),
    ("notify", '"osc777"', "osc777"),
    ("notify", '"off"', "off"),
    ("notify", "true", "auto"),
    ("notify", "false", "off"),
    ("hook", '["notify-send", "pychat", "a b"]', ("notify-send", "pychat", "a b")),
    ("history", "false", False),
    ("signs", "false", False),
    ("live", "true", True),
    ("contacts", '{ alice = { host = "::1", port = 7 } }', {"alice": Contact("::1", 7)}),
]

BAD = [
    ("handle", '"two words"'),
    ("handle", "7"),
    ("keys", '"nano"'),
    ("bell", "true"),
    ("notify", '"mail"'),
    ("hook", '"notify-send pychat"'),
    ("hook", "[]"),
    ("hook", '["notify-send", 7]'),
    ("hook", '["nul\\u0000"]'),
    ("history", '"no"'),
    ("history", "0"),
    ("signs", '"off"'),
    ("live", '"on"'),
    ("contacts", "[]"),
]


def test_every_setting_has_examples_here() -> None:
    assert {key for key, _, _ in GOOD} == {key for key, _ in BAD} == set(preferences._KEYS)
    assert set(Preferences.__dataclass_fields__) == set(preferences._KEYS)


@pytest.mark.parametrize(("key", "value", "meaning"), GOOD)
def test_a_good_value_is_read(tmp_path: Path, key: str, value: str, meaning: object) -> None:
    assert getattr(read(tmp_path, f"{key} = {value}"), key) == meaning


@pytest.mark.parametrize(("key", "value"), BAD)
def test_a_bad_value_is_refused_with_file_and_key(tmp_path: Path, key: str, value: str) -> None:
    with pytest.raises(UsageError) as refused:
        read(tmp_path, f"# a comment\n\n{key} = {value}\n")
    assert str(refused.value).startswith(f"{tmp_path}/config.toml: {key}: ")


def test_the_old_palette_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="delete 'palette': the colours now follow") as refused:
        read(tmp_path, '# a comment\npalette = "dark"\n')
    assert str(refused.value).startswith(f"{tmp_path}/config.toml")


# ------------------------------------------------------------------ contacts


def test_a_contact_has_host_port_and_maybe_key_and_handle(tmp_path: Path) -> None:
    text = f"""
        [contacts.alice]
        host = "chat.example.net"
        port = 7000
        fingerprint = "{PIN}"
        handle = "Bobby"
        [contacts.bob]
        host = "192.0.2.7"
        port = 7001
    """
    contacts = read(tmp_path, text).contacts
    assert contacts["alice"] == Contact("chat.example.net", 7000, PIN, "Bobby")
    assert contacts["bob"] == Contact("192.0.2.7", 7001, None, None)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[contacts.alice]\nhost = "h"\n', "[contacts.alice] port: add a port; a contact needs one."),
        ("[contacts.alice]\nport = 7000\n", "[contacts.alice] host: add a host; a contact needs one."),
        ('[contacts.alice]\nhost = "h"\nport = 0\n', "[contacts.alice] port: use a whole number from 1 to 65535"),
        (
            '[contacts.alice]\nhost = "h"\nport = "7000"\n',
            "[contacts.alice] port: use a whole number from 1 to 65535",
        ),
        ('[contacts.alice]\nhost = ""\nport = 7000\n', "[contacts.alice] host: use the name"),
        ('[contacts.alice]\nhost = "a b"\nport = 7000\n', "[contacts.alice] host: use the name"),
        (
            '[contacts.alice]\nhost = "h"\nport = 7000\nfingerprint = "SHA256:x"\n',
            "[contacts.alice] fingerprint: 'SHA256:x'",
        ),
        (
            '[contacts.alice]\nhost = "h"\nport = 7000\nfingerprint = 1\n',
            "[contacts.alice] fingerprint: write the fingerprint that",
        ),
        (
            '[contacts.alice]\nhost = "h"\nport = 7000\nhandle = ""\n',
            "[contacts.alice] handle: A handle is one word",
        ),
        (
            '[contacts.alice]\nhsot = "h"\n',
            "[contacts.alice] hsot: unknown setting; the settings are host, port",
        ),
        ('\n[contacts."-x"]\nhost = "h"\nport = 7000\n', "[contacts] -x: '-x' is not a valid name for a contact"),
        (
            '\n[contacts."a b"]\nhost = "h"\nport = 7000\n',
            "[contacts] a b: 'a b' is not a valid name for a contact",
        ),
        ("[contact.alice]\nport = 7000\n", "contact: unknown setting; the settings are"),
        ("[lines.alice]\nport = 7000\n", "lines: [lines.NAME] is now [contacts.NAME]."),
    ],
)
def test_an_error_in_a_contact_says_what_is_wrong(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(UsageError) as refused:
        read(tmp_path, text)
    assert str(refused.value).startswith(f"{tmp_path}/config.toml: {words}")


@pytest.mark.parametrize("name", sorted({*cli.PARSERS} - {cli.CALL}))
def test_no_contact_has_the_name_of_a_command(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=rf"\[contacts\] {name}: '{name}' is a command of pychat"):
        read(tmp_path, f'[contacts.{name}]\nhost = "h"\nport = 7000\n')


def test_a_contact_that_is_no_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\[contacts.alice\] has to be a table"):
        read(tmp_path, "[contacts]\nalice = 7000\n")
