"""The ways to show a session. No layer below imports it."""
