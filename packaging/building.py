"""From a commit to a source distribution, and from that to wheels, without network."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import tarfile
import tomllib
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import platforms
import pythons
from platforms import Platform
from pythons import Python
from tools import BUILD, ROOT, Failed, make_environment, run, zig


@dataclass(frozen=True)
class Target:
    """A wheel to make: `python` is the interpreter it is for, `builder` runs the build."""

    platform: Platform
    python: Python
    builder: Python

    def __str__(self) -> str:
        return f"{self.python.tag}-{self.platform.tag}"


@functools.cache
def commit_time() -> str:
    """Of HEAD when the command began, in seconds since 1970."""
    return run("git", "log", "-1", "--format=%ct").strip()


def environment() -> dict[str, str]:
    """That of this process, with the time of the commit, which stands in archives for "now"."""
    return {**os.environ, "SOURCE_DATE_EPOCH": commit_time(), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def make_sdist(work: Path) -> Path:
    """The source distribution of HEAD, without changes in the tree, made in `work`: its path."""
    shutil.rmtree(work, ignore_errors=True)
    source = work / "source"
    source.mkdir(parents=True)
    archive = work / "source.tar"
    run("git", "archive", "-o", archive, "HEAD")
    with tarfile.open(archive) as tar:
        tar.extractall(source, filter="data")
    archive.unlink()
    tools = BUILD / "tools" / "bin" / "python"
    run(tools, "-m", "build", "--sdist", "-o", work, source, env=environment())
    shutil.rmtree(source)
    [sdist] = work.glob("*.tar.gz")
    return sdist


def unpack(sdist: Path, directory: Path) -> Path:
    """The sources of a source distribution, in an empty directory: the path of their root."""
    shutil.rmtree(directory, ignore_errors=True)
    with tarfile.open(sdist) as tar:
        tar.extractall(directory, filter="data")
    [root] = directory.iterdir()
    return root


def requirements() -> list[str]:
    """What a build needs of Python packages; CMake and Ninja if the system has none."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    needed: list[str] = project["build-system"]["requires"]
    return [*needed, *(name for name in ("cmake", "ninja") if not shutil.which(name))]


def without_network() -> tuple[str, ...]:
    """What runs a command without network; nothing where the kernel does not permit it."""
    command = ("unshare", "--map-root-user", "--net")
    if not shutil.which("unshare"):
        return ()
    allowed = subprocess.run([*command, "true"], capture_output=True).returncode == 0
    return command if allowed else ()


def compile_wheel(target: Target, sources: Path, out: Path) -> Path:
    """Build the wheel in `sources`, without network, with zig: its path, with a tag of Linux only.

    `out` is emptied. Raises Failed with the last lines of the build.
    """
    platform, python = target.platform, target.python
    work = BUILD / "platforms" / platform.tag
    toolchain = platforms.write_toolchain(work, platform, zig())
    headers = pythons.copy_headers(python, work / f"headers-{python.tag}")
    directory = BUILD / f"builder-{target.builder.tag}"
    builder = make_environment(directory, target.builder.path, requirements())
    env = {
        **environment(),
        "CMAKE_TOOLCHAIN_FILE": str(toolchain),
        "_PYTHON_HOST_PLATFORM": f"linux-{platform.machine}",
        "PATH": f"{builder.parent}{os.pathsep}{os.environ['PATH']}",
    }
    if shutil.which("ccache"):
        env |= {"CMAKE_C_COMPILER_LAUNCHER": "ccache", "CMAKE_CXX_COMPILER_LAUNCHER": "ccache"}
        # The compilers are scripts, written for each build. What another directory has compiled
        # must not count, or the comparison of two builds would show nothing.
        env["CCACHE_COMPILERCHECK"] = f"string:{version('ziglang')} {platform.target}"
        for name in ("CCACHE_BASEDIR", "CCACHE_NOHASHDIR"):
            env.pop(name, None)
    definitions = {
        "IOTAX_LLHTTP_CARRIED": "ON",
        "IOTAX_LTO": "OFF",
        "IOTAX_REPRODUCIBLE": "ON",
        "Python_INCLUDE_DIR": headers,
        "PYTHON_MODULE_EXTENSION": python.suffix,
    }
    shutil.rmtree(out, ignore_errors=True)
    shutil.rmtree(sources / "build", ignore_errors=True)
    pip = (builder, "-m", "pip", "wheel", "--no-build-isolation", "--no-index", "--no-deps")
    # The directory does not depend on Python, so that ccache finds what does not either.
    settings = ("--no-cache-dir", "-Cbuild-dir=build/wheel", "-Cinstall.strip=false")
    defined = [f"-Ccmake.define.{name}={value}" for name, value in definitions.items()]
    run(*without_network(), *pip, *settings, *defined, "-w", out, sources, env=env)
    [wheel] = out.glob("*.whl")
    return wheel


def tag_wheel(wheel: Path, target: Target, dist: Path) -> Path:
    """Let auditwheel put the oldest platform that has all symbols of the wheel into its name: the
    new path, in `dist`. Raises Failed if it is another platform than the target's."""
    dist.mkdir(parents=True, exist_ok=True)
    made = BUILD / "tagged"
    shutil.rmtree(made, ignore_errors=True)
    tools = BUILD / "tools" / "bin"
    env = {**environment(), "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}
    # auto: its other values are the platforms of this machine. auditwheel knows the library of musl
    # by the name that Alpine gave it; its loader takes the usual one for the same.
    known = ("--exclude", "libc.so") if target.platform.is_musl else ()
    words = ("repair", "--plat", "auto", *known, "-w", made)
    run(tools / "auditwheel", *words, wheel, env=env)
    [tagged] = made.iterdir()
    tagged = tagged.replace(dist / tagged.name)
    if not tagged.stem.endswith(f"-{target.platform.tag}"):
        raise Failed(f"auditwheel made {tagged.name}; expected the platform {target.platform.tag}")
    return tagged
