"""The kit both programs are built from, and `pychat`, the program of host B.

This package knows nothing of the daemon: pychatd imports it, never the other way round.
"""

# Here and not in the installed metadata, because reading that costs more than starting Python.
__version__ = "0.1.0"
