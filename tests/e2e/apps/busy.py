"""An application with a Python thread that computes forever."""

import threading


def compute():
    while True:
        pass


threading.Thread(target=compute, daemon=True).start()


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"beside a busy thread\n"]
