"""Version 1 of the protocol, without I/O and clock: bytes to frames, and frames to what a user sees."""
