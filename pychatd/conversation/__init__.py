"""One conversation and its two ends. Opens no socket, and knows nothing of systemd."""
