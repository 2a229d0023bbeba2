"""What a finished wheel must be: read from its files, without running anything of it."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path

from building import Target
from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection
from tools import Failed

MACHINES = {"x86_64": "EM_X86_64", "aarch64": "EM_AARCH64"}


@dataclass(frozen=True)
class Checked:
    """What the report says of a wheel."""

    size: int  # bytes
    sha256: str
    needed: tuple[str, ...]
    components: tuple[str, ...]


def check_wheel(wheel: Path, target: Target) -> Checked:
    """Raises Failed with everything that is wrong."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        wrong = [*wrong_with_record(archive)]
        extensions = [name for name in names if name.endswith(".so")]
        expected = f"iotax/_iotax{target.python.suffix}"
        if extensions != [expected]:
            raise Failed(f"{wheel.name}: it has {extensions}; expected {expected} only")
        extension = archive.read(expected)
        needed, faults = read_extension(extension, target)
        wrong += faults
        components, faults = read_sbom(archive)
        wrong += faults
    if wrong:
        raise Failed(f"{wheel.name}: " + "; ".join(wrong))
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    return Checked(wheel.stat().st_size, digest, needed, components)


def wrong_with_record(archive: zipfile.ZipFile) -> list[str]:
    """Files that RECORD does not name, or names with another hash."""
    [record] = [name for name in archive.namelist() if name.endswith(".dist-info/RECORD")]
    rows = {row[0]: row[1] for row in csv.reader(io.StringIO(archive.read(record).decode()))}
    wrong = []
    for name in archive.namelist():
        if name == record or name.endswith("/"):
            continue
        digest = base64.urlsafe_b64encode(hashlib.sha256(archive.read(name)).digest())
        if rows.get(name) != f"sha256={digest.decode().rstrip('=')}":
            wrong.append(f"RECORD is wrong about {name}")
    return wrong


def read_extension(data: bytes, target: Target) -> tuple[tuple[str, ...], list[str]]:
    """The libraries that the extension needs, and what is wrong with it."""
    elf = ELFFile(io.BytesIO(data))
    wrong = []
    if elf["e_machine"] != MACHINES[target.platform.machine]:
        wrong.append(f"compiled for {elf['e_machine']}")
    dynamic = elf.get_section_by_name(".dynamic")
    assert isinstance(dynamic, DynamicSection)
    tags = [(tag.entry.d_tag, tag) for tag in dynamic.iter_tags()]
    needed = tuple(sorted(tag.needed for name, tag in tags if name == "DT_NEEDED"))
    if foreign := set(needed) - target.platform.libraries:
        wrong.append(f"needs {', '.join(sorted(foreign))}")
    for name, tag in tags:
        if name in ("DT_RPATH", "DT_RUNPATH", "DT_TEXTREL"):
            wrong.append(f"has {name}")
        if name == "DT_FLAGS" and tag.entry.d_val & 0x4:  # DF_TEXTREL
            wrong.append("has text relocations")
    if not any(name == "DT_FLAGS" and tag.entry.d_val & 0x8 for name, tag in tags):  # DF_BIND_NOW
        wrong.append("is not bound when it is loaded")
    for segment in elf.iter_segments("PT_GNU_STACK"):
        if segment["p_flags"] & 0x1:
            wrong.append("has an executable stack")
    if not [*elf.iter_segments("PT_GNU_RELRO")]:
        wrong.append("has a relocation table that stays writable")
    exported = exported_by(elf)
    if exported != ["PyInit__iotax"]:
        wrong.append(f"exports {', '.join(exported[:5]) or 'nothing'}; expected PyInit__iotax only")
    return needed, wrong


def exported_by(elf: ELFFile) -> list[str]:
    symbols = elf.get_section_by_name(".dynsym")
    assert isinstance(symbols, SymbolTableSection)
    return sorted(
        symbol.name
        for symbol in symbols.iter_symbols()
        if symbol["st_shndx"] != "SHN_UNDEF" and symbol["st_info"]["bind"] != "STB_LOCAL"
    )


def read_sbom(archive: zipfile.ZipFile) -> tuple[tuple[str, ...], list[str]]:
    """What the bill of materials names, as "name version", and what is wrong with it (PEP 770)."""
    names = [name for name in archive.namelist() if re.search(r"\.dist-info/sboms/.", name)]
    if len(names) != 1:
        return (), [f"has {len(names)} bills of materials"]
    bill = json.loads(archive.read(names[0]))
    components = {one["name"]: one.get("version", "") for one in bill["components"]}
    missing = [name for name in ("llhttp", "pybind11") if not components.get(name)]
    wrong = [f"the bill of materials has no version of {name}" for name in missing]
    return tuple(f"{name} {version}" for name, version in components.items()), wrong
