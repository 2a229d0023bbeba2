"""Views that hang, each in its own way, until the test releases or interrupts them."""

import ctypes
import os
import threading
import time
from pathlib import Path

import iotax

DIR = Path(os.environ.get("HANGS", "."))
PYTHON = ctypes.PyDLL(None)  # its calls hold the GIL
seen: list[str] = []


class Closing:
    """An iterable whose close() hangs."""

    def __iter__(self):
        yield b"whole"

    def close(self):
        seen.append("close")
        hang_in_python()


def hang_in_python():
    while not (DIR / "let-go").exists():
        time.sleep(0.01)


def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/sleep":
        hang_in_python()
    elif path == "/lock":
        threading.Event().wait()  # one C call that released the GIL
    elif path == "/loop":
        while True:
            pass
    elif path == "/gil":
        PYTHON.usleep(ctypes.c_uint(1_500_000))
    elif path == "/gil-for-long":
        PYTHON.usleep(ctypes.c_uint(60_000_000))  # a signal ends it
    elif path == "/debugged":
        breakpoint()
    elif path == "/catch":
        try:
            hang_in_python()
        except iotax.RequestTimeout:
            seen.append("caught")
    elif path == "/close":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return Closing()
    elif path == "/head":
        return after_head(start_response)
    start_response("200 OK", [("Content-Type", "text/plain")])
    if path == "/pid":
        return [str(os.getpid()).encode()]
    return [" ".join(seen).encode() + b"\n"]


def after_head(start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"first"
    try:
        hang_in_python()
    finally:
        seen.append("broken")
