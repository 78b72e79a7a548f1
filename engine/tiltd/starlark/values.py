"""The values of a program.

None, bool, int, float, str, bytes, tuple, range and functions are Python's own.  Lists, dicts
and sets are classes that hold a Python container instead of being one: nothing of Python's
container can then change them past the checks (frozen? being iterated?), and their equality
isn't Python's, for which True == 1.

Dict keys and set elements need that distinction too.  `key_of` gives the Python key under
which a value is stored: the value itself wherever Python agrees with Starlark, else a `Boxed`
(booleans, NaN, tuples that contain such).  It also refuses what can't be hashed, and tuples so
deep that hashing them natively would exhaust the C stack.

A string is a `str` for the UTF-8 bytes that Starlark strings are made of: lengths and indices
count bytes, and a byte that is no character by itself is a surrogate escape.
"""

import itertools
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar, NoReturn, TypeAlias, TypeGuard, final

from tiltd.starlark.errors import StarlarkError, did_you_mean

Value: TypeAlias = Any
"""Any value of a program; `Any` because programs are not typed."""

kind_of: Callable[[Any], Any] = type
"""`type`, for values: type checkers know nothing of the result and need not."""

MAX_ELEMENTS = 1 << 24
"""Elements of one list, tuple or materialised range."""
MAX_STRING = 1 << 26
"""Bytes of one string."""
MAX_BITS = 14_000
"""Bits of one int; what Python can still print (it refuses more than 4300 digits)."""
THREAD = "<thread>"
"""The name under which the globals of each program hold their thread."""
_MAX_KEY_DEPTH = 100
_FAR = 1 << 60
_MAX_KEY_PARTS = 100_000
_PLAIN_KEYS = frozenset({str, int, bytes, type(None)})


def no_attribute(kind: str, name: str, known: Iterable[str]) -> StarlarkError:
    """The error for an attribute that a value has not."""
    return StarlarkError(f"{kind} has no .{name} field or method", hint=did_you_mean(name, known))


class HostValue:
    """Base of values that the host makes: what a program may do with them is said by hooks.

    By default a value has a type and a text, is true, equals itself alone and supports nothing
    else.  A subclass with `__eq__` and `__hash__` of its own may be a dict key; `__bool__` is
    its truth.
    """

    __slots__ = ()
    type_name: ClassVar[str] = "host value"

    def starlark_type(self) -> str:
        """What `type(x)` says."""
        return self.type_name

    def starlark_str(self) -> str:
        """What `str(x)`, `%s` and `print(x)` show."""
        return self.starlark_repr()

    def starlark_repr(self) -> str:
        """What `repr(x)` shows, and what lists show for it."""
        return f"<{self.starlark_type()}>"

    def starlark_attr(self, name: str) -> Value:
        """`x.name`; raises StarlarkError where there is none."""
        raise no_attribute(self.starlark_type(), name, self.starlark_dir())

    def starlark_dir(self) -> list[str]:
        """The names that `starlark_attr` knows, sorted."""
        return []

    def starlark_set_attr(self, name: str, value: Value) -> None:  # noqa: ARG002 - a hook
        """`x.name = value`."""
        raise StarlarkError(f"can't assign to .{name} field of {self.starlark_type()}")

    def starlark_index(self, key: Value) -> Value:
        """`x[key]`."""
        raise StarlarkError(f"{self.starlark_type()} can't be indexed (with {type_name(key)})")

    def starlark_set_index(self, key: Value, value: Value) -> None:  # noqa: ARG002 - a hook
        """`x[key] = value`."""
        raise StarlarkError(f"{self.starlark_type()} does not support item assignment")

    def starlark_iter(self) -> Iterator[Value] | None:
        """The elements, or None if there are none to iterate."""
        return None

    def starlark_len(self) -> int | None:
        """`len(x)`, or None if it has none."""
        return None

    def starlark_binary(self, operator: str, other: Value, *, swapped: bool) -> Value:  # noqa: ARG002 - a hook
        """`x operator other` (or `other operator x`, swapped); NotImplemented refuses.

        `operator` is as written (`+`, `in`, `<` …); == and != follow `__eq__`.
        """
        return NotImplemented

    def __call__(self, /, *args: Value, **kwargs: Value) -> Value:  # noqa: ARG002 - a hook
        """`x(...)`."""
        raise not_callable(self)

    def starlark_freeze(self, freeze: Callable[[Value], None]) -> None:
        """Refuse changes from now on; call `freeze` on the values inside."""

    def __hash__(self) -> int:
        raise unhashable(self)

    def __eq__(self, other: object) -> bool:
        return self is other


class Boxed:
    """A key that Python would mix up with another, beside the key by which it is told apart."""

    __slots__ = ("hash", "key", "value")

    def __init__(self, value: Value, key: object) -> None:
        self.value = value
        self.key = key
        self.hash = hash(("boxed", key))

    def __hash__(self) -> int:
        return self.hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Boxed) and self.key == other.key


_TRUE, _FALSE, _NAN = Boxed(True, "True"), Boxed(False, "False"), Boxed(float("nan"), "nan")  # noqa: FBT003 - the values


def key_of(value: Value) -> object:
    """The Python dict key for a value.

    Raises:
        StarlarkError: the value is unhashable, or nested too deeply.
    """
    kind = kind_of(value)
    if kind in _PLAIN_KEYS:
        return value
    if kind is bool:
        return _TRUE if value else _FALSE
    if kind is float:
        return value if value == value else _NAN  # noqa: PLR0124 - only NaN differs from itself
    if kind is tuple:
        return _tuple_key(value, itertools.count(), 0)
    if isinstance(value, HostValue):
        try:
            hash(value)
        except TypeError:  # an `__eq__` without a `__hash__`
            raise unhashable(value) from None
        return value
    if is_function(value):
        return value
    raise unhashable(value)


def _tuple_key(value: tuple[Value, ...], parts: "itertools.count[int]", depth: int) -> object:
    if depth > _MAX_KEY_DEPTH:
        raise StarlarkError("unhashable: a tuple nested too deeply")
    keys: list[object] = []
    for element in value:
        if next(parts) > _MAX_KEY_PARTS:
            raise StarlarkError("unhashable: a tuple with too many parts")
        kind = kind_of(element)
        nested = kind is tuple
        keys.append(_tuple_key(element, parts, depth + 1) if nested else key_of(element))
    same = all(key is element for key, element in zip(keys, value, strict=True))
    return value if same else Boxed(value, tuple(keys))


def value_of(key: object) -> Value:
    """The value that was stored under a key of `key_of`."""
    return key.value if type(key) is Boxed else key


def not_callable(value: Value) -> StarlarkError:
    """The error for a call of something else than a function."""
    return StarlarkError(f"{type_name(value)} is not callable")


def unhashable(value: Value) -> StarlarkError:
    """The error for a dict key or set element that can't be one."""
    hint = "use a tuple" if type(value) is List else ""
    return StarlarkError(f"unhashable type: {type_name(value)}", hint=hint)


class _Container:
    """What lists, dicts and sets share: when they may be changed."""

    __slots__ = ("frozen", "iterating")
    noun: ClassVar[str]

    def __init__(self) -> None:
        self.frozen = False
        self.iterating = 0

    def check_mutable(self, verb: str) -> None:
        """Raise unless the container may be changed now; `verb` is for the message."""
        if self.frozen:
            raise StarlarkError(
                f"cannot {verb} frozen {self.noun}",
                hint="values of a loaded file can't be changed; make a copy",
            )
        if self.iterating:
            raise StarlarkError(
                f"cannot {verb} {self.noun} during iteration", hint="iterate over a copy"
            )

    def __hash__(self) -> int:
        raise unhashable(self)

    def __eq__(self, other: object) -> bool:
        return self is other  # a program's == is `compare.equal`


@final
class List(_Container):
    """A Starlark list; hosts read `data` (or iterate) and change it by the methods."""

    __slots__ = ("data",)
    noun = "list"

    def __init__(self, data: list[Value] | None = None) -> None:
        super().__init__()
        self.data: list[Value] = [] if data is None else data

    def __len__(self) -> int:
        return len(self.data)

    def __iter__(self) -> Iterator[Value]:
        return iter(self.data) if self.frozen else guarded(self, self.data)

    def __getitem__(self, index: int) -> Value:
        return self.data[index]

    def __repr__(self) -> str:
        return f"List({self.data!r})"


@final
class Dict(_Container):
    """A Starlark dict, in the order of insertion; hosts use it as a mapping.

    `observer`, if set, hears of each change before it is made (key, new value, or None for a
    removal) and may refuse by raising; that is how `os.environ` can be live.
    """

    __slots__ = ("data", "observer")
    noun = "dict"

    def __init__(self, items: Iterable[tuple[Value, Value]] = ()) -> None:
        super().__init__()
        self.observer: Callable[[Value, Value | None], None] | None = None
        self.data: dict[object, Value] = {key_of(key): value for key, value in items}

    def __len__(self) -> int:
        return len(self.data)

    def keys(self) -> list[Value]:
        """The keys, in order."""
        return [key.value if type(key) is Boxed else key for key in self.data]

    def values(self) -> list[Value]:
        """The values, in order."""
        return list(self.data.values())

    def items(self) -> list[tuple[Value, Value]]:
        """Pairs of key and value, in order."""
        return list(zip(self.keys(), self.data.values(), strict=True))

    def __iter__(self) -> Iterator[Value]:
        return iter(self.keys()) if self.frozen else guarded(self, self.keys())

    def __contains__(self, key: Value) -> bool:
        return key_of(key) in self.data

    def __getitem__(self, key: Value) -> Value:
        return self.data[key_of(key)]

    def get(self, key: Value, default: Value = None) -> Value:
        """The value of a key, or the default."""
        return self.data.get(key_of(key), default)

    def __setitem__(self, key: Value, value: Value) -> None:
        self.check_mutable("insert into")
        if self.observer:
            self.observer(key, value)
        self.data[key_of(key)] = value

    def delete(self, key: Value) -> Value:
        """Remove a key that is there; returns its value."""
        self.check_mutable("delete from")
        if self.observer:
            self.observer(key, None)
        return self.data.pop(key_of(key))

    def clear(self) -> None:
        """Remove all keys."""
        self.check_mutable("clear")
        if self.observer:
            for key in self.keys():
                self.observer(key, None)
        self.data.clear()

    def __repr__(self) -> str:
        return f"Dict({self.items()!r})"


@final
class Set(_Container):
    """A Starlark set, in the order of insertion; `data` maps keys to nothing."""

    __slots__ = ("data",)
    noun = "set"

    def __init__(self, elements: Iterable[Value] = ()) -> None:
        super().__init__()
        self.data: dict[object, None] = dict.fromkeys(map(key_of, elements))

    @classmethod
    def of_keys(cls, keys: Iterable[object]) -> "Set":
        """A set of what `key_of` gave."""
        new = cls()
        new.data = dict.fromkeys(keys)
        return new

    def elements(self) -> list[Value]:
        """The elements, in order."""
        return [value_of(key) for key in self.data]

    def __len__(self) -> int:
        return len(self.data)

    def __iter__(self) -> Iterator[Value]:
        return iter(self.elements()) if self.frozen else guarded(self, self.elements())

    def __contains__(self, element: Value) -> bool:
        return key_of(element) in self.data

    def __repr__(self) -> str:
        return f"Set({self.elements()!r})"


def guarded(container: _Container, elements: Iterable[Value]) -> Iterator[Value]:
    """Iterate while the container refuses changes; a dropped iterator ends that at once."""
    container.iterating += 1
    try:
        yield from elements
    finally:
        container.iterating -= 1


class View(HostValue):
    """What `elems()` and its kin return: something to iterate, without a copy."""

    __slots__ = ("elements", "label", "method", "owner", "size")

    def __init__(
        self, owner: str | bytes, method: str, elements: Callable[[], Iterable[Value]], size: int
    ) -> None:
        self.owner = owner
        self.method = method
        self.elements = elements
        self.size = size

    def starlark_type(self) -> str:
        """`string.elems` and its like."""
        kind = "bytes" if isinstance(self.owner, bytes) else "string"
        return f"{kind}.{self.method}"

    def starlark_iter(self) -> Iterator[Value]:
        """The elements, made one by one."""
        return iter(self.elements())

    def starlark_len(self) -> int | None:
        """The number of bytes; code points have to be counted."""
        return self.size if self.method.startswith("elem") else None

    def __bool__(self) -> bool:
        return self.size > 0


_TYPE_NAMES: dict[type, str] = {
    type(None): "NoneType",
    bool: "bool",
    int: "int",
    float: "float",
    str: "string",
    bytes: "bytes",
    tuple: "tuple",
    range: "range",
    List: "list",
    Dict: "dict",
    Set: "set",
    types.MethodType: "builtin_function_or_method",
}


def type_name(value: Value) -> str:
    """What `type(value)` is in a program."""
    kind = kind_of(value)
    name = _TYPE_NAMES.get(kind)
    if name:
        return name
    if isinstance(value, HostValue):
        return value.starlark_type()
    if isinstance(value, types.FunctionType):
        return "function" if is_defined(value) else "builtin_function_or_method"
    return type(value).__name__


def is_defined(value: Value) -> TypeGuard[types.FunctionType]:
    """Whether the value is a function that a program defined."""
    return type(value) is types.FunctionType and THREAD in value.__globals__


def is_function(value: Value) -> bool:
    """Whether the value is a function that a program defined or a built-in one."""
    return type(value) in (types.FunctionType, types.MethodType)


def iterate(value: Value) -> Iterator[Value]:
    """What a loop over the value yields.

    Raises:
        StarlarkError: the value isn't iterable.
    """
    kind = kind_of(value)
    if kind is List or kind is Dict or kind is Set or kind is tuple or kind is range:
        return iter(value)
    if isinstance(value, HostValue) and (iterator := value.starlark_iter()) is not None:
        return iterator
    raise not_iterable(value)


def not_iterable(value: Value) -> StarlarkError:
    """The error for a loop over something else."""
    hint = "use x.elems() for its bytes or x.codepoints() for its characters"
    name = type_name(value)
    return StarlarkError(f"{name} value is not iterable", hint=hint if name == "string" else "")


def is_iterable(value: Value) -> bool:
    """Whether `iterate` would accept the value."""
    kind = kind_of(value)
    if kind is List or kind is Dict or kind is Set or kind is tuple or kind is range:
        return True
    return isinstance(value, HostValue) and value.starlark_iter() is not None


def elements(value: Value) -> list[Value]:
    """All that a loop over the value yields, as a new Python list of bounded size."""
    if type(value) is List:
        return value.data[:]
    if type(value) is range:
        check_size(len(value))
    return list(iterate(value))


def check_size(count: int, limit: int = MAX_ELEMENTS, noun: str = "elements") -> None:
    """Refuse a result before it takes all memory."""
    if count > limit:
        too_large(f"{count} {noun}")


def clamp(number: int) -> int:
    """A count or offset that Python's own methods accept; far beyond any size either way."""
    return min(max(number, -_FAR), _FAR)


def too_large(what: str) -> NoReturn:
    """Raise the error for a result that is refused for its size."""
    raise StarlarkError(f"result too large: {what}")


def freeze(root: Value) -> None:
    """Make a value and all that it holds unchangeable, functions' defaults and cells included."""
    seen: set[int] = set()
    stack: list[Value] = [root]
    while stack:
        value = stack.pop()
        if id(value) in seen:
            continue
        if isinstance(value, List):
            if not value.frozen:
                value.frozen = True
                stack.extend(value.data)
        elif isinstance(value, Dict):
            if not value.frozen:
                value.frozen = True
                stack.extend(map(value_of, value.data))
                stack.extend(value.data.values())
        elif isinstance(value, Set):
            value.frozen = True
        elif isinstance(value, HostValue):
            seen.add(id(value))
            value.starlark_freeze(stack.append)
        elif kind_of(value) is tuple:
            seen.add(id(value))
            stack.extend(value)
        elif is_defined(value):
            seen.add(id(value))
            stack.extend(_held(value))


def _held(function: types.FunctionType) -> list[Value]:
    held: list[Value] = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    for cell in function.__closure__ or ():
        try:
            held.append(cell.cell_contents)
        except ValueError:  # not assigned yet
            continue
    return held
