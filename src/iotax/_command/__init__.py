"""The command line, and the lines that the command prints at its start."""
