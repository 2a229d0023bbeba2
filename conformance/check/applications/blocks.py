"""The iterable, its blocks, write(), the length and the coding of the body."""

import gzip
import io
import tempfile

from proof import TEXT, pair

HELLO = b"hello, hello, hello, hello\n"


def start(start_response, *more):
    return start_response("200 OK", [TEXT, *more])


@pair("A-STR-02")
class BlockOfText:
    def broken(environ, start_response):
        start(start_response)
        return ["text"]

    def sound(environ, start_response):
        start(start_response)
        return [b"text"]


@pair("A-UNI-04", severity="error")
class BlockIsAMemoryview:
    def broken(environ, start_response):
        start(start_response)
        return [memoryview(b"text")]

    def sound(environ, start_response):
        start(start_response)
        return [bytes(memoryview(b"text"))]


class Block(bytes):
    pass


@pair("A-UNI-04", severity="warning")
class BlockIsASubclass:
    def broken(environ, start_response):
        start(start_response)
        return [Block(b"text")]

    def sound(environ, start_response):
        start(start_response)
        return [bytes(Block(b"text"))]


@pair("A-ITER-01")
class ReturnsText:
    def broken(environ, start_response):
        start(start_response)
        return b"text"

    def sound(environ, start_response):
        start(start_response)
        return (b"text",)


@pair("A-ITER-01")
class ReturnsNone:
    def broken(environ, start_response):
        start(start_response)

    def sound(environ, start_response):
        start(start_response)
        return []


@pair("A-ITER-02")
class NotInItsCharset:
    def broken(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
        return [b"caf\xe9"]

    def sound(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain; charset=latin-1")])
        return [b"caf\xe9"]


@pair("A-ITER-02")
class NotCompressed:
    def broken(environ, start_response):
        start(start_response, ("Content-Encoding", "gzip"))
        return [b"plain"]

    def sound(environ, start_response):
        start(start_response, ("Content-Encoding", "gzip"))
        return [gzip.compress(b"plain", mtime=0)]


class Sized:
    """Claims to have one item."""

    def __init__(self, *blocks):
        self.blocks = blocks

    def __len__(self):
        return 1

    def __iter__(self):
        return iter(self.blocks)


@pair("A-ITER-03")
class WrongLen:
    def broken(environ, start_response):
        start(start_response)
        return Sized(b"one", b"two")

    def sound(environ, start_response):
        start(start_response)
        return Sized(b"one")


class Streaming:
    def __init__(self, fails):
        self.fails = fails
        self.left = 3

    def __iter__(self):
        return self

    def __next__(self):
        if not self.left:
            raise StopIteration
        self.left -= 1
        return HELLO

    def close(self):
        if self.left and self.fails:
            raise RuntimeError("not read to the end")


@pair("A-ITER-04")
class WantsToBeReadToTheEnd:
    def broken(environ, start_response):
        start(start_response)
        return Streaming(fails=True)

    def sound(environ, start_response):
        start(start_response)
        return Streaming(fails=False)


class Lines:
    def __init__(self, closes):
        self.file = tempfile.TemporaryFile()  # noqa: SIM115 closed with the iterable, or not
        self.file.write(HELLO * 5)
        self.file.seek(0)
        if closes:
            self.close = self.file.close

    def __iter__(self):
        return self

    def __next__(self):
        line = self.file.readline()
        if line:
            return line
        self.file.close()
        raise StopIteration


@pair("A-ITER-04")
class LeavesAFileOpen:
    def broken(environ, start_response):
        start(start_response)
        return Lines(closes=False)

    def sound(environ, start_response):
        start(start_response)
        return Lines(closes=True)


@pair("A-BUF-01")
class ManySmallBlocks:
    def broken(environ, start_response):
        start(start_response)
        return [b"x"] * 200

    def sound(environ, start_response):
        start(start_response)
        return [b"x" * 200]


@pair("A-BUF-02", severity="information")
class SeveralBlocksAtOnce:
    def broken(environ, start_response):
        start(start_response)
        return [HELLO, HELLO]

    def sound(environ, start_response):
        start(start_response)
        return [HELLO + HELLO]


@pair("A-BUF-03")
class EmptyBlocks:
    def sound(environ, start_response):
        start(start_response)
        yield b""
        yield HELLO
        yield b""


@pair("A-WR-01")
class UsesWrite:
    def broken(environ, start_response):
        write = start(start_response)
        write(HELLO)
        return []

    def sound(environ, start_response):
        start(start_response)
        return [HELLO]


@pair("A-WR-02")
class WritesText:
    def broken(environ, start_response):
        start(start_response)("text")
        return []

    def sound(environ, start_response):
        start(start_response)(b"text")
        return []


@pair("A-WR-02")
class WritesByKeyword:
    def broken(environ, start_response):
        start(start_response)(data=b"text")
        return []

    def sound(environ, start_response):
        start(start_response)(b"text")
        return []


@pair("A-WR-03")
class ReturnsNothingAfterWrite:
    def broken(environ, start_response):
        start(start_response)(HELLO)

    def sound(environ, start_response):
        start(start_response)(HELLO)
        return []


@pair("A-WR-05")
class WritesWhileItIsIterated:
    def broken(environ, start_response):
        write = start(start_response)
        write(HELLO)
        yield HELLO

    def sound(environ, start_response):
        start(start_response)(HELLO)
        return iter([HELLO])


@pair("A-WR-04")
class ReturnsOnlyEmptyBlocks:
    def sound(environ, start_response):
        start(start_response)(HELLO)
        return [b""]


@pair("A-CL-01")
class LengthIsWrong:
    def broken(environ, start_response):
        start(start_response, ("Content-Length", "3"))
        return [HELLO]

    def sound(environ, start_response):
        start(start_response, ("Content-Length", str(len(HELLO))))
        return [HELLO]


@pair("A-CL-01")
class LengthIsNoNumber:
    def broken(environ, start_response):
        start(start_response, ("Content-Length", f"+{len(HELLO)}"))
        return [HELLO]

    def sound(environ, start_response):
        start(start_response, ("Content-Length", f"0{len(HELLO)}"))
        return [HELLO]


@pair("A-HTTP-03")
class BodyWithoutContent:
    def broken(environ, start_response):
        start_response("204 No Content", [])
        return [HELLO]

    def sound(environ, start_response):
        start_response("204 No Content", [])
        return []


@pair("A-HTTP-03")
class FieldsWithoutContent:
    """Frameworks set both headers of the correct application in every response."""

    def broken(environ, start_response):
        start_response("204 No Content", [("Content-Length", "5")])
        return []

    def sound(environ, start_response):
        start_response("204 No Content", [TEXT, ("Content-Length", "0")])
        return []


@pair("A-ITER-04")
class LeavesFilesToTheCollector:
    """Each time, so the disconnect of the client is not the cause."""

    def sound(environ, start_response):
        start_response("200 OK", [TEXT])
        return iter([open(__file__, "rb").read()[:5], b"more"])


@pair("A-OLD-01")
class ReturnsAFile:
    def broken(environ, start_response):
        start(start_response)
        return io.BytesIO(HELLO)

    def sound(environ, start_response):
        start(start_response)
        return environ.get("wsgi.file_wrapper", lambda file: iter(lambda: file.read(99), b""))(
            io.BytesIO(HELLO)
        )


@pair("A-FW-01")
class UsesTheFileWrapper:
    def sound(environ, start_response):
        start(start_response)
        file = io.BytesIO(HELLO)
        if "wsgi.file_wrapper" in environ:
            return environ["wsgi.file_wrapper"](file, 100)
        return iter(lambda: file.read(100), b"")


@pair("A-FW-01", severity="warning")
class NeedsTheFileWrapper:
    def broken(environ, start_response):
        start(start_response)
        return environ["wsgi.file_wrapper"](io.BytesIO(HELLO))

    sound = UsesTheFileWrapper.sound


@pair("A-FW-02")
class FileOfText:
    def broken(environ, start_response):
        start(start_response)
        wrapper = environ.get("wsgi.file_wrapper", lambda file: [file.read().encode()])
        return wrapper(io.StringIO("text"))

    sound = UsesTheFileWrapper.sound


@pair("A-HTTP-05", severity="information")
class LargeTextWithoutCoding:
    def broken(environ, start_response):
        start(start_response)
        return [HELLO * 1000]

    def sound(environ, start_response):
        start(start_response, ("Content-Encoding", "gzip"))
        return [gzip.compress(HELLO * 1000)]
