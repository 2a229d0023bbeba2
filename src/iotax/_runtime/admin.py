"""The admin listener: its sockets, and the object that serves it.

Decides what it shows, and to whom. Does not know in which process it is served.
"""

import os
import sys
import time

from iotax import _iotax
from iotax._config.options import Config
from iotax._log import server_log
from iotax._net.listeners import Listeners


def make_admin(
    scoreboard: _iotax.Scoreboard, admin: Listeners, served: Listeners, *, channel: int = -1
) -> _iotax.Admin:
    """`served`: the listeners of the application. Who can connect from another machine does not see
    what clients request."""
    return _iotax.Admin(
        scoreboard,
        admin.descriptors(),
        python=sys.version.split()[0],
        urls=[listener.url for listener in served.all],
        shows_requests=not admin.open_to_others,
        channel=channel,
    )


def warn_if_open(admin: Listeners) -> None:
    for label in admin.open_to_others:
        server_log.warning(f"--admin {label} is open to other machines and asks for no password")


class AdminThread:
    """Serves the listeners `admin` in a native thread of this process, which has no supervisor.

    Without such listeners nothing is served, and every method does nothing.
    """

    def __init__(self, config: Config, admin: Listeners, served: Listeners) -> None:
        self._started, self._admin = time.monotonic(), admin
        self._server: _iotax.Admin | None = None
        self.scoreboard: _iotax.Scoreboard | None = None
        if not admin.all:
            return
        warn_if_open(admin)
        self.scoreboard = _iotax.Scoreboard(1, config.threads, counted=True)
        self._publish("booting")
        self._server = make_admin(self.scoreboard, admin, served)
        self._server.start()

    def is_ready(self) -> None:
        """The worker accepts. It says itself when it stops to."""
        self._publish("ready")

    def end(self) -> None:
        """Stop to serve, and close the listeners. Can be called again."""
        if self._server is not None:
            self._server.stop()
        self._server = None
        self._admin.close()

    def _publish(self, state: str) -> None:
        if self.scoreboard is None:
            return
        age = time.monotonic() - self._started
        self.scoreboard.publish_worker(0, state, os.getpid(), age)
        self.scoreboard.publish(
            wanted=1,
            starts=1,
            exits=(),
            has_served=state == "ready",
            stopping=False,
            supervised=False,
            listeners=(),
        )
