"""A view that takes its time: `iotax slow`.

`/?seconds=0.5` sleeps for this time before it responds.
"""

import time
from urllib.parse import parse_qs


def application(environ, start_response):
    seconds = float(parse_qs(environ.get("QUERY_STRING", "")).get("seconds", ["1"])[0])
    time.sleep(seconds)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"slept for {seconds} s\n".encode()]
