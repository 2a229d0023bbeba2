"""The supervisor under --reload without processes: the test controls forks, exits and the clock."""

import signal

import pytest
from played_system import World

from iotax._processes.protocol import Order, Report
from iotax._processes.worker_process import WorkerJob
from iotax._reload import processes
from iotax._reload.policy import reloading_supervisor
from iotax._reload.reports import ReloadReport

KILL = signal.SIGKILL


@pytest.fixture
def reloading(world: World) -> World:
    """A world with a reloading supervisor whose first worker is ready."""

    world.make = reloading_supervisor
    world.start("reload", "1")
    assert isinstance(world.processes[1].job, WorkerJob)
    world.ready(1)
    return world


def test_serving_worker_stays_when_the_boot_of_its_replacement_fails(reloading: World) -> None:
    """The code had loaded, so something it needs is missing for a moment: the serving worker stays
    and no error page replaces it."""
    reloading.processes[1].says(Report.THREADS_LOST, "iotax-0 is lost")
    reloading.turn()
    reloading.processes[2].says(Report.LOAD_ERROR, "Cannot load the application main:app")
    reloading.processes[2].ends()
    reloading.turn()
    assert reloading.has_logged("still wanted: 1 worker that can serve (there are 0), ")
    reloading.passes(0.11)
    reloading.ready(3)
    assert reloading.processes[1].heard() == Order.RETIRE


def test_template_that_does_not_fork_is_given_up_with_reload(reloading: World) -> None:
    reloading.processes[1].says(ReloadReport.USES, "third.party")
    reloading.turn()
    reloading.passes(0.4)
    template = reloading.processes[2]
    assert isinstance(template.job, processes.TemplateJob)
    reloading.ready(2)
    reloading.turn(signal.SIGHUP)
    assert template.heard() == Order.FORK
    reloading.passes(5.1)
    assert reloading.killed == [(template.pid, KILL)]
    template.ends(KILL)
    reloading.turn()
    reloading.passes(0.11)
    assert isinstance(reloading.processes[3].job, WorkerJob)
    reloading.ready(3)
    assert reloading.has_logged("(cold: the template process did not fork in 5 s)")


def test_only_one_worker_serves_the_page_about_a_hanging_import(
    reloading: World,
) -> None:
    reloading.turn(signal.SIGHUP)
    assert len(reloading.processes) == 3
    reloading.passes(10.1)
    assert reloading.processes[3].job.loaded is not None, "the page"
    reloading.turn(signal.SIGTTIN)
    assert len(reloading.processes) == 5
    assert reloading.processes[4].job.loaded is None, "the second worker is no page"
    reloading.ready(2)
    reloading.ready(4)
    assert reloading.processes[3].heard() == ""
    reloading.ready(3)
    assert reloading.processes[3].heard() == Order.RETIRE
    reloading.processes[3].ends()
    reloading.passes(100)
    workers = reloading.supervisor._pool.workers
    jobs = [reloading.processes[worker.pid - 5000].job for worker in workers]
    assert [job.loaded for job in jobs if job is not reloading.processes[1].job] == [None, None]


def test_page_about_a_hanging_import_is_replaced_by_the_import_error(reloading: World) -> None:
    reloading.turn(signal.SIGHUP)
    reloading.passes(10.1)
    reloading.ready(3)
    reloading.processes[2].says(Report.LOAD_ERROR, "Cannot load the application main:app")
    reloading.processes[2].ends()
    reloading.turn()
    (page,) = [p for p in reloading.processes[4:] if isinstance(p.job, WorkerJob)]
    reloading.ready(reloading.processes.index(page))
    assert page.job.loaded is not None
    assert reloading.processes[3].heard() == Order.RETIRE
