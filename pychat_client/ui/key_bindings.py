"""The keys of the screen that prompt_toolkit's own (emacs' or vi's) do not have."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from prompt_toolkit.application import get_app, run_in_terminal
from prompt_toolkit.buffer import Buffer, ValidationState
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import (
    Condition,
    emacs_mode,
    has_focus,
    has_selection,
    shift_selection_mode,
    vi_navigation_mode,
)
from prompt_toolkit.key_binding import KeyBindings, KeyBindingsBase, KeyPressEvent, merge_key_bindings
from prompt_toolkit.key_binding.bindings.named_commands import get_by_name
from prompt_toolkit.keys import Keys

from pychat_client.errors import NotAllowedError, PychatError
from pychat_client.session.session import Session
from pychat_client.text import MESSAGE_MAX
from pychat_client.transport.interruptible import keys_left_to_guest
from pychat_client.ui.editor import EDITED_MAX, edit
from pychat_client.ui.resize import report_keys
from pychat_client.ui.terminal import FOCUS_IN, FOCUS_KEY, Foreground

KEYS = (
    ("Enter", "send the line; pasted text is one message, and waits for Enter"),
    ("Alt-Enter", "start a new line in the message"),
    ("Alt-Up", "take the newest held message back into the line"),
    ("Tab", "complete a command"),
    ("Up, Down", "earlier lines; a line that begins with a space is not saved"),
    ("Ctrl-R", "search the earlier lines"),
    ("Right", "accept the suggestion"),
    ("Ctrl-X Ctrl-E", "edit the message in $EDITOR"),
    ("Ctrl-Z", "suspend; type 'fg' to come back"),
    ("Ctrl-C", "clear the line; twice on an empty line, leave at once; the conversation stays open"),
    ("Ctrl-D", "on an empty line, end the conversation; at a console, leave it"),
)
"""The keys that \\help and docs/use.md list."""


Notice = Callable[[str], None]
Lend = Callable[[Foreground, Callable[[], Awaitable[None]]], None]

_in_line = has_focus(DEFAULT_BUFFER)  # a search has its own keys


@Condition
def _is_sequence() -> bool:
    """Whether the key that was just pressed is one that the terminal sends as a sequence, such as Ctrl-F1."""
    pressed = get_app().key_processor.key_buffer[-1:]
    return any(key.data.startswith("\x1b") and len(key.data) > 1 for key in pressed)


_NOT_COMBINED = (Keys.BracketedPaste, Keys.CPRResponse, FOCUS_KEY, Keys.ControlC)
"""What never belongs to an Escape or a Ctrl-X before it: it is no key, or has to work at any time."""


@Condition
def _is_combined() -> bool:
    """Whether the key that was just pressed may be the second part of another, such as Alt-X."""
    return all(pressed.key not in _NOT_COMBINED for pressed in get_app().key_processor.key_buffer[-1:])


def make_bindings(
    session: Session, notice: Notice, focused: Callable[[bool], None], lend: Lend, suspend: Callable[[], None]
) -> KeyBindingsBase:
    """The keys of a session, which come before those of the toolkit.

    notice: shows a sentence; focused: is called when the terminal gets or loses the focus; lend: leaves the
    terminal to an editor; suspend: to the shell.
    """
    return merge_key_bindings(
        [
            _readline_keys(),
            _editing_keys(session, notice, lend),
            _chat_keys(session, notice, suspend),
            _reports(focused),
        ]
    )


def _readline_keys() -> KeyBindings:
    """Keys of readline, which the emacs mode of the toolkit does not have or takes for others."""
    keys = KeyBindings()
    editing = _in_line & emacs_mode

    @keys.add("escape", "t", filter=editing)
    def _(event: KeyPressEvent) -> None:
        _transpose_words(event.current_buffer)

    @keys.add("escape", "r", filter=editing)
    @keys.add("escape", "c-r", filter=editing)
    def _(event: KeyPressEvent) -> None:
        line, text = event.current_buffer, None
        while line.text != text:
            text = line.text
            line.undo()

    @keys.add("c-x", "backspace", filter=editing)
    def _(event: KeyPressEvent) -> None:
        line = event.current_buffer
        event.app.clipboard.set_text(line.delete_before_cursor(line.cursor_position))

    keys.add("escape", "right", filter=editing)(get_by_name("forward-word"))
    keys.add("escape", "delete", filter=editing)(get_by_name("kill-word"))

    # The toolkit types the letter of a key behind Alt or Ctrl-X that it has no use for. With the first two it
    # sends the line, as a shell runs a command; but nobody can take back a message that was sent by chance.
    @keys.add("escape", "#", filter=editing)
    @keys.add("c-o", filter=editing)
    @keys.add("escape", Keys.Any, filter=editing & _is_combined)
    @keys.add("c-x", Keys.Any, filter=editing & _is_combined)
    def _(_: KeyPressEvent) -> None:
        pass

    return keys


def _transpose_words(line: Buffer) -> None:
    """Moves the word before the cursor behind the one at the cursor, or the last but one behind the last."""
    words = [word.span() for word in re.finditer(r"\w+", line.text)]
    at = next((i for i, (_, end) in enumerate(words) if end > line.cursor_position), len(words) - 1)
    if at > 0:
        (start, end), (next_start, next_end) = words[at - 1 : at + 1]
        text = line.text
        swapped = text[next_start:next_end] + text[end:next_start] + text[start:end]
        line.document = Document(text[:start] + swapped + text[next_end:], next_end)


def _editing_keys(session: Session, notice: Notice, lend: Lend) -> KeyBindings:
    """Keys that end a line, or put more into it."""
    keys = KeyBindings()

    # Ctrl-J too: the terminal has turned Enter into it if the user pressed it before the screen was there.
    @keys.add("enter", filter=_in_line)
    @keys.add("c-j", filter=_in_line)
    def _(event: KeyPressEvent) -> None:
        line = event.current_buffer
        # The toolkit asks the validator only once for a text. But the answer changes with the conversation.
        line.validation_state = ValidationState.UNKNOWN
        line.validate_and_handle()
        if line.validation_error is not None:
            notice(line.validation_error.message)
            line.validation_error = None  # the toolkit would show it again, in a single row
        else:
            event.app.vi_state.reset()  # the next line begins in insert mode, as in a shell
            line.load_history_if_not_yet_loaded()  # otherwise Up does nothing until the next drawing

    @keys.add("escape", "enter", filter=_in_line)
    @keys.add("escape", "c-j", filter=_in_line)
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    @keys.add("tab", filter=_in_line)
    def _(event: KeyPressEvent) -> None:
        line = event.current_buffer
        if line.complete_state is not None:
            line.complete_next()
        elif len(found := [*line.completer.get_completions(line.document, CompleteEvent())]) == 1:
            line.apply_completion(found[0])  # also while the toolkit is still making the menu
        else:
            line.start_completion(insert_common_part=True)

    # The toolkit drops what is typed while text is marked (Ctrl-Space).
    @keys.add(Keys.Any, filter=_in_line & emacs_mode & has_selection & ~shift_selection_mode)
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.exit_selection()
        event.current_buffer.insert_text(event.data)

    # The toolkit types the sequence of a key that it knows, and has no use for.
    @keys.add(Keys.Any, filter=_is_sequence)
    def _(_: KeyPressEvent) -> None:
        pass

    @keys.add(Keys.BracketedPaste)
    def _(event: KeyPressEvent) -> None:
        text = event.data.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n")
        if len(text) > EDITED_MAX:
            taken = f"the line takes at most {EDITED_MAX:,} characters, and this has {len(text):,}"
            notice(f"Not pasted: {taken}. A message has at most {MESSAGE_MAX}.")
        else:
            event.current_buffer.insert_text(text)

    @keys.add("c-x", "c-e", filter=_in_line)
    @keys.add("v", filter=_in_line & vi_navigation_mode)
    def _(event: KeyPressEvent) -> None:
        lend(Foreground.EDITOR, lambda: _edit(event.current_buffer, session, notice))

    return keys


async def _edit(line: Buffer, session: Session, notice: Notice) -> None:
    try:
        with keys_left_to_guest(session.interrupt):
            text = await run_in_terminal(lambda: edit(line.text), in_executor=True)
    except PychatError as error:
        notice(str(error))
    else:
        line.document = Document(text)  # with the cursor at its end


def _chat_keys(session: Session, notice: Notice, suspend: Callable[[], None]) -> KeyBindings:
    """Keys that leave, suspend, or take a held message back."""
    keys = KeyBindings()

    @keys.add("c-c", filter=_in_line)
    def _(event: KeyPressEvent) -> None:
        if event.current_buffer.text:
            event.current_buffer.reset()
            event.current_buffer.on_text_changed.fire()  # the toolkit does not tell of a reset
            event.app.vi_state.reset()
        else:
            session.interrupt_at_second_try()

    @keys.add("c-d", filter=_in_line)
    def _(event: KeyPressEvent) -> None:
        if event.current_buffer.text:
            event.current_buffer.delete()
        else:
            session.leave()

    @keys.add("escape", "up", filter=_in_line)
    def _(event: KeyPressEvent) -> None:
        try:
            if event.current_buffer.text:
                raise NotAllowedError("The line is not empty. Send it or clear it first.")
            session.recall()
        except PychatError as error:
            notice(str(error))

    @keys.add("c-z", filter=_in_line)
    def _(_: KeyPressEvent) -> None:
        suspend()

    return keys


def _reports(focused: Callable[[bool], None]) -> KeyBindings:
    """What the terminal itself reports; to the toolkit these are keys as well."""
    keys = report_keys()

    @keys.add(FOCUS_KEY)
    def _(event: KeyPressEvent) -> None:
        focused(event.data == FOCUS_IN)

    return keys
