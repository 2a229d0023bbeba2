"""An application with a view for each course of a request, and one that counts what is alive."""

import ctypes
import gc
import io
import json
import os
import sys
import time

BIG = b"x" * 300_000
TEXT = ("Content-Type", "text/plain")


def app(environ, start_response):
    return VIEWS[environ["PATH_INFO"]](environ, start_response)


def hello(_environ, start_response):
    start_response("200 OK", [TEXT, ("Content-Length", "5")])
    return [b"hello"]


def generator(_environ, start_response):
    start_response("200 OK", [TEXT])
    for _ in range(3):
        yield b"block"


def big(_environ, start_response):
    start_response("200 OK", [TEXT])
    return [BIG]


def huge(_environ, start_response):
    start_response("200 OK", [TEXT])
    return [BIG * 50]


def write(_environ, start_response):
    start_response("200 OK", [TEXT])(b"written")
    return [b"returned"]


def file(environ, start_response):
    start_response("200 OK", [TEXT])
    return environ["wsgi.file_wrapper"](open(__file__, "rb"))


def objects(environ, start_response):
    start_response("200 OK", [TEXT])
    return environ["wsgi.file_wrapper"](io.BytesIO(b"not on disk"))


def raises(_environ, _start_response):
    raise ValueError("before the head")


def breaks(_environ, start_response):
    start_response("200 OK", [TEXT])
    yield b"block"
    raise ValueError("behind the head")


def changes_its_mind(_environ, start_response):
    start_response("200 OK", [TEXT])
    try:
        raise ValueError("found out later")
    except ValueError:
        start_response("500 Sorry", [TEXT], sys.exc_info())
    return [b"sorry"]


def content(environ, start_response):
    size = len(environ["wsgi.input"].read())
    start_response("200 OK", [TEXT])
    return [b"%d" % size]


def lines(environ, start_response):
    size = sum(len(line) for line in environ["wsgi.input"])
    start_response("200 OK", [TEXT])
    return [b"%d" % size]


def hangs(_environ, start_response):
    end = time.monotonic() + 3600
    while time.monotonic() < end:
        time.sleep(0.001)
    return hello(_environ, start_response)


class Mallinfo(ctypes.Structure):
    """struct mallinfo2 of malloc.h; the eighth member counts the bytes in use."""

    _fields_ = [("sizes", ctypes.c_size_t * 10)]


LIBC = ctypes.CDLL(None)
LIBC.mallinfo2.restype = Mallinfo


def counts(_environ, start_response):
    """Counts of what is alive: objects of the garbage collector, blocks of Python, bytes of
    malloc, open descriptors."""
    gc.collect()
    found = {
        "objects": len(gc.get_objects()),
        "blocks": sys.getallocatedblocks(),
        "octets": LIBC.mallinfo2().sizes[7],
        "descriptors": len(os.listdir("/proc/self/fd")),
    }
    body = json.dumps(found).encode()
    start_response("200 OK", [TEXT, ("Content-Length", str(len(body)))])
    return [body]


VIEWS = {
    f"/{view.__name__}": view
    for view in (
        hello, generator, big, huge, write, file, objects, raises, breaks, changes_its_mind,
        content, lines, hangs, counts,
    )
}  # fmt: skip
