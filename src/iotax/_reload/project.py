"""The project's own modules under --reload: decides which they are and how they are imported.

They are compiled from source every time. Cached bytecode is matched by modification time and size,
so two saves of equal length within one tick of the file system's clock look the same.
"""

import importlib
import os
import sys
import types
from collections.abc import Callable, Iterable, Sequence
from importlib.machinery import (
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    ModuleSpec,
    SourceFileLoader,
)
from typing import Any

from iotax._app import code_origin
from iotax._app.code_origin import Origin, origin_of

# Otherwise the modules that it imports later count as imports of the application.
code_origin.prepare()


class Project:
    """Everything below the given directories, except installed packages."""

    def __init__(self, directories: Iterable[str]) -> None:
        both = {path for one in directories for path in (os.path.abspath(one), _real(one))}
        self._directories = tuple(path.rstrip(os.sep) + os.sep for path in both)

    def owns(self, path: str) -> bool:
        path = os.path.join(os.path.abspath(path), "")
        return path.startswith(self._directories) and origin_of(path) is Origin.APPLICATION

    def owns_spec(self, spec: ModuleSpec) -> bool:
        """A package without a file is judged by its directories."""
        paths = [spec.origin] if spec.has_location else spec.submodule_search_locations
        return any(path and self.owns(path) for path in paths or ())

    def owns_module(self, module: types.ModuleType) -> bool:
        path = getattr(module, "__file__", None)
        paths = [path] if path else getattr(module, "__path__", None)
        try:
            return any(isinstance(path, str) and self.owns(path) for path in paths or ())
        except Exception:
            return False  # an object in place of a module

    def compile_from_source(self) -> None:
        """From now on, compile the project's modules from source in this process."""
        hook = FileFinder.path_hook(
            (ExtensionFileLoader, EXTENSION_SUFFIXES), (_FromSource, SOURCE_SUFFIXES)
        )

        def for_own(path: str) -> Any:
            if not self.owns(path):
                raise ImportError(path)
            return hook(path)

        sys.path_hooks.insert(0, for_own)
        for path in [path for path in sys.path_importer_cache if self.owns(path)]:
            del sys.path_importer_cache[path]
        importlib.invalidate_caches()

    def others(self, known: Iterable[str] = ()) -> list[str]:
        """Names of the imported modules that are neither the project's nor in `known`, in the order
        in which their import began."""
        known = set(known)
        return [
            name
            for name, module in [*sys.modules.items()]
            if name not in known and module is not None and not self.owns_module(module)
        ]


def _real(directory: str) -> str:
    return os.path.realpath(directory)


class _FromSource(SourceFileLoader):
    def get_code(self, fullname: str) -> types.CodeType:
        path = self.get_filename(fullname)
        code: types.CodeType = self.source_to_code(self.get_data(path), path)
        return code


class Recorder:
    """A finder before the others that finds nothing, and reports each name that is looked up."""

    def __init__(self, tell: Callable[[str], object]) -> None:
        self._tell = tell

    def install(self) -> None:
        sys.meta_path.insert(0, self)

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> None:
        self._tell(name)


def changed_variables(before: dict[str, str]) -> list[str]:
    """Names of the environment variables that differ from `before`."""
    now = dict(os.environ)
    return sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
