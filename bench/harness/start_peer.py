"""Start a peer that has no command: `python start_peer.py NAME MODULE:ATTRIBUTE PORT`."""

import importlib
import sys


def main():
    name, path, port = sys.argv[1:]
    module, _, attribute = path.partition(":")
    app = getattr(importlib.import_module(module), attribute)
    server = importlib.import_module(name)
    if name == "bjoern":
        server.run(app, "127.0.0.1", int(port))
    else:
        server.run(app, "127.0.0.1", int(port), loglevel=0)


if __name__ == "__main__":
    main()
