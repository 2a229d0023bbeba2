"""Requests do not leak: after N and 2N requests of a kind, equally much is alive."""

from collections.abc import Callable, Iterator
from functools import partial

import pytest
from support import mixed
from support.server import Server
from support.wire import Connection

ROUNDS = 30
WAYS = {
    "buffered": [],
    "as it comes": ["--no-request-buffering"],
    "four threads": ["--threads", "4"],
}


@pytest.fixture(scope="module", params=list(WAYS))
def connect(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], Connection]]:
    """Over a Unix socket: its clients have no ports, whose texts the server caches."""
    path = tmp_path_factory.mktemp("leaks") / "socket"
    server = Server("mixed", "--workers", "0", "--bind", f"unix:{path}", *WAYS[request.param])
    try:
        server.err.wait_for("Listening on unix:")
        yield partial(Connection, path=str(path))
    finally:
        server.kill()


def leaves_nothing(connect: Callable[[], Connection], kind: mixed.Kind, n: int) -> None:
    """After kn and after (k+1)n requests, equally much is alive, for some k. A leak per request
    adds n to a count, and 16n bytes, each time; filling a cache does so only at first."""
    bound = {"objects": n // 4, "blocks": n // 4, "octets": n * 8, "descriptors": 0}
    idle = mixed.counts(connect)["descriptors"]
    found: list[dict[str, int]] = []
    while len(found) < ROUNDS:
        client = mixed.Client(connect)
        client.play(kind, n)
        client.close()
        found.append(mixed.counts(connect, idle))
        more = {name: found[-1][name] - found[-2:][0][name] for name in bound}
        if len(found) > 1 and all(more[name] <= bound[name] for name in bound):
            return
    raise AssertionError(found)


@pytest.mark.parametrize("kind", list(mixed.KINDS))
def test_n_and_2n_requests_leave_the_same_objects(
    connect: Callable[[], Connection], kind: str
) -> None:
    leaves_nothing(connect, mixed.KINDS[kind], 60)


def test_interrupted_calls_leave_no_objects(start: Callable[..., Server]) -> None:
    server = start("mixed", "--workers", "0", "--request-timeout", "20ms", "--threads", "2")
    leaves_nothing(partial(Connection, server.port), mixed.INTERRUPTED, 12)


def test_many_requests_of_all_kinds_leave_memory_flat(start: Callable[..., Server]) -> None:
    """A short version of tests/soak."""
    server = start("mixed", "--workers", "0", "--threads", "2")
    soaked = mixed.soak(server.port, server.pid, 20_000, seed=1)
    assert soaked.is_flat(), soaked.resident_kib
