"""User-space instructions per request: the difference of two runs under callgrind.

What starting and stopping cost cancels out.
"""

import re
import shutil
import tempfile
from pathlib import Path

from . import load
from .servers import Running, Unavailable


def total(name, context, count, threads):
    """Instructions of a whole life of the server with `count` requests."""
    with tempfile.TemporaryDirectory(prefix="callgrind-") as folder:
        under = [
            "valgrind",
            "--tool=callgrind",
            "--trace-children=yes",
            f"--log-file={folder}/log.%p",
        ]
        under += [f"--callgrind-out-file={folder}/out.%p"]
        with Running(name, context, threads=threads, under=under) as server:
            load.exactly(server.port, count)
        logs = [path.read_text() for path in Path(folder).glob("log.*")]
    return sum(int(found) for log in logs for found in re.findall(r"Collected : (\d+)", log))


def per_request(name, context, *, quick=False, threads=1):
    if not shutil.which("valgrind"):
        raise Unavailable("valgrind is not installed")
    few, many = (800, 2400) if quick else (2000, 10000)
    if name in ("granian", "gunicorn", "waitress"):
        few, many = few // 10, many // 10
    return (total(name, context, many, threads) - total(name, context, few, threads)) / (many - few)
