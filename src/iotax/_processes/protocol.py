"""The kinds of messages between the supervisor and its processes, and their form in a packet.

Decides the letters. What an order does is its receiver's business. What a worker that serves sends
and receives is also in src/driver/channel.h; what the processes of --reload report beside this in
_reload/processes.py.
"""

from enum import StrEnum
from typing import Final


class Order(StrEnum):
    """The supervisor to a process."""

    DRAIN = "t"  # stop as for TERM
    INTERRUPT = "i"  # stop as for INT
    NOW = "q"  # stop immediately
    RETIRE = "r"  # another worker serves from here on
    PAUSE = "h"  # accept nothing, and read nothing from idle connections
    RESUME = "g"
    TRANSFER = "p"  # after PAUSE: give the idle connections away
    ADOPT = "c"  # serve the connection that comes along
    REOPEN = "l"  # the log files
    FORK = "f"  # to a template, with the end of a channel: fork a worker that uses it
    IMPORT = "m"  # to the template of --reload: import these modules too


class Report(StrEnum):
    """A process to the supervisor."""

    BOOTING = "B"  # with the process id
    READY = "R"
    LOAD_ERROR = "E"  # with the screen of the error
    NOT_FORKED = "F"  # by the template on the channel of the worker: with the cause
    SIGTERM = "T"  # a TERM reached this process
    MAX_REQUESTS = "M"  # with the number of requests
    THREADS_LOST = "L"  # with the reason why another worker is needed
    BUSY = "W"  # requests run while the supervisor does not look at the page
    TRANSFERRED = "c"  # with a connection
    TRANSFER_DONE = "P"


GONE: Final = ""  # no message: the other side has ended
