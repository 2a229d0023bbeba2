"""Middleware, between a server and an application: the M- clauses."""

from proof import pair


class Passing:
    """Passes blocks on as they arrive, changed by `change`, and passes on close()."""

    def __init__(self, blocks, change=bytes):
        self.blocks, self.iterator, self.change = blocks, iter(blocks), change
        if hasattr(blocks, "close"):
            self.close = blocks.close

    def __iter__(self):
        return self

    def __next__(self):
        return self.change(next(self.iterator))


def passing(app):
    return lambda environ, start_response: app(environ, start_response)


def upper(app):
    return lambda environ, start_response: Passing(app(environ, start_response), bytes.upper)


def changing(change):
    """Middleware that changes the arguments of start_response."""

    def middleware(app):
        def call(environ, start_response):
            return app(environ, lambda *args: start_response(*change(*args)))

        return call

    return middleware


@pair("M-CALL-01")
class LooksAtTheApplication:
    def broken(app):
        name = app.__doc__
        return lambda environ, start_response: app(environ, start_response) if name else None

    sound = passing


@pair("M-GEN-01")
class PassesAnotherEnviron:
    def broken(app):
        class Environ(dict):
            pass

        return lambda environ, start_response: app(Environ(environ), start_response)

    def sound(app):
        return lambda environ, start_response: app(dict(environ), start_response)


@pair("M-GEN-01")
class GivesAStatusOfBytes:
    def broken(app):
        return changing(lambda status, *rest: (status.encode(), *rest))(app)

    def sound(app):
        return changing(lambda status, *rest: (status.upper(), *rest))(app)


@pair("M-GEN-02")
class KeepsTheLength:
    def broken(app):
        def call(environ, start_response):
            return Passing(app(environ, start_response), lambda block: block + block)

        return call

    def sound(app):
        def without(status, headers, *rest):
            kept = [one for one in headers if one[0].lower() != "content-length"]
            return (status, kept, *rest)

        return KeepsTheLength.broken(changing(without)(app))


@pair("M-GEN-03")
class TakesTwoArguments:
    def broken(app):
        def call(environ, start_response):
            return app(environ, lambda status, headers: start_response(status, headers))

        return call

    sound = passing


@pair("M-GEN-03")
class GivesNoWrite:
    def broken(app):
        def call(environ, start_response):
            def start(*args):
                start_response(*args)

            return app(environ, start)

        return call

    def sound(app):
        def call(environ, start_response):
            def start(*args):
                return start_response(*args)

            return app(environ, start)

        return call


@pair("M-GEN-04")
class DropsClose:
    def broken(app):
        def call(environ, start_response):
            return map(bytes, app(environ, start_response))

        return call

    sound = upper


@pair("M-GEN-04")
class ClosesTwice:
    def broken(app):
        class Twice(Passing):
            def __init__(self, blocks):
                super().__init__(blocks)
                self.close = self.both

            def both(self):
                self.blocks.close()
                self.blocks.close()

        return lambda environ, start_response: Twice(app(environ, start_response))

    sound = upper


@pair("M-SR-01")
class AddsKeepAlive:
    def broken(app):
        return changing(lambda s, headers, *rest: (s, [*headers, ("Keep-Alive", "5")], *rest))(app)

    def sound(app):
        return changing(lambda s, headers, *rest: (s, [*headers, ("X-Time", "5")], *rest))(app)


kept = []


@pair("M-SR-02")
class KeepsTheError:
    def broken(app):
        def keep(status, headers, exc_info=None):
            kept.append(exc_info)
            return (status, headers, exc_info)

        return changing(keep)(app)

    sound = passing


@pair("M-TE-01")
class Chunks:
    def broken(app):
        return changing(
            lambda s, headers, *rest: (s, [*headers, ("Transfer-Encoding", "chunked")], *rest)
        )(app)

    sound = passing


class Late(Passing):
    """Yields each block when the next one is available."""

    last = b""

    def __next__(self):
        given, self.last = self.last, next(self.iterator, None)
        if given is None:
            raise StopIteration
        return given


@pair("M-BUF-01")
class HoldsABlockBack:
    def broken(app):
        return lambda environ, start_response: Late(app(environ, start_response))

    sound = upper


class Collecting(Passing):
    def __next__(self):
        blocks = list(self.iterator)
        if not blocks:
            raise StopIteration
        return b"".join(blocks)


@pair("M-BLK-01")
class CollectsAll:
    def broken(app):
        return lambda environ, start_response: Collecting(app(environ, start_response))

    sound = upper


class Lines(Passing):
    """Complete lines only, in capitals."""

    waits = True
    held = b""

    def __next__(self):
        while True:
            block = next(self.iterator, None)
            if block is None:
                if not self.held:
                    raise StopIteration
                block, self.held = self.held, b""
                return block.upper()
            self.held += block
            line, end, self.held = self.held.rpartition(b"\n")
            if end or not self.waits or not block:
                return (line + end).upper()


class LinesWithoutWaiting(Lines):
    waits = False


@pair("M-BLK-02")
class WaitsForALine:
    def broken(app):
        return lambda environ, start_response: Lines(app(environ, start_response))

    def sound(app):
        return lambda environ, start_response: LinesWithoutWaiting(app(environ, start_response))


class Skipping(Passing):
    def __next__(self):
        return next(block for block in self.iterator if block)


@pair("M-BLK-03")
class SkipsEmptyBlocks:
    def broken(app):
        def call(environ, start_response):
            return SkippingSafely(app(environ, start_response))

        return call

    sound = upper


class SkippingSafely(Passing):
    def __next__(self):
        for block in self.iterator:
            if block:
                return block
        raise StopIteration


@pair("M-BLK-04")
class LooksAtTheFirstBlock:
    def broken(app):
        def call(environ, start_response):
            passed = Passing(app(environ, start_response))
            first = next(passed.iterator, None)
            blocks = [] if first is None else [first]
            rest = passed.iterator

            class Rest(Passing):
                def __next__(self):
                    return blocks.pop() if blocks else next(rest)

            return Rest(passed)

        return call

    sound = upper


@pair("M-BLK-05")
class WritesWhatWasYielded:
    def broken(app):
        def call(environ, start_response):
            writes = []

            def start(status, headers, *rest):
                writes.append(start_response(status, headers[:1], *rest))
                return writes[-1]

            blocks = app(environ, start)
            writes[-1](b"before: ")
            return blocks

        return call

    sound = upper


@pair("M-BLK-06")
class PassesWriteOn:
    def sound(app):
        def call(environ, start_response):
            def start(*args):
                write = start_response(*args)
                return lambda data: write(data.upper())

            return app(environ, start)

        return call


@pair("M-EXC-01")
class AnswersErrorsItself:
    def sound(app):
        def call(environ, start_response):
            def start(status, headers, exc_info=None):
                if exc_info is None:
                    return start_response(status, headers)
                page = [("Content-Type", "text/plain")]
                try:
                    return start_response("500 Caught", page, exc_info)
                finally:
                    exc_info = None

            return app(environ, start)

        return call


@pair("M-EXT-01")
class ParsesBeforehand:
    def broken(app):
        def call(environ, start_response):
            environ["shop.cookies"] = dict([environ.get("HTTP_COOKIE", "a=").split("=", 1)])
            return app(environ, start_response)

        return call

    def sound(app):
        def call(environ, start_response):
            environ["shop.cookies"] = lambda: environ.get("HTTP_COOKIE", "")
            return app(environ, start_response)

        return call
