"""What both the daemon and the programs that ask it say."""

from __future__ import annotations

from pathlib import Path

from pychat_client.text import WORDS_MAX
from pychatd.caller_words import DIRECTORY_MAX, told, was_damaged


def test_the_words_of_a_damaged_journal_name_its_directory_and_fit_into_a_notice() -> None:
    """A cut name would be that of another directory; one with other letters has an escape for each on the wire."""
    for name, whole in (
        ("/" + "x" * (DIRECTORY_MAX - 3), True),
        ("/" + "x" * (DIRECTORY_MAX - 2), False),
        ("/" + "ü" * (DIRECTORY_MAX // 4), False),
    ):
        words = was_damaged(told(Path(name)))
        assert len(words) <= WORDS_MAX
        assert words.endswith(f" out of {name}." if whole else " out of its directory."), name
