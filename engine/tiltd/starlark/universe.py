"""The functions that every program has, but for `print` and `fail`, which are the host's.

They are plain Python functions, so that calling one costs no C stack; those that call back
(`key=`) do so from a loop of their own and sort the results afterwards.
"""

from collections.abc import Callable
from typing import Any

from tiltd.starlark import attributes, compare, formatting, operators, text
from tiltd.starlark.collection_methods import update
from tiltd.starlark.errors import StarlarkError
from tiltd.starlark.values import (
    MAX_BITS,
    Dict,
    HostValue,
    List,
    Set,
    Value,
    check_size,
    clamp,
    elements,
    is_iterable,
    iterate,
    type_name,
)

UNIVERSE: dict[str, Callable[..., Value]] = {}
_MISSING = object()
_MAX_BASE = 36
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_PREFIXES = {"0x": 16, "0o": 8, "0b": 2}


def _universal(function: Callable[..., Value]) -> Callable[..., Value]:
    """Add a function to the universe, under its name without the underscore."""
    function.__name__ = function.__qualname__ = function.__name__.strip("_")
    UNIVERSE[function.__name__] = function
    return function


def _iterable(value: Value, function: str, parameter: str = "1") -> list[Value]:
    if not is_iterable(value):
        hint = "use x.elems() or x.codepoints()" if type(value) is str else ""
        raise StarlarkError(
            f"{function}: for parameter {parameter}: got {type_name(value)}, want iterable",
            hint=hint,
        )
    return elements(value)


def _int_argument(value: Value, function: str, parameter: str) -> int:
    if type(value) is not int:
        raise StarlarkError(
            f"{function}: for parameter {parameter}: got {type_name(value)}, want int"
        )
    return value


@_universal
def _abs(x: Value, /) -> Value:
    if type(x) not in (int, float):
        raise StarlarkError(f"abs: got {type_name(x)}, want int or float")
    return abs(x)


@_universal
def _all(iterable: Value, /) -> bool:
    return all(_iterable(iterable, "all"))


@_universal
def _any(iterable: Value, /) -> bool:
    return any(_iterable(iterable, "any"))


@_universal
def _bool(x: Value = False, /) -> bool:  # noqa: FBT002 - Starlark's signature
    return bool(x)


@_universal
def _bytes(x: Value, /) -> bytes:
    if type(x) is bytes:
        return x
    if type(x) is str:
        return text.to_bytes(x)
    numbers = _iterable(x, "bytes")
    for at, number in enumerate(numbers):
        if type(number) is not int or not 0 <= number <= 0xFF:  # noqa: PLR2004 - a byte
            raise StarlarkError(f"bytes: element {at} is {text.to_repr(number)}, want 0 to 255")
    return bytes(numbers)


@_universal
def _chr(i: Value, /) -> str:
    return formatting.character(_int_argument(i, "chr", "1"))


@_universal
def _dict(pairs: Value = (), /, **kwargs: Value) -> Dict:
    new = Dict()
    update(new, pairs, "dict")
    for key, value in kwargs.items():
        new[key] = value
    return new


@_universal
def _dir(x: Value, /) -> List:
    return List(list[Value](attributes.names(x)))


@_universal
def _enumerate(iterable: Value, start: Value = 0, /) -> List:
    first = _int_argument(start, "enumerate", "start")
    return List(list[Value](enumerate(_iterable(iterable, "enumerate"), first)))


@_universal
def _float(x: Value = 0.0, /) -> float:
    if type(x) in (bool, int, float):
        try:
            return float(x)
        except OverflowError:
            raise StarlarkError("float: int too large to convert") from None
    if type(x) is not str:
        raise StarlarkError(f"float: got {type_name(x)}, want number or string")
    plain = "_" not in x and x == x.strip() and x.isascii()
    try:
        return float(x if plain else "")
    except ValueError:
        raise StarlarkError(f"float: invalid literal: {text.to_repr(x)}") from None


@_universal
def _getattr(x: Value, name: Value, default: Value = _MISSING, /) -> Value:
    if type(name) is not str:
        raise StarlarkError(f"getattr: for parameter 2: got {type_name(name)}, want string")
    if default is _MISSING:
        return attributes.attribute(x, name)
    try:
        return attributes.attribute(x, name)
    except StarlarkError:
        return default


@_universal
def _hasattr(x: Value, name: Value, /) -> bool:
    if type(name) is not str:
        raise StarlarkError(f"hasattr: for parameter 2: got {type_name(name)}, want string")
    try:
        attributes.attribute(x, name)
    except StarlarkError:
        return False
    return True


@_universal
def _hash(x: Value, /) -> int:
    if type(x) is bytes:
        return _fnv(x)
    if type(x) is not str:
        raise StarlarkError(f"hash: got {type_name(x)}, want string or bytes")
    units = x.encode("utf-16-le", "surrogatepass")
    result = 0
    for at in range(0, len(units), 2):
        result = (31 * result + units[at] + (units[at + 1] << 8)) & 0xFFFFFFFF
    return result - (1 << 32) if result >> 31 else result


def _fnv(data: bytes) -> int:
    """FNV-1a of 32 bits: as `hash` of a string, the same on all machines."""
    result = 2166136261
    for byte in data:
        result = ((result ^ byte) * 16777619) & 0xFFFFFFFF
    return result


@_universal
def _int(x: Value, base: Value = _MISSING) -> int:
    if type(x) is str:
        return _parse_int(x, 10 if base is _MISSING else _int_argument(base, "int", "base"))
    if base is not _MISSING:
        raise StarlarkError("int: can't convert non-string with explicit base")
    if type(x) not in (bool, int, float):
        raise StarlarkError(f"int: got {type_name(x)}, want number or string")
    try:
        return int(x)
    except (OverflowError, ValueError):
        raise StarlarkError(f"int: can't convert {text.to_repr(x)} to integer") from None


def _parse_int(literal: str, base: int) -> int:
    if base != 0 and not 2 <= base <= _MAX_BASE:  # noqa: PLR2004 - binary
        raise StarlarkError(f"int: invalid base {base}, want 0 or 2 to 36")
    digits = literal.lower()
    negative = digits.startswith("-")
    digits = digits[1:] if digits[:1] in ("-", "+") else digits
    actual = base
    prefix = _PREFIXES.get(digits[:2])
    if prefix and base in (0, prefix):
        digits, actual = digits[2:], prefix
    elif base == 0:
        actual = 10
        if digits[:1] == "0" and digits.strip("0"):
            actual = 0  # 010 is ambiguous
    if not actual or not digits or any(d not in _DIGITS[:actual] for d in digits):
        raise StarlarkError(f"int: invalid literal with base {base}: {literal}")
    check_size(len(digits) * (actual.bit_length() - 1), MAX_BITS, "bits")
    number = int(digits, actual)
    return -number if negative else number


@_universal
def _len(x: Value, /) -> int:
    if type(x) is str:
        return len(x) if x.isascii() else len(text.to_bytes(x))
    if isinstance(x, (List, Dict, Set)) or type(x) in (tuple, range, bytes):
        return len(x)
    if isinstance(x, HostValue) and (size := x.starlark_len()) is not None:
        return size
    raise StarlarkError(f"len: value of type {type_name(x)} has no len")


@_universal
def _list(iterable: Value = (), /) -> List:
    return List(_iterable(iterable, "list"))


@_universal
def _max(*args: Value, key: Value = None) -> Value:
    return _extreme("max", args, key, ">")


@_universal
def _min(*args: Value, key: Value = None) -> Value:
    return _extreme("min", args, key, "<")


def _extreme(name: str, args: tuple[Value, ...], key: Value, operator: str) -> Value:
    if not args:
        raise StarlarkError(f"{name} requires at least one positional argument")
    values = _iterable(args[0], name) if len(args) == 1 else list(args)
    if not values:
        raise StarlarkError(f"{name}: argument is an empty sequence")
    keys = _keys(values, key)
    best = 0
    for at in range(1, len(values)):
        sign = compare.order(keys[at], keys[best], operator)
        if sign > 0 if operator == ">" else sign < 0:
            best = at
    return values[best]


def _keys(values: list[Value], key: Value) -> list[Value]:
    if key is None:
        return values
    operators.check_callable(key)
    return [key(value) for value in values]


@_universal
def _ord(x: Value, /) -> int:
    if type(x) is str and len(x) == 1:
        return ord(x)
    if type(x) is bytes and len(x) == 1:
        return x[0]
    if type(x) not in (str, bytes):
        raise StarlarkError(f"ord: got {type_name(x)}, want string or bytes")
    raise StarlarkError(f"ord: {type_name(x)} has length {len(x)}, want 1")


@_universal
def _range(start: Value, stop: Value = _MISSING, step: Value = 1, /) -> range:
    if stop is _MISSING:
        start, stop = 0, start
    bounds = (start, "start"), (stop, "stop"), (step, "step")
    first, last, distance = [_int_argument(value, "range", name) for value, name in bounds]
    if distance == 0:
        raise StarlarkError("range: step argument must not be zero")
    for value, name in bounds:
        if clamp(value) != value:
            raise StarlarkError(f"range: {name} out of range: {value}")
    return range(first, last, distance)


@_universal
def _repr(x: Value, /) -> str:
    return text.to_repr(x)


@_universal
def _reversed(iterable: Value, /) -> List:
    return List(_iterable(iterable, "reversed")[::-1])


@_universal
def _set(iterable: Value = (), /) -> Set:
    return Set(_iterable(iterable, "set"))


@_universal
def _sorted(iterable: Value, /, *, key: Value = None, reverse: Value = False) -> List:
    values = _iterable(iterable, "sorted")
    if type(reverse) is not bool:
        raise StarlarkError(f"sorted: for parameter reverse: got {type_name(reverse)}, want bool")
    return List(compare.sort(values, _keys(values, key), reverse=reverse))


@_universal
def _str(x: Value, /) -> str:
    return text.to_str(x)


@_universal
def _tuple(iterable: Value = (), /) -> tuple[Value, ...]:
    return tuple(_iterable(iterable, "tuple"))


@_universal
def _type(x: Value, /) -> str:
    return type_name(x)


@_universal
def _zip(*iterables: Value) -> List:
    for at, iterable in enumerate(iterables, 1):
        if not is_iterable(iterable):
            raise StarlarkError(
                f"zip: for parameter {at}: got {type_name(iterable)}, want iterable"
            )
    columns: list[Any] = [iterate(iterable) for iterable in iterables]
    rows: list[Value] = []
    for row in zip(*columns, strict=False):
        rows.append(row)
        check_size(len(rows))
    return List(rows)
