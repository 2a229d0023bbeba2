"""Each allocation of Python within a request fails, in turn."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("_testcapi", reason="this Python comes without its own test modules")
import without_memory

PROGRAM = Path(without_memory.__file__)


# In a process of its own: it may end it.
@pytest.mark.parametrize("name", without_memory.APPLICATIONS)
def test_a_request_ends_and_the_next_is_answered(name: str) -> None:
    done = subprocess.run([sys.executable, PROGRAM, name], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 5, "nothing failed"
