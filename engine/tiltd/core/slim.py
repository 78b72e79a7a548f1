"""networkx without what nobody here calls: a tenth of its modules.

The packages of networkx import all that is in them: 280 modules and 13 MiB, of which the graph
needs a few.  So those packages stand here as packages do whose `__init__` has not run, and the
modules are imported out of them.  Whatever else is asked of networkx makes it whole: nothing is
missing, it only comes late.
"""

import importlib
import importlib.util
import sys
import types
from typing import TYPE_CHECKING, Any

_NAME = "networkx"
_PACKAGES = tuple(
    f"{_NAME}.{name}"
    for name in ("algorithms", "algorithms.components", "algorithms.traversal", "generators")
)
_HOMES = tuple(
    f"{_NAME}.{name}"
    for name in (
        "exception",
        "utils",
        "utils.backends",
        "utils.misc",
        "classes",
        "classes.function",
        "algorithms.cycles",
        "algorithms.dag",
        "algorithms.components.strongly_connected",
        "algorithms.traversal.edgedfs",
    )
)


class _Slim(types.ModuleType):
    """networkx, until something is asked for that none of `_HOMES` has: then it becomes whole."""

    def __init__(self) -> None:
        super().__init__(_NAME)
        self._whole = False

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("__"):
            for home in _HOMES:
                if name in (known := vars(sys.modules.get(home, types))):
                    return vars(self).setdefault(name, known[name])
            module = f"{_NAME}.{name}"
            if module not in _PACKAGES and importlib.util.find_spec(module) is not None:
                return importlib.import_module(module)
            self._become_whole()
            if name in vars(self):
                return vars(self)[name]
        raise AttributeError(f"module {_NAME!r} has no attribute {name!r}")

    def _become_whole(self) -> None:
        if self._whole or self.__spec__ is None or self.__spec__.loader is None:
            return
        self._whole = True  # what asks on the way has to wait for its import, or is wrong
        for package in _PACKAGES:
            del sys.modules[package]
        self.__spec__.loader.exec_module(self)
        for home in _HOMES:  # these were imported before their package, which doesn't know
            package, _, name = home.rpartition(".")
            if package in _PACKAGES:
                for module in (sys.modules[package], self):
                    vars(module).setdefault(name, sys.modules[home])


def _load() -> types.ModuleType:
    if _NAME in sys.modules:
        return sys.modules[_NAME]
    try:
        root = _Slim()
        _place(root, _NAME)
        for package in _PACKAGES:
            _place(types.ModuleType(package), package)
        for home in _HOMES:
            importlib.import_module(home)
    except (ImportError, AttributeError):  # a networkx that is laid out in another way
        for name in [each for each in sys.modules if each.partition(".")[0] == _NAME]:
            del sys.modules[name]
        import networkx  # noqa: ICN001, PLC0415 - the whole of it

        return networkx
    return root


def _place(module: types.ModuleType, name: str) -> None:
    spec = importlib.util.find_spec(name)
    if spec is None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    module.__spec__, module.__loader__ = spec, spec.loader
    module.__path__ = list(spec.submodule_search_locations or ())
    sys.modules[name] = module


if TYPE_CHECKING:
    import networkx as nx
else:
    nx = _load()

__all__ = ["nx"]
