"""User-space instructions per request: the difference of two runs under callgrind.

The cost of starting and stopping cancels out. Python's hash seed decides which dict keys collide,
which changes the result by 1 %. So runs use fixed seeds, and the result is the mean over them.
"""

import re
import shutil
import tempfile
from pathlib import Path

from . import load
from .servers import Running, Unavailable

SEEDS = (0, 1, 2)


def total(name, context, count, threads, seed):
    """Count the instructions of a server from start to exit, with `count` requests."""
    with tempfile.TemporaryDirectory(prefix="callgrind-") as directory:
        under = [
            "env",
            f"PYTHONHASHSEED={seed}",
            "valgrind",
            "--tool=callgrind",
            "--trace-children=yes",
            f"--log-file={directory}/log.%p",
        ]
        under += [f"--callgrind-out-file={directory}/out.%p"]
        with Running(name, context, threads=threads, under=under) as server:
            load.exactly(server.port, count)
        logs = [path.read_text() for path in Path(directory).glob("log.*")]
    return sum(int(found) for log in logs for found in re.findall(r"Collected : (\d+)", log))


def per_request(name, context, *, quick=False, threads=1):
    if not shutil.which("valgrind"):
        raise Unavailable("valgrind is not installed")
    if name == "granian":
        raise Unavailable("its threads work on their own, in which the requests drown")
    few, many = (800, 2400) if quick else (2000, 10000)
    if name in ("gunicorn", "waitress"):
        few, many = few // 10, many // 10
    seeds = SEEDS[:1] if quick else SEEDS
    added = sum(
        total(name, context, many, threads, seed) - total(name, context, few, threads, seed)
        for seed in seeds
    )
    return added / (many - few) / len(seeds)
