"""The server's log, and what a person at a terminal reads."""
