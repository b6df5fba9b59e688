"""Edits the line in the user's own editor, in a file that only this user can read."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from pathlib import Path

from pychat_client.errors import PychatError, UsageError, how_ended
from pychat_client.files import read_file
from pychat_client.text import printable, well_formed
from pychat_client.transport.os_errors import describe

EDITED_MAX = 5000
"""Characters that an editor or a paste puts into the line. Ten messages can be cut to one by hand; a file that is
taken by mistake is not drawn."""

_UNCHANGED = "the line is as it was."

_EDITORS = ("/usr/bin/editor", "/usr/bin/nano", "/usr/bin/vi")


def edit(text: str) -> str:
    """`text` as the user leaves it in the editor. Blocks until the editor ends, and raises PychatError if it gives
    no text back."""
    words = _command()
    try:
        with tempfile.TemporaryDirectory() as directory:
            file = Path(directory) / "message.txt"
            file.touch(0o600)
            file.write_text(well_formed(text), encoding="utf-8")
            status = subprocess.call([*words, str(file)])  # noqa: S603 -- the user's own command
            if status != 0:
                raise PychatError(f"The editor {printable(words[0])} {how_ended(status)}; {_UNCHANGED}")
            return _checked(read_file(file).decode("utf-8-sig").removesuffix("\n"))
    except UnicodeDecodeError:
        raise PychatError(f"The editor has not saved the text as UTF-8; {_UNCHANGED}") from None
    except OSError as error:
        what = f"Cannot edit the line with {printable(words[0])}: {describe(error)}"
        raise PychatError(f"{what}; {_UNCHANGED}") from None


def _checked(text: str) -> str:
    if len(text) > EDITED_MAX:
        taken = f"The line takes at most {EDITED_MAX:,} characters, and the editor has saved {len(text):,}"
        raise PychatError(f"{taken}; {_UNCHANGED}")
    return text


def _command() -> list[str]:
    for name in ("VISUAL", "EDITOR"):
        if command := os.environ.get(name, "").strip():
            try:
                words = shlex.split(command)
            except ValueError:
                why = f"the quotation marks or backslashes in '{printable(command)}' are not complete"
                raise UsageError(f"The editor in {name} cannot be read as a command: {why}.") from None
            if not words[0]:
                raise UsageError(f"{name} names no program: set it to the command that starts your editor.")
            return words
    for editor in _EDITORS:
        if os.access(editor, os.X_OK):
            return [editor]
    raise UsageError("There is no editor: set EDITOR to the command that starts your editor.")
