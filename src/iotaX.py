"""The public modules of iotax under their old spelling: the same modules, the same objects.

`from iotaX import serve, run`, `from iotaX.server import Server, load_app` and `python -m iotaX`
work as with iotax. A file, not a directory, so that it cannot collide with the directory iotax on a
disk that ignores case.
"""

import importlib
import sys
from collections.abc import Sequence
from types import ModuleType

import iotax

PUBLIC = ("server", "testing", "cli")


class _OnlyPublic:
    """A finder that refuses every other submodule: the next one would load a second copy of it."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> None:
        if name.startswith("iotaX."):
            public = ", ".join(f"iotaX.{module}" for module in PUBLIC)
            raise ModuleNotFoundError(
                f"{name} is not a module: only iotaX, {public} have the old spelling", name=name
            )


if __name__ == "__main__":
    from iotax.cli import main

    sys.exit(main())

for _name in PUBLIC:
    sys.modules[f"iotaX.{_name}"] = importlib.import_module(f"iotax.{_name}")
sys.modules["iotaX"] = iotax
sys.meta_path.insert(0, _OnlyPublic)
