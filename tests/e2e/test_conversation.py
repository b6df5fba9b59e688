"""Two people talk: the real daemon, console and client on real terminals."""

from __future__ import annotations

from tests.e2e.harness import Line


def test_the_seeds_own_conversation_works(line: Line) -> None:
    console = line.console("--handle", "Server")
    console.sees("Server>")
    client = line.client(None)
    client.sees("Your handle:")
    client.enter("Client1")
    client.sees("You speak first")
    client.enter("Hi!")
    console.sees("Client1> Hi!")
    console.enter("Hello, Client1")
    client.sees("Server> Hello, Client1")
    client.enter("Bye")
    console.sees("Client1> Bye")
    console.enter("\\quit")
    client.sees("Server ended the conversation")
    assert client.exit_status() == 0
    second = line.client("Client2")
    second.sees("You speak first")
    second.enter("Me too")
    console.sees("Client2> Me too")


def test_a_message_that_arrives_leaves_the_half_typed_line_alone(line: Line) -> None:
    console, client = line.console("--handle", "Server"), line.client()
    client.sees("You speak first")
    client.enter("Hi!")
    console.sees("Client1> Hi!")
    client.type("half a thou")
    client.sees("Client1> half a thou")
    console.enter("an answer")
    client.sees("Server> an answer")
    client.type("ght")
    client.sees("Client1> half a thought")
    lines = client.lines()
    assert next(i for i, line in enumerate(lines) if "Server> an answer" in line) < next(
        i for i, line in enumerate(lines) if line == "Client1> half a thought"
    )
    assert not any(line.startswith("Client1> half a thou") for line in lines if line != "Client1> half a thought")
    client.enter()
    console.sees("Client1> half a thought")
