"""Alerts: when, how, and that a message in one can do nothing but be shown."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from pychat_client import calling
from pychat_client.config.preferences import Preferences
from pychat_client.ui.alerts import BELL, BELL_EVERY, HOOKS_MAX, IDLE_SECONDS, Alerts
from tests.support.waiting import wait_for


class Desk:
    """Alerts with a clock that the test sets."""

    def __init__(self, **preferences: Any) -> None:
        self.now = 1000.0
        self.written: list[str] = []
        self.sentences: list[str] = []
        wants = Preferences(**preferences)
        self.alerts = Alerts(wants, self.written.append, self.sentences.append, lambda: self.now)

    def message(self, words: str = "Bob> Hi!") -> None:
        self.alerts.alert(words, ring=False)

    def ring(self) -> None:
        self.alerts.alert("Bob rings.", ring=True)


# ------------------------------------------------------------------ when


def test_a_message_does_not_alert_an_attentive_user() -> None:
    desk = Desk(bell="unfocused")
    desk.message()
    assert desk.written == []


def test_only_the_first_message_without_the_focus_rings() -> None:
    desk = Desk(bell="unfocused")
    desk.alerts.focus(False)
    for _ in range(3):
        desk.message()
        desk.now += BELL_EVERY
    assert desk.written == [BELL]


@pytest.mark.parametrize("comes_back", [lambda a: a.touched(), lambda a: a.focus(False)])
def test_after_the_user_was_there_a_message_rings_again(comes_back: Any) -> None:
    desk = Desk(bell="unfocused")
    desk.alerts.focus(False)
    desk.message()
    desk.now += BELL_EVERY
    comes_back(desk.alerts)
    desk.message()
    assert desk.written == [BELL, BELL]


def test_without_keys_for_long_the_user_is_taken_to_be_away() -> None:
    desk = Desk(bell="unfocused")
    desk.alerts.focus(True)
    desk.now += IDLE_SECONDS + 1
    desk.message()
    assert desk.written == [BELL]


@pytest.mark.parametrize(("bell", "rung"), [("off", []), ("unfocused", [BELL]), ("all", [BELL])])
def test_a_ring_always_rings_unless_the_bell_is_off(bell: str, rung: list[str]) -> None:
    desk = Desk(bell=bell)
    desk.ring()
    assert desk.written == rung


def test_with_all_each_message_rings_but_a_burst_only_once() -> None:
    desk = Desk(bell="all")
    for _ in range(200):
        desk.message()
    assert desk.written == [BELL]
    desk.now += BELL_EVERY
    desk.message()
    assert desk.written == [BELL, BELL]


@pytest.mark.parametrize(
    ("preferences", "wanted"),
    [({"bell": "off"}, False), ({"bell": "all"}, True), ({"notify": "osc9"}, True), ({"hook": ("true",)}, True)],
)
def test_the_focus_matters_only_if_an_alert_is_switched_on(preferences: dict[str, Any], wanted: bool) -> None:
    assert Desk(**{"bell": "off", **preferences}).alerts.wanted is wanted


# ------------------------------------------------------------------ the title


TITLE, TITLE_BACK = "\x1b[22;2t\x1b]2;Bob (1)\a", "\x1b[23;2t"


@pytest.mark.parametrize(
    ("then", "back"),
    [
        (lambda alerts: alerts.touched(), True),
        (lambda alerts: alerts.focus(True), True),
        (lambda alerts: alerts.focus(False), False),
        (lambda alerts: alerts.leave(), True),
    ],
)
def test_the_title_is_put_back_by_the_user_and_at_the_end(then: Any, back: bool) -> None:
    desk = Desk(bell="unfocused")
    desk.alerts.focus(False)
    desk.alerts.message("Bob")
    then(desk.alerts)
    assert desk.written == [TITLE, *([TITLE_BACK] if back else [])]


@pytest.mark.parametrize(("bell", "focused"), [("unfocused", True), ("off", False)])
def test_no_title_for_a_user_who_looks_or_wants_no_alert(bell: str, focused: bool) -> None:
    desk = Desk(bell=bell)
    desk.alerts.focus(focused)
    desk.alerts.message("Bob")
    assert desk.written == []


# ------------------------------------------------------------------ the desktop


@pytest.mark.parametrize(
    ("notify", "sequence"),
    [("osc9", "\x1b]9;pychat: Bob> 4;1;50\a"), ("osc777", "\x1b]777;notify;pychat;Bob> 4;1;50\a")],
)
def test_a_notification_begins_with_its_title(notify: str, sequence: str) -> None:
    desk = Desk(bell="off", notify=notify)
    desk.alerts.focus(False)
    desk.message("Bob> 4;1;50")
    assert desk.written == [sequence]


def test_a_notification_is_short() -> None:
    desk = Desk(bell="off", notify="osc9")
    desk.alerts.focus(False)
    desk.message("x" * 500)
    assert desk.written == ["\x1b]9;pychat: " + "x" * 200 + "\a"]


# ------------------------------------------------------------------ the hook


def _hook(tmp_path: Path, *lines: str) -> tuple[str, ...]:
    script = tmp_path / "hook"
    script.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    script.chmod(0o700)
    return (str(script), "--an argument; $(touch pwned)")


def test_the_hook_gets_arguments_and_environment(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write = 'printf "%s\\n" "$1" "$PYCHAT_EVENT" "$PYCHAT_WORDS"'
    desk = Desk(hook=_hook(tmp_path, f"{write} > {out}.new", f"mv {out}.new {out}"))
    desk.ring()
    wait_for(out.exists, "the hook has run")
    assert out.read_text().splitlines() == ["--an argument; $(touch pwned)", "ring", "Bob rings."]
    out.unlink()
    desk.alerts.focus(False)
    desk.message("Bob> $(reboot) `reboot` ü")
    wait_for(out.exists, "the hook has run")
    assert out.read_text().splitlines()[1:] == ["message", "Bob> $(reboot) `reboot` ü"]


def test_only_a_few_hooks_that_hang_run_at_once(tmp_path: Path) -> None:
    desk = Desk(hook=_hook(tmp_path, f"echo $$ >> {tmp_path}/pids", "exec sleep 60"))
    start = time.monotonic()
    for _ in range(HOOKS_MAX + 3):
        desk.ring()
    assert time.monotonic() - start < 10
    pids = tmp_path / "pids"
    wait_for(lambda: pids.exists() and len(pids.read_text().split()) == HOOKS_MAX, "hooks run")
    for hook in desk.alerts._hooks:
        hook.kill()
    wait_for(lambda: all(hook.poll() is not None for hook in desk.alerts._hooks), "they end")
    assert len(pids.read_text().split()) == HOOKS_MAX


def test_a_hook_that_has_ended_is_not_a_zombie(tmp_path: Path) -> None:
    desk = Desk(hook=_hook(tmp_path, "exit 3"))
    desk.ring()
    pid = desk.alerts._hooks[0].pid
    wait_for(lambda: not Path(f"/proc/{pid}").exists(), "the process is gone without another alert")


def test_the_hook_has_no_terminal_and_a_session_of_its_own(tmp_path: Path) -> None:
    out = tmp_path / "out"
    look = "(ls -l /proc/self/fd; ps -o sid= -p $$)"
    desk = Desk(hook=_hook(tmp_path, f"{look} > {out}.new", f"mv {out}.new {out}"))
    desk.ring()
    wait_for(out.exists, "the hook has run")
    *fds, session = out.read_text().splitlines()
    assert session.strip() != str(os.getsid(0))
    assert not any("/dev/pts" in fd or "/dev/tty" in fd for fd in fds)


def test_a_bell_without_a_view_needs_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    calling._alert_without_view(Preferences(bell="all", notify="osc9"), plain=False)("The host answers.")
    assert capsys.readouterr().err == ""


def test_a_hook_that_the_locale_cannot_write_is_reported() -> None:
    desk = Desk(hook=("true", "\ud800"))
    desk.ring()
    assert desk.sentences == ["Cannot start the hook true: it has characters that your locale cannot write."]


def test_a_hook_that_cannot_start_is_reported() -> None:
    desk = Desk(hook=("/nonexistent/hook",))
    desk.ring()
    assert desk.sentences == ["Cannot start the hook /nonexistent/hook: no such file or directory."]
