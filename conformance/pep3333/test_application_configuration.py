"""Application Configuration, and the documentation of environ: S-CFG, S-ENV-21."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from applications import TEXT, Applications
from served import HERE, Served, only_for_iotax

DOCS = HERE.parent.parent / "docs"

# Callables in environ, apart from the methods of the two streams.
EXTENSIONS = ["iotax.client_disconnected", "wsgi.early_hints", "wsgi.file_wrapper"]


def keys(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [TEXT])
    return ["\n".join(environ).encode()]


applications = Applications(default=keys)


def page(name: str) -> str:
    return (DOCS / name).read_text("utf-8")


@pytest.mark.obligation("S-ENV-21")
def test_the_documentation_lists_the_variables(served: Served) -> None:
    only_for_iotax("it is the documentation of iotax")
    answer = served.ask("/a?b", "Content-Type: text/x", method="POST", body=b"x")
    found = [key for key in answer.text.split("\n") if not key.startswith("HTTP_")]
    assert len(found) > 25
    documented = re.findall("`([A-Za-z_.]+)`", page("guide/environ.md"))
    assert set(found) <= set(documented)


@applications.add
def callables(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [TEXT])
    return ["\n".join(sorted(key for key, value in environ.items() if callable(value))).encode()]


def test_the_extensions_are_those_that_were_reviewed(served: Served) -> None:
    """not_checkable.toml describes for these, and no others, what S-EXT means."""
    assert served.ask("/callables").text.split("\n") == EXTENSIONS


@pytest.mark.obligation("S-CFG-01")
def test_the_commands_of_the_documentation_serve_an_application(
    serve: Callable[..., Served], tmp_path: Path
) -> None:
    only_for_iotax("it is the documentation of iotax")
    commands = re.findall("^    iotax (.*)$", page("guide/command.md"), re.MULTILINE)
    assert any("--threads" in command for command in commands)
    (plain,) = [command for command in commands if command == "main:app"]
    (tmp_path / "main.py").write_text(
        "def app(environ, start_response):\n"
        "    start_response('200 OK', [])\n"
        "    return [b'as documented']\n"
    )
    served = serve(*shlex.split(plain), "--pythonpath", str(tmp_path))
    assert served.ask("/").body == b"as documented"


@pytest.mark.obligation("S-CFG-01")
def test_the_documentation_names_the_options_about_threads() -> None:
    only_for_iotax("it is the documentation of iotax")
    options = page("reference/options.md")
    assert re.search(
        r"^\| `--threads` \| `IOTAX_THREADS` \| `threads` \| no \| 1 \|", options, re.MULTILINE
    )
