"""The formats of classic programs, without I/O, in both roles; they yield the frames of the protocol."""
