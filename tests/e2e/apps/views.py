"""The WSGI application of the raw tests: one view per path."""

import hashlib
import json
import os
import threading
import time
from urllib.parse import parse_qs

from gate import stay


def application(environ, start_response):
    first, *rest = environ["PATH_INFO"].strip("/").split("/")
    view = VIEWS.get(first or "hello")
    if view is None:
        return text(start_response, "no such view\n", "404 Not Found")
    return view(environ, start_response, *rest)


def text(start_response, body, status="200 OK"):
    data = body.encode()
    length = ("Content-Length", str(len(data)))
    start_response(status, [("Content-Type", "text/plain"), length])
    return [data]


def query(environ, name, default=""):
    return parse_qs(environ["QUERY_STRING"]).get(name, [default])[0]


def hello(environ, start_response):
    return text(start_response, "Hello, World!\n")


def gated(environ, start_response, name):
    """Responds when the test opens the gate."""
    stay(name)
    return text(start_response, "let go\n")


def blocks(environ, start_response, name):
    """Three blocks, with the gate after each one."""
    start_response("200 OK", [("Content-Type", "text/plain")])

    def produce():
        for block in (b"first\n", b"second\n", b"third\n"):
            yield block
            stay(name)

    return produce()


def thread(environ, start_response):
    """The thread that ran this: "main", or its name. `?ms=4` sleeps first."""
    time.sleep(float(query(environ, "ms", "0")) / 1000)
    here = threading.current_thread()
    return text(start_response, "main" if here is threading.main_thread() else here.name)


def digest(environ, start_response):
    """Reads the complete body."""
    found, length = hashlib.sha256(), 0
    while block := environ["wsgi.input"].read(65536):
        found.update(block)
        length += len(block)
    return text(start_response, f"{length} {found.hexdigest()}\n")


def unread(environ, start_response):
    """Responds without reading the body."""
    return text(start_response, "not read\n")


def big(environ, start_response):
    """As many bytes as requested, in one list of blocks of 64 KiB."""
    length = int(query(environ, "bytes"))
    start_response("200 OK", [("Content-Length", str(length))])
    whole, rest = divmod(length, 65536)
    return [b"x" * 65536] * whole + [b"x" * rest]


def file(environ, start_response):
    """The file that the variable FILE names, through wsgi.file_wrapper."""
    path = os.environ["FILE"]
    start_response("200 OK", [("Content-Length", str(os.path.getsize(path)))])
    return environ["wsgi.file_wrapper"](open(path, "rb"), 65536)


def show_environ(environ, start_response, *_rest):
    """The strings in environ as JSON."""
    shown = {key: value for key, value in environ.items() if isinstance(value, str | bool | int)}
    return text(start_response, json.dumps(shown))


def print_line(environ, start_response):
    print(query(environ, "line"))
    return hello(environ, start_response)


def log_line(environ, start_response):
    environ["wsgi.errors"].write(query(environ, "line") + "\n")
    return hello(environ, start_response)


def fork(environ, start_response, name):
    """Forks a process that waits at the gate."""
    if os.fork() == 0:
        stay(name)
        os._exit(0)
    return hello(environ, start_response)


held = []


def exhaust(environ, start_response):
    """Uses up all file descriptors of the process."""
    try:
        while True:
            held.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        return text(start_response, f"{len(held)}\n")


def give_back(environ, start_response):
    while held:
        os.close(held.pop())
    return hello(environ, start_response)


def fail(environ, start_response):
    raise RuntimeError("this view always fails")


def fail_late(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"a beginning\n"
    raise RuntimeError("this view fails in the middle")


def leave(environ, start_response):
    raise SystemExit(7)


VIEWS = {
    "hello": hello,
    "gate": gated,
    "blocks": blocks,
    "thread": thread,
    "digest": digest,
    "unread": unread,
    "big": big,
    "file": file,
    "environ": show_environ,
    "print": print_line,
    "log": log_line,
    "fork": fork,
    "exhaust": exhaust,
    "give_back": give_back,
    "fail": fail,
    "fail_late": fail_late,
    "leave": leave,
}
