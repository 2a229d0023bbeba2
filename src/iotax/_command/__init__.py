"""The command line, and what the command prints when it starts."""
