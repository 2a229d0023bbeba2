"""How the extension that is installed was built, read from the file itself."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from iotax import _iotax


def readelf(path: Path, *options: str) -> str:
    command = ["readelf", "--wide", *options, str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def symbols(path: Path) -> list[tuple[bool, str]]:
    """(defined here, name) of each dynamic symbol."""
    rows = [line.split() for line in readelf(path, "--dyn-syms").splitlines()]
    return [
        (row[6] != "UND", row[7].split("@")[0])
        for row in rows
        if len(row) > 7 and row[0][:-1].isdigit()
    ]


def segment(path: Path, name: str) -> str:
    return "".join(re.findall(rf"^ *{name} .*$", readelf(path, "--program-headers"), re.M))


def exports_only_its_entry(path: Path) -> bool:
    return [name for here, name in symbols(path) if here] == ["PyInit__iotax"]


def has_full_relro(path: Path) -> bool:
    return bool(segment(path, "GNU_RELRO")) and "BIND_NOW" in readelf(path, "--dynamic")


def has_no_executable_stack(path: Path) -> bool:
    return "RW " in segment(path, "GNU_STACK")


def is_fortified(path: Path) -> bool:
    return any(name.startswith("__") and name.endswith("_chk") for _, name in symbols(path))


def guards_its_stack(path: Path) -> bool:
    return (False, "__stack_chk_fail") in symbols(path)


def names_no_directory(path: Path) -> bool:
    """Where libraries are looked for is the machine's own matter."""
    return not re.search(r"\((RPATH|RUNPATH|TEXTREL)\)", readelf(path, "--dynamic"))


CHECKS = [
    exports_only_its_entry,
    has_full_relro,
    has_no_executable_stack,
    is_fortified,
    guards_its_stack,
    names_no_directory,
]


@pytest.mark.parametrize("check", CHECKS)
def test_the_extension_is_hardened(check: Callable[[Path], bool]) -> None:
    assert check(Path(_iotax.__file__))


@pytest.mark.parametrize("check", CHECKS)
def test_each_check_can_fail(check: Callable[[Path], bool], tmp_path: Path) -> None:
    source, library = tmp_path / "bad.c", tmp_path / "bad.so"
    source.write_text("int exported(const char *text) { return text[0]; }\n")
    compiler = shutil.which("cc")
    assert compiler is not None
    subprocess.run(
        [
            compiler,
            "-shared",
            "-fPIC",
            "-fno-stack-protector",
            "-U_FORTIFY_SOURCE",
            "-Wl,-z,norelro,-z,lazy,-z,execstack,-rpath,/nowhere",
            "-o",
            library,
            source,
        ],
        check=True,
    )
    assert not check(library)
