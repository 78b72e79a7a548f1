"""Imports that take long, made late and one at a time.

Two threads that import packages with circles in them (requests has one, and both the Docker SDK
and the Kubernetes client import it) can each see the other's half: Python's own import locks give
way to avoid a deadlock.  So whatever is imported after the start is imported under one lock.
"""

import importlib
import threading
from types import ModuleType

_LOCK = threading.RLock()


def load(name: str) -> ModuleType:
    """The module of that name, imported now if it has not been."""
    with _LOCK:
        return importlib.import_module(name)
