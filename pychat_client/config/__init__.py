"""What the user has written down, and where files are."""
