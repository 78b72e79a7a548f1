"""`x.name`: the one way from a program to anything that a value has.

Only what the tables of methods list, and what a host value's hook gives, exists.
"""

import types
from collections.abc import Callable

from tiltd.starlark import collection_methods, string_methods
from tiltd.starlark.errors import did_you_mean
from tiltd.starlark.values import (
    Dict,
    HostValue,
    List,
    Set,
    Value,
    kind_of,
    no_attribute,
    type_name,
)

__all__ = ["attribute", "did_you_mean", "names"]

_METHODS: dict[type, dict[str, Callable[..., Value]]] = {
    str: string_methods.STRING,
    bytes: string_methods.BYTES,
    List: collection_methods.LIST,
    Dict: collection_methods.DICT,
    Set: collection_methods.SET,
}


def attribute(value: Value, name: str) -> Value:
    """`value.name`.

    Raises:
        StarlarkError: there is no such field or method.
    """
    methods = _METHODS.get(kind_of(value))
    if methods and (method := methods.get(name)):
        return types.MethodType(method, value)
    if isinstance(value, HostValue):
        return value.starlark_attr(name)
    raise no_attribute(type_name(value), name, methods or ())


def names(value: Value) -> list[str]:
    """`dir(value)`."""
    if isinstance(value, HostValue):
        return sorted(value.starlark_dir())
    return sorted(_METHODS.get(kind_of(value), ()))
