"""For tests of applications: the server itself, without a socket, and with one.

    client = Client(app)                   # or Client("main:app")
    assert client.get("/").status == 200
    client.send(b"GET / HTTP/1.1\\r\\n\\r\\n")  # raw bytes; returns the server's responses

    with serve(app) as server:             # a live server on a free port
        urllib.request.urlopen(server.url)

Client runs core and bridge of the server in the calling thread, so parsing, limits, environ,
framing and rejections are those of the server. It has no network and no clock: no timeouts,
threads or workers.
"""

from iotax.testing._client import Client, LiveServer, serve
from iotax.testing._response import Headers, ProtocolError, Response

__all__ = ["Client", "Headers", "LiveServer", "ProtocolError", "Response", "serve"]
