"""The call, start_response, status and headers."""

import sys

from proof import TEXT, pair

HTML = ("Content-Type", "text/html")


@pair("A-CALL-01")
class LooksAtStartResponse:
    def broken(environ, start_response):
        start_response("200 OK", [TEXT])
        return [b"x"] if hasattr(start_response, "__name__") else [b"y"]

    def sound(environ, start_response):
        call = start_response
        call("200 OK", [TEXT])
        return [b"x"]


@pair("A-CALL-02")
class TakesOneArgument:
    def broken(scope):
        return []

    def sound(scope, start):
        start("200 OK", [TEXT])
        return [b"x"]


@pair("A-CALL-03")
class WorksOnce:
    blocks = iter([b"first time only"])

    def broken(environ, start_response, blocks=blocks):
        start_response("200 OK", [TEXT])
        return blocks

    def sound(environ, start_response):
        start_response("200 OK", [TEXT])
        return iter([b"every time"])


class Shared:
    """Keeps objects of one request on itself."""

    def __call__(self, environ, start_response):
        self.left = [b"1", b"2"]
        start_response("200 OK", [TEXT])
        return self.blocks()

    def blocks(self):
        while self.left:
            yield self.left.pop()


shared = Shared()


@pair("A-CALL-03")
class KeepsARequestOnItself:
    def broken(environ, start_response):
        return shared(environ, start_response)

    def sound(environ, start_response):
        start_response("200 OK", [TEXT])
        return iter([b"2", b"1"])


@pair("A-STR-01")
class StatusOfBytes:
    def broken(environ, start_response):
        start_response(b"200 OK", [TEXT])
        return [b"x"]

    def sound(environ, start_response):
        start_response("200 OK", [TEXT])
        return [b"x"]


@pair("A-STR-01")
class ValueIsANumber:
    def broken(environ, start_response):
        start_response("200 OK", [TEXT, ("Content-Length", 1)])
        return [b"x"]

    def sound(environ, start_response):
        start_response("200 OK", [TEXT, ("Content-Length", str(1))])
        return [b"x"]


class Text(str):
    pass


@pair("A-STR-01", severity="warning")
class SubclassOfStr:
    def broken(environ, start_response):
        start_response("200 OK", [(Text("Content-Type"), "text/plain")])
        return [b"x"]

    def sound(environ, start_response):
        start_response("200 OK", [(str(Text("Content-Type")), "text/plain")])
        return [b"x"]


@pair("A-SR-01")
class KeywordArguments:
    def broken(environ, start_response):
        start_response(status="200 OK", headers=[TEXT])
        return [b"x"]

    def sound(environ, start_response):
        start_response("200 OK", [TEXT], None)
        return [b"x"]


@pair("A-SR-02")
class NeverStarts:
    def broken(environ, start_response):
        return [b"x"]

    def sound(environ, start_response):
        start_response("200 OK", [TEXT])
        return [b"x"]


@pair("A-SR-02")
class StartsTooLate:
    def broken(environ, start_response):
        yield b"x"
        start_response("200 OK", [TEXT])

    def sound(environ, start_response):
        yield b""
        start_response("200 OK", [TEXT])
        yield b"x"


@pair("A-SR-03")
class StartsInTheFirstIteration:
    def sound(environ, start_response):
        start_response("200 OK", [TEXT])
        yield b"x"


@pair("A-SR-04", severity="warning")
class StatusWithoutReason:
    def broken(environ, start_response):
        start_response("200", [TEXT])
        return [b"x"]

    def sound(environ, start_response):
        start_response("299 Whatever it is", [TEXT])
        return [b"x"]


@pair("A-SR-04", severity="error")
class StatusIsAWord:
    def broken(environ, start_response):
        start_response("OK", [TEXT])
        return [b"x"]

    def sound(environ, start_response):
        start_response("999 OK", [TEXT])
        return [b"x"]


@pair("A-SR-05")
class StatusWithLineEnd:
    def broken(environ, start_response):
        start_response("200 OK\r\n", [TEXT])
        return [b"x"]

    def sound(environ, start_response):
        start_response("200 OK \xe9", [TEXT])
        return [b"x"]


@pair("A-SR-06")
class HeadersAreATuple:
    def broken(environ, start_response):
        start_response("200 OK", (TEXT,))
        return [b"x"]

    def sound(environ, start_response):
        start_response("200 OK", [TEXT])
        return [b"x"]


@pair("A-SR-06")
class HeaderIsAList:
    def broken(environ, start_response):
        start_response("200 OK", [list(TEXT)])
        return [b"x"]

    def sound(environ, start_response):
        start_response("200 OK", [tuple(TEXT)])
        return [b"x"]


@pair("A-SR-07")
class OneListForAll:
    def broken(environ, start_response, headers=[TEXT]):  # noqa: B006 that is the point
        start_response("200 OK", headers)
        return [b"x"]

    def sound(environ, start_response, headers=(TEXT,)):
        start_response("200 OK", list(headers))
        return [b"x"]


@pair("A-SR-07")
class ChangesTheListAfterwards:
    def broken(environ, start_response):
        headers = [TEXT]
        start_response("200 OK", headers)
        headers.append(("X-Late", "1"))
        return [b"x"]

    def sound(environ, start_response):
        headers = [TEXT]
        headers.append(("X-In-Time", "1"))
        start_response("200 OK", headers)
        return [b"x"]


@pair("A-SR-08", severity="error")
class NameWithABlank:
    def broken(environ, start_response):
        start_response("200 OK", [TEXT, ("X Name", "1")])
        return [b"x"]

    def sound(environ, start_response):
        start_response("200 OK", [TEXT, ("X-Name_1", "1")])
        return [b"x"]


@pair("A-SR-08", severity="warning")
class UnusualName:
    def broken(environ, start_response):
        start_response("200 OK", [TEXT, ("1~", "1")])
        return [b"x"]

    def sound(environ, start_response):
        start_response("200 OK", [TEXT, ("X1", "1")])
        return [b"x"]


@pair("A-SR-09", severity="error")
class ValueWithLineEnd:
    def broken(environ, start_response):
        start_response("200 OK", [TEXT, ("X-Name", "a\r\nSet-Cookie: b=c")])
        return [b"x"]

    def sound(environ, start_response):
        start_response("200 OK", [TEXT, ("X-Name", "a"), ("Set-Cookie", "b=c")])
        return [b"x"]


@pair("A-SR-09", severity="warning")
class ValueWithATab:
    def broken(environ, start_response):
        start_response("200 OK", [TEXT, ("X-Name", "a\tb")])
        return [b"x"]

    def sound(environ, start_response):
        start_response("200 OK", [TEXT, ("X-Name", "a b")])
        return [b"x"]


@pair("A-SR-10")
class ClosesTheConnection:
    def broken(environ, start_response):
        start_response("200 OK", [TEXT, ("connection", "close")])
        return [b"x"]

    def sound(environ, start_response):
        start_response("200 OK", [TEXT, ("X-Connection", "close")])
        return [b"x"]


@pair("A-TE-01", severity="error")
class SetsTransferEncoding:
    def broken(environ, start_response):
        start_response("200 OK", [TEXT, ("Transfer-Encoding", "chunked")])
        return [b"x"]

    def sound(environ, start_response):
        start_response("200 OK", [TEXT])
        return [b"x"]


@pair("A-TE-01", severity="warning")
class ChunksItself:
    def broken(environ, start_response):
        start_response("200 OK", [TEXT])
        return [b"1\r\nx\r\n0\r\n\r\n"]

    def sound(environ, start_response):
        start_response("200 OK", [TEXT])
        return [b"1\r\nx\r\n"]


@pair("A-SR-11")
class NoExceptionInfo:
    def broken(environ, start_response):
        start_response("500 Oh", [TEXT], sys.exc_info())
        return [b"x"]

    def sound(environ, start_response):
        try:
            raise ValueError
        except ValueError:
            start_response("500 Oh", [TEXT], sys.exc_info())
        return [b"x"]


@pair("A-SR-12")
class ExceptionInfoWithASuccess:
    def broken(environ, start_response):
        try:
            raise ValueError
        except ValueError:
            start_response("200 OK", [TEXT], sys.exc_info())
        return [b"x"]

    def sound(environ, start_response):
        try:
            raise ValueError
        except ValueError:
            start_response("400 No", [TEXT], sys.exc_info())
        return [b"x"]


@pair("A-SR-13")
class CatchesWhatIsHandedBack:
    def broken(environ, start_response):
        start_response("200 OK", [TEXT])
        yield b"first"
        try:
            raise ValueError("in the middle")
        except ValueError:
            try:
                start_response("500 Oh", [TEXT], sys.exc_info())
            except ValueError:
                yield b"and on"

    def sound(environ, start_response):
        start_response("200 OK", [TEXT])
        yield b"first"
        try:
            raise ValueError("in the middle")
        except ValueError:
            start_response("500 Oh", [TEXT], sys.exc_info())
            yield b"and on"


@pair("A-SR-14")
class StartsTwice:
    def broken(environ, start_response):
        start_response("200 OK", [TEXT])
        start_response("200 OK", [TEXT])
        return [b"x"]

    def sound(environ, start_response):
        start_response("200 OK", [TEXT])
        try:
            raise ValueError
        except ValueError:
            start_response("500 Oh", [TEXT], sys.exc_info())
        return [b"x"]


@pair("A-UNI-02")
class EncodedWordThatIsNone:
    def broken(environ, start_response):
        start_response("200 OK", [TEXT, ("X-Name", "=?utf-9?q?caf=C3=A9?=")])
        return [b"x"]

    def sound(environ, start_response):
        start_response("200 OK", [TEXT, ("X-Name", "=?utf-8?q?caf=C3=A9?=")])
        return [b"x"]


@pair("A-UNI-03")
class ValueBeyondLatin1:
    def broken(environ, start_response):
        start_response("200 OK", [TEXT, ("X-Name", "\u20ac")])
        return [b"x"]

    def sound(environ, start_response):
        start_response("200 OK", [TEXT, ("X-Name", "\xff")])
        return [b"x"]


@pair("A-EXC-01")
class LetsErrorsOut:
    def broken(environ, start_response):
        raise ValueError("not caught")

    def sound(environ, start_response):
        try:
            raise ValueError("caught")
        except ValueError:
            start_response("400 No", [TEXT], sys.exc_info())
            return [b"that was nothing"]


@pair("A-EXC-02")
class ErrorWithoutInfo:
    def broken(environ, start_response):
        try:
            raise ValueError
        except ValueError:
            start_response("500 Oh", [TEXT])
            return [b"x"]

    def sound(environ, start_response):
        try:
            raise ValueError
        except ValueError:
            start_response("500 Oh", [TEXT], sys.exc_info())
            return [b"x"]


@pair("A-HTTP-01")
class SwitchesProtocols:
    def broken(environ, start_response):
        start_response("101 Switching Protocols", [TEXT])
        return []

    def sound(environ, start_response):
        start_response("426 Upgrade Required", [TEXT])
        return [b"x"]
