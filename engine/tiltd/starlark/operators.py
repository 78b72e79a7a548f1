"""What the rewritten programs call in place of Python's operators, under names like `<add>`.

Each tests the common types first, because one runs for every operation of a program.  None
calls back into a program, and none recurses natively; results are bounded in size.
"""

from collections.abc import Callable, Iterator
from typing import Any, cast

from tiltd.starlark import attributes, compare, formatting, text
from tiltd.starlark.errors import StarlarkError
from tiltd.starlark.values import (
    MAX_BITS,
    MAX_STRING,
    Dict,
    HostValue,
    List,
    Set,
    Value,
    check_size,
    clamp,
    elements,
    is_function,
    is_iterable,
    iterate,
    kind_of,
    not_callable,
    too_large,
    type_name,
)

_MAX_SHIFT = 512
_SMALL = 1 << 62


def _refuse(operator: str, x: Value, y: Value) -> StarlarkError:
    hint = ""
    kinds = {type_name(x), type_name(y)}
    if operator == "+" and "string" in kinds and len(kinds) > 1:
        hint = "convert with str(...)"
    elif operator == "+" and kinds == {"dict"}:
        hint = "use | to join dicts"
    return StarlarkError(f"unknown binary op: {type_name(x)} {operator} {type_name(y)}", hint=hint)


def _other(operator: str, x: Value, y: Value) -> Value:
    """Ask the host values among the operands; refuse if they don't know the operator."""
    if isinstance(x, HostValue):
        result = x.starlark_binary(operator, y, swapped=False)
        if result is not NotImplemented:
            return result
    if isinstance(y, HostValue):
        result = y.starlark_binary(operator, x, swapped=True)
        if result is not NotImplemented:
            return result
    raise _refuse(operator, x, y)


def _bounded(number: int) -> int:
    if not -_SMALL < number < _SMALL and number.bit_length() > MAX_BITS:
        too_large(f"an int of {number.bit_length()} bits")
    return number


def _float_error(error: OverflowError) -> StarlarkError:
    return StarlarkError(f"number out of range: {error}")


def _number(x: Value) -> bool:
    return type(x) is int or type(x) is float


def add(x: Value, y: Value) -> Value:
    """`x + y`."""
    kind = kind_of(x)
    if kind is type(y):
        if kind is int:
            return _bounded(x + y)
        if kind is str:
            return _concatenate(x, y)
        if kind is float:
            return x + y
        if kind is List:
            check_size(len(x.data) + len(y.data))
            return List(x.data + y.data)
        if kind is tuple or kind is bytes:
            check_size(len(x) + len(y))
            return x + y
    elif _number(x) and _number(y):
        return _arithmetic(x, y, float.__add__)
    return _other("+", x, y)


def _concatenate(x: str, y: str) -> str:
    result = x + y
    if len(result) > MAX_STRING:
        too_large(f"a string of {len(result)} characters")
    # Two halves of a character may have met.
    return text.joined(result) if x and y and "\udc80" <= y[0] <= "\udcff" else result


def _arithmetic(x: float, y: float, operation: Callable[[float, float], float]) -> float:
    try:
        return operation(float(x), float(y))
    except OverflowError as error:
        raise _float_error(error) from None


def iadd(x: Value, y: Value) -> Value:
    """`x += y`: a list is extended in place."""
    if type(x) is List and is_iterable(y):
        x.check_mutable("append to")
        new = elements(y)
        check_size(len(x.data) + len(new))
        x.data.extend(new)
        return x
    return add(x, y)


def sub(x: Value, y: Value) -> Value:
    """`x - y`."""
    if type(x) is int and type(y) is int:
        return _bounded(x - y)
    if _number(x) and _number(y):
        return _arithmetic(x, y, float.__sub__)
    if type(x) is Set and type(y) is Set:
        return Set.of_keys(key for key in x.data if key not in y.data)
    return _other("-", x, y)


def mul(x: Value, y: Value) -> Value:
    """`x * y`, or the repetition of a sequence."""
    if type(x) is int:
        if type(y) is int:
            return _bounded(x * y)
        x, y = (x, y) if type(y) is float else (y, x)
    if type(y) is int and type(x) is not float:
        return _repeat(x, y)
    if _number(x) and _number(y):
        return _arithmetic(x, y, float.__mul__)
    return _other("*", x, y)


def _repeat(x: Value, count: int) -> Value:
    count = clamp(max(count, 0))
    kind = kind_of(x)
    if kind is str or kind is bytes:
        check_size(len(x) * count, MAX_STRING, "characters")
        return x * count
    if kind is List:
        check_size(len(x.data) * count)
        return List(x.data * count)
    if kind is tuple:
        check_size(len(x) * count)
        return x * count
    return _other("*", x, count)


def div(x: Value, y: Value) -> Value:
    """`x / y`, always a float."""
    if not (_number(x) and _number(y)):
        return _other("/", x, y)
    if y == 0:
        raise StarlarkError("floating-point division by zero")
    return _arithmetic(x, y, float.__truediv__)


def floordiv(x: Value, y: Value) -> Value:
    """`x // y`."""
    if not (_number(x) and _number(y)):
        return _other("//", x, y)
    if y == 0:
        raise StarlarkError("floored division by zero")
    if type(x) is int and type(y) is int:
        return x // y
    return _arithmetic(x, y, float.__floordiv__)


def mod(x: Value, y: Value) -> Value:
    """`x % y`, or the formatting of a string."""
    if type(x) is str:
        return formatting.interpolate(x, y)
    if not (_number(x) and _number(y)):
        return _other("%", x, y)
    if y == 0:
        raise StarlarkError("modulo by zero")
    if type(x) is int and type(y) is int:
        return x % y
    return _arithmetic(x, y, float.__mod__)


def bit_and(x: Value, y: Value) -> Value:
    """`x & y`."""
    if type(x) is int and type(y) is int:
        return x & y
    if type(x) is Set and type(y) is Set:
        return Set.of_keys(key for key in x.data if key in y.data)
    return _other("&", x, y)


def bit_or(x: Value, y: Value) -> Value:
    """`x | y`."""
    if type(x) is int and type(y) is int:
        return x | y
    if isinstance(x, Dict) and isinstance(y, Dict):
        new = Dict()
        new.data = x.data | y.data
        return new
    if type(x) is Set and type(y) is Set:
        return Set.of_keys((*x.data, *y.data))
    return _other("|", x, y)


def ior(x: Value, y: Value) -> Value:
    """`x |= y`: a dict is updated in place."""
    if isinstance(x, Dict) and isinstance(y, Dict):
        x.check_mutable("insert into")
        for key, value in y.items():
            x[key] = value
        return x
    return bit_or(x, y)


def xor(x: Value, y: Value) -> Value:
    """`x ^ y`."""
    if type(x) is int and type(y) is int:
        return x ^ y
    if type(x) is Set and type(y) is Set:
        left = (key for key in x.data if key not in y.data)
        return Set.of_keys((*left, *(key for key in y.data if key not in x.data)))
    return _other("^", x, y)


def lshift(x: Value, y: Value) -> Value:
    """`x << y`."""
    if type(x) is int and type(y) is int:
        _check_shift(y)
        if y >= _MAX_SHIFT:
            raise StarlarkError(f"shift count too large: {y}, at most {_MAX_SHIFT - 1}")
        return _bounded(x << y)
    return _other("<<", x, y)


def rshift(x: Value, y: Value) -> Value:
    """`x >> y`."""
    if type(x) is int and type(y) is int:
        _check_shift(y)
        return x >> clamp(y)
    return _other(">>", x, y)


def _check_shift(count: int) -> None:
    if count < 0:
        raise StarlarkError(f"negative shift count: {count}")


def neg(x: Value) -> Value:
    """`-x`."""
    if _number(x):
        return -x
    raise StarlarkError(f"unknown unary op: -{type_name(x)}")


def pos(x: Value) -> Value:
    """`+x`."""
    if _number(x):
        return x
    raise StarlarkError(f"unknown unary op: +{type_name(x)}")


def invert(x: Value) -> Value:
    """`~x`."""
    if type(x) is int:
        return ~x
    raise StarlarkError(f"unknown unary op: ~{type_name(x)}")


def eq(x: Value, y: Value) -> bool:
    """`x == y`."""
    return compare.equal(x, y)


def ne(x: Value, y: Value) -> bool:
    """`x != y`."""
    return not compare.equal(x, y)


def lt(x: Value, y: Value) -> Value:
    """`x < y`."""
    if type(x) is int and type(y) is int:
        return x < y
    return _ordered("<", x, y, lambda sign: sign < 0)


def le(x: Value, y: Value) -> Value:
    """`x <= y`."""
    if type(x) is int and type(y) is int:
        return x <= y
    return _ordered("<=", x, y, lambda sign: sign <= 0)


def gt(x: Value, y: Value) -> Value:
    """`x > y`."""
    if type(x) is int and type(y) is int:
        return x > y
    return _ordered(">", x, y, lambda sign: sign > 0)


def ge(x: Value, y: Value) -> Value:
    """`x >= y`."""
    if type(x) is int and type(y) is int:
        return x >= y
    return _ordered(">=", x, y, lambda sign: sign >= 0)


def _ordered(operator: str, x: Value, y: Value, holds: Callable[[int], bool]) -> Value:
    for value, other, swapped in ((x, y, False), (y, x, True)):
        if isinstance(value, HostValue):
            result = value.starlark_binary(operator, other, swapped=swapped)
            if result is not NotImplemented:
                return result
    return holds(compare.order(x, y, operator))


def contains(x: Value, y: Value) -> bool:
    """`x in y`."""
    if isinstance(y, (Dict, Set)):
        return x in y
    kind = kind_of(y)
    if kind is List or kind is tuple:
        for element in y.data if kind is List else y:  # noqa: SIM110 - no C stack
            if compare.equal(x, element):
                return True
        return False
    if type(y) is str:
        if type(x) is not str:
            raise StarlarkError(
                f"'in <string>' requires string as left operand, not {type_name(x)}"
            )
        return x in y
    if type(y) is bytes and type(x) in (bytes, int):
        return x in y
    if type(y) is range and type(x) is int:
        return x in y
    return bool(_other("in", x, y))


def not_contains(x: Value, y: Value) -> bool:
    """`x not in y`."""
    return not contains(x, y)


def _position(index: Value, size: int, kind: str) -> int:
    """A checked index from 0."""
    if type(index) is not int:
        raise StarlarkError(f"{kind} index: got {type_name(index)}, want int")
    if not -size <= index < size:
        raise StarlarkError(f"{kind} index {index} out of range: it has {size} elements")
    return index + size if index < 0 else index


def index(x: Value, key: Value) -> Value:
    """`x[key]`."""
    if isinstance(x, Dict):
        found = x.get(key, _MISSING)
        if found is _MISSING:
            known = [k for k in x.data if type(k) is str]
            hint = attributes.did_you_mean(key, known) if type(key) is str else ""
            raise StarlarkError(f"key {text.to_repr(key)} not in dict", hint=hint)
        return found
    if isinstance(x, List):
        return x.data[_position(key, len(x.data), "list")]
    kind = kind_of(x)
    if kind is tuple or kind is range:
        return x[_position(key, len(x), type_name(x))]
    if kind is str and not x.isascii():
        data = text.to_bytes(x)
        at = _position(key, len(data), "string")
        return text.from_bytes(data[at : at + 1])
    if kind is str or kind is bytes:
        at = _position(key, len(x), type_name(x))
        return x[at : at + 1]
    if isinstance(x, HostValue):
        return x.starlark_index(key)
    raise StarlarkError(f"{type_name(x)} can't be indexed (with {type_name(key)})")


_MISSING = object()


def slice_(x: Value, low: Value, high: Value, step: Value) -> Value:
    """`x[low:high:step]`."""
    for bound in (low, high, step):
        if bound is not None and type(bound) is not int:
            raise StarlarkError(f"slice index: got {type_name(bound)}, want int")
    if step == 0:
        raise StarlarkError("zero is not a valid slice step")
    part = slice(low, high, step)
    if isinstance(x, List):
        return List(x.data[part])
    if type(x) is str and not x.isascii():
        return text.from_bytes(text.to_bytes(x)[part])
    if type(x) in (str, bytes, tuple, range):
        return x[part]
    raise StarlarkError(f"{type_name(x)} can't be sliced")


def set_item(x: Value, key: Value, value: Value) -> None:
    """`x[key] = value`."""
    if isinstance(x, Dict):
        x[key] = value
    elif isinstance(x, List):
        x.check_mutable("assign to an element of")
        x.data[_position(key, len(x.data), "list")] = value
    elif isinstance(x, HostValue):
        x.starlark_set_index(key, value)
    else:
        raise StarlarkError(f"{type_name(x)} value does not support item assignment")


class Items:
    """A target `x[key]` for Python's own assignment, as in `x[0], y = 1, 2`."""

    __slots__ = ("owner",)

    def __init__(self, owner: Value) -> None:
        self.owner = owner

    def __setitem__(self, key: Value, value: Value) -> None:
        set_item(self.owner, key, value)


class Fields:
    """A target `x.name` for Python's own assignment, written as an item."""

    __slots__ = ("owner",)

    def __init__(self, owner: Value) -> None:
        self.owner = owner

    def __setitem__(self, name: str, value: Value) -> None:
        if not isinstance(self.owner, HostValue):
            raise StarlarkError(f"can't assign to .{name} field of {type_name(self.owner)}")
        self.owner.starlark_set_attr(name, value)


def unpack(value: Value, shape: Any) -> tuple[Value, ...]:
    """The elements of a value for an assignment to several targets.

    Args:
        value: what is assigned.
        shape: how many targets, or a tuple that has a shape or None for each.
    """
    flat = isinstance(shape, int)
    count = shape if flat else len(shape)
    if not is_iterable(value):
        raise StarlarkError(f"got {type_name(value)} in assignment to {count} names, want a list")
    kind = kind_of(value)
    parts: tuple[Value, ...] = value if kind is tuple else tuple(elements(value))
    if len(parts) != count:
        few = "few" if len(parts) < count else "many"
        raise StarlarkError(f"too {few} values to unpack: got {len(parts)}, want {count}")
    if flat:
        return parts
    inner: list[Any] = list(shape)
    return tuple([p if s is None else unpack(p, s) for p, s in zip(parts, inner, strict=True)])


def each(values: Iterator[Value], shape: Any) -> Iterator[tuple[Value, ...]]:
    """The unpacked elements of a loop with several targets."""
    for value in values:
        yield unpack(value, shape)


def make_dict(flat: list[Value]) -> Dict:
    """A dict display: keys and values in turn; a repeated key is an error."""
    new = Dict(zip(flat[::2], flat[1::2], strict=True))
    if len(new.data) * 2 != len(flat):
        seen = Dict()
        for key in flat[::2]:
            if key in seen:
                raise StarlarkError(f"duplicate key: {text.to_repr(key)}")
            seen[key] = None
    return new


def from_kwargs(kwargs: dict[str, Value]) -> Dict:
    """The dict that a function sees for its **kwargs."""
    new = Dict()
    new.data.update(kwargs)
    return new


def args(value: Value) -> tuple[Value, ...]:
    """What `*value` passes."""
    kind = kind_of(value)
    if kind is tuple:
        return cast("tuple[Value, ...]", value)
    if not is_iterable(value):
        raise StarlarkError(f"argument after * must be iterable, not {type_name(value)}")
    return tuple(elements(value))


def kwargs(value: Value) -> dict[str, Value]:
    """What `**value` passes."""
    if not isinstance(value, Dict):
        raise StarlarkError(f"argument after ** must be a dict, not {type_name(value)}")
    for key in value.data:
        if type(key) is not str:
            raise StarlarkError(f"keywords must be strings, not {type_name(key)}")
    return {str(key): element for key, element in value.data.items()}


def check_callable(value: Value) -> Value:
    """The value, if it can be called."""
    if not is_function(value) and not isinstance(value, HostValue):
        raise not_callable(value)
    return value


OPERATORS: dict[str, Callable[..., Value]] = {
    "<add>": add,
    "<iadd>": iadd,
    "<sub>": sub,
    "<mul>": mul,
    "<div>": div,
    "<floordiv>": floordiv,
    "<mod>": mod,
    "<and>": bit_and,
    "<or>": bit_or,
    "<ior>": ior,
    "<xor>": xor,
    "<lshift>": lshift,
    "<rshift>": rshift,
    "<neg>": neg,
    "<pos>": pos,
    "<invert>": invert,
    "<eq>": eq,
    "<ne>": ne,
    "<lt>": lt,
    "<le>": le,
    "<gt>": gt,
    "<ge>": ge,
    "<in>": contains,
    "<notin>": not_contains,
    "<index>": index,
    "<slice>": slice_,
    "<setitem>": set_item,
    "<items>": Items,
    "<fields>": Fields,
    "<attr>": attributes.attribute,
    "<unpack>": unpack,
    "<each>": each,
    "<iter>": iterate,
    "<list>": List,
    "<dict>": make_dict,
    "<dictcomp>": Dict,
    "<from_kwargs>": from_kwargs,
    "<args>": args,
    "<kwargs>": kwargs,
    "<callable>": check_callable,
}
