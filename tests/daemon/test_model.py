"""Numbers of conversations, as people type them."""

from __future__ import annotations

import re

import pytest

from pychat_client.errors import UsageError
from pychatd.conversation.model import conversation_number


@pytest.mark.parametrize("number", [1, 12, 10**18 - 1])
def test_a_number_of_the_journal_is_taken(number: int) -> None:
    assert conversation_number(str(number)) == number


@pytest.mark.parametrize("word", ["", "0", "000", "x", "-1", "1.5", "1 2", "\u00b2", "\uff11", "1" * 19])
def test_other_words_are_refused(word: str) -> None:
    with pytest.raises(UsageError, match=re.escape(f"'{word}' is not the number of a conversation.")):
        conversation_number(word)


def test_a_long_word_is_cut_in_the_error() -> None:
    with pytest.raises(UsageError, match=f"^'{'x' * 80}' is not"):
        conversation_number("x" * 1000)
