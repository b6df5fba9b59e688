"""The example configuration, which is the packages' too: it has every setting, with its default."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from pychat_client.protocol.turns import Turns
from pychatd import settings
from pychatd.settings import Settings
from tests.packaging.programs import PACKAGING, difference

EXAMPLE = (PACKAGING / "pychatd.toml").read_text()
SETTING = re.compile(r"^#(?=\w+ = |\[)", re.MULTILINE)
"""What makes a setting a comment; in front of prose there is a blank behind it."""


def test_as_it_is_it_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "pychatd.toml"
    file.write_text(EXAMPLE)
    assert tomllib.loads(EXAMPLE) == {}
    assert settings._read(file, 7000) == {}


def test_it_has_every_setting() -> None:
    shown = tomllib.loads(SETTING.sub("", EXAMPLE))
    shown.pop("port")
    assert difference("packaging/pychatd.toml", set(shown), set(settings._KEYS)) == ""


def test_uncommented_it_is_read_and_is_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "pychatd.toml"
    file.write_text(SETTING.sub("", EXAMPLE))
    read = settings.load(7000, {}, config=file)
    default = Settings(7000)
    for key in settings._KEYS:
        if getattr(default, key) is not None:  # where there is no default stands an example
            assert getattr(read, key) == getattr(default, key), key
    assert settings.load(7001, {}, config=file).turns is Turns.FREE
