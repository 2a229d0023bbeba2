"""Everything an application can do wrong with an exception: `iotax raises`.

/          raises before it calls start_response
/started   raises after start_response, before the first block
/middle    raises after the first block
/close     raises in close(), when the response is complete
/exit      raises SystemExit
/wrong     returns a str where PEP 3333 asks for bytes
"""


class BrokenClose:
    def __iter__(self):
        return iter([b"complete\n"])

    def close(self):
        raise RuntimeError("raised in close()")


def broken_in_the_middle():
    yield b"the first block\n"
    raise RuntimeError("raised after the first block")


def application(environ, start_response):
    path = environ.get("PATH_INFO", "")
    if path == "/":
        raise RuntimeError("raised before start_response")
    if path == "/exit":
        raise SystemExit(1)
    start_response("200 OK", [("Content-Type", "text/plain")])
    if path == "/started":
        raise RuntimeError("raised after start_response")
    if path == "/middle":
        return broken_in_the_middle()
    if path == "/close":
        return BrokenClose()
    return ["a str"]
