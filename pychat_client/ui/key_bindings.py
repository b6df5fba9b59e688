"""The keys of the screen, and what helps while a line is typed: the menu of commands.

Most of editing is prompt_toolkit's own, emacs' or vi's; here is what a chat has besides.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import islice
from typing import Protocol

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.data_structures import Point
from prompt_toolkit.document import Document
from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import has_focus, vi_navigation_mode
from prompt_toolkit.key_binding import KeyBindings, KeyBindingsBase, KeyPressEvent, merge_key_bindings
from prompt_toolkit.keys import Keys
from prompt_toolkit.layout.processors import Processor, Transformation, TransformationInput

from pychat_client.errors import NotAllowedError, PychatError
from pychat_client.session.commands import is_command
from pychat_client.session.session import Session
from pychat_client.ui.terminal import FOCUS_IN, FOCUS_KEY
from pychat_client.ui.width import fixed_width

PASTE_MAX = 5000
"""Characters of a paste: ten messages can be cut to one by hand; a file pasted by mistake is not drawn."""

VI_ESCAPE_SECONDS = 0.1
"""How long vi's Escape may be the beginning of another key, whose parts terminals send at once."""

KEYS = (
    ("Enter", "send the line; a paste is one message, and waits for it"),
    ("Alt-Enter", "a line break inside a message"),
    ("Alt-Up", "take the newest held message back into the line"),
    ("Tab", "complete a command"),
    ("Up, Down", "lines typed before; one that begins with a space is not kept"),
    ("Ctrl-R", "search in them"),
    ("Right", "take what is suggested from them"),
    ("Ctrl-X Ctrl-E", "write the message in $EDITOR"),
    ("Ctrl-Z", "suspend; 'fg' comes back"),
    ("Ctrl-C", "clear the line; on an empty one, leave at once"),
    ("Ctrl-D", "on an empty line, leave"),
)
"""The keys worth knowing, for \\help and for docs/use.md."""


class ScreenActions(Protocol):
    """What a key can do to the screen."""

    @property
    def session(self) -> Session | None:
        """None before the chat begins."""

    @property
    def narrow(self) -> bool:
        """Whether the terminal has no room for the help beside a command."""

    def notice(self, sentence: str) -> None: ...

    def focus(self, focused: bool) -> None:
        """The terminal has got the focus, or has lost it."""

    def cursor_at(self, place: Point) -> None:
        """The terminal's answer: where its cursor is in the window, counted from 0."""

    def suspend(self) -> None: ...

    def edit(self) -> None:
        """Opens the user's editor on the line."""


_in_line = has_focus(DEFAULT_BUFFER)  # and not in a search, which has its own way out


def make_bindings(hands: ScreenActions) -> KeyBindingsBase:
    """The keys of a chat; they go before the toolkit's."""
    return merge_key_bindings([_keys_of_the_line(hands), _keys_of_the_chat(hands)])


def _keys_of_the_line(hands: ScreenActions) -> KeyBindings:
    """What ends a line, and what puts more into it."""
    keys = KeyBindings()

    # Also as Ctrl-J: what was typed before the screen was there, the terminal has turned into that.
    @keys.add("enter", filter=_in_line)
    @keys.add("c-j", filter=_in_line)
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        try:
            if hands.session is not None and buffer.text.strip():
                hands.session.validate(buffer.text)
        except PychatError as error:
            hands.notice(str(error))  # and the text stays in the line
        else:
            buffer.validate_and_handle()
            event.app.vi_state.reset()  # the next line begins in insert mode, as in a shell
            buffer.load_history_if_not_yet_loaded()  # else Up does nothing until the next drawing

    @keys.add("escape", "enter", filter=_in_line)
    @keys.add("escape", "c-j", filter=_in_line)
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    @keys.add("tab", filter=_in_line)
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.complete_state is not None:
            buffer.complete_next()
        elif len(found := [*buffer.completer.get_completions(buffer.document, CompleteEvent())]) == 1:
            buffer.apply_completion(found[0])  # also while the menu is still being made
        else:
            buffer.start_completion(insert_common_part=True)

    @keys.add(Keys.BracketedPaste)
    def _(event: KeyPressEvent) -> None:
        text = event.data.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n")
        if len(text) > PASTE_MAX:
            hands.notice(f"Not pasted: {len(text):,} characters are more than a line can be edited with.")
        else:
            event.current_buffer.insert_text(text)

    @keys.add("c-x", "c-e", filter=_in_line)
    @keys.add("v", filter=_in_line & vi_navigation_mode)
    def _(event: KeyPressEvent) -> None:
        hands.edit()

    return keys


def _keys_of_the_chat(hands: ScreenActions) -> KeyBindings:
    """Ways out, back, and to what is held."""
    keys = KeyBindings()

    @keys.add("c-c", filter=_in_line)
    def _(event: KeyPressEvent) -> None:
        if event.current_buffer.text:
            event.current_buffer.reset()
            event.app.vi_state.reset()
        elif hands.session is not None:
            hands.session.interrupt()

    @keys.add("c-d", filter=_in_line)
    def _(event: KeyPressEvent) -> None:
        if event.current_buffer.text:
            event.current_buffer.delete()
        elif hands.session is not None:
            hands.session.leave()

    @keys.add("escape", "up", filter=_in_line)
    def _(event: KeyPressEvent) -> None:
        try:
            if event.current_buffer.text:
                raise NotAllowedError(
                    "Something stands in the line: send it or clear it before you take more into it."
                )
            if hands.session is not None:
                hands.session.recall()
        except PychatError as error:
            hands.notice(str(error))

    @keys.add("c-z", filter=_in_line)
    def _(event: KeyPressEvent) -> None:
        hands.suspend()

    @keys.add(Keys.CPRResponse, save_before=lambda event: False)
    def _(event: KeyPressEvent) -> None:
        row, column = re.findall(r"\d+", event.data)
        hands.cursor_at(Point(int(column) - 1, int(row) - 1))

    @keys.add(FOCUS_KEY)
    def _(event: KeyPressEvent) -> None:
        hands.focus(event.data == FOCUS_IN)

    return keys


class FixedWidthProcessor(Processor):
    """Draws the line as every terminal moves its cursor in it, and nothing that a terminal obeys; what is sent
    stays as it was typed. The toolkit itself shows control characters (^[)."""

    def apply_transformation(self, transformation_input: TransformationInput) -> Transformation:
        parts = transformation_input.fragments
        drawn = iter(fixed_width("".join(text for _, text, *_ in parts)))
        return Transformation([(style, "".join(islice(drawn, len(text)))) for style, text, *_ in parts])


class CommandCompleter(Completer):
    """After a backslash, the commands and what each does."""

    def __init__(self, hands: ScreenActions) -> None:
        self._hands = hands

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        text = document.text_before_cursor
        if self._hands.session is not None and is_command(text) and " " not in text:
            for name, help_line in self._hands.session.commands.items():
                if name.startswith(text[1:]):
                    beside = None if self._hands.narrow else help_line  # then the toolbar tells it
                    yield Completion(f"\\{name}", -len(text), display_meta=beside)
