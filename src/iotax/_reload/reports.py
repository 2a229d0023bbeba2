"""What the processes of --reload report beside what every process does (_processes/protocol.py).

None of these words means something else in a Report.
"""

from enum import StrEnum


class ReloadReport(StrEnum):
    # A worker.
    USES = "uses"  # with names of modules that it has imported
    VARIABLES = "variables"  # with names of environment variables that its code has changed
    STALE = "stale"  # a file has changed since the template imported it: with its name
    DEBUGGED = "debugged"  # whether it is being debugged: "yes" or "no"
    # The template.
    NOT_WARM = "not_warm"  # it cannot import modules ahead: with the reason
    # The watcher.
    WATCHING = "watching"
    CHANGED = "changed"  # with the changed files
    NOTE = "note"  # with a sentence for people
