"""For every atom: environ and response fields whose values are known."""


def app(environ, start_response):
    environ["middleware.says"] = "hi"
    length = int(environ.get("CONTENT_LENGTH") or 0)
    environ["wsgi.input"].read(length)
    status = "304 Not Modified" if environ["PATH_INFO"] == "/304" else "200 OK"
    start_response(status, [("Content-Type", "text/plain"), ("X-Told", "one two")])
    return [] if environ["PATH_INFO"] == "/304" else [b"Hello\n"]
