"""The page of docs/evidence that packaging/wheels writes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from building import without_network
from checks import Checked
from platforms import PLATFORMS
from support.evidence import written_by
from trial import Tried

TOOLS = ("ziglang", "auditwheel", "build")


@dataclass(frozen=True)
class Source:
    """The source distribution: size in bytes."""

    name: str
    size: int
    sha256: str

    @staticmethod
    def of(file: Path) -> Source:
        data = file.read_bytes()
        return Source(file.name, len(data), hashlib.sha256(data).hexdigest())


@dataclass(frozen=True)
class Row:
    """A wheel, what was read from it, and how it worked."""

    name: str
    checked: Checked
    tried: tuple[Tried, ...]


def page(command: str, minutes: float, source: Source, rows: list[Row]) -> str:
    network = (
        "without network" if without_network() else "with network: the kernel permits no other"
    )
    tried = "\n".join(
        f"| `{row.name}` | {one.python} | {one.version} | {one.cases} |"
        for row in rows
        for one in row.tried
    )
    checked = "\n".join(
        f"| `{row.name}` | {row.checked.size:,} | {', '.join(row.checked.needed)} "
        f"| {', '.join(row.checked.components)} |"
        for row in rows
    )
    made = {row.name.removesuffix(".whl").rpartition("-")[2] for row in rows}
    left = ", ".join(f"`{tag}`" for tag in PLATFORMS if tag not in made)
    sums = [(source.sha256, source.name), *((row.checked.sha256, row.name) for row in rows)]
    return f"""\
# Packages: {len(rows)} {"wheel" if len(rows) == 1 else "wheels"} and the source distribution

{written_by(command, minutes)} {tools()}.

The source distribution has {source.size:,} bytes and carries llhttp. It was made twice, and each
wheel was built twice from it, {network}, in different directories: the bytes are the same.

In an empty environment each wheel served `hello` and `echo`, stopped cleanly on SIGTERM, and
`iotax check` found nothing in the samples without a framework. The HTTP/1 cases were sent to a live
server. qemu-user lacks a system call of the supervisor: under it the server is a single process.

| wheel | installed in | `iotax --version` | HTTP/1 cases |
|---|---|---|---|
{tried}

auditwheel found no symbol that the platform lacks. No extension has text relocations or an RPATH;
each is bound when it is loaded, and exports `PyInit__iotax` only.

| wheel | bytes | needs | contains, by its bill of materials |
|---|---|---|---|
{checked}

`.github/workflows/release.yml` makes wheels for each CPython on machines of each platform\
{f", also for {left}" if left else ""}.

SHA-256:

```
{chr(10).join(f"{digest}  {name}" for digest, name in sums)}
```
"""


def tools() -> str:
    """Names and versions of what the wheels were made with."""
    return ", ".join(f"{name} {version(name)}" for name in TOOLS)
