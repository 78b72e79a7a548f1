"""Methods of strings and bytes.

Offsets count bytes.  For ASCII, which is nearly every string, Python's own methods do the
work; other strings are searched as bytes.  Functions take the receiver first and are
positional only unless Starlark names their parameters.
"""

from collections.abc import Callable, Iterable
from typing import Any

from tiltd.starlark import formatting, text
from tiltd.starlark.errors import StarlarkError
from tiltd.starlark.values import (
    MAX_STRING,
    List,
    Value,
    View,
    check_size,
    clamp,
    is_iterable,
    iterate,
    kind_of,
    not_iterable,
    type_name,
)

STRING: dict[str, Callable[..., Value]] = {}
BYTES: dict[str, Callable[..., Value]] = {}


def _string(function: Callable[..., Value]) -> Callable[..., Value]:
    """Add a function to the methods of strings, under its name without the underscore."""
    name = function.__name__.strip("_")
    function.__name__ = name
    function.__qualname__ = f"string.{name}"
    STRING[name] = function
    return function


def _want(value: Value, kind: type, method: str, parameter: str) -> None:
    if type(value) is not kind:
        want = "string" if kind is str else kind.__name__
        raise StarlarkError(
            f"{method}: for parameter {parameter}: got {type_name(value)}, want {want}"
        )


def _bounds(start: Value, end: Value, method: str) -> slice:
    for bound, parameter in ((start, "start"), (end, "end")):
        if bound is not None:
            _want(bound, int, method, parameter)
    return slice(start, end)


def _search(method: str, s: str, sub: Value, start: Value, end: Value) -> tuple[Any, Any, int, int]:
    """Haystack and needle (both str or both bytes) and checked bounds from 0."""
    _want(sub, str, method, "sub")
    part = _bounds(start, end, method)
    plain = s.isascii() and sub.isascii()
    haystack: Any = s if plain else text.to_bytes(s)
    low, high, _ = part.indices(len(haystack))
    return haystack, sub if plain else text.to_bytes(sub), low, max(high, low)


@_string
def _find(s: str, sub: Value, start: Value = None, end: Value = None, /) -> int:
    haystack, needle, low, high = _search("find", s, sub, start, end)
    return int(haystack.find(needle, low, high))


@_string
def _rfind(s: str, sub: Value, start: Value = None, end: Value = None, /) -> int:
    haystack, needle, low, high = _search("rfind", s, sub, start, end)
    return int(haystack.rfind(needle, low, high))


@_string
def _index(s: str, sub: Value, start: Value = None, end: Value = None, /) -> int:
    return _found("index", _find(s, sub, start, end))


@_string
def _rindex(s: str, sub: Value, start: Value = None, end: Value = None, /) -> int:
    return _found("rindex", _rfind(s, sub, start, end))


def _found(method: str, offset: int) -> int:
    if offset < 0:
        raise StarlarkError(f"{method}: substring not found", hint="find() returns -1 instead")
    return offset


@_string
def _count(s: str, sub: Value, start: Value = None, end: Value = None, /) -> int:
    haystack, needle, low, high = _search("count", s, sub, start, end)
    return int(haystack.count(needle, low, high))


@_string
def _startswith(s: str, prefix: Value, start: Value = None, end: Value = None, /) -> bool:
    return _affix("startswith", s, prefix, _bounds(start, end, "startswith"), str.startswith)


@_string
def _endswith(s: str, suffix: Value, start: Value = None, end: Value = None, /) -> bool:
    return _affix("endswith", s, suffix, _bounds(start, end, "endswith"), str.endswith)


def _affix(
    method: str, s: str, affix: Value, part: slice, test: Callable[[str, str], bool]
) -> bool:
    if part.start is not None or part.stop is not None:
        s = s[part] if s.isascii() else text.from_bytes(text.to_bytes(s)[part])
    kind = kind_of(affix)
    affixes: Iterable[Value] = affix if kind is tuple else (affix,)
    for candidate in affixes:
        _want(candidate, str, method, "1")
    return any(test(s, candidate) for candidate in affixes)


@_string
def _strip(s: str, chars: Value = None, /) -> str:
    return s.strip(_cutset("strip", chars))


@_string
def _lstrip(s: str, chars: Value = None, /) -> str:
    return s.lstrip(_cutset("lstrip", chars))


@_string
def _rstrip(s: str, chars: Value = None, /) -> str:
    return s.rstrip(_cutset("rstrip", chars))


def _cutset(method: str, chars: Value) -> str | None:
    if chars is None:
        return None
    _want(chars, str, method, "chars")
    return str(chars)


@_string
def _removeprefix(s: str, prefix: Value, /) -> str:
    _want(prefix, str, "removeprefix", "prefix")
    return s.removeprefix(prefix)


@_string
def _removesuffix(s: str, suffix: Value, /) -> str:
    _want(suffix, str, "removesuffix", "suffix")
    return s.removesuffix(suffix)


@_string
def _split(s: str, sep: Value = None, maxsplit: Value = -1) -> List:
    return _splitting("split", s, sep, maxsplit, str.split)


@_string
def _rsplit(s: str, sep: Value = None, maxsplit: Value = -1) -> List:
    return _splitting("rsplit", s, sep, maxsplit, str.rsplit)


def _splitting(
    method: str,
    s: str,
    sep: Value,
    maxsplit: Value,
    split: Callable[[str, str | None, int], list[str]],
) -> List:
    if sep is not None:
        _want(sep, str, method, "sep")
        if not sep:
            raise StarlarkError(f"{method}: empty separator", hint="use elems() or codepoints()")
    _want(maxsplit, int, method, "maxsplit")
    return List(list[Value](split(s, sep, clamp(max(maxsplit, -1)))))


@_string
def _splitlines(s: str, keepends: Value = False, /) -> List:  # noqa: FBT002 - Starlark's signature
    _want(keepends, bool, "splitlines", "keepends")
    lines = s.split("\n")
    last = lines.pop()
    if keepends:
        lines = [f"{line}\n" for line in lines]
    return List([*lines, last] if last else list[Value](lines))


@_string
def _partition(s: str, sep: Value, /) -> tuple[str, str, str]:
    _separator("partition", sep)
    return s.partition(sep)


@_string
def _rpartition(s: str, sep: Value, /) -> tuple[str, str, str]:
    _separator("rpartition", sep)
    return s.rpartition(sep)


def _separator(method: str, sep: Value) -> None:
    _want(sep, str, method, "sep")
    if not sep:
        raise StarlarkError(f"{method}: empty separator")


@_string
def _replace(s: str, old: Value, new: Value, count: Value = -1, /) -> str:
    _want(old, str, "replace", "old")
    _want(new, str, "replace", "new")
    _want(count, int, "replace", "count")
    found = s.count(old) if count < 0 else min(s.count(old), count)
    check_size(len(s) + found * max(len(new) - len(old), 0), MAX_STRING, "characters")
    return text.joined(s.replace(old, new, clamp(max(count, -1))))


@_string
def _join(s: str, iterable: Value, /) -> str:
    if not is_iterable(iterable):
        raise not_iterable(iterable)
    parts = list(iterate(iterable))
    for part in parts:
        if type(part) is not str:
            raise StarlarkError(
                f"join: in list, want string, got {type_name(part)}", hint="convert with str(...)"
            )
    size = sum(map(len, parts)) + len(s) * len(parts)
    check_size(size, MAX_STRING, "characters")
    return text.joined(s.join(parts))


@_string
def _format(s: str, /, *args: Value, **kwargs: Value) -> str:
    return formatting.format_string(s, args, kwargs)


@_string
def _lower(s: str, /) -> str:
    return s.lower()


@_string
def _upper(s: str, /) -> str:
    return s.upper()


@_string
def _title(s: str, /) -> str:
    return s.title()


@_string
def _capitalize(s: str, /) -> str:
    return s.capitalize()


@_string
def _isalnum(s: str, /) -> bool:
    return s.isalnum()


@_string
def _isalpha(s: str, /) -> bool:
    return s.isalpha()


@_string
def _isdigit(s: str, /) -> bool:
    return s.isdecimal()


@_string
def _islower(s: str, /) -> bool:
    return s.islower()


@_string
def _isupper(s: str, /) -> bool:
    return s.isupper()


@_string
def _isspace(s: str, /) -> bool:
    return s.isspace()


@_string
def _istitle(s: str, /) -> bool:
    return s.istitle()


@_string
def _elems(s: str, /) -> View:
    data = text.to_bytes(s)

    def elements() -> Iterable[str]:
        return s if s.isascii() else (text.from_bytes(data[i : i + 1]) for i in range(len(data)))

    return View(s, "elems", elements, len(data))


@_string
def _elem_ords(s: str, /) -> View:
    data = text.to_bytes(s)
    return View(s, "elem_ords", lambda: data, len(data))


@_string
def _codepoints(s: str, /) -> View:
    return View(s, "codepoints", lambda: s, len(s))


@_string
def _codepoint_ords(s: str, /) -> View:
    return View(s, "codepoint_ords", lambda: map(ord, s), len(s))


def _bytes_elems(b: bytes, /) -> View:
    return View(b, "elems", lambda: b, len(b))


_bytes_elems.__name__, _bytes_elems.__qualname__ = "elems", "bytes.elems"
BYTES["elems"] = _bytes_elems
