"""Methods of lists, dicts and sets; receiver first, positional only."""

from collections.abc import Callable
from typing import TypeVar

from tiltd.starlark import compare, text
from tiltd.starlark.errors import StarlarkError
from tiltd.starlark.values import (
    Dict,
    List,
    Set,
    Value,
    check_size,
    clamp,
    elements,
    is_iterable,
    iterate,
    key_of,
    not_iterable,
    type_name,
    value_of,
)

LIST: dict[str, Callable[..., Value]] = {}
DICT: dict[str, Callable[..., Value]] = {}
SET: dict[str, Callable[..., Value]] = {}
_Function = TypeVar("_Function", bound=Callable[..., Value])
_MISSING = object()


def _method(table: dict[str, Callable[..., Value]], kind: str) -> Callable[[_Function], _Function]:
    """Add a function to a table, under its name without the type's."""

    def add(function: _Function) -> _Function:
        name = function.__name__.removeprefix(f"_{kind}_")
        function.__name__, function.__qualname__ = name, f"{kind}.{name}"
        table[name] = function
        return function

    return add


def _int(value: Value, method: str, parameter: str) -> int:
    if type(value) is not int:
        raise StarlarkError(
            f"{method}: for parameter {parameter}: got {type_name(value)}, want int"
        )
    return value


def _elements(value: Value, method: str) -> list[Value]:
    if not is_iterable(value):
        raise StarlarkError(f"{method}: for parameter 1: got {type_name(value)}, want iterable")
    return elements(value)


@_method(LIST, "list")
def _list_append(x: List, value: Value, /) -> None:
    x.check_mutable("append to")
    x.data.append(value)


@_method(LIST, "list")
def _list_clear(x: List, /) -> None:
    x.check_mutable("clear")
    x.data.clear()


@_method(LIST, "list")
def _list_extend(x: List, iterable: Value, /) -> None:
    x.check_mutable("extend")
    new = _elements(iterable, "extend")
    check_size(len(x.data) + len(new))
    x.data.extend(new)


@_method(LIST, "list")
def _list_index(x: List, value: Value, start: Value = None, end: Value = None, /) -> int:
    low = 0 if start is None else _int(start, "index", "start")
    high = len(x.data) if end is None else _int(end, "index", "end")
    low, high, _ = slice(low, high).indices(len(x.data))
    for at in range(low, high):
        if compare.equal(x.data[at], value):
            return at
    raise StarlarkError("index: value not in list")


@_method(LIST, "list")
def _list_insert(x: List, index: Value, value: Value, /) -> None:
    x.check_mutable("insert into")
    x.data.insert(clamp(_int(index, "insert", "index")), value)


@_method(LIST, "list")
def _list_pop(x: List, index: Value = -1, /) -> Value:
    x.check_mutable("pop from")
    at = _int(index, "pop", "index")
    if not -len(x.data) <= at < len(x.data):
        raise StarlarkError(f"pop: index {at} out of range: the list has {len(x.data)} elements")
    return x.data.pop(at)


@_method(LIST, "list")
def _list_remove(x: List, value: Value, /) -> None:
    x.check_mutable("remove from")
    for at, element in enumerate(x.data):
        if compare.equal(element, value):
            del x.data[at]
            return
    raise StarlarkError("remove: element not found")


@_method(DICT, "dict")
def _dict_clear(x: Dict, /) -> None:
    x.clear()


@_method(DICT, "dict")
def _dict_get(x: Dict, key: Value, default: Value = None, /) -> Value:
    return x.get(key, default)


@_method(DICT, "dict")
def _dict_items(x: Dict, /) -> List:
    return List(list[Value](x.items()))


@_method(DICT, "dict")
def _dict_keys(x: Dict, /) -> List:
    return List(x.keys())


@_method(DICT, "dict")
def _dict_values(x: Dict, /) -> List:
    return List(x.values())


@_method(DICT, "dict")
def _dict_pop(x: Dict, key: Value, default: Value = _MISSING, /) -> Value:
    if key in x:
        return x.delete(key)
    x.check_mutable("delete from")
    if default is _MISSING:
        raise StarlarkError(f"pop: key {text.to_repr(key)} not in dict", hint="pass a default")
    return default


@_method(DICT, "dict")
def _dict_popitem(x: Dict, /) -> tuple[Value, Value]:
    x.check_mutable("delete from")
    for key in x.data:
        value = value_of(key)
        return value, x.delete(value)
    raise StarlarkError("popitem: empty dict")


@_method(DICT, "dict")
def _dict_setdefault(x: Dict, key: Value, default: Value = None, /) -> Value:
    if key not in x:
        x[key] = default
    return x[key]


@_method(DICT, "dict")
def _dict_update(x: Dict, pairs: Value = (), /, **kwargs: Value) -> None:
    update(x, pairs, "update")
    for key, value in kwargs.items():
        x[key] = value


def update(x: Dict, pairs: Value, method: str) -> None:
    """Insert the items of a dict, or the pairs of an iterable.

    Raises:
        StarlarkError: `pairs` is neither.
    """
    if isinstance(pairs, Dict):
        for key, value in pairs.items():
            x[key] = value
        return
    for number, pair in enumerate(_elements(pairs, method)):
        if not is_iterable(pair):
            raise StarlarkError(f"{method}: element #{number} is {type_name(pair)}, want a pair")
        parts = list(iterate(pair))
        if len(parts) != 2:  # noqa: PLR2004 - a pair
            raise StarlarkError(f"{method}: element #{number} has length {len(parts)}, want 2")
        x[parts[0]] = parts[1]


def _keys(value: Value, method: str) -> dict[object, None]:
    if not is_iterable(value):
        raise not_iterable(value)
    return dict.fromkeys(map(key_of, _elements(value, method)))


@_method(SET, "set")
def _set_add(x: Set, value: Value, /) -> None:
    key = key_of(value)
    if key not in x.data:
        x.check_mutable("insert into")
        x.data[key] = None


@_method(SET, "set")
def _set_clear(x: Set, /) -> None:
    x.check_mutable("clear")
    x.data.clear()


@_method(SET, "set")
def _set_discard(x: Set, value: Value, /) -> None:
    x.check_mutable("delete from")
    x.data.pop(key_of(value), None)


@_method(SET, "set")
def _set_remove(x: Set, value: Value, /) -> None:
    x.check_mutable("delete from")
    if value not in x:
        raise StarlarkError("remove: missing key", hint="discard() ignores missing keys")
    del x.data[key_of(value)]


@_method(SET, "set")
def _set_pop(x: Set, /) -> Value:
    x.check_mutable("delete from")
    for key in x.data:
        del x.data[key]
        return value_of(key)
    raise StarlarkError("pop: empty set")


@_method(SET, "set")
def _set_union(x: Set, other: Value = (), /) -> Set:
    return Set.of_keys((*x.data, *_keys(other, "union")))


@_method(SET, "set")
def _set_intersection(x: Set, other: Value, /) -> Set:
    keys = _keys(other, "intersection")
    return Set.of_keys(key for key in x.data if key in keys)


@_method(SET, "set")
def _set_difference(x: Set, other: Value, /) -> Set:
    keys = _keys(other, "difference")
    return Set.of_keys(key for key in x.data if key not in keys)


@_method(SET, "set")
def _set_symmetric_difference(x: Set, other: Value, /) -> Set:
    keys = _keys(other, "symmetric_difference")
    left = (key for key in x.data if key not in keys)
    return Set.of_keys((*left, *(key for key in keys if key not in x.data)))


@_method(SET, "set")
def _set_issubset(x: Set, other: Value, /) -> bool:
    return x.data.keys() <= _keys(other, "issubset").keys()


@_method(SET, "set")
def _set_issuperset(x: Set, other: Value, /) -> bool:
    return x.data.keys() >= _keys(other, "issuperset").keys()
