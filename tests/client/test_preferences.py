"""A user's preferences: what each key takes, names for lines, and how an error reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from pychat_client.config import preferences
from pychat_client.config.preferences import Line, Preferences, load
from pychat_client.errors import UsageError

PIN = "SHA256:" + 43 * "A"


def read(tmp_path: Path, text: str) -> Preferences:
    file = tmp_path / "config.toml"
    file.write_text(text)
    return load(file)


def test_without_a_file_the_defaults_hold(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert load() == Preferences(None, "emacs", "unfocused", "off", (), True, {})


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
    ("hook", '["notify-send", "pychat", "a b"]', ("notify-send", "pychat", "a b")),
    ("history", "false", False),
    ("lines", '{ alice = { host = "::1", port = 7 } }', {"alice": Line("::1", 7)}),
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
    ("lines", "[]"),
]


def test_every_key_has_good_and_bad_examples_here() -> None:
    assert {key for key, _, _ in GOOD} == {key for key, _ in BAD} == set(preferences._KEYS)
    assert set(Preferences.__dataclass_fields__) == set(preferences._KEYS)


@pytest.mark.parametrize(("key", "value", "meaning"), GOOD)
def test_a_key_takes_what_it_means(tmp_path: Path, key: str, value: str, meaning: object) -> None:
    assert getattr(read(tmp_path, f"{key} = {value}"), key) == meaning


@pytest.mark.parametrize(("key", "value"), BAD)
def test_a_bad_value_is_refused_with_file_and_key(tmp_path: Path, key: str, value: str) -> None:
    with pytest.raises(UsageError) as refused:
        read(tmp_path, f"# a comment\n\n{key} = {value}\n")
    assert str(refused.value).startswith(f"{tmp_path}/config.toml: {key}: ")


def test_the_old_palette_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="line 2: delete 'palette': the colours now follow") as refused:
        read(tmp_path, '# a comment\npalette = "dark"\n')
    assert str(refused.value).startswith(f"{tmp_path}/config.toml, ")


# ------------------------------------------------------------------ lines


def test_a_line_has_a_host_a_port_and_perhaps_a_pin_and_a_handle(tmp_path: Path) -> None:
    text = f"""
        [lines.alice]
        host = "chat.example.net"
        port = 7000
        fingerprint = "{PIN}"
        handle = "Bobby"
        [lines.bob]
        host = "192.0.2.7"
        port = 7001
    """
    lines = read(tmp_path, text).lines
    assert lines["alice"] == Line("chat.example.net", 7000, PIN, "Bobby")
    assert lines["bob"] == Line("192.0.2.7", 7001, None, None)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[lines.alice]\nhost = "h"\n', "[lines.alice] port: port is missing in [lines.alice]"),
        ("[lines.alice]\nport = 7000\n", "[lines.alice] host: host is missing in [lines.alice]"),
        ('[lines.alice]\nhost = "h"\nport = 0\n', "[lines.alice] port: use a number from 1 to 65535"),
        ('[lines.alice]\nhost = "h"\nport = "7000"\n', "[lines.alice] port: use a number from 1 to 65535"),
        ('[lines.alice]\nhost = ""\nport = 7000\n', "[lines.alice] host: the name"),
        ('[lines.alice]\nhost = "a b"\nport = 7000\n', "[lines.alice] host: the name"),
        (
            '[lines.alice]\nhost = "h"\nport = 7000\nfingerprint = "SHA256:x"\n',
            "[lines.alice] fingerprint: 'SHA256:x'",
        ),
        (
            '[lines.alice]\nhost = "h"\nport = 7000\nfingerprint = 1\n',
            "[lines.alice] fingerprint: a fingerprint is text",
        ),
        ('[lines.alice]\nhost = "h"\nport = 7000\nhandle = ""\n', "[lines.alice] handle: A handle is one word"),
        (
            '[lines.alice]\nhsot = "h"\n',
            "[lines.alice] hsot: there is no such setting; the settings are host, port",
        ),
        ('\n[lines."send"]\nhost = "h"\nport = 7000\n', "[lines] send: a line cannot be called 'send'"),
        ('\n[lines."-x"]\nhost = "h"\nport = 7000\n', "[lines] -x: '-x' is not a name for a line"),
        ('\n[lines."a b"]\nhost = "h"\nport = 7000\n', "[lines] a b: 'a b' is not a name for a line"),
        ("[line.alice]\nport = 7000\n", "line: there is no such setting; the settings are"),
    ],
)
def test_an_error_in_a_line_names_what_is_wrong(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(UsageError) as refused:
        read(tmp_path, text)
    assert f"config.toml: {words}" in str(refused.value)


def test_a_line_that_is_no_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\[lines.alice\] has to be a table"):
        read(tmp_path, "[lines]\nalice = 7000\n")
