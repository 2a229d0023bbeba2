"""The template under --reload: when it is started, used and given up."""

import pytest
from played_system import Process, World, settings_of

from iotax._processes.channel import Message
from iotax._processes.lifecycle import State
from iotax._processes.parts import Parts
from iotax._processes.pool import Child
from iotax._processes.protocol import Order, Report
from iotax._processes.worker_process import WorkerJob
from iotax._reload.processes import ReloadJob, TemplateJob
from iotax._reload.project import Project
from iotax._reload.reports import ReloadReport
from iotax._reload.template_state import QUIET_SECONDS
from iotax._reload.warm_template import FORK_SECONDS, WarmTemplate


def reload_job(job: WorkerJob) -> ReloadJob:
    return ReloadJob(**{**vars(job), "project": Project([])})


class Scene:
    def __init__(self, world: World, *arguments: str) -> None:
        self.world = world
        self.parts: Parts = world.connect("reload", "1", *arguments)
        self.warm = WarmTemplate(self.parts, reload_job)

    def tick(self, seconds: float = 0.0, *, may_import: bool = True) -> None:
        self.world.time += seconds
        self.warm.tick(self.world.time, may_import=may_import)

    def imported(self, *names: str) -> None:
        self.warm.add_modules(names)
        self.tick(QUIET_SECONDS)

    def template(self) -> tuple[Child, Process]:
        (template,) = self.parts.pool.others
        return template, self.world.processes[template.pid - 5000]

    def ended(self, cause: str) -> None:
        template, _ = self.template()
        self.parts.pool.remove(template)
        self.warm.ended(cause)


@pytest.fixture
def scene(world: World) -> Scene:
    return Scene(world)


def test_template_with_former_settings_is_not_used(scene: Scene) -> None:
    scene.imported("flask")
    template, process = scene.template()
    process.says(Report.READY)
    scene.warm.on_report(Message(Report.READY))
    assert scene.warm.source() == (template, "warm")
    scene.parts.settings._settings = settings_of("reload", "1", "limit_body", "2M")
    assert scene.warm.source() == (None, "cold: the settings have changed")
    assert scene.parts.pool.others == []
    scene.warm.loaded()
    scene.tick(QUIET_SECONDS)
    _, process = scene.template()
    assert process.job.names == ["flask"]
    assert process.job.worker.config.limit_body == 2 * 1024**2


def test_template_is_started_when_workers_have_reported_names(scene: Scene) -> None:
    scene.warm.add_variables(["HOME"])
    scene.warm.add_modules(["numpy", "flask"])
    scene.tick(QUIET_SECONDS, may_import=False)
    assert scene.parts.pool.others == []
    scene.tick()
    template, process = scene.template()
    assert isinstance(process.job, TemplateJob)
    assert (process.job.names, process.job.variables) == (["numpy", "flask"], ["HOME"])
    assert scene.warm.owns(template)


def test_workers_start_cold_until_the_template_is_ready(scene: Scene) -> None:
    assert scene.warm.source() == (None, "cold: no module is imported in advance yet")
    scene.imported("flask")
    assert scene.warm.source() == (None, "cold: modules are still being imported in advance")
    template, _ = scene.template()
    scene.warm.on_report(Message(Report.READY))
    assert scene.warm.source() == (template, "warm")


def test_names_reported_later_are_imported_by_the_same_template(scene: Scene) -> None:
    scene.imported("flask")
    template, process = scene.template()
    scene.warm.on_report(Message(Report.READY))
    scene.imported("numpy")
    message = process.channel.receive()
    assert message == Message(Order.IMPORT, "numpy")
    assert template.is_importing
    scene.warm.on_report(Message(Report.READY))
    assert not template.is_importing


def test_template_that_does_not_read_orders_is_given_up(scene: Scene) -> None:
    scene.imported("flask")
    _, process = scene.template()
    scene.warm.on_report(Message(Report.READY))
    process.channel.close()
    scene.imported("numpy")
    assert scene.parts.pool.others == []
    assert scene.warm.source()[1] == "cold: the template process does not read its orders"


def test_template_that_does_not_fork_is_given_up_once(scene: Scene) -> None:
    scene.imported("flask")
    template, _ = scene.template()
    scene.warm.on_report(Message(Report.READY))
    assert min(scene.warm.dues(may_import=True)) == float("inf")
    scene.parts.spawner.start_worker(template=template)
    assert min(scene.warm.dues(may_import=True)) == scene.world.time + FORK_SECONDS
    scene.tick(FORK_SECONDS)
    assert not scene.warm.owns(template)
    assert scene.warm.source()[1] == "cold: the template process did not fork in 5 s"
    assert scene.warm.source()[1] == "cold: no module is imported in advance yet"


def test_exit_of_the_template_cancels_its_orders_and_starts_workers_cold(scene: Scene) -> None:
    scene.imported("flask")
    template, _ = scene.template()
    scene.warm.on_report(Message(Report.READY))
    slots = scene.parts.pool.free_slots()
    worker = scene.parts.spawner.start_worker(template=template)
    assert worker is not None
    scene.ended("was killed by SIGKILL from outside")
    assert worker.state is State.EXITED
    assert scene.parts.pool.free_slots() == slots
    expected = "cold: the template process was killed by SIGKILL from outside"
    assert scene.warm.source() == (None, expected)
    scene.imported("numpy")
    assert scene.parts.pool.others == [], "nor is there another"


def test_template_is_restarted_after_an_expected_exit(scene: Scene) -> None:
    scene.imported("flask")
    scene.ended("")
    scene.warm.loaded()
    scene.tick(QUIET_SECONDS)
    assert scene.warm.owns(scene.template()[0])


def test_template_that_cannot_import_is_never_restarted(scene: Scene) -> None:
    scene.imported("flask")
    scene.warm.on_report(Message(ReloadReport.NOT_WARM, "importing flask left a thread running"))
    scene.ended("ended with exit code 0")
    assert scene.warm.source()[1] == "cold: importing flask left a thread running"


def test_reload_cold_starts_no_template(world: World) -> None:
    scene = Scene(world, "reload_cold", "1")
    scene.imported("flask")
    assert scene.parts.pool.others == []
    assert scene.warm.source() == (None, "cold: --reload-cold")


def test_stale_template_is_given_up_and_the_reason_logged(scene: Scene) -> None:
    scene.imported("flask")
    template, _ = scene.template()
    scene.warm.forget("flask.py")
    assert (template.state, scene.parts.pool.others) == (State.KILLED, [])
    assert scene.warm.source()[1] == "cold: flask.py"
