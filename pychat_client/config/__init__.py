"""What the user has written down, and where the files are."""
