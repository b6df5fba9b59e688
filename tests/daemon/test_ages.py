"""The times that options take."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pychat_client.errors import UsageError
from pychatd.ages import age_of, parse_age


@pytest.mark.parametrize(
    ("word", "age"),
    [
        ("90s", timedelta(seconds=90)),
        ("0m", timedelta()),
        ("12h", timedelta(hours=12)),
        ("999999d", timedelta(days=999999)),
        ("1000000d", None),
        ("1w", None),
        ("1.5h", None),
        ("-1d", None),
        ("90", None),
        ("\u0661d", None),
        ("1d\n", None),
        ("", None),
    ],
)
def test_an_age_is_a_number_and_its_unit(word: str, age: timedelta | None) -> None:
    assert parse_age(word) == age


def test_an_option_takes_ages_from_the_least_on() -> None:
    read = age_of("1m")
    for word, seconds in (("60s", 60), ("1m", 60), ("90s", 90), ("999999d", 999_999 * 86400)):
        assert read(word) == timedelta(seconds=seconds)
    for word in ("59s", "0m", "1000000d", "soon\x1b"):
        with pytest.raises(UsageError, match=r"^'.+' is not a time of 1m or more, such as ") as refused:
            read(word)
        assert str(refused.value).isprintable()
