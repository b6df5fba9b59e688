"""Notifications in the sequence of the terminal, also through tmux and screen; and the title of the window."""

from __future__ import annotations

import re

import pytest

from pychat_client.ui.window import WindowTitle, notification

OSC_9, OSC_777 = "\x1b]9;pychat: Bob> Hi!\a", "\x1b]777;notify;pychat;Bob> Hi!\a"


@pytest.mark.parametrize(
    ("environ", "sequence"),
    [
        ({}, OSC_777),
        ({"TERM": "xterm-256color"}, OSC_777),
        ({"TERM": "xterm-kitty"}, OSC_9),
        ({"TERM_PROGRAM": "iTerm.app"}, OSC_9),
        ({"TERM_PROGRAM": "WezTerm"}, OSC_9),
    ],
)
def test_a_notification_is_in_the_terminals_own_sequence(environ: dict[str, str], sequence: str) -> None:
    assert notification("Bob> Hi!", "auto", environ) == sequence


@pytest.mark.parametrize(("dialect", "sequence"), [("osc9", OSC_9), ("osc777", OSC_777)])
def test_the_user_can_choose_the_sequence(dialect: str, sequence: str) -> None:
    assert notification("Bob> Hi!", dialect, {"TERM": "xterm-kitty"}) == sequence


def test_tmux_gets_a_wrapped_notification() -> None:
    wrapped = notification("Bob> Hi!", "osc9", {"TMUX": "/tmp/tmux,1,0"})
    assert wrapped == "\x1bPtmux;\x1b\x1b]9;pychat: Bob> Hi!\a\x1b\\"


@pytest.mark.parametrize("words", ["Bob> Hi!", 200 * "\u00e9", 200 * "\U0001f600"])
def test_screen_gets_it_in_pieces_that_it_passes_on(words: str) -> None:
    wrapped = notification(words, "osc777", {"STY": "1.pts-0"})
    pieces = re.findall(r"\x1bP(.*?)\x1b\\", wrapped, re.DOTALL)
    assert "".join(pieces) == f"\x1b]777;notify;pychat;{words}\a"
    assert max(len(piece.encode()) for piece in pieces) <= 256


def test_the_title_counts_and_is_put_back_once() -> None:
    written: list[str] = []
    title = WindowTitle(written.append, {})
    title.restore()
    assert written == []
    for handle in ("Bob", "\u202eBob"):
        title.message(handle)
    title.restore()
    title.restore()
    assert written == ["\x1b[22;2t\x1b]2;Bob (1)\a", "\x1b]2;<U+202E>Bob (2)\a", "\x1b[23;2t"]


def test_in_screen_the_title_is_that_of_the_terminal_outside() -> None:
    written: list[str] = []
    title = WindowTitle(written.append, {"STY": "1.pts-0"})
    title.message("Bob")
    title.restore()
    assert written == ["\x1bP\x1b[22;2t\x1b]2;Bob (1)\a\x1b\\", "\x1bP\x1b[23;2t\x1b\\"]
