"""A conversation outlives its programs: what is on the screen after any death, and what becomes of each word."""

from __future__ import annotations

import shutil
import signal
import subprocess
from pathlib import Path
from typing import TextIO

import pytest

from tests.support.programs import Terminal
from tests.support.service import BIN, Service
from tests.support.user import known_hosts
from tests.support.waiting import PATIENCE, wait_for


@pytest.fixture
def free_service(idle_service: Service) -> Service:
    """A service without turns, that gives the seat away at once."""
    idle_service.start("--config", idle_service.configure('turns = "free"\ngrace = 0'))
    return idle_service


def _killed(terminal: Terminal, number: signal.Signals = signal.SIGKILL) -> None:
    terminal.child.kill(number)
    wait_for(lambda: not terminal.child.isalive(), "the program ends")


def _files(service: Service) -> list[str]:
    directory = Path(service.env["XDG_STATE_HOME"]) / "pychat/sessions"
    return sorted(path.name for path in directory.iterdir()) if directory.exists() else []


def _pychat(
    service: Service, *words: str, stdout: int | TextIO = subprocess.PIPE
) -> subprocess.CompletedProcess[str]:
    command = [str(BIN / "pychat"), words[0], "--accept-new", "localhost", str(service.port), *words[1:]]
    if words[0] == "replies":
        command.remove("--accept-new")
    return subprocess.run(
        command,
        env=service.env,
        text=True,
        stdout=stdout,
        stderr=subprocess.PIPE,
        timeout=PATIENCE * 2,
        check=False,
        input="",
    )


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP])
def test_a_client_that_died_goes_on_where_it_was(service: Service, number: signal.Signals) -> None:
    console, client = service.talk()
    console.enter("How are you?")
    client.sees("Server> How are you?")
    client.enter("Fine")
    console.sees("Client1> Fine")
    client.enter("typed early")
    client.sees("held until your turn: typed early")
    client.type("half a sen")
    client.line_is("Client1> half a sen")
    wait_for(lambda: "half a sen" in _draft(service), "the draft on the disk")
    _killed(client, number)
    console.sees("Client1 is not connected now")
    back = service.client(None)
    back.sees("Connected to Server again.")
    back.sees("held until your turn: typed early")
    text = back.text()
    assert text.index("Client1> Hi!") < text.index("Server> How are you?") < text.index("Client1> Fine")
    assert text.index("Client1> Fine") < text.index("held until your turn: typed early")
    back.line_is("Client1> half a sen")
    console.enter("Good")
    back.sees("Server> Good")
    console.sees("Client1> typed early")
    for words in ("Hi!", "Fine", "typed early"):
        console.line_with(f"Client1> {words}")
    for words in ("Hi!", "How are you?", "Good"):
        assert sum(line.endswith(f"> {words}") for line in back.lines()) == 1


def _draft(service: Service) -> str:
    directory = Path(service.env["XDG_STATE_HOME"]) / "pychat/sessions"
    return "".join(path.read_bytes().decode("latin-1") for path in directory.glob("*.db*"))


def test_what_was_said_meanwhile_comes_in_its_place(free_service: Service) -> None:
    console, client = free_service.talk()
    _killed(client)
    console.sees("Client1 is not connected now")
    console.enter("one")
    console.enter("two")
    back = free_service.client(None)
    back.sees("Server> two")
    said = [line[6:].removeprefix(">") for line in back.lines() if "> " in line]
    assert said[:3] == ["Client1> Hi!", "Server> one", "Server> two"]
    back.enter("three")
    console.sees("Client1> three")


def test_a_conversation_that_ended_leaves_nothing_on_the_disk(service: Service) -> None:
    console, client = service.talk()
    assert len(_files(service)) > 0
    client.enter("\\quit")
    assert client.exit_status() == 0
    console.sees("Client1 ended the conversation")
    console.enter("\\detach")
    assert console.exit_status() == 0
    assert _files(service) == []


@pytest.mark.parametrize("option", [None, "--plain", "--json"])
def test_a_quit_without_a_connection_is_told_at_the_next_call(service: Service, option: str | None) -> None:
    console, client = service.talk()
    service.kill()
    client.sees("Connection lost")
    client.enter("\\quit")
    assert client.exit_status() == 0
    service.start()
    again = service.client(None, *filter(None, [option]))
    console.sees("Client1 ended the conversation")
    again.sees("Send the first")
    assert "Cannot keep" not in again.text()


def _quit_without_a_connection(service: Service) -> Terminal:
    """The console."""
    console, client = service.talk()
    service.kill()
    client.sees("Connection lost")
    client.enter("\\quit")
    assert client.exit_status() == 0
    return console


@pytest.mark.parametrize("option", [None, "--plain", "--json"])
def test_a_quit_that_nobody_takes_is_kept(service: Service, option: str | None) -> None:
    console = _quit_without_a_connection(service)
    for _ in range(2):
        again = service.client(None, *filter(None, [option]))
        assert again.exit_status() == 3
        assert again.text().count("refused") == 1
    patient = service.client(None, "--wait", *filter(None, [option]))
    patient.sees("refused")
    patient.child.kill(signal.SIGINT)
    assert patient.exit_status() == 130
    service.start()
    service.client(None).sees("Send the first")
    console.sees("Client1 ended the conversation")


def test_a_quit_that_is_refused_ends_the_program(service: Service) -> None:
    _quit_without_a_connection(service)
    service.start()
    assert service.pychatd("block", "Client1").returncode == 0
    again = service.client(None)
    assert again.exit_status() == 5
    assert again.text().count("has blocked you") == 1


@pytest.mark.parametrize("option", ["--plain", "--json"])
def test_input_behind_a_quit_that_is_told_late_is_for_the_next(service: Service, option: str) -> None:
    console = _quit_without_a_connection(service)
    service.start()
    line = "Hello again" if option == "--plain" else '{"text": "Hello again"}'
    again = service.plain("pychat", option)
    again.enter(line)
    again.end_input()
    console.sees("Client1> Hello again")
    console.enter("\\quit")
    assert again.exit_status() == 0


def test_a_message_behind_a_quit_that_is_told_late_is_sent(service: Service) -> None:
    console = _quit_without_a_connection(service)
    service.start()
    sent = _pychat(service, "send", "Hello again")
    assert (sent.returncode, sent.stderr) == (0, "")
    console.sees("> Hello again")


def test_detach_keeps_the_conversation(service: Service) -> None:
    console, client = service.talk()
    client.enter("\\detach")
    client.sees(f"stays open: run 'pychat localhost {service.port}'")
    assert client.exit_status() == 0
    console.sees("Client1 is not connected now")
    assert "ended" not in console.text()
    service.client(None).sees("Connected to Server again.")


def test_the_first_ctrl_c_only_tells_what_the_second_does(service: Service) -> None:
    console, client = service.talk()
    client.type("\x03")
    client.sees("Press Ctrl-C again to leave. The conversation stays open")
    assert client.child.isalive()
    client.type("\x03")
    assert client.exit_status() == 130
    console.sees("Client1 is not connected now")


def test_a_second_window_says_where_the_first_is(service: Service) -> None:
    console, client = service.talk()
    client.type("half")
    second = service.client(None)
    assert second.exit_status() == 4
    assert f"is open in another window (pid {client.child.pid}" in " ".join(second.text().split())
    assert "Use --take-over to move it here." in " ".join(second.text().split())
    for words in (["send", "Hi"], ["replies"]):  # which have no such option
        refused = _pychat(service, *words)
        assert refused.returncode == 4
        assert refused.stderr.rstrip().endswith("Leave it there first.")
    moved = service.client(None, "--take-over")
    moved.line_is("Client1> half")
    assert client.exit_status() == 4
    client.sees("has taken over this conversation")
    assert "Detached" not in client.text()
    moved.type("\x7f" * 4)
    console.enter("Hello")
    moved.sees("Server> Hello")


def test_two_programs_with_one_token_do_not_fight(service: Service) -> None:
    """Somebody has copied the files to another machine."""
    console, client = service.talk()
    copied = service.env_of("copy")
    wait_for(lambda: "Client1" in _draft(service), "the conversation on the disk")
    shutil.copytree(
        Path(service.env["XDG_STATE_HOME"]) / "pychat/sessions", Path(copied["XDG_STATE_HOME"]) / "pychat/sessions"
    )
    second = service.client(None, env=copied)
    second.sees("Connected to Server again.")
    assert client.exit_status() == 4
    assert "taken over" in " ".join(client.text().split())
    console.enter("Who is it?")
    second.sees("Server> Who is it?")
    assert second.child.isalive()


def test_another_form_of_the_name_is_the_same_host(service: Service) -> None:
    _, client = service.talk()
    _killed(client)
    words = [str(BIN / "pychat"), "--accept-new", f"LOCALHOST:{service.port}"]
    service.terminal(words).sees("Connected to Server again.")


def test_new_ends_the_old_conversation(service: Service) -> None:
    console, client = service.talk()
    client.enter("never sent")
    client.sees("held")
    _killed(client)
    again = service.client(None, "--new")
    again.sees("You ended the conversation with Server.")
    again.sees("Send the first message")
    console.sees("Client1 ended the conversation")
    assert "never sent" in again.text()
    again.enter("\\recall")
    again.line_is("Client1> never sent")
    again.type("\x15")  # Ctrl-U
    again.enter("Me")
    console.sees("Client1> Me")
    assert "never sent" not in console.text()


def test_new_calls_a_host_that_has_lost_the_old_conversation(free_service: Service) -> None:
    """Also if the user has ended it while nobody could be told."""
    console, client = free_service.talk()
    console.enter("Hello")
    client.sees("Server> Hello")
    _killed(client)
    free_service.kill(signal.SIGTERM)
    unreached = free_service.client(None, "--new")
    unreached.sees("to tell them")
    assert unreached.exit_status() == 3
    for path in (free_service.state / str(free_service.port)).glob("journal.db*"):
        path.unlink()
    free_service.start()
    again = free_service.ready_client("Client1")
    again.enter("Me again")
    console.sees("Client1> Me again")


def test_an_end_while_away_is_told_before_the_next_call(free_service: Service) -> None:
    console, client = free_service.talk()
    _killed(client)
    console.sees("Client1 is not connected now")
    console.enter("the last words")
    console.sees("Server> the last words")
    console.enter("\\quit had to go")
    again = free_service.client("Client1")
    again.sees("Send the first message")
    text = again.text()
    ended = text.index("Server ended the conversation")
    assert text.index("Client1> Hi!") < text.index("Server> the last words") < ended
    assert "had to go" in text
    assert ended < text.index("Send the first message")


def test_a_seat_that_went_to_somebody_else_is_told_as_what_it_is(free_service: Service) -> None:
    console, client = free_service.talk()
    client.enter("before the end")
    console.sees("Client1> before the end")
    _killed(client)
    console.sees("Client1 is not connected now")
    eve = free_service.ready_client("Eve")
    eve.enter("Me now")
    console.sees("Eve> Me now")
    console.sees("The conversation with Client1 has ended: the caller did not come back")
    again = free_service.client("Client1")
    again.sees("Busy: somebody else is talking")
    text = again.text()
    assert text.index("The conversation with Server has ended on") < text.index("Busy")
    assert "Client1 ended" not in console.text()


def test_nobody_is_told_busy_by_his_own_seat(service: Service) -> None:
    _, client = service.talk()
    for _ in range(3):
        _killed(client)
        client = service.client(None)
        client.sees("Connected to Server again.")


def test_an_open_conversation_whose_file_cannot_be_used_is_not_ended(service: Service) -> None:
    console = service.ready_plain("pychatd-console", "--handle", "Server")
    assert _pychat(service, "send", "--open", "Call me").returncode == 0
    console.says("> Call me\n")
    console.enter("I will")
    name = f"localhost:{service.port}.db"
    file = Path(service.env["XDG_STATE_HOME"]) / "pychat/sessions" / name
    lock = file.with_suffix(".lock")
    lock.mkdir()  # nobody can use the file now, and root neither
    refused = _pychat(service, "replies"), _pychat(service, "send", "Me again")
    for done in refused:
        assert (done.returncode, done.stdout) == (1, "")
        assert f"The conversation with localhost port {service.port} may still be open in {file}" in done.stderr
    assert "Not sent:\npychat:     Me again" in refused[1].stderr
    lock.rmdir()
    assert _pychat(service, "replies").stdout == "I will\n"


def test_a_console_that_died_keeps_its_words(service: Service) -> None:
    console, client = service.talk()
    console.enter("answer")
    client.sees("Server> answer")
    console.enter("held words")
    console.sees("held until your turn: held words")
    console.type("a draft")
    wait_for(lambda: "a draft" in _draft(service), "the draft on the disk")
    _killed(console)
    back = service.console()
    back.sees("held until your turn: held words")
    back.line_is("Server> a draft")
    client.enter("go on")
    client.sees("Server> held words")
    assert sum("> answer" in line for line in back.lines()) == 1


def test_a_command_that_a_console_left_in_the_line_is_for_its_caller(service: Service) -> None:
    console, client = service.talk()
    console.type("\\quit")
    wait_for(lambda: "\\quit" in _draft(service), "the command on the disk")
    _killed(console)
    back = service.console()
    back.line_is("Server> \\quit")
    back.enter("")
    client.sees("Server ended the conversation")


def test_a_message_left_open_can_be_answered(service: Service) -> None:
    console = service.ready_console()
    sent = _pychat(service, "send", "--open", "Call me")
    assert (sent.returncode, sent.stdout, sent.stderr.count("accepted")) == (0, "", 1)
    assert _pychat(service, "replies").returncode == 8
    console.sees("Call me")
    console.enter("I will")
    console.sees("Server> I will")
    got = _pychat(service, "replies")
    assert (got.returncode, got.stdout, got.stderr) == (0, "I will\n", "")
    assert _pychat(service, "replies").returncode == 8
    assert _pychat(service, "send", "Thank you").returncode == 0
    console.sees("> Thank you")
    assert "ended" not in console.text()
    refused = _pychat(service, "send", "Another one")
    assert refused.returncode == 6
    assert "turn" in refused.stderr


@pytest.mark.parametrize(("words", "status"), [(["replies"], 1), (["send", "Thank you"], 6)])
def test_an_unwritable_reply_is_printed_the_next_time(service: Service, words: list[str], status: int) -> None:
    console = service.ready_plain("pychatd-console", "--handle", "Server")
    assert _pychat(service, "send", "--open", "Call me").returncode == 0
    console.says("Call me")
    console.enter("I will")
    wait_for(lambda: service.status()["peer"]["sent"] == 1, "the reply is stored")
    with Path("/dev/full").open("w") as full:
        failed = _pychat(service, *words, stdout=full)
    assert failed.returncode == status
    assert "cannot write it to stdout: No space left on device." in failed.stderr
    assert "Traceback" not in failed.stderr
    got = _pychat(service, "replies")
    assert (got.returncode, got.stdout) == (0, "I will\n")
    assert "Thank you" not in console.out()


def test_replies_from_a_damaged_file_says_so(service: Service) -> None:
    file = Path(service.env["XDG_STATE_HOME"]) / f"pychat/sessions/localhost:{service.port}.db"
    assert _pychat(service, "send", "--open", "Call me").returncode == 0
    file.write_bytes(b"rubbish" * 1000)
    got = _pychat(service, "replies")
    assert (got.returncode, got.stdout) == (1, "")
    assert f"is now {file.with_suffix('.damaged')}." in got.stderr
    assert "cannot go on from it" in got.stderr
    assert "No conversation" not in got.stderr


def test_replies_without_an_open_conversation_says_so(service: Service) -> None:
    result = _pychat(service, "replies")
    assert result.returncode == 3
    assert "No conversation with localhost" in result.stderr


def test_replies_tells_how_a_key_can_be_accepted(service: Service) -> None:
    assert _pychat(service, "send", "--open", "Call me").returncode == 0
    known_hosts(service).forget("localhost", service.port)
    result = _pychat(service, "replies")
    assert result.returncode == 7
    assert "To accept this key, call or send with --fingerprint SHA256:" in result.stderr


def test_a_journal_that_went_back_is_told_on_both_sides(free_service: Service, tmp_path: Path) -> None:
    console, client = free_service.talk()
    journal = free_service.state / str(free_service.port) / "journal.db"
    free_service.kill(signal.SIGTERM)
    shutil.copy(journal, tmp_path / "copy")
    free_service.start("--config", free_service.configure('turns = "free"\ngrace = 0'))
    wait_for(lambda: (free_service.status()["peer"] or {}).get("connected"), "the caller is back")
    client.enter("forgotten")
    console.sees("Client1> forgotten")
    console.enter("noted")
    client.sees("Server> noted")
    free_service.kill(signal.SIGTERM)
    shutil.copy(tmp_path / "copy", journal)
    free_service.start("--config", free_service.configure('turns = "free"\ngrace = 0'))
    client.sees("The other host has lost 1 of")
    assert client.exit_status() == 6
    assert "forgotten" in client.text()[client.text().index("has lost") :]
    console.sees("Client1 ended the conversation")
    free_service.client("Client1").sees("Send the first message")
