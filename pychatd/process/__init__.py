"""The daemon as a process of its system: pidfile, detaching, logs, systemd."""
