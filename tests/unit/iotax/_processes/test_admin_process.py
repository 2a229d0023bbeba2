"""The process of the admin listener: when it exists, and what the scoreboard says of the server."""

import errno
import signal
import socket
from collections.abc import Iterator

import pytest
from played_system import Process, World

from iotax._net.listeners import Listener, Listeners
from iotax._processes.admin_process import END_SECONDS, STAMP_SECONDS, AdminJob
from iotax._processes.protocol import Order, Report


@pytest.fixture
def admin_world(world: World) -> Iterator[World]:
    """With an admin listener."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        world.admin = Listeners((Listener(server, "127.0.0.1:9100", port=9100),))
        yield world


def admins_of(world: World) -> list[Process]:
    return [process for process in world.processes if isinstance(process.job, AdminJob)]


def states(world: World) -> dict[int, str]:
    return {slot: state for slot, (state, _) in world.played_scoreboard.workers.items()}


def test_without_a_listener_there_is_none(world: World) -> None:
    world.start().ready(0)
    assert not admins_of(world)
    assert world.played_scoreboard.server == {}
    assert list(world.supervisor._admin.dues()) == []


def test_it_starts_with_the_server(admin_world: World) -> None:
    admin_world.start("workers", "2")
    assert len(admins_of(admin_world)) == 1
    assert len(admin_world.processes) == 3


def test_it_is_started_again(admin_world: World) -> None:
    admin_world.start()
    admins_of(admin_world)[0].ends(signal.SIGKILL)
    admin_world.turn()
    assert admin_world.has_logged("The admin process [5001] was killed by SIGKILL")
    assert len(admins_of(admin_world)) == 1  # it was young
    admin_world.passes(0.2)
    assert len(admins_of(admin_world)) == 2


def test_its_start_is_tried_again(admin_world: World) -> None:
    admin_world.start()
    admins_of(admin_world)[0].ends(1 << 8)
    admin_world.fork_error = OSError(errno.EAGAIN, "Resource temporarily unavailable")
    admin_world.passes(0.2)
    admin_world.passes(0.2)
    assert admin_world.has_logged("Cannot start the admin process: Resource temporarily")
    admin_world.fork_error = None
    admin_world.passes(2)
    assert len(admins_of(admin_world)) == 2


def test_its_exit_changes_nothing_for_the_workers(admin_world: World) -> None:
    admin_world.start().ready(0)
    admins_of(admin_world)[0].ends(signal.SIGKILL)
    admin_world.passes(1)
    assert [worker.pid for worker in admin_world.supervisor._pool.workers] == [5000]
    assert admin_world.exit_code is None


def test_the_scoreboard_follows_the_workers(admin_world: World) -> None:
    admin_world.start("workers", "2")
    assert states(admin_world) == {0: "booting", 1: "booting"}
    admin_world.ready(0, 1)
    assert admin_world.played_scoreboard.workers == {0: ("ready", 5000), 1: ("ready", 5001)}
    server = admin_world.played_scoreboard.server
    assert (server["wanted"], server["starts"], sum(server["exits"])) == (2, 2, 0)
    assert server["has_served"]
    assert server["supervised"]
    assert not server["stopping"]
    admin_world.time += 20
    admin_world.processes[0].ends(signal.SIGSEGV)
    admin_world.turn()
    assert states(admin_world) == {0: "booting", 1: "ready"}
    server = admin_world.played_scoreboard.server
    assert (server["starts"], sum(server["exits"])) == (3, 1)


def test_a_free_slot_has_no_worker(admin_world: World) -> None:
    admin_world.start("workers", "2").ready(0, 1)
    admin_world.turn(signal.SIGTTOU)
    assert sorted(states(admin_world).values()) == ["draining", "ready"]
    leaving = next(w for w in admin_world.supervisor._pool.workers if w.is_leaving)
    admin_world.processes[leaving.pid - 5000].ends()
    admin_world.turn()
    assert states(admin_world)[leaving.slot] == "none"


def test_a_stop_is_known_at_once(admin_world: World) -> None:
    admin_world.start().ready(0)
    admin_world.turn(signal.SIGTERM)
    assert admin_world.played_scoreboard.server["stopping"]
    assert admins_of(admin_world)[0].heard() == ""  # it serves until the last worker has left


def test_it_is_stamped_once_a_second(admin_world: World) -> None:
    admin_world.start().ready(0)
    assert min(admin_world.supervisor._admin.dues()) == admin_world.time + STAMP_SECONDS


def test_it_reopens_its_log(admin_world: World) -> None:
    admin_world.start().ready(0)
    admin_world.turn(signal.SIGUSR1)
    assert admins_of(admin_world)[0].heard() == Order.REOPEN


def test_it_ends_after_the_workers(admin_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    admin_world.start().ready(0)
    admin_world.turn(signal.SIGTERM)
    admin_world.processes[0].ends()
    admin_world.turn()
    assert admin_world.exit_code == 0
    admin = admins_of(admin_world)[0]
    waits: list[float | None] = []

    def wait(_descriptors: object, seconds: float | None) -> set[int]:
        waits.append(seconds)
        assert admin.channel.receive() == ("", "", -1)  # closed: it ends
        admin.ends()
        return set()

    monkeypatch.setattr(admin_world, "wait", wait)
    admin_world.supervisor._admin.end()
    assert waits == [END_SECONDS]
    assert admin_world.admin.all[0].socket.fileno() == -1


def test_a_report_does_not_disturb_it(admin_world: World) -> None:
    admin_world.start()
    admins_of(admin_world)[0].says(Report.READY)
    admin_world.ready(0)
    assert admin_world.exit_code is None
