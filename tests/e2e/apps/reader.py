"""Sends back each piece of the body as soon as it can be read."""


def application(environ, start_response):
    if environ["PATH_INFO"] == "/refuse":
        start_response("403 Forbidden", [("Content-Length", "0")])
        return [b""]
    start_response("200 OK", [("Content-Type", "text/plain")])
    return pieces(environ["wsgi.input"])


def pieces(content):
    try:
        while piece := content.read(5):
            yield piece
    except OSError as error:
        print(f"the read failed: {type(error).__name__}: {error}")
        raise
