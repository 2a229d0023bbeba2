"""The kinds of messages between the supervisor and its processes, as written in a packet.

The receiver of an order decides what it does. channel.h in src/driver has the same words for a
worker that serves; _reload/reports.py has those that only --reload uses.
"""

from enum import StrEnum
from typing import Final


class Order(StrEnum):
    """Sent by the supervisor to a process."""

    DRAIN = "drain"  # stop as for TERM
    INTERRUPT = "interrupt"  # stop as for INT
    NOW = "now"  # stop immediately
    RETIRE = "retire"  # another worker serves from here on
    PAUSE = "pause"  # accept nothing, and read nothing from idle connections
    RESUME = "resume"
    TRANSFER = "transfer"  # after PAUSE: send the idle connections to the supervisor
    ADOPT = "adopt"  # serve the connection that this message carries
    REOPEN = "reopen"  # reopen the log files
    TURN = "turn"  # do nothing: the loop has turned when it has read this
    FORK = "fork"  # to a template, with slot and channel of the worker to fork
    IMPORT = "import"  # to the template of --reload: import these modules too


class Report(StrEnum):
    """Sent by a process to the supervisor."""

    BOOTING = "booting"  # with the process id
    READY = "ready"
    LOAD_ERROR = "load_error"  # with the screen of the error
    NOT_FORKED = "not_forked"  # by the template on the channel of the worker: with the cause
    SIGTERM = "sigterm"  # this process received SIGTERM
    MAX_REQUESTS = "max_requests"  # with the number of requests
    THREADS_LOST = "threads_lost"  # with the reason why another worker is needed
    BUSY = "busy"  # requests run while the supervisor does not read the scoreboard
    TRANSFERRED = "transferred"  # with a connection
    TRANSFER_DONE = "transfer_done"


GONE: Final = ""  # not a message: the other side has closed the channel
