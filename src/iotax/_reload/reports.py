"""Reports that only the processes of --reload send, in addition to those in _processes/protocol.py.

The words must differ from those of Report.
"""

from enum import StrEnum


class ReloadReport(StrEnum):
    # Sent by a worker.
    USES = "uses"  # with names of modules that it has imported
    VARIABLES = "variables"  # with names of environment variables that its code has changed
    STALE = "stale"  # a file has changed since the template imported it: with its name
    DEBUGGED = "debugged"  # whether it is being debugged: "yes" or "no"
    # Sent by the template.
    NOT_WARM = "not_warm"  # it cannot import modules in advance: with the reason
    # Sent by the watcher.
    WATCHING = "watching"
    CHANGED = "changed"  # with the changed files
    NOTE = "note"  # with a message to log
