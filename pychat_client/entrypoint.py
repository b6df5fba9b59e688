"""What the three programs share around their main function: standard streams, errors, and the end of `--json`."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from contextlib import suppress

from pychat_client import core_dumps, garbage
from pychat_client.errors import ExitStatus, PychatError


def run_main(program: str, run: Callable[[], int]) -> int:
    """Runs a program and returns its exit status. An error becomes a sentence on stderr, never a traceback."""
    garbage.wait()
    open_standard_streams()
    core_dumps.forbid()
    try:
        status = int(run())
    except SystemExit as end:  # argparse: the help, or wrong use
        status = int(end.code or 0)
    except PychatError as error:
        _complain(program, str(error))
        status = error.status
    except OSError as error:  # only what no sentence is known for; mostly a stderr that takes nothing
        where = f"{error.filename}: " if error.filename else ""
        _complain(program, f"{where}{error.strerror or error}.")
        status = ExitStatus.FAILED
    except (KeyboardInterrupt, EOFError):
        status = ExitStatus.INTERRUPTED
    return _end_output(program, status)


def open_standard_streams() -> None:
    """Makes the standard streams usable, however the program was started: open and blocking, and so that what
    cannot be encoded is written as an escape."""
    _open_descriptors()
    for fd, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        os.set_blocking(fd, True)  # another program may have changed that, for all that share the terminal
        if getattr(sys, name) is None:
            setattr(sys, name, open(fd, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
        if isinstance(stream := getattr(sys, name), io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _open_descriptors() -> None:
    """Gives each closed standard stream /dev/null, so that no other file gets its descriptor. Writing to such a
    stdout fails, so that nobody takes the output for written."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        if fd == 1:
            os.dup2(null := os.open(os.devnull, os.O_RDONLY), 1)
            os.close(null)
    os.close(fd)


def print_result(text: str) -> None:
    """Prints what the user has asked for, all of it. Raises PychatError."""
    try:
        print(text, flush=True)
    except OSError as error:
        raise unwritable(error) from None


def unwritable(error: OSError) -> PychatError:
    """The error for a stdout that takes nothing more."""
    return PychatError(f"Cannot write to stdout: {error.strerror}.")


def _complain(program: str, sentence: str) -> None:
    from pychat_client.layout import fit_page  # only for a terminal that has to show an error

    with suppress(OSError, ValueError):  # nobody is left to read it
        print(fit_page(sys.stderr, f"{program}: {sentence}"), file=sys.stderr)


def _end_output(program: str, status: int) -> int:
    """Writes what is still buffered; the exit status. Python itself would end with 120 where that fails."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError) as error:
            with suppress(OSError, ValueError):  # Python tries again when it ends
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            if isinstance(error, OSError) and status == ExitStatus.OK and stream is sys.stdout:
                _complain(program, str(unwritable(error)))
                status = ExitStatus.FAILED
    return status


def with_json_end(run: Callable[[], int]) -> int:
    """Runs a conversation in JSON lines. The last object has its exit status, also after an error. Raises what
    `run` raises, and PychatError when stdout takes nothing more."""
    from pychat_client.ui.json_objects import encoded  # json, which only --json needs

    def write_end(status: int, *before: str) -> None:
        print_result("\n".join((*before, encoded("end", status=int(status)))))

    try:
        status = run()
    except PychatError as error:
        with suppress(PychatError):  # the first error counts
            write_end(error.status, encoded("error", text=str(error), input=None))
        raise
    except (KeyboardInterrupt, EOFError):
        with suppress(PychatError):
            write_end(ExitStatus.INTERRUPTED)
        raise
    write_end(status)
    return status
