"""The platforms that wheels are made for, and the compiler of each: zig, with its C++ library."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

CMAKE = """\
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR {machine})
set(CMAKE_C_COMPILER {bin}/cc)
set(CMAKE_CXX_COMPILER {bin}/c++)
set(CMAKE_AR {bin}/ar)
set(CMAKE_RANLIB {bin}/ranlib)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(IOTAX_STATIC_RUNTIME libc++)
# The linker of zig is the only program that can remove symbols on every platform.
set(CMAKE_MODULE_LINKER_FLAGS_INIT -s)
"""


@dataclass(frozen=True)
class Platform:
    """`tag` of the wheels, `target` of zig, and what an extension may need at run time."""

    tag: str
    target: str
    machine: str
    libraries: frozenset[str]

    @property
    def is_musl(self) -> bool:
        return "musl" in self.target


GLIBC = ("libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2", "librt.so.1")
PLATFORMS = {
    platform.tag: platform
    for platform in (
        Platform(
            "manylinux_2_28_x86_64",
            "x86_64-linux-gnu.2.28",
            "x86_64",
            frozenset({*GLIBC, "ld-linux-x86-64.so.2"}),
        ),
        Platform(
            "manylinux_2_28_aarch64",
            "aarch64-linux-gnu.2.28",
            "aarch64",
            frozenset({*GLIBC, "ld-linux-aarch64.so.1"}),
        ),
        Platform("musllinux_1_2_x86_64", "x86_64-linux-musl", "x86_64", frozenset({"libc.so"})),
        Platform("musllinux_1_2_aarch64", "aarch64-linux-musl", "aarch64", frozenset({"libc.so"})),
    )
}


def write_toolchain(directory: Path, platform: Platform, zig: Path) -> Path:
    """Write programs with the usual names that call zig, and a toolchain file for CMake: its path.

    They call it by its path: a build that is isolated does not see the Python package ziglang.
    """
    directory.mkdir(parents=True, exist_ok=True)
    programs = {
        "cc": f"cc -target {platform.target}",
        "c++": f"c++ -target {platform.target}",
        "ar": "ar",
        "ranlib": "ranlib",
    }
    for name, words in programs.items():
        file = directory / name
        file.write_text(f'#!/bin/sh\nexec {shlex.quote(str(zig))} {words} "$@"\n')
        file.chmod(0o755)
    toolchain = directory / "toolchain.cmake"
    toolchain.write_text(CMAKE.format(machine=platform.machine, bin=directory))
    return toolchain
