"""Values as text: `str`, `repr`, numbers, and strings as the bytes that they are.

Printing keeps its own path of open containers, shows one that contains itself as `[...]`,
and is bounded in depth and size, because a list of lists of lists can be small in memory and
endless in print.
"""

import math
import types
from typing import Any

from tiltd.starlark.errors import StarlarkError
from tiltd.starlark.values import (
    MAX_STRING,
    Boxed,
    Dict,
    HostValue,
    List,
    Set,
    Value,
    View,
    is_defined,
    kind_of,
    too_large,
    type_name,
)

_MAX_PARTS = 1 << 20
_MAX_DEPTH = 2000
_LARGEST_PLAIN_EXPONENT = 6
_SMALLEST_PLAIN_EXPONENT = -4
_ESCAPES = {
    '"': '\\"', "\\": "\\\\", "\a": "\\a", "\b": "\\b", "\f": "\\f",
    "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v",
}  # fmt: skip
_BMP = 0xFFFF


def to_bytes(string: str) -> bytes:
    """The bytes of a string."""
    return string.encode("utf-8", "surrogateescape")


def from_bytes(data: bytes) -> str:
    """The string of some bytes, whether or not they are UTF-8."""
    return data.decode("utf-8", "surrogateescape")


def joined(string: str) -> str:
    """A concatenation, with characters that were split into bytes made whole again."""
    return string if string.isascii() else from_bytes(to_bytes(string))


def float_text(number: float) -> str:
    """As Go's %g with a point or exponent always present."""
    if not math.isfinite(number):
        return "nan" if math.isnan(number) else "+inf" if number > 0 else "-inf"
    mantissa, _, exponent_text = f"{number!r}".partition("e")
    sign, mantissa = ("-", mantissa[1:]) if mantissa[0] == "-" else ("", mantissa)
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    if not digits:
        return sign + "0.0"
    point = len(whole) + int(exponent_text or 0)
    point -= len(whole + fraction) - len((whole + fraction).lstrip("0"))
    digits = digits.rstrip("0")
    exponent = point - 1
    if exponent < _SMALLEST_PLAIN_EXPONENT or exponent >= _LARGEST_PLAIN_EXPONENT:
        rest = f".{digits[1:]}" if len(digits) > 1 else ""
        return f"{sign}{digits[0]}{rest}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
    if point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    return f"{sign}{digits[:point].ljust(point, '0')}.{digits[point:] or '0'}"


def quote(string: str) -> str:
    """A string literal for the string, in double quotes."""
    if string.isascii() and string.isprintable() and '"' not in string and "\\" not in string:
        return f'"{string}"'
    return '"' + "".join(map(_escape, string)) + '"'


def _escape(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # noqa: PLR2004 - the range of surrogate escapes
        return f"\\x{code - 0xDC00:02x}"
    if char.isprintable():
        return char
    if char.isascii():
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= _BMP else f"\\U{code:08x}"


def _quote_bytes(data: bytes) -> str:
    chars = (_ESCAPES.get(chr(b), chr(b)) if 0x20 <= b < 0x7F or chr(b) in _ESCAPES  # noqa: PLR2004 - ASCII
             else f"\\x{b:02x}" for b in data)  # fmt: skip
    return f'b"{"".join(chars)}"'


def to_str(value: Value) -> str:
    """`str(value)`."""
    kind = kind_of(value)
    if kind is str:
        return str(value)
    if kind is bytes:
        return bytes(value).decode("utf-8", "replace")
    if isinstance(value, HostValue) and not isinstance(value, View):
        return value.starlark_str()
    return to_repr(value)


def to_repr(value: Value) -> str:
    """`repr(value)`.

    Raises:
        StarlarkError: the value is nested too deeply, or its text is too large.
    """
    printer = _Printer()
    printer.write(value)
    return "".join(printer.parts)


class _Printer:
    def __init__(self) -> None:
        self.parts: list[str] = []
        self.size = 0
        self.path: list[Value] = []

    def write(self, value: Value) -> None:
        kind = kind_of(value)
        if kind is str:
            self.add(quote(value))
        elif kind is tuple:
            self.sequence("(", value, ",)" if len(value) == 1 else ")", value)
        elif isinstance(value, List):
            self.sequence("[", value.data, "]", value)
        elif isinstance(value, Set):
            self.sequence("set([", value.elements(), "])", value)
        elif isinstance(value, Dict):
            self.mapping(value)
        elif isinstance(value, Boxed):
            self.write(value.value)
        else:
            self.add(_simple(value))

    def add(self, part: str) -> None:
        self.parts.append(part)
        self.size += len(part)
        if len(self.parts) > _MAX_PARTS or self.size > MAX_STRING:
            too_large("the text of a value")

    def opened(self, value: Value) -> bool:
        """Enter a container; False if it is being printed already."""
        if any(value is outer for outer in self.path):
            return False
        if len(self.path) > _MAX_DEPTH:
            raise StarlarkError("value nested too deeply to be printed")
        self.path.append(value)
        return True

    def sequence(self, start: str, elements: Any, end: str, value: Value) -> None:
        if not self.opened(value):
            self.add(f"{start}...{end}")
            return
        self.add(start)
        for index, element in enumerate(elements):
            if index:
                self.add(", ")
            self.write(element)
        self.add(end)
        self.path.pop()

    def mapping(self, value: Dict) -> None:
        if not self.opened(value):
            self.add("{...}")
            return
        self.add("{")
        for index, (key, element) in enumerate(value.items()):
            if index:
                self.add(", ")
            self.write(key)
            self.add(": ")
            self.write(element)
        self.add("}")
        self.path.pop()


def _simple(value: Value) -> str:
    match value:
        case None | int():
            return str(value)
        case float():
            return float_text(value)
        case bytes():
            return _quote_bytes(value)
        case range():
            return _range_text(value)
        case View():
            return f"{to_repr(value.owner)}.{value.method}()"
        case HostValue():
            return value.starlark_repr()
        case types.MethodType():
            owner = type_name(value.__self__)
            return f"<built-in method {value.__name__} of {owner} value>"
        case types.FunctionType() if is_defined(value):
            return f"<function {function_name(value.__name__)}>"
        case _:
            return f"<built-in function {value.__name__}>"


def function_name(name: str) -> str:
    """How a Python function's name is shown."""
    return "lambda" if name == "<lambda>" else name


def _range_text(value: range) -> str:
    if value.step != 1:
        return f"range({value.start}, {value.stop}, {value.step})"
    return f"range({value.start}, {value.stop})" if value.start else f"range({value.stop})"
