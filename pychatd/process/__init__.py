"""The daemon as a process of its system: one file for each of pidfile, detaching, logs and systemd."""
