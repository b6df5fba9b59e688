"""Who gets in: listening sockets, limits, TLS or plain, certificates, signals."""
