"""The package iotax under its old spelling: the same modules, the same objects.

`from iotaX import serve, run`, `from iotaX.server import Server, load_app` and `python -m iotaX`
work as with iotax. A file, not a folder, so that it cannot collide with the folder iotax on a disk
that ignores case.
"""

import importlib
import pkgutil
import sys

import iotax

if __name__ == "__main__":
    from iotax.cli import main

    sys.exit(main())

for _module in pkgutil.iter_modules(iotax.__path__):
    if _module.name != "__main__":
        sys.modules[f"iotaX.{_module.name}"] = importlib.import_module(f"iotax.{_module.name}")
sys.modules["iotaX"] = iotax
