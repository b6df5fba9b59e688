"""Version 1 of the protocol, without I/O or clock: bytes to frames, and frames to what a user sees."""
