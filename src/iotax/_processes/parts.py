"""Connects the parts that the supervisor and its policy share."""

from typing import NamedTuple

from iotax import _iotax
from iotax._config.options import Config
from iotax._config.sources import Settings
from iotax._net.listeners import Listeners
from iotax._processes.backoff import Backoff
from iotax._processes.calls import Calls
from iotax._processes.control import LEAVE_SECONDS, Control
from iotax._processes.failures import Failures
from iotax._processes.live_settings import LiveSettings, ReadAgain
from iotax._processes.notifier import Notifier
from iotax._processes.pool import Pool
from iotax._processes.shutdown import Shutdown
from iotax._processes.signals import SignalQueue
from iotax._processes.spawner import Spawner
from iotax._processes.system import System
from iotax._processes.target import Target


class Parts(NamedTuple):
    settings: LiveSettings
    listeners: Listeners
    admin: Listeners
    system: System
    signals: SignalQueue
    scoreboard: _iotax.Scoreboard
    target: Target
    pool: Pool
    backoff: Backoff
    calls: Calls
    failures: Failures
    control: Control
    spawner: Spawner
    shutdown: Shutdown
    notifier: Notifier

    @property
    def config(self) -> Config:
        """Of the processes that start from now on."""
        return self.settings.config


def connect(
    settings: Settings,
    listeners: Listeners,
    *,
    target: Target,
    system: System,
    interactive: bool,
    read_again: ReadAgain = lambda settings: settings,
    leave_seconds: float = LEAVE_SECONDS,
    notifier: Notifier | None = None,
    admin: Listeners | None = None,
) -> Parts:
    """Draining workers have a slot too, so the scoreboard has two for each possible worker."""
    slots = 2 * target.count_max
    admin = admin or Listeners(())
    scoreboard = system.scoreboard(slots, settings.config.threads, counted=bool(admin.all))
    live = LiveSettings(settings, target, read_again)
    signals = system.signals()
    pool, calls, backoff = Pool(slots), Calls(scoreboard), Backoff()
    failures = Failures(pool, target, backoff, system.now)
    control = Control(
        system,
        pool,
        calls,
        leave_seconds=leave_seconds,
    )
    spawner = Spawner(
        system,
        pool,
        failures,
        signals,
        settings=live,
        listeners=listeners,
        scoreboard=scoreboard,
        interactive=interactive,
    )
    return Parts(
        settings=live,
        listeners=listeners,
        admin=admin,
        system=system,
        signals=signals,
        scoreboard=scoreboard,
        target=target,
        pool=pool,
        backoff=backoff,
        calls=calls,
        failures=failures,
        control=control,
        spawner=spawner,
        shutdown=Shutdown(system, pool, control, calls, settings=live, listeners=listeners),
        notifier=notifier or Notifier(),
    )
