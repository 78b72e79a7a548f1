"""Reading JSON objects that others wrote.

An API server leaves out what is empty, sends `null` for some lists, and a custom resource may hold
anything at all.  These four readers take a path and always give a value of the type that their name
says, so that no rule can trip over the shape of an object.
"""

from collections.abc import Mapping
from typing import Any, cast

Obj = Mapping[str, Any]
NOTHING: Obj = {}
# A dict, which it nearly always is, is told at a tenth of the price.
_MAPPINGS: Any = (dict, Mapping)


def _at(obj: Obj, path: tuple[str, ...]) -> Any:
    value: Any = obj
    for key in path:
        if not isinstance(value, _MAPPINGS):
            return None
        value = value.get(key)
    return value


def section(obj: Obj, *path: str) -> Obj:
    """The object at `path`; an empty one where there is none."""
    value = _at(obj, path)
    return value if isinstance(value, _MAPPINGS) else NOTHING


def rows(obj: Obj, *path: str) -> tuple[Obj, ...]:
    """The objects of the list at `path`; none where there is no list."""
    value = _at(obj, path)
    if not isinstance(value, list | tuple):
        return ()
    listed = cast("list[Any]", value)
    return tuple([row for row in listed if isinstance(row, _MAPPINGS)])


def text(obj: Obj, *path: str) -> str:
    """The string at `path`; an empty one where there is none."""
    value = _at(obj, path)
    return value if isinstance(value, str) else ""


def number(obj: Obj, *path: str, default: int = 0) -> int:
    """The whole number at `path`, or `default`; booleans are no numbers."""
    value = _at(obj, path)
    return value if isinstance(value, int) and not isinstance(value, bool) else default


def flag(obj: Obj, *path: str) -> bool:
    """Whether the value at `path` is the JSON `true`."""
    return _at(obj, path) is True


def has(obj: Obj, *path: str) -> bool:
    """Whether there is anything but `null` at `path`."""
    return _at(obj, path) is not None


def named(obj: Obj) -> str:
    """`metadata.name`."""
    return text(obj, "metadata", "name")


def uid(obj: Obj) -> str:
    """`metadata.uid`."""
    return text(obj, "metadata", "uid")


def group(obj: Obj) -> str:
    """The API group of `apiVersion`; empty for the core group."""
    api, slash, _ = text(obj, "apiVersion").partition("/")
    return api if slash else ""
