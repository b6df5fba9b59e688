"""The example configuration, which the packages install too: it has every setting with its default."""

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
"""The # of a setting that is commented out; a # before prose has a space after it."""


def test_the_example_as_it_is_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "pychatd.toml"
    file.write_text(EXAMPLE)
    assert tomllib.loads(EXAMPLE) == {}
    assert settings._read(file, 7000) == {}


def test_the_example_has_every_setting() -> None:
    shown = tomllib.loads(SETTING.sub("", EXAMPLE))
    shown.pop("port")
    assert difference("packaging/pychatd.toml", set(shown), set(settings._KEYS)) == ""


def test_the_uncommented_example_has_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "pychatd.toml"
    file.write_text(SETTING.sub("", EXAMPLE))
    read = settings.load(7000, {}, config=file)
    default = Settings(7000)
    for key in settings._KEYS:
        if getattr(default, key) is not None:  # a setting without a default has an example value
            assert getattr(read, key) == getattr(default, key), key
    assert settings.load(7001, {}, config=file).turns is Turns.FREE
