"""Settings and directories: which source wins, what each key takes, and how an error reads."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import Any

import pytest

from pychat_client.config import config_file
from pychat_client.errors import UsageError
from pychat_client.protocol import grammar
from pychat_client.protocol.turns import Turns
from pychatd import settings
from pychatd.directories import runtime_bases, service_directories, state_base
from pychatd.settings import SOCKET_PATH_MAX, UNSAFE_NO_SYNC, Settings, load
from tests.support.as_nobody import as_nobody, public_directory
from tests.support.ports import NO_PORTS

PLACES = ("STATE_DIRECTORY", "RUNTIME_DIRECTORY", "CONFIGURATION_DIRECTORY", "CREDENTIALS_DIRECTORY")
XDG = ("XDG_STATE_HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME")


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home (a short name, where nothing is) of an ordinary user, without systemd's and XDG's variables."""
    for variable in (*PLACES, *XDG, UNSAFE_NO_SYNC):
        monkeypatch.delenv(variable, raising=False)
    home = Path("/nonexistent")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    return home


def read(tmp_path: Path, text: str | bytes, port: int = 7000, **options: Any) -> Settings:
    """The settings with a file of `text`."""
    file = tmp_path / "pychatd.toml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load(port, options, config=file)


# ------------------------------------------------------------------ which source wins


def test_without_a_file_the_defaults_hold() -> None:
    settings = load(7000, {})
    assert settings.file is None
    assert (settings.listen, settings.handle, settings.turns) == (("0.0.0.0", "::"), None, Turns.ALTERNATE)
    assert (settings.grace, settings.sync, settings.keep) == (60.0, True, "forever")
    assert settings.syslog == Path("/dev/log")


def test_the_order_is_option_table_of_the_port_top_default(
    tmp_path: Path,
) -> None:
    text = """
        handle = "top"
        turns = "free"
        grace = 1
        [port.7000]
        handle = "table"
        grace = 2
        [port.7001]
        handle = "other"
    """
    settings = read(tmp_path, text, grace=3)
    assert (settings.grace, settings.handle, settings.turns) == (3.0, "table", Turns.FREE)
    assert settings.keep == "forever"
    assert read(tmp_path, text, 7001).handle == "other"
    assert read(tmp_path, text, 7002).handle == "top"


def test_an_option_that_is_not_given_changes_nothing(tmp_path: Path) -> None:
    assert read(tmp_path, 'handle = "top"', handle=None).handle == "top"


def test_the_file_is_known_by_its_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("here.toml").write_text("grace = 5")
    settings = load(7000, {}, config=Path("here.toml"))
    assert (settings.file, settings.grace) == (tmp_path / "here.toml", 5.0)


# ------------------------------------------------------------------ each key

GOOD: list[tuple[str, str, object]] = [
    ("listen", '"127.0.0.1"', ("127.0.0.1",)),
    ("listen", '["::1", "192.0.2.1"]', ("::1", "192.0.2.1")),
    ("handle", '"alice"', "alice"),
    ("handle", '"Zoe\u0308"', "Zo\u00eb"),
    ("turns", '"free"', Turns.FREE),
    ("turns", '"alternate"', Turns.ALTERNATE),
    ("grace", "0", 0.0),
    ("grace", "1.5", 1.5),
    ("grace", "86400", 86400.0),
    ("keep", '"forever"', "forever"),
    ("keep", '"none"', "none"),
    ("keep", '"30d"', "30d"),
    ("callers", "2", 2),
    ("callers", "1000", 1000),
    ("rate", "0", 0),
    ("rate", "1000000", 1000000),
    ("journal_max", "0", 0),
    ("away", '"Back at nine"', "Back at nine"),
    ("away", f'"{200 * "x"}"', 200 * "x"),
    ("journal_max", "1000000", 1000000),
    ("plaintext", '"always"', "always"),
    ("plaintext", '"loopback"', "loopback"),
    ("plaintext", '"never"', "never"),
    ("certificate", '"/etc/pychatd/host.pem"', Path("/etc/pychatd/host.pem")),
    ("key", '"/etc/pychatd/host.key"', Path("/etc/pychatd/host.key")),
    ("authorized", '"/etc/pychatd/authorized"', Path("/etc/pychatd/authorized")),
    ("answer_handle", "true", True),
    ("answer_handle", "false", False),
    ("invited_only", "true", True),
    ("invited_only", "false", False),
    ("exit_idle", "2", 2.0),
    ("exit_idle", "86400", 86400.0),
    ("syslog", '"/run/log"', Path("/run/log")),
]

BAD = [
    ("listen", '"localhost"'),
    ("listen", '["127.0.0.1", "nowhere"]'),
    ("listen", "[]"),
    ("listen", "7000"),
    ("handle", '""'),
    ("handle", '"two words"'),
    ("handle", '"abcdefghijk"'),
    ("handle", "7"),
    ("turns", '"never"'),
    ("turns", "true"),
    ("grace", "-1"),
    ("grace", "86401"),
    ("grace", "nan"),
    ("grace", "true"),
    ("grace", '"60"'),
    ("keep", '"0d"'),
    ("keep", '"30"'),
    ("keep", "30"),
    ("callers", "1"),
    ("callers", "1001"),
    ("rate", "-1"),
    ("rate", "1.5"),
    ("rate", "true"),
    ("journal_max", "-1"),
    ("away", "9"),
    ("away", f'"{201 * "x"}"'),
    ("away", '"two\\nlines"'),
    ("journal_max", "1000001"),
    ("journal_max", '"1 GB"'),
    ("plaintext", "true"),
    ("certificate", '"host.pem"'),
    ("certificate", '"/etc/host\\u0000.pem"'),
    ("key", "1"),
    ("authorized", '["/etc/pychatd/authorized"]'),
    ("answer_handle", "0"),
    ("invited_only", "1"),
    ("invited_only", '"true"'),
    ("exit_idle", "1.9"),
    ("exit_idle", "true"),
    ("exit_idle", '"60"'),
    ("syslog", '"log"'),
    ("syslog", "1"),
]


def test_every_key_has_good_and_bad_examples_here() -> None:
    assert {key for key, _, _ in GOOD} == {key for key, _ in BAD} == set(settings._KEYS)


@pytest.mark.parametrize(("key", "value", "meaning"), GOOD)
def test_a_key_takes_what_it_means(tmp_path: Path, key: str, value: str, meaning: object) -> None:
    assert getattr(read(tmp_path, f"{key} = {value}"), key) == meaning
    assert getattr(read(tmp_path, f"[port.7000]\n{key} = {value}"), key) == meaning


@pytest.mark.parametrize(("key", "value"), BAD)
def test_a_bad_value_is_refused_with_file_and_key(tmp_path: Path, key: str, value: str) -> None:
    with pytest.raises(UsageError) as refused:
        read(tmp_path, f"# a comment\n\n{key} = {value}\n")
    assert str(refused.value).startswith(f"{tmp_path}/pychatd.toml: {key}: ")


@pytest.mark.parametrize("value", ["[7000]", "[true]"])
def test_an_address_that_is_a_number_is_refused(tmp_path: Path, value: str) -> None:
    with pytest.raises(UsageError, match=r"pychatd.toml: listen: "):
        read(tmp_path, f"listen = {value}")


@pytest.mark.parametrize(("key", "value"), [("handle", "two words"), ("turns", "never"), ("syslog", "log")])
def test_a_bad_option_is_refused_with_its_name(key: str, value: str) -> None:
    with pytest.raises(UsageError, match=f"^--{key}: "):
        load(7000, {key: value})


@pytest.mark.parametrize(("keep", "days"), [("forever", None), ("none", None), ("30d", 30), ("99999d", 99999)])
def test_only_a_number_of_days_makes_conversations_old(tmp_path: Path, keep: str, days: int | None) -> None:
    assert read(tmp_path, f'keep = "{keep}"').keep_days == days


@pytest.mark.parametrize("keep", ["forever", "none", "1d", "99999d"])
def test_programs_understand_each_time_that_can_be_set(tmp_path: Path, keep: str) -> None:
    assert grammar.keep(read(tmp_path, f'keep = "{keep}"').keep) == keep


def test_only_the_benchs_variable_turns_syncing_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for key in ("sync = false", 'durability = "process"'):
        with pytest.raises(UsageError, match="unknown setting"):
            read(tmp_path, key)
    monkeypatch.setenv(UNSAFE_NO_SYNC, "0")
    assert load(7000, {}).sync
    monkeypatch.setenv(UNSAFE_NO_SYNC, "1")
    assert not load(7000, {}).sync


# ------------------------------------------------------------------ errors of the file


@pytest.mark.parametrize(
    "text",
    [
        "[port.7000]\ngrace = 1\n[port.7001]\n  grace = -1\n",
        "grace = 1\n[port.'7001']\ngrace=-1\n",
        "grace = 1\nport.7001.grace = -1\n",
        "grace = 1\nport = { 7001 = { grace = -1 } }\n",
    ],
)
def test_an_error_in_the_table_of_another_port_is_found(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match=r"pychatd.toml: \[port.7001\] grace: use a number of seconds"):
        read(tmp_path, text)


@pytest.mark.parametrize("text", ["[line.7000]\ngrace = 1\n", "line.7001.grace = 1\n", "[line]\n"])
def test_the_old_name_of_a_ports_table_is_refused_with_the_new(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError) as refused:
        read(tmp_path, text)
    words = "the table of a port is [port.PORT], not [line.PORT]."
    assert str(refused.value) == f"{tmp_path}/pychatd.toml: {words}"


@pytest.mark.parametrize("port", NO_PORTS, ids=ascii)
def test_a_table_for_an_invalid_port_is_refused(tmp_path: Path, port: str) -> None:
    with pytest.raises(UsageError, match=r"\[port\..+\] is not a valid port \(1-65535\)\.$"):
        read(tmp_path, f"[port.'{port}']\ngrace = 1\n")


def test_an_unknown_key_is_refused_with_the_keys_there_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"pychatd.toml: grase: unknown setting") as refused:
        read(tmp_path, "\ngrase = 1")
    assert all(key in str(refused.value) for key in settings._KEYS)


def test_an_error_quotes_only_printable_text(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        read(tmp_path, '"\\u001b[2J" = 1\n')
    assert "<U+001B>[2J" in str(refused.value)
    with pytest.raises(UsageError) as refused:
        read(tmp_path, 'turns = "\\u001b[2J"\n')
    assert "<U+001B>[2J" in str(refused.value)


@pytest.mark.parametrize("text", ["port = 7000", "[port]\n7000 = 1"])
def test_a_port_without_a_table_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match=r"pychatd.toml: .*has to be a table"):
        read(tmp_path, text)


def test_bad_toml_is_refused_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"pychatd.toml is not valid TOML: .*line 2"):
        read(tmp_path, "grace = 1\ngrace\n")


@pytest.mark.parametrize("text", ["x = " + "[" * 3000, "x = " + "{a=" * 3000])
def test_toml_that_is_nested_too_deeply_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match=r"pychatd.toml is not valid: its brackets are nested too deeply\.$"):
        read(tmp_path, text)


@pytest.mark.parametrize("text", ["grace = " + "9" * 5000, "[x]\ny = -" + "1" * 5000])
def test_a_number_of_thousands_of_digits_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match=r"pychatd.toml is not valid: a number in it has too many digits\.$"):
        read(tmp_path, text)


def test_a_number_is_no_word(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match='turns: use "alternate"'):
        read(tmp_path, "turns = 0x" + "f" * 5000)


def test_a_fifo_is_no_configuration(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(UsageError, match=r"Cannot read the configuration .*/fifo: it is not a regular file\."):
        config_file.read(tmp_path / "fifo")


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp037"])
def test_a_file_that_is_not_utf_8_is_refused(tmp_path: Path, encoding: str) -> None:
    with pytest.raises(
        UsageError, match=r"pychatd.toml is not (in UTF-8: save it in this encoding\.$|valid TOML)"
    ):
        read(tmp_path, 'handle = "Zo\u00eb"'.encode(encoding))


def test_utf_16_without_letters_of_its_own_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"pychatd.toml is not in UTF-8: save it in this encoding\.$"):
        read(tmp_path, "grace = 7".encode("utf-16-le"))


@pytest.mark.parametrize("text", ["grace = 7", "grace = 7\r\n", "\r\n# \u00e4\r\ngrace = 7\r\n"])
def test_a_file_of_another_editor_is_read(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text.encode("utf-8-sig")).grace == 7


def test_a_named_file_has_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^Cannot read the configuration .*none.toml: No such file"):
        load(7000, {}, config=tmp_path / "none.toml")


def test_a_file_that_cannot_be_read_is_refused() -> None:
    with public_directory() as directory:
        file = directory / "pychatd.toml"
        file.touch()
        file.chmod(0)
        words = as_nobody(lambda: load(7000, {}, config=file))
    assert words == f"UsageError: Cannot read the configuration {file}: Permission denied."


def test_a_default_file_in_a_closed_directory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with public_directory() as directory:
        (directory / "pychatd").mkdir(mode=0)
        monkeypatch.setenv("XDG_CONFIG_HOME", str(directory))
        words = as_nobody(lambda: load(7000, {}))
    assert words.startswith("UsageError: Cannot read the configuration ")


# ------------------------------------------------------------------ directories


def test_options_win_over_systemds_directories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in PLACES:
        monkeypatch.setenv(variable, str(tmp_path / "systemd"))
    settings = load(7000, {}, state=tmp_path / "state", runtime=tmp_path / "run")
    assert (settings.state, settings.runtime) == (tmp_path / "state/7000", tmp_path / "run/7000")


def test_systemds_directories_are_those_of_one_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/pychatd/7000:/var/lib/other")
    monkeypatch.setenv("RUNTIME_DIRECTORY", "/run/pychatd/7000")
    monkeypatch.setenv("CONFIGURATION_DIRECTORY", str(tmp_path))
    (tmp_path / "pychatd.toml").write_text("grace = 7")
    settings = load(7000, {})
    assert (settings.state, settings.runtime) == (Path("/var/lib/pychatd/7000"), Path("/run/pychatd/7000"))
    assert (settings.file, settings.grace) == (tmp_path / "pychatd.toml", 7.0)


@pytest.fixture
def credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "credentials"
    directory.mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(directory))
    return directory


@pytest.mark.parametrize("names", [["certificate"], ["certificate", "key"], []])
def test_systemds_credentials_are_the_key_and_certificate(credentials: Path, names: list[str]) -> None:
    for name in names:
        (credentials / f"{name}.pem").touch()
    settings = load(7000, {})
    for name in ("certificate", "key"):
        assert getattr(settings, name) == (credentials / f"{name}.pem" if name in names else None)


def test_a_setting_wins_over_a_credential(tmp_path: Path, credentials: Path) -> None:
    for name in ("certificate", "key"):
        (credentials / f"{name}.pem").touch()
    settings = read(tmp_path, 'certificate = "/etc/pychatd/host.pem"')
    assert (settings.certificate, settings.key) == (Path("/etc/pychatd/host.pem"), credentials / "key.pem")


def test_a_users_directories_are_those_of_xdg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/home/alice/state")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1000")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    file = tmp_path / "pychatd/pychatd.toml"
    file.parent.mkdir()
    file.write_text("grace = 7")
    settings = load(7000, {})
    assert settings.state == Path("/home/alice/state/pychatd/7000")
    assert settings.runtime == Path("/home/alice/state/pychatd/run/7000")
    assert (settings.file, settings.grace) == (file, 7.0)


def test_without_xdg_directories_are_in_the_home_directory(home: Path) -> None:
    settings = load(7000, {})
    assert settings.state == home / ".local/state/pychatd/7000"
    assert settings.runtime == home / ".local/state/pychatd/run/7000"


@pytest.mark.parametrize("variable", ["STATE_DIRECTORY", "XDG_STATE_HOME"])
def test_a_directory_that_is_not_absolute_is_ignored(
    home: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "relative")
    assert load(7000, {}).state == home / ".local/state/pychatd/7000"


def test_roots_directories_are_the_systems_despite_xdg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    for variable in XDG:
        monkeypatch.setenv(variable, "/elsewhere")
    assert (state_base(), runtime_bases()) == (Path("/var/lib/pychatd"), [Path("/run/pychatd")])


def test_services_are_found_whatever_the_environment_of_a_login(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the directories of this environment, of none (cron), and of the system."""
    monkeypatch.setattr(os, "geteuid", lambda: 1)
    own = Path(pwd.getpwuid(1).pw_dir) / ".local/state/pychatd/run"
    assert runtime_bases() == [home / ".local/state/pychatd/run", own, Path("/run/pychatd")]
    monkeypatch.setenv("XDG_STATE_HOME", "/elsewhere")
    assert runtime_bases() == [Path("/elsewhere/pychatd/run"), own, Path("/run/pychatd")]


def test_the_files_of_a_service_are_in_its_directories(tmp_path: Path) -> None:
    settings = load(7000, {}, state=tmp_path / "state", runtime=tmp_path / "run")
    assert settings.console_socket == tmp_path / "run/7000/console.sock"
    assert settings.pidfile == tmp_path / "run/7000/pid"
    assert settings.journal == tmp_path / "state/7000/journal.db"


def test_a_runtime_directory_too_long_for_a_socket_is_refused() -> None:
    room = SOCKET_PATH_MAX - len("/7000/console.sock")
    longest = Path("/" + (room - 1) * "x")
    assert len(os.fsencode(load(7000, {}, runtime=longest).console_socket)) == SOCKET_PATH_MAX
    with pytest.raises(UsageError, match=r"The name of the runtime directory .* is too long"):
        load(7000, {}, runtime=Path(f"{longest}x"))
    with pytest.raises(
        UsageError, match=r"The name of the runtime directory .* is too long"
    ):  # bytes count, not characters
        load(7000, {}, runtime=longest.with_name(longest.name[:-1] + "\u00e4"))


# ------------------------------------------------------------------ running services


def test_services_are_the_directories_named_after_a_port(tmp_path: Path) -> None:
    for name in ("7000", "80", "7000.old", *(word for word in NO_PORTS if len(word) < 10)):
        (tmp_path / name).mkdir()
    assert service_directories(tmp_path) == {80: tmp_path / "80", 7000: tmp_path / "7000"}
