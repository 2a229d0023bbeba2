"""Applications that are wrong, one per path, each in one way; any other path is views.py."""

import os
import time

import views

TEXT = ("Content-Type", "text/plain")


def application(environ, start_response):
    name = environ["PATH_INFO"].strip("/")
    view = VIEWS.get(name, views.application)
    return view(environ, start_response)


def content_with_any_method(environ, start_response):
    start_response("200 OK", [TEXT, ("Content-Length", "10")])
    return [b"0123456789"]


def content_with_204(environ, start_response):
    start_response("204 No Content", [])
    return [b"0123456789"]


def less_than_promised(environ, start_response):
    start_response("200 OK", [TEXT, ("Content-Length", "10")])
    return [b"012"]


def more_than_promised(environ, start_response):
    start_response("200 OK", [TEXT, ("Content-Length", "3")])
    return [b"0123456789"]


def line_end_in_a_value(environ, start_response):
    start_response("200 OK", [TEXT, ("X-Name", "value\r\nX-Injected: yes")])
    return [b"0123456789"]


def no_start_response(environ, start_response):
    return [b"0123456789"]


def text(environ, start_response):
    start_response("200 OK", [TEXT, ("Content-Length", "10")])
    return ["0123456789"]


def says_close(environ, start_response):
    start_response("200 OK", [TEXT, ("Content-Length", "10"), ("Connection", "close")])
    return [b"0123456789"]


def hang(environ, start_response):
    """Says so, and comes back only if something is raised in it."""
    os.write(2, b"a call hangs\n")
    while True:
        time.sleep(0.05)


VIEWS = {
    "content": content_with_any_method,
    "content-with-204": content_with_204,
    "short": less_than_promised,
    "long": more_than_promised,
    "inject": line_end_in_a_value,
    "no-start": no_start_response,
    "text": text,
    "close": says_close,
    "hang": hang,
}
