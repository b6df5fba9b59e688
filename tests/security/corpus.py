"""Hostile text, and what may arrive in a terminal all the same.

LEGAL can travel in a line of the protocol and has to be made visible where it is shown; ILLEGAL are
bytes that no line may have. The check here is written apart from printable(), which it judges.
"""

from __future__ import annotations

import re
import unicodedata

LEGAL = {
    "bidi override": "a\u202etxt.exe\u202c",
    "bidi embedding": "\u202ab\u202b\u202c\u202d",
    "bidi isolate": "\u2066a\u2067b\u2068c\u2069",
    "direction marks": "a\u200eb\u200fc\u061cd",
    "zero width": "a\u200bb\u200cc\u200dd\u2060e\ufefff",
    "invisible operators": "a\u2061b\u2062c\u2063d\u2064e\u206af\u206f",
    "soft hyphen": "a\u00adb",
    "fillers": "a\u3164b\u115fc\u1160d\uffa0e\u034ff\u180eg",
    "tag characters": "a\U000e0041\U000e0042\U000e007fb",
    "annotations": "a\ufff9b\ufffac\ufffbd",
    "private": "a\ue000b\U000f0000c\U00100000d",
    "unassigned": "a\u0378b\U000e0fffc",
    "noncharacters": "a\ufffeb\uffffc\U0001fffed\ufdd0",
    "paragraph separator": "a\u2029Server> forged",
    "line separator": "a\u2028Server> forged\u202812:00 Server> forged\u2028-- forged",
    "combining flood": "a" + "\u0301\u0300\u0308" * 100,
    "combining first": "\u0301\u0300abc",
    "enclosing flood": "a" + "\u0489\u20dd" * 100,
    "variation flood": "a" + "\ufe0f\ufe00\U000e0100" * 60,
    "joined nothing": "\u200d" * 30 + "x",
    "wide emoji": "\U0001f600" * 480,
    "emoji with variations": "\u2764\ufe0f" * 240,
    "arabic ligature": "\ufdfa" * 200,
    "spaces of all widths": "a" + "\u00a0\u2000\u2003\u200a\u202f\u205f\u3000" * 30 + "Server> forged",
    "music and shorthand": "a\U0001d173b\U0001d17ac\U0001bca0d",
    "looks like codes": "^[[31m \\x1b[2J \u241b[0m <U+001B> %s {0} \\u001b",
}
"""Strings of at most 500 characters, none of them with a control character."""

SHORT = "".join(text[:8] for text in LEGAL.values())[:190]
"""Something of everything, for places with less room."""

SEQUENCES = {
    "clear": "\x1b[2J\x1b[H",
    "colour": "\x1b[31;1mred",
    "title": "\x1b]0;owned\x07",
    "title with ST": "\x1b]2;owned\x1b\\",
    "link": "\x1b]8;;http://example.org/\x1b\\here\x1b]8;;\x1b\\",
    "clipboard": "\x1b]52;c;cm0gLXJm\x07",
    "answer back": "\x1b[c\x1b[6n\x1bP$qm\x1b\\\x05",
    "alternate screen": "\x1b[?1049h",
    "paste end": "\x1b[201~\rowned\r",
    "reset": "\x1bc",
    "charset": "\x1b(0\x0e",
    "C1 CSI": "\x9b2J",
    "C1 OSC": "\x9d0;owned\x9c",
    "C1 NEL": "a\x85Server> forged",
    "overwrite by CR": "harmless\rServer> forged",
    "overwrite by BS": "bad" + "\b" * 3 + "good",
    "bell": "\x07" * 5,
    "vertical tab": "a\vServer> forged\fServer> forged",
    "tab": "a\tb",
    "delete": "a\x7f\x7fb",
    "NUL": "a\0b",
}

ILLEGAL = {name: text.encode() for name, text in SEQUENCES.items()} | {
    "raw C1": b"\x9b2J\x9d0;owned\x9c",
    "lone high surrogate": b"a\xed\xa0\x80b",
    "lone low surrogate": b"a\xed\xbf\xbfb",
    "surrogate pair": b"\xed\xa0\xbd\xed\xb8\x80",
    "overlong slash": b"\xc0\xaf",
    "overlong ESC": b"\xc0\x9b[2J\xe0\x80\x9b[2J\xf0\x80\x80\x9b[2J",
    "overlong NUL": b"\xc0\x80",
    "beyond Unicode": b"\xf4\x90\x80\x80\xf8\x88\x80\x80\x80",
    "cut short": b"\xf0\x9f\x98",
    "latin-1": b"caf\xe9",
}

_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180e\u180f\u3164\uffa0")
_MEANT = re.compile(  # what the screen writes: colours, erasing, moving by steps, modes, where is the cursor
    r"\x1b\[[0-9;]*[ABCDHJKm]|\x1b\[\?(?:1|7|12|25|1004|2004)[hl]|\x1b\[6n|\x1b\[\d q|\r|\n|\x08"
    r"|\x1b[78]"  # the cursor is saved, and restored
)
_HIDDEN = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")


def hidden(text: str, *, only_controls: bool = False) -> list[str]:
    """The characters of `text` that a terminal obeys, or shows as nothing; and floods of marks."""
    bad = []
    marks = 0
    for char in text:
        category = unicodedata.category(char)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        if category == "Cc" or (not only_controls and (category in _HIDDEN or char in _INVISIBLE or marks > 8)):
            bad.append(f"U+{ord(char):04X}")
    return bad


def not_meant(raw: bytes, *, only_controls: bool = False) -> list[str]:
    """What a program wrote to a terminal and cannot have meant."""
    return hidden(_MEANT.sub("", raw.decode()), only_controls=only_controls)


def forged(rows: list[str], name: str) -> list[str]:
    """Rows of a screen that look like a message of `name`, or a notice, and have `forged` in them."""
    return [row for row in rows if re.match(rf"(\d\d:\d\d )?{name}> .*forged|-- (\w+ )?forged|\S+: forged", row)]
