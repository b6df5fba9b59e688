"""The formats of classic programs, in both roles, without I/O. Their codecs yield frames of the protocol."""
