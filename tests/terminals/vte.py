"""A window with VTE in it, the terminal of GNOME and Xfce. Runs under the system's Python, which has the bindings.

Usage: vte.py COLUMNS ROWS HISTORY FILE COMMAND...; a line on stdin writes the text, row by row, to FILE.
"""

import json
import sys
from pathlib import Path

import gi

gi.require_version("Gtk", "3.0")
gi.require_version("Vte", "2.91")
from gi.repository import GLib, Gtk, Vte  # noqa: E402

TITLE = "vte"
"""Of a window whose program has set none, as GNOME's terminal has one of its own."""

columns, rows, history = (int(word) for word in sys.argv[1:4])
file, command = Path(sys.argv[4]), sys.argv[5:]
terminal = Vte.Terminal()
terminal.set_size(columns, rows)
terminal.set_scrollback_lines(history)
window = Gtk.Window()
window.add(terminal)
window.connect("destroy", Gtk.main_quit)
terminal.connect("child-exited", Gtk.main_quit)
terminal.connect("window-title-changed", lambda _: window.set_title(terminal.get_window_title() or TITLE))
window.set_title(TITLE)
terminal.spawn_sync(Vte.PtyFlags.DEFAULT, None, command, None, GLib.SpawnFlags.DEFAULT, None, None, None)
window.show_all()


def write(*_: object) -> bool:
    if not sys.stdin.readline():
        return False
    where = terminal.get_vadjustment()
    texts = []
    for row in range(int(where.get_lower()), int(where.get_upper())):
        text, _ = terminal.get_text_range(row, 0, row, terminal.get_column_count(), None)
        texts.append(text.rstrip("\n"))
    new = file.with_suffix(".new")
    new.write_text(json.dumps(texts))
    new.rename(file)
    return True


GLib.io_add_watch(sys.stdin, GLib.IO_IN, write)
Gtk.main()
