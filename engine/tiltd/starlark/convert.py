"""Values of programs to and from JSON-like Python data."""

from collections.abc import Callable, Mapping
from typing import Any, cast

from tiltd.starlark.errors import StarlarkError
from tiltd.starlark.values import (
    Dict,
    HostValue,
    List,
    Set,
    Value,
    check_size,
    is_function,
    type_name,
)

_MAX_DEPTH = 500
_SCALARS = (type(None), bool, int, float, str, bytes)


def from_python(data: Any) -> Value:
    """The value for Python data; values of programs inside are taken as they are.

    Args:
        data: None, numbers, str, bytes, mappings, lists, tuples, sets, nested at will.

    Raises:
        StarlarkError: nested too deeply.
        TypeError: something else is in the data.
    """
    return _from_python(data, 0)


def _from_python(data: Any, depth: int) -> Value:
    if depth > _MAX_DEPTH:
        raise StarlarkError("data nested too deeply")
    if isinstance(data, (*_SCALARS, range, List, Dict, Set, HostValue)):
        return data
    contents: Any = data  # without the narrowing below, which knows no element types
    if isinstance(data, Mapping):
        return Dict(
            (_from_python(key, depth + 1), _from_python(value, depth + 1))
            for key, value in contents.items()
        )
    if isinstance(data, list):
        return List([_from_python(element, depth + 1) for element in contents])
    if isinstance(data, tuple):
        return tuple([_from_python(element, depth + 1) for element in contents])
    if isinstance(data, set | frozenset):
        return Set(_from_python(element, depth + 1) for element in contents)
    if is_function(data):
        return data
    raise TypeError(f"no Starlark value for {type(data).__name__}")


def to_python(value: Value, host: Callable[[HostValue], Any] | None = None) -> Any:
    """Plain Python data for a value: dicts, lists (for tuples and sets too), scalars.

    Args:
        value: what to convert.
        host: converts host values; without it they are refused.

    Raises:
        StarlarkError: a value has no such form, or contains itself.
    """
    return _Converter(host).convert(value, 0)


class _Converter:
    def __init__(self, host: Callable[[HostValue], Any] | None) -> None:
        self.host = host
        self.count = 0

    def convert(self, value: Value, depth: int) -> Any:
        self.count += 1
        check_size(self.count)
        if depth > _MAX_DEPTH:
            raise StarlarkError("data nested too deeply (or it contains itself)")
        if isinstance(value, _SCALARS):
            return value
        if isinstance(value, Dict):
            return {
                self.convert(k, depth + 1): self.convert(v, depth + 1) for k, v in value.items()
            }
        if isinstance(value, List | Set | tuple | range):
            elements = cast("list[Any]", value)
            return [self.convert(element, depth + 1) for element in elements]
        if isinstance(value, HostValue) and self.host:
            return self.host(value)
        raise StarlarkError(f"{type_name(value)} can't be converted to data")
