"""Views that end a worker, make it large, or show what it shares with others."""

import atexit
import ctypes
import os
import signal

from gate import stay

imported_by = os.getpid()
if gate := os.environ.get("EXIT_GATE"):
    atexit.register(stay, gate)
kept = []


def application(environ, start_response):
    view, *rest = environ["PATH_INFO"].strip("/").split("/")
    body = f"{os.getpid()} {imported_by}\n"
    match view:
        case "gate":
            stay(rest[0])
        case "exit":
            os._exit(int(rest[0]))
        case "signal":
            os.kill(os.getpid(), signal.Signals[rest[0]])
        case "segfault":
            ctypes.string_at(0)
        case "grow":
            kept.append(b"x" * int(rest[0]))
        case "orphan":
            body = f"{orphan()}\n"
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body.encode()]


def orphan():
    """An orphaned process, which exits when the test opens gate a. Returns its id."""
    read_end, write_end = os.pipe()
    middle = os.fork()
    if middle == 0:
        pid = os.fork()
        if pid:
            os.write(write_end, str(pid).encode())
            os._exit(0)
        stay("a")
        os._exit(0)
    os.waitpid(middle, 0)
    pid = int(os.read(read_end, 20))
    os.close(read_end)
    os.close(write_end)
    return pid
