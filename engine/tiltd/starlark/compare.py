"""Equality and order: Starlark's, for which True is not 1 and 1 < "a" is an error.

Depth is bounded as in go.starlark.net, so that comparing values which contain themselves ends.
"""

import functools
from typing import Any

from tiltd.starlark.errors import StarlarkError
from tiltd.starlark.values import Dict, HostValue, List, Set, Value, kind_of, type_name

MAX_DEPTH = 10
_SAME_IN_PYTHON = frozenset({str, int, bool, bytes, type(None), range})
_NUMBERS = frozenset({int, float})
_ORDERED = frozenset({str, int, bool, bytes})


def equal(x: Value, y: Value, depth: int = MAX_DEPTH) -> bool:
    """`x == y`.

    Raises:
        StarlarkError: the values are nested deeper than `MAX_DEPTH`.
    """
    if x is y:
        return True
    kind = kind_of(x)
    if kind is not type(y):
        return kind in _NUMBERS and type(y) in _NUMBERS and bool(x == y)
    if kind in _SAME_IN_PYTHON:
        return bool(x == y)
    if kind is float:
        return bool(x == y) or (x != x and y != y)  # noqa: PLR0124 - NaN equals NaN here
    if depth < 1:
        raise _too_deep()
    if isinstance(x, List):
        return _all_equal(x.data, y.data, depth - 1)
    if kind is tuple:
        return _all_equal(x, y, depth - 1)
    if isinstance(x, Dict):
        return len(x.data) == len(y.data) and all(
            key in y.data and equal(value, y.data[key], depth - 1) for key, value in x.data.items()
        )
    if isinstance(x, Set):
        return bool(x.data.keys() == y.data.keys())
    return isinstance(x, HostValue) and bool(x == y)


def _too_deep() -> StarlarkError:
    return StarlarkError("comparison of values nested too deeply (or that contain themselves)")


def _all_equal(x: Any, y: Any, depth: int) -> bool:
    if len(x) != len(y):
        return False
    for left, right in zip(x, y, strict=True):  # noqa: SIM110 - all() would cost C stack
        if not equal(left, right, depth):
            return False
    return True


def order(x: Value, y: Value, operator: str, depth: int = MAX_DEPTH) -> int:
    """Negative, 0 or positive as x is less than, equal to or greater than y.

    Args:
        x: the left operand.
        y: the right operand.
        operator: for the message.
        depth: how deep values may still nest.

    Raises:
        StarlarkError: the types have no order.
    """
    kind = kind_of(x)
    same = kind is type(y)
    if same and kind in _ORDERED:
        return int(x > y) - int(x < y)
    if kind in _NUMBERS and type(y) in _NUMBERS:
        return _order_numbers(x, y)
    if same and kind is List:
        return _order_elements(x.data, y.data, operator, depth - 1)
    if same and kind is tuple:
        return _order_elements(x, y, operator, depth - 1)
    raise StarlarkError(f"{type_name(x)} {operator} {type_name(y)} not implemented")


def _order_numbers(x: float, y: float) -> int:
    """NaN is equal to itself and greater than all else."""
    x_nan, y_nan = x != x, y != y  # noqa: PLR0124 - only NaN differs from itself
    if x_nan or y_nan:
        return int(x_nan) - int(y_nan)
    return int(x > y) - int(x < y)


def _order_elements(x: Any, y: Any, operator: str, depth: int) -> int:
    if depth < 0:
        raise _too_deep()
    for left, right in zip(x, y, strict=False):
        if not equal(left, right, depth):
            return order(left, right, operator, depth)
    return len(x) - len(y)


def sort(values: list[Value], keys: list[Value], *, reverse: bool) -> list[Value]:
    """Values in the stable order of their keys."""
    kinds = {kind_of(value) for value in keys}
    plain = len(kinds) == 1 and kinds <= _ORDERED
    ranks: list[Any] = keys if plain else list(map(functools.cmp_to_key(_by_less), keys))
    return [values[at] for at in sorted(range(len(values)), key=ranks.__getitem__, reverse=reverse)]


def _by_less(x: Value, y: Value) -> int:
    return order(x, y, "<")
