"""Start floor B0 or B with bench/app.py's hello: `python serve.py B --module-dir DIR`."""

import argparse
import io
import sys
from pathlib import Path


def base_environ():
    """Return the constant part of environ: all that PEP 3333 and common practice require."""
    return {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/",
        "QUERY_STRING": "",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "SERVER_SOFTWARE": "floor",
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": "1024",
        "REQUEST_URI": "/",
        "RAW_URI": "/",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("floor", choices=["B0", "B"])
    parser.add_argument("--module-dir", required=True)
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    sys.path[:0] = [options.module_dir, str(Path(__file__).resolve().parent.parent)]
    import app
    import iotax_floors

    serve = {"B0": iotax_floors.serve_b0, "B": iotax_floors.serve_b}[options.floor]
    serve(app.hello, base_environ(), options.port)


if __name__ == "__main__":
    main()
