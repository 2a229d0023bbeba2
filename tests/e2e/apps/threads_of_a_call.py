"""Responds with the thread of the call and of each block; close() prints whether it was the
same."""

import contextvars
import sys
import threading
import time

place = contextvars.ContextVar("place")


class Blocks:
    def __init__(self):
        self.thread = threading.get_ident()
        self.left = 3

    def __iter__(self):
        return self

    def __next__(self):
        if self.left == 0:
            raise StopIteration
        self.left -= 1
        time.sleep(0.002)  # long enough for the spare thread to take over the lead
        same_context = place.get(None) is self
        return f"{threading.get_ident() if same_context else 'another context'}\n".encode()

    def close(self):
        same = threading.get_ident() == self.thread and place.get(None) is self
        sys.stdout.write("same\n" if same else "different\n")  # print() would write twice


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    blocks = Blocks()
    place.set(blocks)
    return blocks
