"""environ, the streams of the server, and unusual requests."""

import http
import os
import sys
import time
from urllib.parse import parse_qs

from proof import TEXT, pair

FORM = ("Content-Type: application/x-www-form-urlencoded",)


def answer(start_response, body=b"x"):
    start_response("200 OK", [TEXT])
    return [body]


def content(environ):
    length = int(environ.get("CONTENT_LENGTH") or 0)
    if length or not environ.get("wsgi.input_terminated"):
        return environ["wsgi.input"].read(length)
    return environ["wsgi.input"].read()


@pair("A-ENV-01")
class ChangesEnviron:
    def sound(environ, start_response):
        environ["shop.user"] = "ada"
        environ.pop("REQUEST_METHOD")
        return answer(start_response)


def needs(name):
    @pair("A-ENV-02")
    class Needs:
        __qualname__ = f"Needs_{name}"

        def broken(environ, start_response):
            return answer(start_response, environ[name].encode("latin-1"))

        def sound(environ, start_response):
            return answer(start_response, environ.get(name, "").encode("latin-1"))


for variable in ("SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "CONTENT_TYPE", "CONTENT_LENGTH"):
    needs(variable)


@pair("A-ENV-03")
class NeedsWhatServersNeedNotSet:
    def broken(environ, start_response):
        return answer(start_response, environ["REMOTE_ADDR"].encode())

    def sound(environ, start_response):
        return answer(start_response, environ.get("REMOTE_ADDR", "?").encode())


@pair("A-ENV-04")
class ComparesAFlag:
    def broken(environ, start_response):
        threads = b"many" if environ["wsgi.multithread"] is True else b"one"
        return answer(start_response, threads)

    def sound(environ, start_response):
        threads = b"many" if environ["wsgi.multithread"] else b"one"
        return answer(start_response, threads)


@pair("A-ENV-05")
class TrustsRunOnce:
    def broken(environ, start_response, used=[]):  # noqa: B006 that is the point
        if environ["wsgi.run_once"]:
            used.append(1)
            if len(used) > 1:
                raise RuntimeError("was to run once")
        return answer(start_response)

    def sound(environ, start_response, used=[]):  # noqa: B006 only counts
        used.append(environ["wsgi.run_once"])
        return answer(start_response)


@pair("A-CFG-01", environ={"shop.mode": "test"})
class NeedsASetting:
    def broken(environ, start_response):
        return answer(start_response, environ["shop.mode"].encode())

    def sound(environ, start_response):
        if "shop.mode" not in environ:
            start_response("500 Not Configured", [TEXT])
            return [b"set shop.mode in environ"]
        return answer(start_response, environ["shop.mode"].encode())


@pair("A-CFG-02", severity="information", environ={"shop.config": os.path.abspath(__file__)})
class ReadsItsSettingsEachTime:
    def broken(environ, start_response):
        with open(environ.get("shop.config", __file__), "rb") as file:
            return answer(start_response, file.readline())

    def sound(environ, start_response, read={}):  # noqa: B006 it is a cache
        name = environ.get("shop.config", __file__)
        if name not in read:
            with open(name, "rb") as file:
                read[name] = file.readline()
        return answer(start_response, read[name])


@pair("A-ERR-01")
class WritesBytesToErrors:
    def broken(environ, start_response):
        environ["wsgi.errors"].write(b"oh\n")
        return answer(start_response)

    def sound(environ, start_response):
        environ["wsgi.errors"].write("oh\n")
        return answer(start_response)


@pair("A-ERR-01")
class EndsLinesOfErrorsWithCrLf:
    def broken(environ, start_response):
        environ["wsgi.errors"].write("oh\r\n")
        return answer(start_response)

    def sound(environ, start_response):
        environ["wsgi.errors"].writelines(["oh\n", "no\n"])
        return answer(start_response)


@pair("A-ERR-02", "POST /", headers=FORM, body="a=1&b=2", severity="warning")
class LeavesErrorsUnflushed:
    def broken(environ, start_response):
        environ["wsgi.errors"].write("about to read what may not come\n")
        return answer(start_response, content(environ))

    def sound(environ, start_response):
        environ["wsgi.errors"].write("about to read what may not come\n")
        environ["wsgi.errors"].flush()
        return answer(start_response, content(environ))


@pair("A-IN-01", "POST /", headers=FORM, body="a=1")
class ReadsBeyondTheEnd:
    def broken(environ, start_response):
        return answer(start_response, environ["wsgi.input"].read(1000))

    def sound(environ, start_response):
        return answer(start_response, content(environ))


@pair("A-IN-02", "POST /", headers=FORM, body="a=1\nb=2\n")
class ReadsLines:
    def sound(environ, start_response):
        lines = environ["wsgi.input"].readlines(100)
        return answer(start_response, b"|".join(lines))


@pair("A-IN-03", "POST /", headers=FORM, body="a=1", severity="error")
class SeeksInInput:
    def broken(environ, start_response):
        environ["wsgi.input"].seek(0)
        return answer(start_response)

    def sound(environ, start_response):
        return answer(start_response, content(environ))


@pair("A-IN-03", severity="warning")
class SeeksAndShowsAnError:
    """The error of a missing attribute is shown as a page, as in frameworks."""

    def broken(environ, start_response):
        try:
            environ["wsgi.input"].seek(0)
        except AttributeError:
            start_response("500 Internal Server Error", [TEXT], sys.exc_info())
            return [b"something is wrong"]
        return answer(start_response)

    def sound(environ, start_response):
        if hasattr(environ["wsgi.input"], "seek"):
            return answer(start_response, b"can seek")
        return answer(start_response, b"cannot seek")


@pair("A-IN-03")
class AsksAndHasAWayOut:
    def sound(environ, start_response):
        can_seek = hasattr(environ["wsgi.errors"], "seek")
        descriptor = getattr(environ["wsgi.input"], "fileno", None)
        try:
            name = environ["wsgi.input"].name
        except AttributeError:
            name = "none"
        return answer(start_response, f"{can_seek} {descriptor} {name}".encode())


@pair("A-IN-03")
class AsksAndFailsForAnotherReason:
    def sound(environ, start_response):
        hasattr(environ["wsgi.errors"], "seek")
        start_response("500 Internal Server Error", [TEXT])
        return [b"the database is gone"]


@pair("A-IN-04", "POST /", headers=FORM, body="a=1")
class ClosesInput:
    def broken(environ, start_response):
        body = content(environ)
        environ["wsgi.input"].close()
        return answer(start_response, body)

    def sound(environ, start_response):
        return answer(start_response, content(environ))


@pair("A-UNI-01")
class DecodesStrictly:
    def broken(environ, start_response):
        path = environ.get("PATH_INFO", "").encode("latin-1").decode("utf-8")
        return answer(start_response, path.encode())

    def sound(environ, start_response):
        path = environ.get("PATH_INFO", "").encode("latin-1").decode("utf-8", "replace")
        return answer(start_response, path.encode())


@pair("A-HTTP-02")
class LooksAtTheConnection:
    def broken(environ, start_response):
        if environ.get("HTTP_CONNECTION") == "close":
            return answer(start_response, b"farewell")
        return answer(start_response, b"welcome")

    def sound(environ, start_response):
        return answer(start_response, b"welcome")


@pair("A-HTTP-04", severity="information")
class NeverNotModified:
    def broken(environ, start_response):
        start_response("200 OK", [TEXT, ("ETag", '"1"')])
        return [b"x"]

    def sound(environ, start_response):
        if environ.get("HTTP_IF_NONE_MATCH") == '"1"':
            start_response("304 Not Modified", [("ETag", '"1"')])
            return []
        start_response("200 OK", [TEXT, ("ETag", '"1"')])
        return [b"x"]


@pair("A-HTTP-06", severity="information")
class PromisesRanges:
    def broken(environ, start_response):
        start_response("200 OK", [TEXT, ("Accept-Ranges", "bytes")])
        return [b"xyz"]

    def sound(environ, start_response):
        if "HTTP_RANGE" in environ:
            start_response("206 Partial Content", [TEXT, ("Content-Range", "bytes 0-0/3")])
            return [b"x"]
        start_response("200 OK", [TEXT, ("Accept-Ranges", "bytes")])
        return [b"xyz"]


@pair("A-URL-01")
class LinksToItself:
    def sound(environ, start_response):
        host = environ.get("HTTP_HOST") or environ["SERVER_NAME"]
        start_response("302 Found", [TEXT, ("Location", f"http://{host}/next")])
        return [b"there"]


# ---- correct applications that look suspicious


@pair("A-ENV-02")
class ShowsItsEnviron:
    def broken(environ, start_response):
        return answer(start_response, environ["QUERY_STRING"].encode("latin-1"))

    def sound(environ, start_response):
        names = "\n".join(f"{name}={environ[name]!r}" for name in sorted(environ))
        return answer(start_response, names.encode("utf-8", "replace"))


@pair("A-CALL-03")
class CountsItsVisitors:
    def broken(environ, start_response, seen=[]):  # noqa: B006 that is the point
        seen.append(1)
        if len(seen) > 1:
            raise RuntimeError("called twice")
        return answer(start_response)

    def sound(environ, start_response, visitors=[]):  # noqa: B006 only counts
        visitors.append(time.monotonic())
        return answer(start_response, b"%d visitors at %f" % (len(visitors), time.monotonic()))


@pair("A-HTTP-02")
class AnswersToAQuery:
    broken = LooksAtTheConnection.broken

    def sound(environ, start_response):
        query = parse_qs(environ.get("QUERY_STRING", ""))
        return answer(start_response, http.HTTPStatus.OK.phrase.encode() + b"%d" % len(query))
