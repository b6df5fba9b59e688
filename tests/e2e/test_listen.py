"""`pychat listen` lets somebody call with one command on each host, and leaves nothing behind."""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import termios
import threading
import tty
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from tests.support.programs import Piped, Terminal
from tests.support.service import BIN, Service
from tests.support.tmux import children
from tests.support.user import run
from tests.support.waiting import wait_for


def _words(service: Service, *options: str) -> list[str]:
    return [
        *[str(BIN / "pychat"), "listen", str(service.port), "--host", "localhost", "--handle", "Server"],
        *["--runtime-directory", str(service.runtime), "--state-directory", str(service.state), *options],
    ]


def _listening(service: Service, *options: str) -> Terminal:
    terminal = service.terminal(_words(service, *options), columns=120)
    terminal.sees("Waiting for calls")
    return terminal


def _line(terminal: Terminal) -> list[str]:
    """The command that it prints for the other user."""
    found = re.search(r"pychat (localhost \d+ --invite [0-9A-Z-]+)", terminal.text())
    assert found, terminal.text()
    return found[1].split()


def _calls(service: Service, words: list[str]) -> Piped:
    home = service.directory / "other"
    env = {**service.env, "HOME": str(home), "XDG_DATA_HOME": str(home), "XDG_STATE_HOME": str(home)}
    return Piped(service.popen([str(BIN / "pychat"), *words, "--handle", "Zoe"], env=env))


def test_an_invitation_tells_its_end_by_the_clock_of_its_reader(service: Service) -> None:
    before = datetime.now(timezone(timedelta(hours=14))) + timedelta(hours=1)
    invited = run(service, service.command("invite", "--valid", "1h"), TZ="XXX-14")
    ends = before, before + timedelta(minutes=1)
    assert any(f"once, until {end:%H:%M on %d %B}:" in invited.stdout for end in ends), invited.stdout


def test_an_invitation_for_a_year_tells_the_year(service: Service) -> None:
    before = datetime.now(UTC)
    invited = service.pychatd("invite", "--for", "Ann", "--valid", "366d").stdout
    ends = {f"{now.astimezone() + timedelta(days=366):%d %B %Y}" for now in (before, datetime.now(UTC))}
    assert any(f" on {end}:" in invited for end in ends), invited
    assert service.pychatd("invitations").stdout.endswith(tuple(f"{end}\n" for end in ends))


@pytest.mark.parametrize("listen", [["127.0.0.1"], ["127.0.0.2", "::1"], ["::1"], ["127.0.0.1", "::"], []])
def test_an_invitation_to_a_service_for_this_host_alone_warns(idle_service: Service, listen: list[str]) -> None:
    idle_service.start(*(word for address in listen for word in ("--listen", address)))
    warned = "listens on this host only" in idle_service.pychatd("invite").stderr
    assert warned is bool(listen and "::" not in listen)
    assert idle_service.pychatd("invite", "--host", "bastion.example.net").stderr == ""


def test_the_same_login_name_on_both_hosts_costs_one_question(idle_service: Service) -> None:
    """The refused call does not use up the invitation."""
    operator = _listening(idle_service)
    caller = idle_service.terminal([str(BIN / "pychat"), *_line(operator), "--handle", "Server"])
    caller.sees("Your handle:")
    caller.enter("Zoe")
    caller.sees("Send the first message")
    caller.enter("Hi!")
    operator.sees("Zoe> Hi!")
    operator.sees("verified as guest1")


def test_live_typing_can_be_on_from_the_start(idle_service: Service) -> None:
    operator = _listening(idle_service, "--live")
    caller = idle_service.terminal([str(BIN / "pychat"), *_line(operator), "--handle", "Zoe", "--live"])
    caller.sees("Send the first message")
    caller.enter("Hi!")
    operator.sees("watched")
    operator.type("Hello, how ar")
    caller.sees("Server … Hello, how ar")


def test_one_command_on_each_host_is_enough(idle_service: Service) -> None:
    operator = _listening(idle_service)
    caller = _calls(idle_service, _line(operator))
    caller.notes("Send the first message")
    caller.enter("one")
    caller.enter("two")  # there are no turns
    operator.sees("Zoe> two")
    operator.sees("verified as guest1")
    caller.enter("\\quit")
    assert caller.exit_status() == 0
    operator.sees("Zoe ended the conversation")
    operator.type("\x04")
    assert operator.exit_status() == 0
    assert not idle_service.alive()


def test_what_to_send_stays_in_the_window(idle_service: Service) -> None:
    """As long as there is room: the notices and messages that follow do not push it out."""
    operator = _listening(idle_service)
    caller = _calls(idle_service, _line(operator))
    caller.notes("Send the first message")
    caller.enter("Hi!")
    operator.sees("Zoe> Hi!")
    window = operator.lines()[-24:]
    assert any(line.startswith("Send one of these two lines") for line in window), window


def test_who_is_invited_can_have_a_name(idle_service: Service) -> None:
    operator = _listening(idle_service, "--for", "my_friend")
    operator.sees("Send one of these two lines to the person whom you invite (shown as my_friend).")
    caller = _calls(idle_service, _line(operator))
    caller.notes("Send the first message")
    caller.enter("Hi!")
    operator.sees("verified as my_friend")


def test_who_leaves_reads_how_to_start_the_service_again(idle_service: Service) -> None:
    operator = _listening(idle_service)
    caller = _calls(idle_service, _line(operator))
    caller.notes("Send the first message")
    caller.enter("one")
    operator.sees("Zoe> one")
    operator.type("\x04")
    assert operator.exit_status() == 0
    told = re.search(r"run '(pychat listen [^']*)'", " ".join(operator.text().split()))
    assert told, operator.text()
    again = idle_service.terminal([str(BIN / "pychat"), *shlex.split(told[1])[1:]], columns=120)
    again.sees("Zoe> one")
    again.enter("two")
    caller.says("two")


def test_an_open_conversation_goes_on_without_a_new_invitation(idle_service: Service) -> None:
    """Whoever was invited calls again with the same command."""
    operator = _listening(idle_service)
    command = _line(operator)
    caller = _calls(idle_service, command)
    caller.notes("Send the first message")
    caller.enter("one")
    operator.sees("Zoe> one")
    caller.enter("\\detach")
    assert caller.exit_status() == 0
    operator.type("\x04")
    assert operator.exit_status() == 0
    again = idle_service.terminal(_words(idle_service), columns=120)
    again.sees("Zoe comes back with the same command as before.")
    again.sees("Zoe> one")
    assert "--invite" not in again.text()
    caller = _calls(idle_service, command)
    caller.enter("two")
    again.sees("Zoe> two")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGKILL])
def test_a_signal_ends_the_service_too(idle_service: Service, number: signal.Signals) -> None:
    operator = _listening(idle_service)
    with idle_service.ends():
        operator.child.kill(number)
    wait_for(lambda: not operator.child.isalive(), "pychat listen has ended")
    if number in (signal.SIGTERM, signal.SIGHUP):
        assert operator.child.exitstatus == 128 + number


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT])
def test_a_signal_puts_the_terminal_in_order(idle_service: Service, number: signal.Signals) -> None:
    operator = _listening(idle_service)
    operator.child.kill(number)
    assert operator.exit_status() == 128 + number
    assert termios.tcgetattr(operator.child.child_fd)[tty.LFLAG] & termios.ICANON
    assert not idle_service.alive()


@pytest.mark.parametrize(("key", "name"), [("\x03", "INT"), ("\x1c", "QUIT")])
def test_a_signal_in_the_editor_is_only_for_the_editor(
    idle_service: Service, tmp_path: Path, key: str, name: str
) -> None:
    editor, got = tmp_path / "editor", tmp_path / "interrupted"
    wait = f"trap 'echo; touch {got}' {name}\necho in the editor\nwhile [ ! -e {got} ]; do sleep 0.05; done"
    editor.write_text(f'#!/bin/sh\n{wait}\nprintf ", edited" >>"$1"\n')
    editor.chmod(0o700)
    operator = idle_service.terminal(_words(idle_service), columns=120, env={"VISUAL": str(editor)})
    operator.sees("Waiting for calls")
    operator.type("half\x18\x05")
    operator.sees("in the editor")
    operator.type(key)
    operator.line_is("Server> half, edited")
    operator.type("\x15\x04")
    assert operator.exit_status() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_end_of_its_daemon_ends_the_command(idle_service: Service, number: signal.Signals) -> None:
    """Nobody would start the daemon again while the console waits for it."""
    operator = _listening(idle_service)
    caller = _calls(idle_service, _line(operator))
    caller.notes("Send the first message")
    caller.enter("Hi!")
    operator.sees("Zoe> Hi!")
    idle_service.kill(number)
    assert operator.exit_status() == 130
    operator.tells("The conversation stays open: run 'pychat listen")
    assert "No service runs" not in operator.text()
    again = idle_service.terminal(_words(idle_service), columns=120)
    again.sees("Zoe> Hi!")
    again.enter("Hello!")
    caller.says("Hello!")


@pytest.mark.parametrize("keep", [[], ["--keep"]])
def test_a_killed_command_leaves_no_console_in_its_shell(idle_service: Service, keep: list[str]) -> None:
    """No SIGHUP ends it there. The next command has the console again. (A terminal that answers late, as this one
    would, types the answers into the shell.)"""
    window = idle_service.terminal(["bash", "--norc", "-i"], columns=120, answers=False)
    window.enter(shlex.join(_words(idle_service, *keep)))
    window.sees("Waiting for calls")
    (listening,) = children(window.child.pid)
    (console,) = children(int(listening.name))
    with nullcontext() if keep else idle_service.ends():
        os.kill(int(listening.name), signal.SIGKILL)
    wait_for(lambda: not console.exists(), "the console has ended")
    window.enter("echo $((6 * 7)) rows")
    window.sees("42 rows")
    if keep:
        assert idle_service.pychatd("stop").returncode == 0
    window.enter(shlex.join(_words(idle_service)))
    wait_for(lambda: window.text().count("Waiting for calls") == 2, "the next console", shown=window.text)
    window.type("\x04")
    window.sees("Detached.")


def test_a_signal_that_is_ignored_stays_so(idle_service: Service) -> None:
    """As behind nohup."""
    ignoring = ["sh", "-c", 'trap "" HUP; exec "$@"', "sh", *_words(idle_service)]
    operator = idle_service.terminal(ignoring, columns=120)
    operator.sees("Waiting for calls")
    (console,) = children(operator.child.pid)
    ignored = re.search(r"^SigIgn:\s*(\w+)$", (console / "status").read_text(), re.MULTILINE)
    assert ignored is not None
    assert int(ignored[1], 16) & 1 << signal.SIGHUP - 1
    operator.child.kill(signal.SIGHUP)
    operator.type("\x04")
    assert operator.exit_status() == 0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGABRT])
def test_a_console_that_a_signal_ends_gives_the_status_of_a_shell(
    idle_service: Service, number: signal.Signals
) -> None:
    operator = _listening(idle_service)
    (console,) = children(operator.child.pid)
    os.kill(int(console.name), number)
    assert operator.exit_status() == 128 + number


def test_a_killed_console_leaves_the_terminal_as_it_was(idle_service: Service) -> None:
    show = f"stty -g; {shlex.join(_words(idle_service))}; stty -g"
    window = idle_service.terminal(["bash", "-c", show], columns=120)
    window.sees("Waiting for calls")
    (listening,) = children(window.child.pid)
    (console,) = children(int(listening.name))
    caller = _calls(idle_service, _line(window))
    caller.notes("Send the first message")
    caller.enter("Hi!")
    window.sees("Zoe> Hi!")
    os.kill(int(console.name), signal.SIGKILL)
    assert window.exit_status() == 0
    window.tells("pychatd-console was ended by signal 9. Run 'pychat listen")
    window.tells("to return to an open conversation.")
    before, *_, after = [line for line in window.lines() if line]
    assert before == after
    assert "no turns | verified" not in window.text()  # the toolbar
    assert window.raw.rindex(b"\x1b[?2004l") > window.raw.rindex(b"\x1b[?2004h")


def test_an_invitation_that_nobody_has_used_ends_with_the_command(idle_service: Service) -> None:
    operator = _listening(idle_service)
    old = _line(operator)
    operator.type("\x04")
    assert operator.exit_status() == 0
    _listening(idle_service)
    caller = _calls(idle_service, old)
    assert caller.exit_status() == 5
    assert "This invitation has been revoked." in caller.notices()
    assert "guest2" not in idle_service.pychatd("invitations").stdout


@pytest.mark.parametrize("name", [[], ["--for", "my_friend"]])
def test_an_invitation_of_a_killed_command_lets_nobody_in(idle_service: Service, name: list[str]) -> None:
    operator = _listening(idle_service, *name)
    old = _line(operator)
    with idle_service.ends():
        operator.child.kill(signal.SIGKILL)
    _listening(idle_service, *name)
    caller = _calls(idle_service, old)
    assert caller.exit_status() == 5
    assert "This invitation has been revoked." in caller.notices()


def test_with_keep_the_service_goes_on(idle_service: Service) -> None:
    operator = _listening(idle_service, "--keep")
    operator.type("\x04")
    assert operator.exit_status() == 0
    assert f"'pychatd stop {idle_service.port}' ends it" in operator.text()
    assert idle_service.alive()
    _calls(idle_service, _line(operator)).notes("Send the first message")


def test_with_keep_the_service_outlives_a_killed_command(idle_service: Service) -> None:
    operator = _listening(idle_service, "--keep")
    operator.child.kill(signal.SIGKILL)
    wait_for(lambda: not operator.child.isalive(), "pychat listen has ended")
    console = idle_service.ready_console("--take-over")
    assert idle_service.alive()
    console.type("\x04")
    assert console.exit_status() == 0


def test_a_daemon_for_a_process_that_does_not_run_does_not_start(idle_service: Service) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    for word, words in ((str(gone.pid), f"Process {gone.pid} does not run."), ("0", "'0' is not the number")):
        result = idle_service.pychatd("start", "--while", word)
        assert result.returncode == 2
        assert words in result.stderr
    assert not idle_service.alive()


def test_a_daemon_for_a_thread_does_not_start(idle_service: Service) -> None:
    """It has a number like a process."""
    done = threading.Event()
    thread = threading.Thread(target=done.wait, args=(60,))
    thread.start()
    result = idle_service.pychatd("start", "--while", str(thread.native_id))
    done.set()
    thread.join()
    assert result.returncode == 2
    assert f"Process {thread.native_id} does not run." in result.stderr


def test_a_port_that_is_given_is_the_only_one_tried(idle_service: Service) -> None:
    with socket.create_server(("", idle_service.port)):
        result = run(idle_service, _words(idle_service))
    assert result.returncode == 4
    assert result.stderr.startswith(f"pychat: Port {idle_service.port} is in use")


def _with_programs(service: Service, directory: Path, *, path: str) -> subprocess.CompletedProcess[str]:
    """Runs `pychat listen` with the programs of the daemon in `directory`, or else in `path`."""
    python = directory / "python"
    python.symlink_to(BIN / "python")
    code = f"import sys; sys.executable = '{python}'; from pychat_client.cli import main; sys.exit(main())"
    return run(service, [str(BIN / "python"), "-c", code, *_words(service)[1:]], PATH=path)


def test_without_the_daemon_s_package_it_says_what_is_missing(idle_service: Service, tmp_path: Path) -> None:
    result = _with_programs(idle_service, tmp_path, path="/nowhere")
    assert result.returncode == 2
    assert "'pychat listen' needs the package pychatd" in result.stderr


@pytest.mark.parametrize(
    ("script", "status", "words"),
    [
        ("#!/bin/sh\nkill $$", 1, "pychatd was ended by signal 15."),
        ("#!/bin/sh\nexit 130", 130, "pychatd ended with status 130."),
        ("#!/bin/sh\nexit 99", 1, "pychatd ended with status 99."),
        ("#!/bin/sh\necho pychatd: No. >&2; exit 5", 5, "No."),
        ("#!/nowhere/sh", 1, "Cannot run {program}: No such file or directory."),
    ],
)
def test_a_daemon_that_does_not_start_is_a_sentence(
    idle_service: Service, tmp_path: Path, script: str, status: int, words: str
) -> None:
    program = tmp_path / "pychatd"
    program.write_text(f"{script}\n")
    program.chmod(0o755)
    result = _with_programs(idle_service, tmp_path, path="/bin:/usr/bin")
    assert (result.returncode, result.stderr) == (status, f"pychat: {words.format(program=program)}\n")


def test_the_daemon_s_error_can_be_in_any_encoding(idle_service: Service) -> None:
    idle_service.state = idle_service.directory / "Z\u00fcrich"
    idle_service.state.write_text("not a directory")
    result = run(idle_service, _words(idle_service), PYTHONIOENCODING="latin-1")
    assert result.returncode == 5
    assert result.stderr.endswith(f"rich/{idle_service.port}: Not a directory.\n")


def test_an_interrupt_while_the_daemon_starts_says_nothing(idle_service: Service, tmp_path: Path) -> None:
    """Ctrl-C goes to both programs."""
    program = tmp_path / "pychatd"
    program.write_text("#!/bin/sh\nkill -INT $PPID\nexit 130\n")
    program.chmod(0o755)
    result = _with_programs(idle_service, tmp_path, path="/bin:/usr/bin")
    assert (result.returncode, result.stdout, result.stderr) == (130, "", "")
