"""Sends back what it is sent: `iotax echo`.

`/` sends the body of the request back, `/environ` prints the environ of the server.
"""


def application(environ, start_response):
    if environ.get("PATH_INFO", "") == "/environ":
        lines = [f"{key}={environ[key]!r}\n" for key in sorted(environ)]
        body = "".join(lines).encode("utf-8", "backslashreplace")
        content_type = "text/plain; charset=utf-8"
    else:
        body = environ["wsgi.input"].read()
        content_type = environ.get("CONTENT_TYPE") or "application/octet-stream"
    start_response("200 OK", [("Content-Type", content_type), ("Content-Length", str(len(body)))])
    return [body]
