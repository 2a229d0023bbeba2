"""The client level: every case through the connection without a socket that iotax.testing uses.

Time does not pass there, so timeouts do not occur. Sent in one piece, byte by byte, and in random
pieces, as on the live level.
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
from pathlib import Path

from cases import Case, show
from live import Pieces, byte_by_byte, in_one_piece, in_random_pieces, recorded
from server import APPS
from verdict import Seen, describe, objection


def play(case: Case, pieces: Pieces, log: Path) -> Seen:
    from reference import app

    from iotax import _iotax
    from iotax._config.sources import from_arguments

    options = from_arguments({"access_log": False}, path=False).worker_options()
    connection = _iotax.Connection(app, options)
    os.environ["CONFORMANCE_LOG"] = str(log)
    seen = Seen()
    for step in case.steps:
        heard_bytes = len(seen.data)
        for piece in pieces(step.data):
            connection.receive(piece)
        seen.data += connection.take_output()
        awaited = f"HTTP/1.1 {step.wait_for} ".encode()
        if step.wait_for and awaited not in seen.data[heard_bytes:]:
            seen.trouble = f"{step.wait_for} did not arrive"
    if case.eof:
        connection.receive_eof()
    seen.data += connection.take_output()
    seen.closed = connection.closing != "no"
    seen.requests = [request for requests in recorded(log).values() for request in requests]
    log.unlink(missing_ok=True)
    return seen


def run(cases: list[Case], seed: int) -> bool:
    """Print the outcome. Returns True if all passed."""
    sys.path.insert(0, str(APPS))
    ways: dict[str, Pieces] = {
        "in one piece": in_one_piece,
        "byte by byte": byte_by_byte,
        f"in random pieces (--seed {seed})": in_random_pieces(random.Random(seed)),
    }
    failed: set[str] = set()
    with tempfile.TemporaryDirectory(prefix="conformance-") as directory:
        for way, pieces in ways.items():
            for case in cases:
                seen = play(case, pieces, Path(directory) / "requests")
                why = objection(case, seen)
                if why and case.id not in failed:
                    failed.add(case.id)
                    print(f"FAILED {case.id}, {way}: {why}")
                    print(show(case), describe(seen), sep="\n", end="\n\n")
    print(f"random pieces: --seed {seed}")
    print(f"client: {len(cases) - len(failed)} of {len(cases)}")
    return not failed
