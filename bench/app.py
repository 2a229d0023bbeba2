"""The applications to measure. Every server runs `hello`."""

import functools
import threading
import time


def hello(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "13")])
    return [b"Hello, World!"]


def sleep_10_ms(environ, start_response):
    time.sleep(0.010)
    return hello(environ, start_response)


def views(environ, start_response):
    """Dispatch by path: hello, and views that sleep or compute next to it."""
    path = environ["PATH_INFO"]
    if path == "/sleep":
        time.sleep(0.020)
    elif path == "/ten":
        for _ in range(10):
            time.sleep(0.001)
    elif path == "/spin":
        spin_until(time.monotonic() + float(environ["QUERY_STRING"]))
    return hello(environ, start_response)


def spin_until(end):
    while time.monotonic() < end:
        pass


@functools.cache
def start_busy_thread():
    threading.Thread(target=spin_until, args=(float("inf"),), daemon=True).start()


def beside_busy_thread(environ, start_response):
    """hello, in a process in which another Python thread computes forever."""
    start_busy_thread()
    return hello(environ, start_response)
