"""No request is lost while workers are replaced and servers stop, under load (support/load.py).

bench/processes is the long version.
"""

import contextlib
import os
import random
import signal
import threading
import time

import pytest
from support import load
from support.load import Fate, Load, mix
from support.processes import threads, wait_for_end

# Few enough for two workers with four threads to respond in time, with a sanitizer too.
MIX = mix(steady=4, fresh=3, pausing=6, streaming=2, uploading=2)


@pytest.fixture(params=[1, 2])
def workers(request):
    return request.param


@pytest.fixture
def serve(start, tmp_path):
    """serve("--workers", "2"): a server with the application of the load, which logs each call."""

    def launch(*options, **more):
        ran = str(tmp_path / "ran")
        options = ["--threads", "4", "--no-access-log", *map(str, options)]
        return start("echoes", *options, env={"RAN": ran}, **more)

    yield launch
    runs = load.runs(tmp_path / "ran")
    assert runs.total() == len(runs), "a request ran twice"


@contextlib.contextmanager
def only_one_thread(pid):
    """The process always has one thread, until the end of the block."""
    over = threading.Event()
    counts = {threads(pid)}

    def watch():
        while not over.wait(0.002):
            counts.add(threads(pid))

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield
    finally:
        over.set()
        watching.join()
    assert counts == {1}


def wait_for_new_workers(server, running, count, *, without):
    """Wait until this number of live workers that are not in `without` have responded. Returns
    them."""

    def found():
        return [pid for pid in server.workers() if running.report.workers[pid]]

    running.wait_until(lambda: len(set(found()) - set(without)) >= count, f"{count} new workers")
    return [pid for pid in found() if pid not in without]


def test_hup_loses_nothing(serve, workers):
    server = serve("--workers", workers)
    old = server.wait_for_workers(workers)
    with Load(server.port, MIX) as running, only_one_thread(server.pid):
        for _ in range(4):
            running.wait_for_answers(50, by=old)
            server.send_signal(signal.SIGHUP)
            new = wait_for_new_workers(server, running, workers, without=old)
            wait_for_end(*old)
            old = new
    running.report.must_be_clean()
    assert len(running.report.workers) == 5 * workers
    assert len(server.started()) == 5 * workers


def test_recycling_loses_nothing(serve, workers):
    server = serve("--workers", workers, "--max-requests", 100)
    with Load(server.port, MIX) as running, only_one_thread(server.pid):
        running.wait_for_workers(workers + 5)
    running.report.must_be_clean()


def test_term_of_one_worker_loses_nothing(serve, workers):
    server = serve("--workers", workers)
    server.wait_for_workers(workers)
    with Load(server.port, MIX) as running:
        for _ in range(3):
            before = wait_for_new_workers(server, running, workers, without=[])
            os.kill(before[0], signal.SIGTERM)
            wait_for_end(before[0])
            wait_for_new_workers(server, running, 1, without=before)
    running.report.must_be_clean()


@pytest.mark.parametrize("options", [(), ("--preload",)], ids=" ".join)
@pytest.mark.parametrize("seed", [1, 2])
def test_concurrent_orders_lose_no_request(serve, seed, options):
    """Replacing, recycling, more and fewer workers, and the stop: none waits for another."""
    dice = random.Random(seed)
    server = serve("--workers", 2, "--max-requests", 150, *options)
    running = Load(server.port, MIX, seed=seed).start()
    for _ in range(30):
        running.wait_for_answers(dice.randint(1, 40))
        match dice.choice(["hup", "ttin", "ttou", "usr2", "term"]):
            case "term":
                with contextlib.suppress(IndexError, ProcessLookupError):
                    os.kill(dice.choice(server.workers()), signal.SIGTERM)
            case name:
                server.send_signal(signal.Signals[f"SIG{name.upper()}"])
    running.stopping()
    server.send_signal(signal.SIGTERM)
    assert server.wait() == 0
    print(server.err.text)  # pytest shows it if the test fails
    running.join().must_be_clean()
    assert "ERROR" not in server.err.text


def test_sigkill_of_one_worker_fails_only_its_own_requests(serve, workers):
    """Visibly, and everything else gets a response: connections in the backlog too, from the
    next worker."""
    server = serve("--workers", workers)
    server.wait_for_workers(workers)
    explained = []
    with Load(server.port, MIX) as running:
        for _ in range(3):
            before = wait_for_new_workers(server, running, workers, without=[])
            began = time.monotonic()
            os.kill(before[0], signal.SIGKILL)
            wait_for_end(before[0])
            died = time.monotonic()
            wait_for_new_workers(server, running, 1, without=before)
            explained += running.report.explained(before[0], began, died)
    report = running.report
    assert not report.wrong, str(report)
    assert [one for one in report.lost if one not in explained] == [], str(report)


@pytest.mark.parametrize("whole_group", [False, True])
def test_stop_by_term_loses_nothing(serve, workers, whole_group):
    """Every client ends because it is refused, and none earlier."""
    for seed in range(2):
        server = serve("--workers", workers, new_session=True)
        running = Load(server.port, MIX, seed=seed).start()
        running.wait_for_answers(100)
        running.stopping()
        if whole_group:
            os.killpg(server.pid, signal.SIGTERM)
        else:
            server.send_signal(signal.SIGTERM)
        assert server.wait() == 0
        running.join().must_be_clean()
        assert running.report.refused_late == len(MIX)


def test_stop_by_int_truncates_no_response(serve, workers):
    """Connections without a request are closed immediately: a request that was on its way may be
    too late, as with every server (RFC 9112 9.5); nothing else is lost."""
    server = serve("--workers", workers)
    running = Load(server.port, MIX).start()
    running.wait_for_answers(100)
    running.stopping()
    server.send_signal(signal.SIGINT)
    assert server.wait() == 0
    report = running.join()
    assert all(one.fate is Fate.UNANSWERED for one in report.failures), str(report)


def test_sigkill_of_the_supervisor_ends_everything(serve, start, workers):
    """Workers finish their requests, and the port is free."""
    server = serve("--workers", workers)
    server.wait_for_workers(workers)
    pids = server.workers()
    running = Load(server.port, mix(steady=2, streaming=2, fresh=0, pausing=0, uploading=0)).start()
    running.wait_for_answers(20)
    running.stopping()
    server.process.kill()
    server.wait()
    wait_for_end(*pids)
    report = running.join()
    assert not report.wrong, str(report)
    assert not report.count(Fate.BROKEN), str(report)
    start("echoes", "--port", str(server.port))
