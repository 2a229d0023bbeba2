"""Python's memory fails once, at each allocation of a request. Run it as a program:

    without_memory.py APPLICATION

Each request ends its exchange once, whichever allocation fails; the next one, with memory, gets the
usual response. Prints the number of failed allocations.
"""

import sys
from _testcapi import remove_mem_hooks, set_nomemory
from typing import Any

from _iotax_test import Harness

ALLOCATIONS_MAX = 2000
CALM = 50  # this many requests in a row without a failure: no allocation was left
TEXT = [("Content-Type", "text/plain"), ("X-Own", "value")]


def listed(_environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", TEXT)
    return [b"one", b"two"]


def generated(_environ: Any, start_response: Any) -> Any:
    start_response("200 OK", TEXT)
    yield b"one"
    yield b"two"


def reading(environ: Any, start_response: Any) -> list[bytes]:
    content = environ["wsgi.input"].read()
    start_response("200 OK", [*TEXT, ("Content-Length", str(len(content)))])
    return [content]


def reading_lines(environ: Any, start_response: Any) -> list[bytes]:
    lines = list(environ["wsgi.input"])
    start_response("200 OK", TEXT)
    return lines


def writing(_environ: Any, start_response: Any) -> list[bytes]:
    write = start_response("200 OK", TEXT)
    write(b"one")
    return [b"two"]


def raising(environ: Any, _start_response: Any) -> list[bytes]:
    raise ValueError(environ["PATH_INFO"])


def complaining(environ: Any, start_response: Any) -> list[bytes]:
    environ["wsgi.errors"].write("a line\n")
    start_response("200 OK", TEXT)
    return [b""]


def breaking(_environ: Any, start_response: Any) -> list[str]:
    start_response("200 OK", TEXT)
    return ["text"]


APPLICATIONS = {
    made.__name__: made
    for made in (listed, generated, reading, reading_lines, writing, raising, complaining, breaking)
}
REQUEST = {
    "method": "POST",
    "target": "/some/%70ath?query",
    "headers": [
        ("Host", "iotax.test"),
        ("X-Unknown", "value"),
        ("Cookie", "a=b"),
        ("Cookie", "c=d"),
        ("Content-Length", "12"),
    ],
    "body": "line 1\nline2",
}


def said(harness: Harness) -> list[str]:
    """Logged text, without the numbers in tracebacks."""
    return [text.splitlines()[-1] for _, text in harness.take_log()]


def main() -> int:
    harness = Harness(APPLICATIONS[sys.argv[1]], 1, {})
    usual = harness.run(REQUEST, [], 0)
    assert usual == 1
    usual_log = said(harness)
    failed = calm = 0
    for nth in range(ALLOCATIONS_MAX):
        ends = harness.run_without_memory(REQUEST, nth, set_nomemory, remove_mem_hooks)
        assert ends == 1, f"allocation {nth}: the exchange was ended {ends} times"
        as_usual = said(harness) == usual_log
        calm = calm + 1 if as_usual else 0
        failed += not as_usual
        assert harness.run(REQUEST, [], 0) == 1
        assert said(harness) == usual_log, f"allocation {nth}: the next request suffers"
        if calm == CALM:
            print(failed)
            return 0
    raise AssertionError("there is no end of it")


if __name__ == "__main__":
    sys.exit(main())
