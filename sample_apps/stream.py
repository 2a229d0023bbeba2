"""A response whose length is not known in advance: `iotax stream`.

`/?blocks=10&bytes=1000` sends so many blocks of so many bytes, one at a time.
"""

from urllib.parse import parse_qs


def application(environ, start_response):
    query = parse_qs(environ.get("QUERY_STRING", ""))
    blocks = int(query.get("blocks", ["10"])[0])
    block_bytes = int(query.get("bytes", ["1000"])[0])
    start_response("200 OK", [("Content-Type", "text/plain")])
    return (letter(index) * block_bytes for index in range(blocks))


def letter(index):
    return b"abcdefghijklmnopqrstuvwxyz"[index % 26 :][:1]
