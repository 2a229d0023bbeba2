"""Keeps all objects of its requests, and has a dozen threads use them at random moments.

Every request names itself in its path: /KIND/ID, with an ID of 12 characters. Everything written or
sent for it contains its ID, so a client detects bytes of another request. A body is its ID,
repeated, so a thread detects bytes of another body. Errors are lines on standard error that begin
with WRONG.
"""

import collections
import os
import random
import sys
import threading
import time

THREADS = 12
KEPT = 60
ID_BYTES = 12
LATE = (ValueError, ValueError("late"), None)

sys.setswitchinterval(1e-5)


class Kept:
    """The objects of one request."""

    def __init__(self, environ, start_response):
        self.id = environ["PATH_INFO"].rpartition("/")[2]
        self.environ = environ
        self.start_response = start_response
        self.write = None
        self.file = None
        self.ended = False  # the server has taken the response
        self.pattern = self.id.encode() * 2

    def close(self):
        self.ended = True

    def token(self, text):
        return f"[{self.id} {text}]".encode()

    # ---- the threads

    def late_write(self):
        if self.write is not None:
            self.write(self.token("late"))

    def late_start(self):
        self.start_response("200 OK", [("X-Id", self.id), ("X-Late", "1")], LATE)

    def late_hints(self):
        self.environ["wsgi.early_hints"]([("Link", f"</{self.id}>")])

    def asks(self):
        self.environ["iotax.client_disconnected"]()

    def reads(self):
        self.check(self.environ["wsgi.input"].read(random.choice([1, 5, 3000, 70_000])))

    def reads_a_line(self):
        self.check(self.environ["wsgi.input"].readline(random.choice([1, 7, 500])))

    def reads_lines(self):
        for line in self.environ["wsgi.input"].readlines(1):
            self.check(line)

    def reads_into(self):
        buffer = bytearray(random.choice([1, 9, 80_000]))
        size = self.environ["wsgi.input"].readinto(buffer)
        self.check(bytes(buffer[:size]))

    def iterates(self):
        self.check(next(self.environ["wsgi.input"], b""))

    def wraps(self):
        if self.file is not None:
            next(self.file, b"")
        else:
            with open(__file__, "rb") as source:
                self.environ["wsgi.file_wrapper"](source).close()

    def check(self, data):
        """Whether the bytes are a part of the body of this request."""
        start = self.pattern.find(data[:ID_BYTES])
        whole = self.pattern * (len(data) // len(self.pattern) + 2)
        if data and (start < 0 or not whole[start:].startswith(data)):
            wrong(f"{self.id} has read {data[:40]!r}")


USES = [
    *[Kept.late_write] * 4,
    *[Kept.reads] * 4,
    Kept.late_start,
    Kept.late_hints,
    Kept.asks,
    Kept.reads_a_line,
    Kept.reads_lines,
    Kept.reads_into,
    Kept.iterates,
    Kept.wraps,
]
RAISES_WHEN_OVER = [use for use in USES if use is not Kept.wraps]

kept: collections.deque[Kept] = collections.deque(maxlen=KEPT)
counts = collections.Counter()


def wrong(text):
    print("WRONG:", text, file=sys.stderr, flush=True)


def use_for_ever(seed):
    chance = random.Random(seed)
    while True:
        try:
            one = kept[-1] if chance.random() < 0.6 else chance.choice(kept)
        except IndexError:  # no objects are kept yet
            time.sleep(0.001)
            continue
        ended = one.ended
        use = chance.choice(USES)
        try:
            use(one)
        except RuntimeError:
            counts["raised"] += 1
        except (OSError, ValueError):  # the client disconnected, or it is its own late exc_info
            pass
        else:
            counts["in time"] += 1
            if ended and use in RAISES_WHEN_OVER and not (use is Kept.late_write and not one.write):
                wrong(f"{one.id}: {use.__name__} did not raise after the end")
        if chance.random() < 0.3:
            time.sleep(chance.random() * 0.002)


for number in range(THREADS):
    threading.Thread(target=use_for_ever, args=(number,), daemon=True).start()


# ---- the kinds of responses

HEADERS = [("Content-Type", "text/plain")]


def blocks(one):
    return [one.token("begin"), one.token("end")]


def no_blocks(one):
    return []


def writes(one):
    one.write(one.token("begin"))
    one.write(one.token("end"))
    return []


def reads(one):
    one.check(one.environ["wsgi.input"].read())
    return blocks(one)


def reads_and_returns_nothing(one):
    """The next request may run before a thread that waited for its turn has continued."""
    one.check(one.environ["wsgi.input"].read())
    return []


class Streams:
    """Blocks with pauses, from an iterable whose close() is called."""

    def __init__(self, one, pause):
        self.one = one
        self.pause = pause

    def __iter__(self):
        yield self.one.token("begin")
        time.sleep(self.pause)
        self.one.check(self.one.environ["wsgi.input"].read(3000))
        yield self.one.token("end")

    def close(self):
        self.one.close()


def streams(one):
    return Streams(one, 0.003)


def streams_at_once(one):
    return Streams(one, 0)


def file(one):
    reader, writer = os.pipe()
    os.write(writer, one.token("begin") + one.token("end"))
    os.close(writer)
    one.file = one.environ["wsgi.file_wrapper"](os.fdopen(reader, "rb"))
    return one.file


KINDS = {
    made.__name__: made
    for made in (
        blocks,
        no_blocks,
        writes,
        reads,
        reads_and_returns_nothing,
        streams,
        streams_at_once,
        file,
    )
}


def app(environ, start_response):
    kind = environ["PATH_INFO"].split("/")[1]
    if kind == "counts":
        start_response("200 OK", [])
        return [f"{os.getpid()} {counts['raised']} {counts['in time']}".encode()]
    one = Kept(environ, start_response)
    kept.append(one)
    headers = [*HEADERS, ("X-Id", one.id)]
    try:
        one.write = start_response("200 OK", headers)
    except RuntimeError:  # a thread was faster
        one.write = start_response("200 OK", headers, LATE)
    return KINDS[kind](one)
