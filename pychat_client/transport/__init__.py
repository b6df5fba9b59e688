"""Opens, keeps and closes connections. Knows no conversation."""
