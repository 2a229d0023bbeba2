"""Which workers run the current code, and whether it loads."""

from played_system import World

from iotax._processes.lifecycle import Event
from iotax._processes.pool import Worker
from iotax._reload.generation import HANG_SECONDS, Generation, hanging_text


def start(world: World, generation: Generation, *, serves_error: bool = False) -> Worker:
    worker = world.connect().spawner.start_worker()
    assert worker is not None
    generation.add(worker, "warm", serves_error=serves_error)
    return worker


def test_only_workers_of_the_newest_code_count(world: World) -> None:
    generation = Generation(2, world.time)
    old = start(world, generation)
    assert generation.counts(old)
    generation.begin(world.time)
    assert generation.is_stale(old)
    assert not generation.counts(old)
    new = start(world, generation)
    assert generation.counts(new)
    assert generation.is_old(old, new)
    assert not generation.is_old(new, new)


def test_one_worker_serves_the_error_until_the_next_save(world: World) -> None:
    generation = Generation(3, world.time)
    page = start(world, generation, serves_error=True)
    assert not generation.counts(page)
    assert generation.wanted() == 3
    generation.failed("Cannot load it")
    assert (generation.wanted(), generation.counts(page)) == (1, True)
    generation.begin(world.time)
    assert (generation.wanted(), generation.error) == (3, "")


def test_application_replaces_the_error_page_of_its_generation(world: World) -> None:
    generation = Generation(1, world.time)
    page, worker = start(world, generation, serves_error=True), start(world, generation)
    assert generation.is_old(page, worker)
    assert not generation.is_old(worker, page)


def test_dropped_worker_does_not_count_and_its_exit_is_expected(world: World) -> None:
    generation = Generation(1, world.time)
    worker, other = start(world, generation), start(world, generation)
    generation.dropped.add(worker)
    assert not generation.counts(worker)
    assert generation.remove(worker)
    assert not generation.remove(other)


def test_first_worker_of_a_generation_is_its_result(world: World) -> None:
    generation = Generation(2, world.time)
    assert generation.loaded()
    assert not generation.loaded()
    generation.begin(world.time)
    generation.failed("Cannot load it")
    assert not generation.loaded(), "the error came first"
    assert generation.has_loaded
    assert generation.error == "", "the code loads after all"


def test_hanging_import_is_reported_once_per_generation(world: World) -> None:
    generation = Generation(1, world.time)
    worker = start(world, generation)
    assert generation.hang_at([]) == float("inf"), "nothing is imported"
    assert generation.hang_at([worker]) == world.time + HANG_SECONDS
    generation.hangs = True
    assert generation.hang_at([worker]) == float("inf")
    generation.begin(world.time + 5)
    assert generation.hang_at([worker]) == world.time + 5 + HANG_SECONDS
    worker.apply(Event.READY)
    generation.loaded()
    assert generation.hang_at([worker]) == float("inf")


def test_text_about_a_hanging_import_names_the_application() -> None:
    assert hanging_text("main:app").startswith("main:app is still being imported\n\n")
