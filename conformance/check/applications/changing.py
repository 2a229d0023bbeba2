"""Correct applications that respond differently to two equal requests: pages that change by
themselves, and methods that change the state. The variation of the request is not the cause.

Changes depend on the number of calls, so that each run is the same.
"""

import io
import itertools
import json
import random

from proof import TEXT, pair


def answer(start_response, body=b"x", status="200 OK", *fields):
    start_response(status, [TEXT, *fields])
    return [body]


def shows_a_clock(calls_per_second):
    @pair("A-ENV-04")
    class ShowsAClock:
        __qualname__ = f"ShowsAClock_{calls_per_second}"
        calls = itertools.count()

        def sound(environ, start_response, calls=calls):
            return answer(start_response, b"12:00:%02d" % (next(calls) // calls_per_second % 60))


def chooses_at_random(seed):
    @pair("A-ENV-04")
    class ChoosesAtRandom:
        __qualname__ = f"ChoosesAtRandom_{seed}"
        chance = random.Random(seed)

        def sound(environ, start_response, chance=chance):
            return answer(start_response, chance.choice([b"buy this", b"buy that"]))


def fails_at_random(seed):
    """E.g. while another process holds the database."""

    @pair("A-CALL-03")
    class FailsAtRandom:
        __qualname__ = f"FailsAtRandom_{seed}"
        chance = random.Random(seed)

        def sound(environ, start_response, chance=chance):
            status = chance.choice(["200 OK", "200 OK", "500 Locked"])
            return answer(start_response, b"x", status)


def limits_requests(status, calls_max):
    @pair("A-CALL-03")
    class LimitsRequests:
        __qualname__ = f"LimitsRequests_{status[:3]}_{calls_max}"
        calls = itertools.count()

        def sound(environ, start_response, calls=calls):
            if next(calls) < calls_max:
                return answer(start_response)
            return answer(start_response, b"come back later", status, ("Retry-After", "60"))


for number in (2, 3, 4, 5, 7, 11):
    shows_a_clock(number)
for number in range(4):
    chooses_at_random(number)
    fails_at_random(number)
for number in (1, 2, 4, 20):
    limits_requests("429 Too Many Requests", number)
    limits_requests("503 Service Unavailable", number)
    limits_requests("502 Bad Gateway", number)


@pair("A-SR-07")
class ChangesItsFields:
    """A request id, sometimes a new cookie, an ETag that is always different."""

    calls = itertools.count()

    def sound(environ, start_response, calls=calls):
        number = next(calls)
        fields = [("X-Request-Id", f"{number:08x}"), ("ETag", f'"{number}"')]
        if number % 5 < 3:
            fields.append(("Set-Cookie", f"token={number}"))
        return answer(start_response, b"x", "200 OK", *fields)


@pair("A-CALL-03")
class EmptiesAQueue:
    """The first request gets all news, later ones none."""

    news = itertools.repeat("news", 1)

    def sound(environ, start_response, news=news):
        for text in news:
            return answer(start_response, text.encode())
        start_response("204 No Content", [])
        return []


@pair("A-FW-01")
class ShowsItsEnviron:
    def sound(environ, start_response):
        body = json.dumps(sorted(name for name in environ if name.startswith("wsgi."))).encode()
        start_response("200 OK", [TEXT])
        wrapper = environ.get("wsgi.file_wrapper")
        return wrapper(io.BytesIO(body)) if wrapper else [body]


def changes_what_it_names(method, first, *later, body="text"):
    """`first`: the status of the first call, with a body. `later`: those of the next calls,
    without a body; the last one repeats."""

    @pair("A-CALL-03", f"{method} /document", body=body)
    class ChangesWhatItNames:
        __qualname__ = f"ChangesWhatItNames_{method}_{first[:3]}_{later[-1][:3]}"
        statuses = itertools.chain([first, *later], itertools.repeat(later[-1]))

        def sound(environ, start_response, statuses=statuses):
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            status = next(statuses)
            start_response(status, [])
            return [b"made"] if status == first else []


# RFC 9110 section 9.3, RFC 4918 section 9.
changes_what_it_names("PUT", "201 Created", "204 No Content")
changes_what_it_names("PUT", "201 Created", "412 Precondition Failed")
changes_what_it_names("DELETE", "200 OK", "404 Not Found", body=None)
changes_what_it_names("DELETE", "202 Accepted", "204 No Content", "410 Gone", body=None)
changes_what_it_names("POST", "201 Created", "409 Conflict")
changes_what_it_names("POST", "201 Created", "201 Created", "201 Created", "429 Too Many Requests")
changes_what_it_names("POST", "200 OK", "303 See Other")
changes_what_it_names("PATCH", "200 OK", "204 No Content")
changes_what_it_names("PATCH", "200 OK", "409 Conflict")
changes_what_it_names("MKCOL", "201 Created", "405 Method Not Allowed", body=None)
changes_what_it_names("LOCK", "200 OK", "423 Locked")
changes_what_it_names("COPY", "201 Created", "204 No Content", body=None)
changes_what_it_names("MOVE", "201 Created", "404 Not Found", body=None)
changes_what_it_names("PUT", "201 Created", "507 Insufficient Storage")


@pair("A-CALL-03", "PUT /document", body="text")
class MakesADocumentOnce:
    """An error in the second call is a fault, whatever the method changes."""

    def broken(environ, start_response, made=[]):  # noqa: B006 that is the point
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        made.append(1)
        status = "201 Created" if len(made) == 1 else "500 Internal Server Error"
        return answer(start_response, b"x", status)

    def sound(environ, start_response, made=[]):  # noqa: B006 only counts
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        made.append(1)
        return answer(start_response, b"x", "201 Created" if len(made) == 1 else "200 OK")


@pair("A-CALL-03", severity="warning")
class IsEmptyTheSecondTime:
    def broken(environ, start_response, blocks=iter([b"first time only"])):  # noqa: B008
        start_response("200 OK", [TEXT])
        return (block for block in blocks)

    def sound(environ, start_response):
        start_response("200 OK", [TEXT])
        return (block for block in [b"each time"])


@pair("A-ENV-05")
class EndsWithTheFirstRun:
    """It breaks permanently: the plain request fails too from then on."""

    def broken(environ, start_response, ended=[]):  # noqa: B006 that is the point
        if ended:
            raise RuntimeError("all is closed")
        if environ["wsgi.run_once"]:
            ended.append(1)
        return answer(start_response)

    def sound(environ, start_response):
        return answer(start_response)
