"""Keys and certificates: whose they are, and which are accepted. Knows no connection."""
