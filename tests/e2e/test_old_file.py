"""A session file that is older than the conversation, or a copy: it goes on, and each word is accounted for."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest

from tests.support.programs import Terminal
from tests.support.service import BIN, Service
from tests.support.waiting import wait_for

OLD = "This conversation has messages of yours that are not known here"
DOUBT = "Not confirmed; it may have arrived:"


@pytest.fixture
def talking(idle_service: Service) -> Service:
    idle_service.start("--config", idle_service.configure('turns = "free"'))
    return idle_service


def _sessions(service: Service, user: str = "") -> Path:
    state = service.env_of(user) if user else service.env
    return Path(state["XDG_STATE_HOME"]) / "pychat/sessions"


def _killed(terminal: Terminal) -> None:
    terminal.child.kill(signal.SIGKILL)
    wait_for(lambda: not terminal.child.isalive(), "the program ends")


def _keep(service: Service, place: Path) -> None:
    """Copies the session file of a program that has died."""
    shutil.copytree(_sessions(service), place)


def _put_back(service: Service, place: Path, user: str = "") -> None:
    directory = _sessions(service, user)
    shutil.rmtree(directory, ignore_errors=True)
    directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    shutil.copytree(place, directory)
    directory.chmod(0o700)


def _elsewhere(service: Service) -> Terminal:
    """A client of the same user on another host."""
    words = [str(BIN / "pychat"), "--accept-new", "localhost", str(service.port)]
    return service.terminal(words, env=service.env_of("another-host"))


def _offline(service: Service, client: Terminal, *texts: str) -> None:
    """Has `texts` wait for their connection, and dies."""
    service.kill(signal.SIGTERM)
    client.tells("Reconnecting")
    for text in texts:
        client.enter(text)
        client.sees(f"> {text}")
    _killed(client)


def _starts_again(service: Service) -> None:
    service.start("--config", service.configure('turns = "free"'))


def _with_a_copy(service: Service, directory: Path) -> tuple[Terminal, Terminal]:
    """The console, and a client that has gone on; another host has a copy of the client's file."""
    console, client = service.talk()
    _killed(client)
    _keep(service, directory / "copy")
    _put_back(service, directory / "copy", "another-host")
    here = service.client(None)
    here.sees("Connected to Server again.")
    return console, here


def test_a_file_from_a_backup_goes_on_with_the_conversation(talking: Service, tmp_path: Path) -> None:
    """With more calls, acks and words on both sides than it knows; the daemon runs all the time."""
    console, client = talking.talk()
    _killed(client)
    _keep(talking, tmp_path / "backup")
    for word in ("two", "three"):
        client = talking.client(None)
        client.sees("Connected to Server again.")
        client.enter(word)
        console.sees(f"Client1> {word}")
        console.enter(f"and {word}")
        client.sees(f"Server> and {word}")
        _killed(client)
    _put_back(talking, tmp_path / "backup")
    back = talking.client(None)
    back.tells(OLD)
    back.sees("Connected to Server again.")
    text = back.text()
    places = [text.index(words) for words in ("> Hi!", "> two", "> and two", "> three", "> and three")]
    assert places == sorted(places)
    back.enter("four")
    console.sees("Client1> four")
    for word in ("Hi!", "two", "four"):
        assert sum(f"Client1> {word}" in line for line in console.lines()) == 1


def test_words_of_an_old_file_come_back_and_are_not_sent_again(talking: Service, tmp_path: Path) -> None:
    console, client = talking.talk()
    client.enter("two")
    console.sees("Client1> two")
    _offline(talking, client, "three", "three and a half")
    _keep(talking, tmp_path / "backup")
    _starts_again(talking)
    client = talking.client(None)
    client.sees("Connected to Server again.")
    client.enter("four")
    console.sees("Client1> four")
    _killed(client)
    _put_back(talking, tmp_path / "backup")
    back = talking.client(None)
    back.tells(OLD)
    back.sees("Connected to Server again.")
    text = back.text()
    assert text.index(DOUBT) < text.index("three and a half") < text.index("> four")
    back.enter("five")
    console.sees("Client1> five")
    assert sum("Client1> three and" in line for line in console.lines()) == 1


def test_an_old_file_of_a_conversation_that_is_over_says_so(talking: Service, tmp_path: Path) -> None:
    console, client = talking.talk()
    _killed(client)
    _keep(talking, tmp_path / "backup")
    client = talking.client(None)
    client.sees("Connected to Server again.")
    client.enter("the last words")
    client.enter("\\quit tired")
    console.sees("Client1 ended the conversation")
    assert client.exit_status() == 0
    _put_back(talking, tmp_path / "backup")
    back = talking.client("Client1")
    back.sees("Send the first message")
    assert "the last words" in back.text()
    assert "Server ended the conversation" not in back.text()
    back.enter("a new one")
    console.sees("Client1> a new one")


def test_two_hosts_with_copies_of_one_file_move_the_talk(talking: Service, tmp_path: Path) -> None:
    console, here = _with_a_copy(talking, tmp_path)
    there = _elsewhere(talking)
    there.sees("Connected to Server again.")
    here.tells("A newer connection has taken over this conversation.")
    assert here.exit_status() == 4
    there.enter("from there")
    console.sees("Client1> from there")
    back = talking.client(None)
    back.tells(OLD)
    back.sees("> from there")
    back.sees("Connected to Server again.")
    assert there.exit_status() == 4
    back.enter("from here")
    console.sees("Client1> from here")


def test_words_that_two_copies_have_in_one_place_are_not_lost(talking: Service, tmp_path: Path) -> None:
    console, here = _with_a_copy(talking, tmp_path)
    _offline(talking, here, "said here")
    _starts_again(talking)
    there = _elsewhere(talking)
    there.sees("Connected to Server again.")
    there.enter("said there")
    console.sees("Client1> said there")
    back = talking.client(None)
    back.tells(OLD)
    back.sees("Connected to Server again.")
    text = back.text()
    assert text.index(DOUBT) < text.index("said here") < text.index("> said there")
    assert "said here" not in console.text()


def test_a_consoles_old_file_sends_nothing_again(talking: Service, tmp_path: Path) -> None:
    console, client = talking.talk()
    talking.kill(signal.SIGTERM)
    client.tells("Reconnecting")
    console.tells("Reconnecting")
    console.enter("once")
    console.sees("> once")
    _killed(console)
    _keep(talking, tmp_path / "backup")
    _starts_again(talking)
    console = talking.console()
    client.sees("Server> once")
    console.enter("twice")
    client.sees("Server> twice")
    _killed(console)
    shutil.copytree(tmp_path / "backup", _sessions(talking), dirs_exist_ok=True)
    back = talking.console()
    back.tells(OLD)
    back.sees("> twice")
    back.enter("thrice")
    client.sees("Server> thrice")
    assert [sum(f"Server> {word}" in line for line in client.lines()) for word in ("once", "twice")] == [1, 1]


def test_a_consoles_words_go_to_no_other_conversation(talking: Service) -> None:
    """The journal is gone, and the new one begins with the same number and the same caller."""
    console, client = talking.talk()
    talking.kill(signal.SIGTERM)
    console.tells("Reconnecting")
    console.enter("for the first one")
    console.sees("> for the first one")
    _killed(console)
    _killed(client)
    for path in (talking.state / str(talking.port)).glob("journal.db*"):
        path.unlink()
    shutil.rmtree(_sessions(talking, "elsewhere"), ignore_errors=True)
    _starts_again(talking)
    words = [str(BIN / "pychat"), "--accept-new", "localhost", str(talking.port), "--handle", "Client1"]
    client = talking.terminal(words, env=talking.env_of("another-host"))
    client.sees("Send the first message")
    client.enter("Who is there?")
    console = talking.console()
    console.sees("Client1> Who is there?")
    console.tells("Not sent: -- for the first one")
    console.enter("Me")
    client.sees("Server> Me")
    assert "for the first one" not in client.text()


def test_two_copies_of_a_consoles_file_move_the_talk(talking: Service, tmp_path: Path) -> None:
    """Also an old copy, whose programs had made fewer calls. Who is displaced does not call again."""
    console, client = talking.talk()
    console.enter("Hello")
    client.sees("Server> Hello")
    _killed(console)
    _keep(talking, tmp_path / "copy")
    for _ in range(3):
        here = talking.console()
        here.sees("Client1> Hi!")
        _killed(here)
    here = talking.console()
    here.sees("Client1> Hi!")
    _put_back(talking, tmp_path / "copy", "another-host")
    there = talking.console(env=talking.env_of("another-host"))
    there.sees("Client1> Hi!")
    here.tells("A newer connection of this console has taken its place.")
    assert here.exit_status() == 4
    there.enter("from there")
    client.sees("Server> from there")
    _put_back(talking, tmp_path / "copy")  # who was displaced had nothing more to send, and no file any more
    back = talking.console()
    back.sees("> from there")
    assert there.exit_status() == 4
    back.enter("from here")
    client.sees("Server> from here")
