"""Two people talk: the real daemon, console and client on real terminals."""

from __future__ import annotations

import stat

from tests.support.service import Service


def test_the_seeds_own_conversation_works(service: Service) -> None:
    console = service.ready_console()
    client = service.client(None)
    client.sees("Your handle:")
    client.enter("Client1")
    client.sees("Send the first message")
    client.enter("Hi!")
    console.sees("Client1> Hi!")
    console.enter("Hello, Client1")
    client.sees("Server> Hello, Client1")
    client.enter("Bye")
    console.sees("Client1> Bye")
    console.enter("\\quit")
    client.sees("Server ended the conversation")
    assert client.exit_status() == 0
    second = service.ready_client("Client2")
    second.enter("Me too")
    console.sees("Client2> Me too")


def test_a_message_that_arrives_leaves_the_half_typed_line_alone(service: Service) -> None:
    console, client = service.talk()
    client.type("half a thou")
    client.line_is("Client1> half a thou")
    console.enter("an answer")
    client.sees("Server> an answer")
    client.type("ght")
    client.line_is("Client1> half a thought")
    lines = client.lines()
    assert lines.index(client.line_with("Server> an answer")) < lines.index(client.line_with("half a thou"))
    client.enter()
    console.sees("Client1> half a thought")


def test_each_message_is_shown_once_on_either_side(service: Service) -> None:
    console, client = service.talk()
    console.enter("an answer")
    client.sees("Server> an answer")
    for terminal in (console, client):
        assert terminal.line_with("Client1> Hi!")
        assert terminal.line_with("Server> an answer")


# ------------------------------------------------------------------ quits


def test_the_operator_gets_the_clients_quit_and_its_reason(service: Service) -> None:
    console, client = service.talk()
    client.enter("\\quit the train leaves")
    assert client.exit_status() == 0
    console.sees('Client1 ended the conversation: "the train leaves')
    assert service.status()["peer"] is None


def test_the_client_gets_the_operators_quit_and_its_reason(service: Service) -> None:
    console, client = service.talk()
    console.enter("\\quit dinner is ready")
    client.sees('Server ended the conversation: "dinner is ready')
    assert client.exit_status() == 0
    console.sees("You ended the conversation: dinner is ready")
    assert service.status()["peer"] is None
    assert service.status()["console"]


def test_ctrl_d_in_the_client_ends_the_conversation(service: Service) -> None:
    console, client = service.talk()
    client.type("\x04")
    assert client.exit_status() == 0
    console.sees("Client1 ended the conversation")


def test_three_peers_talk_one_after_another(service: Service) -> None:
    console = service.ready_console()
    for name in ("Anna", "Boris", "Çelik"):
        client = service.ready_client(name)
        client.enter(f"{name} was here")
        console.sees(f"{name}> {name} was here")
        console.enter(f"Hello, {name}")
        client.sees(f"Server> Hello, {name}")
        client.enter("\\quit")
        assert client.exit_status() == 0
        console.sees(f"{name} ended the conversation")


# ------------------------------------------------------------------ turns


def test_an_operator_who_speaks_first_keeps_the_text(service: Service) -> None:
    console = service.ready_console()
    console.enter("Is anybody there?")
    console.sees("the caller has to send the first message.")
    console.line_is("Server> Is anybody there?")
    client = service.ready_client()
    client.enter("Hi!")
    console.sees("Client1> Hi!")
    console.enter()
    client.sees("Server> Is anybody there?")


def test_a_message_typed_early_is_held_until_its_turn(service: Service) -> None:
    console, client = service.talk()
    client.enter("one more thing")
    client.sees("held until your turn: one more thing")
    console.enter("Hello")
    console.sees("Client1> one more thing")
    client.sees("Client1> one more thing")
    told = [text.split("> ", 1)[-1] for text in client.lines() if "> " in text]
    assert told[:3] == ["Hi!", "Hello", "one more thing"]


def test_a_held_message_can_be_recalled_into_the_line(service: Service) -> None:
    console, client = service.talk()
    client.enter("first")
    client.sees("held until your turn: first")
    client.enter("secnd")
    client.sees("held until your turn: secnd")
    client.enter("\\recall")
    client.line_is("Client1> secnd")
    client.enter("\x08\x08ond")
    client.sees("held until your turn: second")
    console.enter("Go on")
    console.sees("Client1> first")
    console.enter("And?")
    console.sees("Client1> second")
    assert "secnd" not in console.text()
    client.enter("\\recall")
    client.sees("No message is held.")
    client.line_is("Client1>")


def test_turns_free_lets_both_talk_at_any_time(idle_service: Service) -> None:
    idle_service.start("--turns", "free")
    console, client = idle_service.talk()
    for number in range(3):
        client.enter(f"question {number}")
        console.sees(f"Client1> question {number}")
    for number in range(3):
        console.enter(f"answer {number}")
        client.sees(f"Server> answer {number}")
    assert "held" not in client.text() + console.text()


# ------------------------------------------------------------------ what a message may be


def test_500_characters_are_sent_and_501_are_refused(service: Service) -> None:
    console, client = service.console(columns=240), service.client(columns=240, lines=30)
    client.sees("Send the first message")
    client.type("x" * 499 + "yz")
    client.enter()
    client.sees("the message has 501 characters; the limit is 500")
    client.enter("\x08")
    console.sees("Client1>\nxxx")  # a word that is longer than a row has rows of its own
    console.sees("xxy")
    said = "".join(console.text().split("Client1>\n")[1].split("Server>")[0].split())
    assert said == "x" * 499 + "y"


def test_a_line_of_several_is_one_message_with_alt_enter(service: Service) -> None:
    console, client = service.talk()
    console.enter("roses are red\x1b\rviolets are blue\x1b\r\\quit")
    client.sees("violets are blue")
    client.sees("\\quit")
    start = client.lines().index(client.line_with("Server> roses are red"))
    rest = [text.strip() for text in client.lines()[start + 1 : start + 3]]
    assert rest == ["violets are blue", "\\quit"]
    assert service.status()["peer"]["sent"] == 1


def test_a_paste_with_newlines_is_one_message(service: Service) -> None:
    console, client = service.talk()
    console.type("\x1b[200~one\r\ntwo\n\\quit\x1b[201~")
    console.sees("\\quit")
    assert service.status()["peer"]["sent"] == 0
    console.enter()
    client.sees("Server> one")
    client.sees("two")
    assert service.status()["peer"]["sent"] == 1


def test_what_could_command_a_terminal_is_shown_and_not_obeyed(service: Service) -> None:
    console = service.ready_console()
    client = service.ready_client("Ann")
    client.enter("abc\u202edef\u200b")
    console.sees("Ann> abc<U+202E>def<U+200B>")


# ------------------------------------------------------------------ commands


def test_help_lists_the_commands(service: Service) -> None:
    _, client = service.talk()
    client.enter("\\help")
    for command in ("\\help", "\\status", "\\held", "\\recall", "\\quit", "\\detach"):
        client.sees(command)


def test_status_shows_the_two_users_and_the_turn(service: Service) -> None:
    console, client = service.talk()
    client.enter("\\status")
    client.sees(f"You are Client1, calling localhost port {service.port}.")
    client.sees("The other side is Server.")
    client.sees("It is Server's turn.")
    console.enter("\\status")
    console.sees("You are Server")
    console.sees("Client1 calls from 127.0.0.1" if "127.0.0.1" in service.status()["peer"]["address"] else "[::1]")
    console.sees("It is your turn.")


def test_an_unknown_command_is_refused_and_stays_in_the_line(service: Service) -> None:
    console, client = service.talk()
    console.enter("\\quti now")
    console.sees("There is no command \\quti")
    console.line_is("Server> \\quti now")
    assert service.status()["peer"]["sent"] == 0
    console.enter("\x15an answer")
    client.sees("Server> an answer")
    assert "quti" not in client.text()


def test_two_backslashes_send_a_text_that_begins_with_one(service: Service) -> None:
    console, client = service.talk()
    console.enter("\\\\quit is how it ends")
    client.sees("Server> \\quit is how it ends")
    assert service.status()["peer"]


# ------------------------------------------------------------------ handle and history


def test_wrong_handles_are_explained_and_asked_again(service: Service) -> None:
    console, client = service.console(), service.client(None)
    client.sees("Your handle:")
    client.enter("Elevenchars")
    client.sees("has 11")
    client.enter("two words")
    client.sees("one word")
    client.enter()
    client.enter("Tencharact")
    client.sees("Send the first message")
    client.line_is("Tencharact>")
    client.enter("Hi!")
    console.sees("Tencharact> Hi!")


def test_a_handle_like_the_operators_is_asked_again(service: Service) -> None:
    console = service.ready_console()
    client = service.client("server")
    client.sees("Your handle looks too much like")
    client.sees("Your handle:")
    client.enter("Client1")
    client.sees("Send the first message")
    client.enter("Hi!")
    console.sees("Client1> Hi!")


def test_up_brings_back_what_was_typed_in_an_earlier_run(service: Service) -> None:
    _, client = service.talk()
    client.enter("\\quit")
    assert client.exit_status() == 0
    file = service.directory / "xdg-state/pychat/pychat-history"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    again = service.ready_client()
    again.type("\x1b[A")
    again.line_is("Client1> \\quit")
    again.type("\x1b[A")
    again.line_is("Client1> Hi!")
