"""Runs `pychatd` and `pychatd-console`, as pychat_client.program does `pychat`."""

from __future__ import annotations

from pychat_client.program import run


def pychatd() -> int:
    """Runs the program of the administrator; returns its exit status."""

    def main() -> int:
        from pychatd import daemon_cli

        return daemon_cli.main()

    return run(main)


def console() -> int:
    """Runs the console; returns its exit status."""

    def main() -> int:
        from pychatd import console_cli

        return console_cli.main()

    return run(main)
