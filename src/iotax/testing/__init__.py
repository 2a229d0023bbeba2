"""For tests of applications: the server itself, without a socket, and with one.

    client = Client(app)                   # or Client("main:app")
    assert client.get("/").status == 200
    client.send(b"GET / HTTP/1.1\\r\\n\\r\\n")  # raw bytes: what comes back is what a server says

    with serve(app) as server:             # a live one, on a port of its own
        urllib.request.urlopen(server.url)

Client runs the core and the bridge of the server in the calling thread: parsing, limits, environ,
framing and refusals are the real ones. What needs a network or time is not there: time-outs,
threads, workers.
"""

from iotax.testing._client import Client, LiveServer, serve
from iotax.testing._response import Headers, ProtocolError, Response

__all__ = ["Client", "Headers", "LiveServer", "ProtocolError", "Response", "serve"]
