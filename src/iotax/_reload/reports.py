"""What the processes of --reload report beside what every process does (_processes/protocol.py).

Decides the letters: none of them means something else in a Report.
"""

from enum import StrEnum


class ReloadReport(StrEnum):
    # A worker.
    USES = "u"  # with names of modules that it has imported
    VARIABLES = "v"  # with names of environment variables that its code has changed
    STALE = "x"  # a file has changed since the template imported it: with its name
    DEBUGGED = "d"  # whether it is being debugged: "yes" or "no"
    # The template.
    NOT_WARM = "n"  # it cannot import modules ahead: with the reason
    # The watcher.
    WATCHING = "w"
    CHANGED = "f"  # with the changed files
    NOTE = "o"  # with a sentence for people
