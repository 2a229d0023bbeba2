"""Applications that break PEP 3333, each at a path of its own, and /hello, which does not."""

import time

TEXT = ("Content-Type", "text/plain")


def application(environ, start_response):
    view = VIEWS[environ["PATH_INFO"].strip("/")]
    return view(environ, start_response)


def hello(_environ, start_response):
    start_response("200 OK", [TEXT, ("Content-Length", "5")])
    return [b"hello"]


def hangs(_environ, _start_response):
    time.sleep(3600)


def content_to_head(_environ, start_response):
    start_response("200 OK", [TEXT, ("Content-Length", "3")])
    return [b"abc"]


def content_in_204(_environ, start_response):
    start_response("204 No Content", [])
    return [b"abc"]


def too_short(_environ, start_response):
    start_response("200 OK", [TEXT, ("Content-Length", "10")])
    return [b"abc"]


def too_long(_environ, start_response):
    start_response("200 OK", [TEXT, ("Content-Length", "3")])
    return [b"abcdefghij"]


def line_end_in_a_field(_environ, start_response):
    start_response("200 OK", [TEXT, ("X-A", "b\r\nX-Injected: c")])
    return [b"abc"]


def no_start_response(_environ, _start_response):
    return [b"abc"]


def text_block(_environ, start_response):
    start_response("200 OK", [TEXT])
    return ["abc"]


def closes(_environ, start_response):
    start_response("200 OK", [TEXT, ("Connection", "close"), ("Content-Length", "3")])
    return [b"abc"]


def refuses_content(_environ, start_response):
    start_response("403 Forbidden", [TEXT, ("Content-Length", "2")])
    return [b"no"]


VIEWS = {
    view.__name__: view
    for view in (
        hello, hangs, content_to_head, content_in_204, too_short, too_long, line_end_in_a_field,
        no_start_response, text_block, closes, refuses_content,
    )
}  # fmt: skip
