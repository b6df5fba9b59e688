"""Which handles people take for each other (a small part of UTS #39)."""

from __future__ import annotations

import re
import unicodedata

_CAPITALS = str.maketrans(
    "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧАВЕЅІЈКМНОРСТУХҮԌԚԜՕՍԼՏ",
    "ABEZHIKMNOPTYXABESIJKMHOPCTYXYGQWOULS",
)
_LISU_AND_CHEROKEE = str.maketrans(
    "ꓐꓑꓓꓔꓖꓗꓙꓚꓜꓝꓟꓠꓡꓢꓣꓦꓧꓪꓫꓬꓮꓰꓲꓳꓴᎠᎡᎢᎪᎫᎬᎳᎷᎻᏀᏃᏎᏕᏚᏞᏟᏢᏦᏴᎩᏙᏒ",
    "bpdtgkjczfmnlsrvhwxyaeioudrtajewmhgz4sslcpkbyvr",
)
_SMALL = str.maketrans(
    "αεικνορτυχωσγηаеорсухѕіјһԁԛԝѵкмнтвгүօսոհցւɑɩ01i|5$€℮",
    "aeikvoptuxwoynaeopcyxsijhdqwvkmhtbryounhgiaiolllssee",
)
_VARIANT = re.compile("LATIN (?:SMALL |CAPITAL )?LETTER (?:[A-Z]+ )*([A-Z])(?: WITH(?:OUT)? .*)?")
"""The names of letters that are another one turned, with a hook, or as a small capital."""

_ANY = "\0"
"""In a skeleton: any letter."""


def looks_like(one: str, other: str) -> bool:
    """Whether a person may take one handle for the other: they differ in case, in marks, in punctuation, or in
    letters, digits and alphabets that look alike.

    In a handle of several alphabets, any letter may stand for a Latin one.
    """
    return skeletons_match(skeleton(one), skeleton(other))


def skeletons_match(first: str, second: str) -> bool:
    """Whether two handles look alike that have these skeletons."""
    if len(first) != len(second) or _ANY not in f"{first}{second}":
        return first == second
    return all(a == b or _ANY in (a, b) for a, b in zip(first, second, strict=True))


def skeleton(handle: str) -> str:
    """What is left of a handle without all in which handles that look alike differ."""
    text = unicodedata.normalize("NFKD", handle)
    text = "".join(char for char in text if unicodedata.category(char)[0] != "M")
    letters = "".join(char for char in text if unicodedata.category(char)[0] not in "PZ" or char == "|") or text
    mixed = any(map(_is_latin, letters)) and not all(map(_is_latin, filter(str.isalpha, letters)))
    letters = "".join(map(_base, letters.translate(_CAPITALS).casefold()))  # of which Cherokee's are capitals
    letters = letters.translate(_LISU_AND_CHEROKEE).translate(_SMALL).translate(_SMALL)
    if mixed:
        letters = "".join(_ANY if _is_of_another_alphabet(char) else char for char in letters)
    return letters.replace("rn", "m").replace("vv", "w")


def _is_latin(char: str) -> bool:
    return unicodedata.name(char, "").startswith("LATIN ")


def _base(letter: str) -> str:
    """The Latin letter that another one is a variant of."""
    name = None if letter.isascii() else _VARIANT.fullmatch(unicodedata.name(letter, ""))
    return letter if name is None else name[1].lower()


def _is_of_another_alphabet(char: str) -> bool:
    """Whether it is a letter that is neither Latin nor as wide as those of East Asia."""
    return char.isalpha() and not char.isascii() and unicodedata.east_asian_width(char) not in "WF"
