"""Failed forks of a template are reported with their cause, and end no process."""

import errno
import os
from typing import Any

import pytest

from iotax._processes import forking
from iotax._processes.channel import Channel, Message
from iotax._processes.preload import TemplateJob
from iotax._processes.protocol import GONE, Order, Report
from iotax._processes.worker_process import WorkerJob
from iotax._runtime import native

FULL = OSError(errno.EAGAIN, "Resource temporarily unavailable")


def fail_at(monkeypatch: pytest.MonkeyPatch, failing: int) -> None:
    """Make fork number `failing` fail, counted from 0 and across forked processes."""
    fork, count = native.fork, 0

    def counted() -> int:
        nonlocal count
        count += 1
        if count - 1 == failing:
            raise FULL
        return fork()

    monkeypatch.setattr(native, "fork", counted)


def messages(channel: Channel) -> list[Message]:
    """All messages until the other side closes."""
    found = []
    while (message := channel.wait()).kind != GONE:
        found.append(message)
    return found


@pytest.mark.parametrize("failing", [0, 1], ids=["of the first", "of the one in the middle"])
def test_failed_fork_is_reported(monkeypatch: pytest.MonkeyPatch, failing: int) -> None:
    ours, theirs = Channel.pair()
    fail_at(monkeypatch, failing)

    def never() -> Any:
        os._exit(99)

    forking.fork_for_adoption(never, never, theirs.send_not_forked)
    theirs.close()
    assert messages(ours) == [(Report.NOT_FORKED, FULL.strerror, -1)]
    ours.close()


def test_template_continues_after_a_failed_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    supervisors, templates = Channel.pair()
    fail_at(monkeypatch, 0)
    ends = []
    for _ in range(2):
        ours, theirs = Channel.pair()
        supervisors.send(Order.FORK, "3", theirs.fileno())
        theirs.close()
        ends.append(ours)
    forked: list[int] = []
    real = forking.fork_for_adoption

    def fork(run: Any, become_child: Any, failed: Any) -> None:
        """Skip the second fork: it would be another pytest process."""
        if forked:
            forked.append(1)
            return
        forked.append(0)
        real(run, become_child, failed)

    monkeypatch.setattr(forking, "fork_for_adoption", fork)
    supervisors.close()
    nothing: Any = None
    worker = WorkerJob(nothing, nothing, templates, 0, nothing, -1, 0, False)
    TemplateJob(worker, templates)._fork_on_demand(worker, lambda: None)
    assert forked == [0, 1]
    assert messages(ends[0]) == [(Report.NOT_FORKED, FULL.strerror, -1)]
    for end in ends:
        end.close()
    templates.close()
