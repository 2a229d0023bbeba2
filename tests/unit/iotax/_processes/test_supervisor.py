"""The supervisor's decisions without processes: the test controls forks, exits and the clock."""

import errno
import signal

import pytest
from played_system import World

from iotax._log import server_log
from iotax._processes import signals
from iotax._processes.channel import Channel
from iotax._processes.preload import TemplateJob
from iotax._processes.protocol import Order, Report

KILL = signal.SIGKILL


def test_supervisor_starts_the_wanted_workers_and_stops_after_they_exit(world: World) -> None:
    world.start("workers", "2")
    assert len(world.processes) == 2
    world.ready(0, 1)
    world.turn(signal.SIGTERM)
    assert [process.heard() for process in world.processes] == [Order.DRAIN, Order.DRAIN]
    world.processes[0].ends()
    world.turn()
    assert world.exit_code is None
    world.processes[1].ends()
    world.turn()
    assert world.exit_code == 0


def test_hup_ends_the_server_once_its_terminal_is_closed(world: World) -> None:
    """It stops as after Ctrl-C. The kernel and a shell may both send HUP, also much later."""
    world.start()
    world.ready(0)
    world.is_terminal_closed = True
    world.turn(signal.SIGHUP)
    assert world.processes[0].heard() == Order.INTERRUPT
    world.passes(5)
    world.turn(signal.SIGHUP)
    assert world.processes[0].heard() == ""
    world.processes[0].ends()
    world.turn()
    assert world.exit_code == 0


def test_a_terminal_that_closes_just_after_its_hup_ends_the_server(world: World) -> None:
    """The shell may forward the HUP before the terminal closes. A terminal that closes much later
    is unrelated to it."""
    world.start()
    world.ready(0)
    world.turn(signal.SIGHUP)
    world.is_terminal_closed = True
    world.turn()
    assert Order.INTERRUPT in world.processes[0].heard()


def test_a_terminal_that_closes_long_after_a_hup_needs_another_hup(world: World) -> None:
    world.start()
    world.ready(0)
    world.turn(signal.SIGHUP)
    world.passes(2)
    world.is_terminal_closed = True
    world.turn()
    assert Order.INTERRUPT not in world.processes[0].heard()


def test_hup_replaces_workers_one_at_a_time_after_the_new_one_is_ready(world: World) -> None:
    world.start("workers", "2")
    world.ready(0, 1)
    world.turn(signal.SIGHUP)
    assert len(world.processes) == 3
    assert world.processes[0].heard() == ""
    world.ready(2)
    assert world.processes[0].heard() == Order.RETIRE
    assert len(world.processes) == 3, "the old one has not left yet"
    world.processes[0].ends()
    world.turn()
    assert len(world.processes) == 4
    world.ready(3)
    assert world.processes[1].heard() == Order.RETIRE
    world.processes[1].ends()
    world.turn()
    assert len(world.processes) == 4
    assert [process.heard() for process in world.processes[2:]] == ["", ""]


def test_a_second_hup_does_not_wait_for_outdated_code_to_boot(world: World) -> None:
    world.start()
    world.ready(0)
    world.turn(signal.SIGHUP)
    world.turn(signal.SIGHUP)
    assert world.killed == [(5001, signal.SIGTERM)]
    world.processes[1].ends(signal.SIGTERM)
    world.turn()
    assert len(world.processes) == 3
    world.ready(2)
    assert world.processes[0].heard() == Order.RETIRE


def test_hup_while_the_first_worker_boots_replaces_it_later(world: World) -> None:
    """The first worker may have imported the old code, but it is the only one that can serve."""
    world.start()
    world.turn(signal.SIGHUP)
    world.ready(0)
    assert len(world.processes) == 2
    world.ready(1)
    assert world.processes[0].heard() == Order.RETIRE


@pytest.mark.parametrize("how", ["load error", "exit", "killed"])
def test_old_worker_stays_when_new_code_does_not_boot(world: World, how: str) -> None:
    world.start()
    world.ready(0)
    world.turn(signal.SIGHUP)
    if how == "load error":
        world.processes[1].says(Report.LOAD_ERROR, "Cannot load the application main:app")
    world.processes[1].ends({"load error": 0, "exit": 5 << 8, "killed": KILL}[how])
    world.turn()
    expected = {"load error": "Cannot load", "exit": "exit code 5", "killed": "SIGKILL"}[how]
    assert any(expected in line for line in world.log)
    said = "Keeping the current workers; next attempt in 0.1 s"
    assert world.log[-1] == f"{said}; still wanted: a replacement of [5000] (SIGHUP)"
    assert world.processes[0].heard() == ""
    assert len(world.processes) == 2
    world.passes(0.11)
    assert len(world.processes) == 3, "it is tried again until it succeeds"
    world.ready(2)
    assert world.processes[0].heard() == Order.RETIRE


@pytest.mark.parametrize(
    ("text", "status", "said"),
    [
        ("Cannot load it", 0, "Cannot load it"),
        ("", 5 << 8, "exit code 5"),
        ("", KILL, "was killed by SIGKILL from outside"),
        ("", signal.SIGSEGV, "died of SIGSEGV"),
    ],
)
def test_failed_first_start_exits_with_code_3(
    world: World, text: str, status: int, said: str
) -> None:
    world.start("workers", "2")
    if text:
        world.processes[0].says(Report.LOAD_ERROR, text)
    world.processes[0].ends(status)
    world.turn()
    assert said in world.said[0]
    assert (5001, KILL) in world.killed
    world.processes[1].ends(KILL)
    world.turn()
    assert world.exit_code == 3
    assert len(world.said) == 1


def test_boot_timeout_gives_up_at_the_first_start(world: World) -> None:
    world.start("boot_timeout", "5s")
    world.time += 4.9
    world.turn()
    assert world.killed == []
    world.time += 0.2
    world.turn()
    assert world.killed == [(5000, KILL)]
    world.processes[0].ends(KILL)
    world.turn()
    assert "not ready within 5 s (--boot-timeout)" in world.said[0]
    assert world.exit_code == 3


def test_killed_worker_is_explained_and_replaced(world: World) -> None:
    world.start()
    world.ready(0)
    slot = world.processes[0].job.slot
    world.time += 60
    world.played_scoreboard.running[slot] = [("GET /slow", "ab-1", 12.0)]
    world.processes[0].ends(signal.SIGSEGV)
    world.turn()
    assert "Worker [5000] died of SIGSEGV (segmentation fault) after 60 s" in world.log[-2]
    assert "while running GET /slow (12 s, ab-1)" in world.log[-2]
    assert len(world.processes) == 2


def test_backoff_grows_while_workers_die_young(world: World) -> None:
    world.start()
    world.ready(0)
    for number in range(4):
        world.processes[number].ends(signal.SIGABRT)
        world.turn()
        assert len(world.processes) == number + 1
        world.time += 0.1 * 2**number + 0.001
        world.turn()
        assert len(world.processes) == number + 2
        world.ready(number + 1)
    world.time += 60
    world.processes[4].ends(signal.SIGABRT)
    world.turn()
    assert len(world.processes) == 6, "it had lived long"


def test_worker_that_got_sigterm_is_replaced_before_it_drains(world: World) -> None:
    world.start()
    world.ready(0)
    world.processes[0].says(Report.SIGTERM)
    world.turn()
    assert world.processes[0].heard() == ""
    world.ready(1)
    assert world.processes[0].heard() == Order.RETIRE


def test_recycling_logs_its_limits(world: World) -> None:
    world.start("max_requests", "1000", "worker_lifetime", "1h")
    world.ready(0)
    world.time += 600
    world.processes[0].says(Report.MAX_REQUESTS, "1043")
    world.turn()
    assert any("1043 requests in 10 min (--max-requests 1000)" in line for line in world.log)
    world.ready(1)
    world.processes[0].ends()
    world.time += 3601
    world.turn()
    assert any(
        "Replacing worker [5001]: it has served for 60 min (--worker-lifetime)" in line
        for line in world.log
    )
    assert len(world.processes) == 3


def test_worker_with_too_much_memory_drains_first(world: World) -> None:
    world.start("worker_max_rss", "100M")
    world.ready(0)
    world.memory[5000] = 150 << 20
    world.time += 10
    world.turn()
    assert world.processes[0].heard() == "", "no report that requests run"
    world.processes[0].says(Report.BUSY)
    world.time += 2
    world.turn()
    assert world.processes[0].heard() == Order.RETIRE
    assert any("150 MiB (--worker-max-rss 100 MiB)" in line for line in world.log)
    assert any("drains before another one starts" in line for line in world.log)
    assert len(world.processes) == 1
    world.processes[0].ends()
    world.turn()
    assert len(world.processes) == 2


def test_worker_whose_interpreter_is_stuck_dumps_stacks_and_is_replaced(world: World) -> None:
    world.start("request_timeout", "5s")
    world.ready(0)
    slot = world.processes[0].job.slot
    page = world.played_scoreboard
    page.running[slot] = [("GET /regex", "ab-1", 6.0)]
    page.stuck = 1.2
    world.processes[0].says(Report.BUSY)
    world.time += 2
    world.turn()
    assert min(world.supervisor._dues()) <= world.time + 0.25
    world.time += 0.3
    world.turn()
    assert world.has_logged(
        "[5000] is stuck while running GET /regex (6.0 s, ab-1): a call has held"
    )
    assert world.killed == [(5000, signals.DUMP_STACKS)]
    assert len(world.processes) == 2
    world.ready(1)
    assert world.processes[0].heard() == Order.RETIRE


def test_worker_that_was_frozen_is_not_stuck(world: World) -> None:
    """The scoreboard shows its state from before the freeze; a stopped worker cannot update it."""
    world.start("request_timeout", "5s")
    world.ready(0)
    world.processes[0].says(Report.BUSY)
    world.played_scoreboard.running[world.processes[0].job.slot] = [("GET /", "ab-1", 6.0)]
    world.stopped.add(5000)
    world.played_scoreboard.stuck = 60.0
    for _ in range(3):
        world.passes(1.5)
    world.stopped.clear()
    world.passes(1.5)
    world.played_scoreboard.stuck = 0.0
    for _ in range(3):
        world.passes(1.5)
    assert not any("is stuck" in line for line in world.log)
    assert len(world.processes) == 1


def test_worker_that_has_lost_its_threads_is_replaced(world: World) -> None:
    world.start()
    world.ready(0)
    world.processes[0].says(Report.THREADS_LOST, "iotax-0 did not return from GET /hang")
    world.turn()
    assert any("Replacing worker [5000]: iotax-0 did not return" in x for x in world.log)
    assert len(world.processes) == 2


def test_worker_drains_first_without_memory_for_two(world: World) -> None:
    world.start()
    world.ready(0)
    world.room, world.memory[5000] = 50 << 20, 60 << 20
    world.turn(signal.SIGHUP)
    assert world.processes[0].heard() == Order.RETIRE
    assert len(world.processes) == 1


def test_ttin_adds_a_worker_and_ttou_removes_one(world: World) -> None:
    world.start()
    world.ready(0)
    world.time += 1
    world.turn(signal.SIGTTIN)
    assert len(world.processes) == 2
    world.ready(1)
    world.turn(signal.SIGTTOU)
    assert [process.heard() for process in world.processes] == ["", Order.RETIRE]
    world.turn(signal.SIGTTOU)
    assert world.processes[0].heard() == "", "one stays"


def test_worker_that_does_not_exit_in_time_is_killed(world: World) -> None:
    world.start("graceful_timeout", "5s")
    world.ready(0)
    world.turn(signal.SIGHUP)
    world.ready(1)
    world.time += 4
    world.turn()
    assert world.killed == []
    world.time += 5
    world.turn()
    assert world.killed == [(5000, KILL)]


def test_second_signal_stops_immediately(world: World) -> None:
    world.start()
    world.ready(0)
    world.turn(signal.SIGINT)
    world.turn(signal.SIGINT)
    assert world.processes[0].heard() == Order.INTERRUPT, "one Ctrl-C can come twice"
    world.time += 0.6
    world.turn(signal.SIGINT)
    assert world.processes[0].heard() == Order.NOW
    world.time += 1.1
    world.turn()
    assert world.killed == [(5000, KILL)]
    world.processes[0].ends(KILL)
    world.turn()
    assert world.exit_code == 128 + signal.SIGINT


def test_booting_worker_is_terminated_when_the_server_stops(world: World) -> None:
    world.start()
    world.turn(signal.SIGINT)
    assert world.killed == [(5000, signal.SIGTERM)]
    world.processes[0].ends(signal.SIGTERM)
    world.turn()
    assert world.exit_code == 0
    assert world.said == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_worker_that_becomes_ready_while_it_is_dismissed_drains(
    world: World, number: signal.Signals
) -> None:
    """It has survived the TERM, and may have clients."""
    world.start()
    world.ready(0)
    world.turn(signal.SIGHUP)
    world.turn(number)
    assert world.killed == [(5001, signal.SIGTERM)]
    world.processes[0].heard()
    world.ready(1)
    expected = {
        signal.SIGTERM: Order.DRAIN,
        signal.SIGINT: Order.INTERRUPT,
        signal.SIGHUP: Order.RETIRE,
    }
    assert world.processes[1].heard() == expected[number]
    world.time += 5
    world.turn()
    assert world.killed == [(5001, signal.SIGTERM)]


def test_dismissed_worker_that_keeps_booting_is_killed(world: World) -> None:
    world.start()
    world.turn(signal.SIGTERM)
    world.time += 1.1
    world.turn()
    assert world.killed == [(5000, signal.SIGTERM), (5000, KILL)]


def test_no_signal_is_sent_before_the_pid_is_known(world: World) -> None:
    """A process id of 0 would mean the whole process group."""
    world.start("workers", "2", "preload", "1")
    template = world.processes[0]
    template.says(Report.READY)
    world.turn()
    assert [worker.pid for worker in world.supervisor._pool.workers] == [0, 0]
    world.turn(signal.SIGTTOU, signal.SIGUSR2)
    world.turn(signal.SIGHUP, signal.SIGUSR2)
    world.turn(signal.SIGTERM)
    assert all(pid for pid, _ in world.killed), world.killed


def test_term_to_a_booting_worker_is_not_a_failure(world: World) -> None:
    """A TERM for the whole process group may reach workers before it reaches the supervisor."""
    world.start()
    world.processes[0].ends(signal.SIGTERM)
    world.turn()
    assert world.said == []
    assert world.exit_code is None
    world.time += 0.2
    world.turn()
    assert len(world.processes) == 2
    world.turn(signal.SIGTERM)
    world.processes[1].ends(signal.SIGTERM)
    world.turn()
    assert world.exit_code == 0


def test_usr1_reopens_log_files_in_all_processes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    reopened: list[str] = []
    monkeypatch.setattr(server_log, "reopen", lambda: reopened.append("ours"))
    world.start("workers", "2")
    world.ready(0, 1)
    world.turn(signal.SIGUSR1)
    assert [process.heard() for process in world.processes] == [Order.REOPEN, Order.REOPEN]
    assert reopened == ["ours"]


def test_preload_forks_from_a_template_and_hup_starts_a_new_one(world: World) -> None:
    world.start("preload", "1")
    (template,) = world.processes
    assert isinstance(template.job, TemplateJob)
    world.ready(0)
    assert template.heard() == Order.FORK
    worker = world.supervisor._pool.workers[0]
    assert worker.pid == 0
    world.turn(signal.SIGHUP)
    assert len(world.processes) == 2
    world.processes[1].says(Report.LOAD_ERROR, "Cannot load it")
    world.supervisor._pool.has_served = True
    world.processes[1].ends()
    world.turn()
    assert world.template is not None
    assert world.template.pid == template.pid, "the old one stays"
    assert world.has_logged("still wanted: freshly imported code (SIGHUP)")
    world.passes(0.11)
    assert len(world.processes) == 3, "it is tried again until it succeeds"
    world.ready(2)
    assert world.template.pid == world.processes[2].pid


# ---- requested replacements stay requested until they are made


@pytest.mark.parametrize(
    ("report", "text"), [(Report.MAX_REQUESTS, "1043"), (Report.THREADS_LOST, "iotax-0 is lost")]
)
def test_a_requested_replacement_survives_failed_boots(
    world: World, report: str, text: str
) -> None:
    world.start("max_requests", "1000")
    world.ready(0)
    world.processes[0].says(report, text)
    world.turn()
    for number, delay in ((1, 0.1), (2, 0.2), (3, 0.4)):
        assert len(world.processes) == number + 1
        world.processes[number].says(Report.LOAD_ERROR, "Cannot load the application main:app")
        world.processes[number].ends()
        world.turn()
        assert world.has_logged(f"next attempt in {delay} s; still wanted: ")
        assert "a replacement of [5000] (" in world.log[-1]
        world.passes(delay - 0.01)
        assert len(world.processes) == number + 1, "the next attempt is delayed"
        world.passes(0.02)
    assert world.log.count("Cannot load the application main:app: the same error again") == 2
    world.ready(4)
    assert world.processes[0].heard() == Order.RETIRE
    world.processes[0].ends()
    world.passes(100)
    assert len(world.processes) == 5


def test_worker_that_cannot_serve_is_replaced_without_waiting_for_a_drain(world: World) -> None:
    world.start("workers", "2")
    world.ready(0, 1)
    world.processes[0].says(Report.SIGTERM)
    world.turn()
    world.ready(2)
    assert world.processes[0].heard() == Order.RETIRE
    for number in (1, 2):
        world.processes[number].says(Report.THREADS_LOST, "iotax-0 is lost")
    world.turn()
    assert len(world.processes) == 5, "one for each, while the first one drains"
    world.ready(3, 4)
    assert [world.processes[number].heard() for number in (1, 2)] == [Order.RETIRE, Order.RETIRE]


def test_urgent_replacement_takes_over_the_booting_worker(world: World) -> None:
    world.start("workers", "2")
    world.ready(0, 1)
    world.processes[0].says(Report.SIGTERM)
    world.turn()
    assert len(world.processes) == 3
    world.processes[1].says(Report.MAX_REQUESTS, "1000")
    world.processes[1].says(Report.THREADS_LOST, "iotax-0 is lost")
    world.turn()
    assert len(world.processes) == 3, "the one that boots is for it"
    world.ready(2)
    assert [process.heard() for process in world.processes[:2]] == ["", Order.RETIRE]
    world.processes[1].ends()
    world.turn()
    world.ready(3)
    assert world.processes[0].heard() == Order.RETIRE, "the other request is kept"


def test_ttou_first_removes_workers_that_cannot_serve(world: World) -> None:
    world.start("workers", "2")
    world.ready(0, 1)
    world.processes[0].says(Report.THREADS_LOST, "iotax-0 is lost")
    world.turn(signal.SIGTTOU)
    assert [process.heard() for process in world.processes[:2]] == [Order.RETIRE, ""]


def test_hung_workers_do_not_pile_up(world: World) -> None:
    """A call that hangs blocks one worker after the other, and each of them drains for 30 s."""
    world.start("workers", "2")
    world.ready(0, 1)
    for number in range(10):
        world.passes(2)
        world.processes[number].says(Report.THREADS_LOST, "iotax-0 is lost")
        world.turn()
        world.ready(number + 2)
        killed = {pid for pid, signal_ in world.killed if signal_ == KILL}
        for process in world.processes:
            if process.pid in killed and process.status is None:
                process.ends(KILL)
        world.turn()
        assert len(world.supervisor._pool.workers) <= 4
    assert world.has_logged(": it could not serve, and 2 others like it drain")


def test_boots_that_fail_together_count_as_one_attempt(world: World) -> None:
    world.start("workers", "8")
    world.ready(*range(8))
    for process in world.processes[:8]:
        process.ends(KILL)
    world.turn()
    world.passes(0.11)
    assert len(world.processes) == 16
    for process in world.processes[8:]:
        process.ends(5 << 8)
    world.turn()
    world.passes(0.21)
    assert len(world.processes) == 24


def test_backoff_applies_to_boots_that_fail_slowly(world: World) -> None:
    world.start("boot_timeout", "20s")
    world.ready(0)
    world.turn(signal.SIGHUP)
    world.passes(21)
    assert world.killed == [(5001, KILL)]
    world.processes[1].ends(KILL)
    world.turn()
    assert world.has_logged("next attempt in 0.1 s")
    world.passes(0.11)
    world.passes(21)
    world.processes[2].ends(KILL)
    world.turn()
    assert world.has_logged("next attempt in 0.2 s")


# ---- errors of system calls


def test_failed_fork_is_retried_and_logged_once(world: World) -> None:
    world.start()
    world.ready(0)
    world.fork_error = OSError(errno.EAGAIN, "Resource temporarily unavailable")
    world.turn(signal.SIGHUP)
    for _ in range(5):
        world.passes(1.01)
    lines = [line for line in world.log if "Cannot start a process" in line]
    assert len(lines) == 1
    assert "Resource temporarily unavailable" in lines[0]
    assert "still wanted: a replacement of [5000] (SIGHUP)" in lines[0]
    world.fork_error = None
    world.passes(1.01)
    world.ready(1)
    assert world.processes[0].heard() == Order.RETIRE


def test_supervisor_goes_on_when_a_channel_cannot_be_opened(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.start()
    world.ready(0)

    def no_descriptor() -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(world, "channel", no_descriptor)
        world.processes[0].ends(KILL)
        world.turn()
        world.passes(0.11)
        assert world.has_logged("Cannot start a process: Too many open files")
    world.passes(1.01)
    assert len(world.processes) == 2


def test_failed_fork_in_the_template_is_reported_with_its_cause(world: World) -> None:
    world.start("preload", "1")
    world.ready(0)
    (template,) = world.processes
    assert template.heard() == Order.FORK
    worker = Channel.from_descriptor(template.received.pop())
    worker.send_not_forked(OSError(errno.EAGAIN, "Resource temporarily unavailable"))
    worker.close()
    world.turn()
    assert world.has_logged("Cannot start a process: Resource temporarily unavailable")
    assert template.heard() == ""
    world.passes(1.01)
    assert template.heard() == Order.FORK


def test_template_that_does_not_fork_is_replaced(world: World) -> None:
    """It would never read the order, and the supervisor would wait forever for the worker."""
    world.start("preload", "1", "boot_timeout", "20s")
    world.ready(0)
    world.supervisor._pool.has_served = True
    assert world.processes[0].heard() == Order.FORK
    world.passes(21)
    assert world.killed == [(5000, KILL)]
    world.processes[0].ends(KILL)
    world.turn()
    world.passes(0.5)
    assert len(world.processes) == 2, "another template"
    world.ready(1)
    world.passes(0.5)
    assert world.processes[1].heard() == Order.FORK


def test_process_that_survives_sigkill_does_not_delay_others(world: World) -> None:
    world.start("workers", "2", "graceful_timeout", "1s")
    world.ready(0, 1)
    world.turn(signal.SIGHUP)
    world.ready(2)
    world.passes(10)
    assert world.killed == [(5000, KILL)]
    world.passes(6)
    assert world.has_logged("Process [5000] has not exited 5 s after SIGKILL")
    assert len(world.processes) == 4
    world.ready(3)
    assert world.processes[1].heard() == Order.RETIRE
    world.turn(signal.SIGTERM)
    for number in (1, 2, 3):
        world.processes[number].ends()
    world.turn()
    assert world.exit_code == 0
