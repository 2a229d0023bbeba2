"""Each allocation of Python within a request fails, one after the other."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("_testcapi", reason="this Python comes without its own test modules")
import without_memory

PROGRAM = Path(without_memory.__file__)


# CPython 3.12 and 3.13 end the process if memory fails while they format a traceback.
TRACEBACKS = {"raising", "breaking"} if sys.version_info >= (3, 12) else set()


# In a process of its own, because it may end the process.
@pytest.mark.parametrize("name", sorted({*without_memory.APPLICATIONS} - TRACEBACKS))
def test_request_ends_and_the_next_gets_a_response(name: str) -> None:
    done = subprocess.run([sys.executable, PROGRAM, name], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 5, "nothing failed"
