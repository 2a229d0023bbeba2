"""The public API is listed in public_api.txt, which a commit changes on purpose:

python tests/unit/iotax/test_public_api.py    # writes the file
"""

import ast
import dataclasses
import importlib
import inspect
import pkgutil
import subprocess
import sys
import tomllib
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
LIST = HERE / "public_api.txt"


def public_modules() -> list[str]:
    iotax = importlib.import_module("iotax")
    found = ["iotax"]
    for module in pkgutil.walk_packages(iotax.__path__, "iotax."):
        if not any(part.startswith("_") for part in module.name.split(".")):
            found.append(module.name)
    return sorted(found)


def described() -> str:
    lines: list[str] = []
    for name in public_modules():
        module = importlib.import_module(name)
        lines += [f"{name}", *(f"  {line}" for line in names_of(module)), ""]
    lines += ["entry points", *(f"  {line}" for line in entry_points()), ""]
    plugin = importlib.import_module("iotax_pytest")
    hooks = [name for name in vars(plugin) if name.startswith("pytest_")]
    lines += ["iotax_pytest", *(f"  {name}" for name in sorted(hooks))]
    return "\n".join(lines) + "\n"


def names_of(module: types.ModuleType) -> Iterator[str]:
    for name in sorted(module.__all__):
        found = getattr(module, name)
        if not inspect.isclass(found):
            yield (
                f"{name}{parameters(found)}"
                if callable(found)
                else f"{name}: {type(found).__name__}"
            )
            continue
        if hasattr(found, "__total__"):  # a TypedDict
            yield f"{name}: {', '.join(sorted(found.__annotations__))}"
            continue
        bases = [base.__name__ for base in found.__mro__[1:] if base is not object]
        yield f"class {name}({', '.join(bases)})"
        yield from (f"  {line}" for line in members(found))


def members(found: type) -> Iterator[str]:
    """Members of the class itself, without inherited ones."""
    if "__init__" in vars(found):
        yield f"__init__{parameters(found.__init__)}"  # type: ignore[misc]
    fields = (
        {one.name for one in dataclasses.fields(found)}
        if dataclasses.is_dataclass(found)
        else set()
    )
    own = {name for name in vars(found) if not name.startswith("_")}
    for name in sorted(own | fields):
        member = inspect.getattr_static(found, name, None)
        if isinstance(member, property) or name in fields:
            yield name
        else:
            yield f"{name}{parameters(getattr(found, name))}"


def parameters(function: object) -> str:
    """Names, kinds and defaults of parameters, without types: versions of Python format them
    differently, and the type checker checks them."""
    signature = inspect.signature(function)  # type: ignore[arg-type]
    empty = inspect.Signature.empty
    bare = [one.replace(annotation=empty) for one in signature.parameters.values()]
    return str(signature.replace(parameters=bare, return_annotation=empty))


def entry_points() -> Iterator[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    groups = {"scripts": project["scripts"], **project["entry-points"]}
    for group, entries in sorted(groups.items()):
        for name, target in sorted(entries.items()):
            module, _, attribute = target.partition(":")
            found = importlib.import_module(module)
            assert not attribute or callable(getattr(found, attribute))
            yield f"{group}: {name} = {target}"


def test_public_api_matches_the_list() -> None:
    if not hasattr(importlib.import_module("iotax._iotax"), "Connection"):
        pytest.skip("the extension is not built")
    assert described() == LIST.read_text("utf-8"), f"meant so? python {Path(__file__).name}"


def test_old_spelling_is_the_same_objects() -> None:
    importlib.import_module("iotaX")
    for name in public_modules():
        old = importlib.import_module(name.replace("iotax", "iotaX", 1))
        assert old is importlib.import_module(name)


def test_names_of_the_library_are_imported_on_first_use() -> None:
    code = """
import sys, iotax
assert "iotax.server" not in sys.modules, "import iotax has imported iotax.server"
assert set(iotax.__all__) <= set(dir(iotax))
assert iotax.server.Server is iotax.Server
for name in iotax.__all__: getattr(iotax, name)
try: iotax.Serve
except AttributeError as error: assert "has no attribute 'Serve'" in str(error), error
else: raise AssertionError("iotax.Serve exists")
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_extension_has_the_names_of_its_stub() -> None:
    extension = importlib.import_module("iotax._iotax")
    if not hasattr(extension, "Connection"):
        pytest.skip("the extension is not built")
    stub = ast.parse((ROOT / "src/iotax/_iotax.pyi").read_text("utf-8"))
    named = {
        node.name for node in stub.body if isinstance(node, ast.ClassDef | ast.FunctionDef)
    } | {
        node.target.id
        for node in stub.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    has = {name for name in dir(extension) if not name.startswith("__") or name == "__version__"}
    assert {name for name in named if not name.startswith("_") or name == "__version__"} == has


if __name__ == "__main__":
    LIST.write_text(described(), encoding="utf-8")
