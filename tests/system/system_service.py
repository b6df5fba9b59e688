"""A service as an administrator has it: an instance of pychatd@.service."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.programs import Piped
from tests.support.waiting import wait_for
from tests.system.machine import Machine


class SystemService:
    """`pychatd@PORT` on a machine."""

    def __init__(self, machine: Machine, port: int) -> None:
        self.machine = machine
        self.port = port
        self.unit = f"pychatd@{port}.service"
        self.socket = f"pychatd@{port}.socket"
        self.runtime = f"/run/pychatd/{port}"
        self.state = f"/var/lib/private/pychatd/{port}"

    def start(self) -> None:
        self.machine.run(f"systemctl start {self.unit}")

    def listen(self) -> None:
        """Its socket alone: the service waits for the first call, without a process."""
        self.machine.run(f"systemctl start {self.socket}")

    def stop(self) -> None:
        """Ends the daemon and closes the port."""
        self.machine.run(f"systemctl stop {self.socket}")

    @contextmanager
    def configured(self, text: str) -> Iterator[None]:
        """With `text` as the configuration of all services; none of them has read it yet."""
        self.machine.run(f"mkdir -p /etc/pychatd; cat >/etc/pychatd/pychatd.toml <<'END'\n{text}\nEND\n")
        try:
            yield
        finally:
            self.machine.run("rm /etc/pychatd/pychatd.toml")

    @contextmanager
    def drop_in(self, kind: str, text: str) -> Iterator[None]:
        """With a drop-in for its service or its socket, as `systemctl edit` makes it."""
        directory = f"/etc/systemd/system/pychatd@{self.port}.{kind}.d"
        write = f"mkdir -p {directory}; cat >{directory}/override.conf <<'END'\n{text}\nEND\n"
        self.machine.run(f"{write}systemctl daemon-reload")
        try:
            yield
        finally:
            self.machine.run(f"rm -r {directory}; systemctl daemon-reload")

    def reload(self) -> None:
        self.machine.run(f"systemctl reload {self.unit}")

    def show(self, name: str, unit: str = "") -> str:
        """A property of the service, or of another unit, as `systemctl show` has it."""
        return self.machine.run(f"systemctl show --value --property {name} {unit or self.unit}").stdout.strip()

    def is_active(self) -> bool:
        return self.show("ActiveState") == "active"

    def has_left(self) -> bool:
        """Whether it is in order that nothing runs."""
        return (self.show("ActiveState"), self.show("Result"), self.show("MainPID")) == (
            "inactive",
            "success",
            "0",
        )

    def has_status(self, words: str) -> None:
        """Waits until systemd's status text of the service has `words`."""
        wait_for(lambda: words in self.show("StatusText"), f"{words!r} in the status text")

    def journal(self, *options: str) -> list[str]:
        """The messages that the unit has logged, those of systemd about it included."""
        words = f"journalctl --sync; journalctl -q -b -o json -u {self.unit} {' '.join(options)}"
        return [json.loads(line)["MESSAGE"] for line in self.machine.run(words).stdout.splitlines()]

    def logs(self, words: str, *options: str) -> None:
        """Waits until a message with `words` is in the journal."""
        wait_for(lambda: any(words in line for line in self.journal(*options)), f"{words!r} in the journal")

    # -------------------------------------------------------------- the two ends

    def console(self, user: str = "alice") -> Piped:
        return self.machine.piped("pychatd-console", "--plain", str(self.port), user=user)

    def client(self, handle: str = "Client1", host: str = "localhost") -> Piped:
        words = ("pychat", "--plain", "--accept-new", "--handle", handle, host, str(self.port))
        return self.machine.piped(*words, user="bob")

    def talk(self) -> tuple[Piped, Piped]:
        """A console and a client, after the first message, "Hi!"."""
        console = self.console()
        console.notes("Waiting for calls")
        client = self.client()
        client.notes("Send the first message")
        client.enter("Hi!")
        console.says("Client1> Hi!")
        return console, client
