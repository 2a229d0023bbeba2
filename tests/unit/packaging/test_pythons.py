"""Which interpreters wheels are made for, and with which compiler."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "packaging"))

import foreign  # noqa: E402
import platforms  # noqa: E402
import pythons  # noqa: E402
from tools import Failed  # noqa: E402


def test_this_interpreter_is_found_by_its_path() -> None:
    [python] = pythons.find([sys.executable])
    assert python.version == sys.version.split()[0]
    assert python.tag == f"cp3{sys.version_info[1]}"
    assert (python.include / "Python.h").exists()


def test_an_interpreter_is_found_by_a_part_of_its_version() -> None:
    major, minor, micro = sys.version.split()[0].split(".")
    [python] = pythons.find([sys.executable])
    assert pythons.is_version(python, f"{major}.{minor}")
    assert pythons.is_version(python, f"{major}.{minor}.{micro}")
    assert not pythons.is_version(python, f"{major}.{minor[0]}")


@pytest.mark.parametrize("name", ["/bin/true", "/nowhere/python3", "3.2"])
def test_what_is_not_an_interpreter_with_headers_is_an_error(name: str) -> None:
    with pytest.raises(Failed, match="--python: "):
        pythons.find([name])


def test_headers_are_those_of_the_machine_of_the_interpreter(tmp_path: Path) -> None:
    [python] = pythons.find([sys.executable])
    headers = pythons.copy_headers(python, tmp_path / "headers")
    assert (headers / "Python.h").exists()
    assert "SIZEOF_LONG" in (headers / "pyconfig.h").read_text()


def test_programs_of_the_toolchain_call_zig_by_its_path(tmp_path: Path) -> None:
    zig = tmp_path / "a zig"
    zig.write_text('#!/bin/sh\necho "$@"\n')
    zig.chmod(0o755)
    platform = platforms.PLATFORMS["manylinux_2_28_aarch64"]
    toolchain = platforms.write_toolchain(tmp_path / "bin", platform, zig)
    said = subprocess.run([tmp_path / "bin/c++", "-c"], capture_output=True, text=True).stdout
    assert said == "c++ -target aarch64-linux-gnu.2.28 -c\n"
    assert "CMAKE_SYSTEM_PROCESSOR aarch64" in toolchain.read_text()


def test_a_foreign_interpreter_starts_programs_as_it_was_started(tmp_path: Path) -> None:
    emulator = tmp_path / "an emulator"
    emulator.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    emulator.chmod(0o755)
    program = tmp_path / "root" / "bin" / "python3.11"
    starter = foreign.write_starter(tmp_path / "env", (emulator, "-L", "/elsewhere", "-0"), program)
    said = subprocess.run([starter, "-c", "a b"], capture_output=True, text=True).stdout
    assert said.splitlines() == ["-L", "/elsewhere", "-0", str(starter), str(program), "-c", "a b"]
    assert (tmp_path / "env/pyvenv.cfg").read_text() == f"home = {program.parent}\n"
