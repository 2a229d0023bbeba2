"""An application with a mistake in the C++ that it calls: /overflow, /undefined."""

import _iotax_test


def app(environ, start_response):
    getattr(_iotax_test, environ["PATH_INFO"][1:])()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"nothing has caught it\n"]
