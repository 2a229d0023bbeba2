"""The server's log, and lines for a user at a terminal."""
