"""The application for tests/support/load.py: every response names its request and its process.

The variable RAN names a file that gets one line for each call, before anything else happens in it.
"""

import hashlib
import os
import time
from urllib.parse import parse_qs

BLOCKS = 5
ran = os.environ.get("RAN")


def application(environ, start_response):
    _, view, token = environ["PATH_INFO"].split("/")
    note(token)
    fields = [("Content-Type", "text/plain"), ("X-Worker", str(os.getpid()))]
    if view == "stream":
        start_response("200 OK", fields)
        (ms,) = parse_qs(environ["QUERY_STRING"])["ms"]
        return stream(token, float(ms) / 1000)
    body = f"{token}\n"
    if view == "digest":
        body = f"{token} {digest(environ['wsgi.input'])}\n"
    start_response("200 OK", [*fields, ("Content-Length", str(len(body)))])
    return [body.encode()]


def note(token):
    if ran:
        descriptor = os.open(ran, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC)
        os.write(descriptor, f"{token} {os.getpid()}\n".encode())
        os.close(descriptor)


def stream(token, seconds):
    for number in range(BLOCKS):
        yield f"{token} {number}\n".encode()
        time.sleep(seconds / BLOCKS)
    yield f"{token} end\n".encode()


def digest(content):
    found = hashlib.sha256()
    while block := content.read(65536):
        found.update(block)
    return found.hexdigest()
