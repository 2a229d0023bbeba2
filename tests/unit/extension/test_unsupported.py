"""What pip prints where iotax cannot be built."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PREPARE = """
import sys
exec(sys.argv[1])
from scikit_build_core.build import prepare_metadata_for_build_wheel
prepare_metadata_for_build_wheel(sys.argv[2])
"""


@pytest.mark.parametrize(
    ("pretend", "beginning"),
    [
        ("sys.platform = 'darwin'", "iotax runs on Linux only: "),
        ("sys.platform = 'win32'", "iotax runs on Linux only: "),
        ("sys.implementation.name = 'pypy'", "iotax needs CPython 3.11 or later: "),
    ],
)
def test_elsewhere_pip_ends_with_one_sentence_and_a_way_out(
    tmp_path: Path, pretend: str, beginning: str
) -> None:
    command = [sys.executable, "-c", PREPARE, pretend, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)

    assert done.returncode != 0
    [line] = (done.stdout + done.stderr).strip().splitlines()
    assert line.startswith(beginning)
    assert "container" in line
