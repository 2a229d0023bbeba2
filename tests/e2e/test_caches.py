"""Frameworks keep objects of a thread, e.g. the client of a cache, in context variables: a
thread that handles many requests keeps its connection to Redis or memcached."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from support import caches
from support.wire import Connection

THREADS = 4
KINDS = {"redis": caches.REDIS, "memcached": caches.MEMCACHED}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("framework", ["django", "flask"])
def test_each_thread_keeps_its_connection_to_the_cache(start, tmp_path, framework, kind):
    with caches.running(KINDS[kind], tmp_path) as cache:
        environ = {"CACHE": kind, "CACHE_PORT": str(cache.port)}
        server = start(f"on_{framework}_cache", "--threads", str(THREADS), env=environ)
        with ThreadPoolExecutor(THREADS) as clients:

            def one_request_in_each_thread():
                def ask(_):
                    with Connection(server.port) as connection:
                        return connection.ask("/together", "Connection: close").text

                assert list(clients.map(ask, range(THREADS))) == ["known"] * THREADS

            one_request_in_each_thread()
            after_the_first = cache.connections()
            for _ in range(5):
                one_request_in_each_thread()
        with Connection(server.port) as connection:
            for _ in range(20):
                assert connection.ask("/").text == "known"

        is_open, accepted = cache.connections()
        if (framework, kind) == ("flask", "redis"):  # all threads share a pool
            assert 1 <= is_open == accepted <= THREADS
        else:
            assert after_the_first == (is_open, accepted) == (THREADS, THREADS)
        server.stop()  # before the cache
