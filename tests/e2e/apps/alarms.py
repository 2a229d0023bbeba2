"""An application with a handler for SIGALRM, which reports to gate a as "!"."""

import os
import signal
import threading
from pathlib import Path

from gate import stay

called = threading.Event()


def report(mark):
    with (Path(os.environ["GATES"]) / "a.entered").open("wb", buffering=0) as entered:
        entered.write(mark)


def handle(number, frame):
    called.set()
    report(b"!")


signal.signal(signal.SIGALRM, handle)


def application(environ, start_response):
    body = b"done\n"
    match environ["PATH_INFO"]:
        case "/set":
            signal.setitimer(signal.ITIMER_REAL, float(environ["QUERY_STRING"]))
        case "/compute":
            called.clear()
            report(b".")
            while not called.is_set():
                pass
            body = b"interrupted\n"
        case "/hold":
            main = threading.current_thread() is threading.main_thread()
            stay("hold", b"m" if main else b"o")
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
