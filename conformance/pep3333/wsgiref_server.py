"""The server of the standard library, for running the suite with another server: PORT
MODULE:ATTRIBUTE."""

import importlib
import sys
from wsgiref.simple_server import make_server

if __name__ == "__main__":
    port, target = sys.argv[1:]
    module, _, attribute = target.partition(":")
    sys.path.insert(0, "")
    application = getattr(importlib.import_module(module), attribute)
    make_server("127.0.0.1", int(port), application).serve_forever()
