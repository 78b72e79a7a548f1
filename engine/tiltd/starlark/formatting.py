"""`"..." % x` and `"...".format(...)`: the small part of Python's that Starlark has.

Neither reaches into a value: there are no fields, no indices, no widths.
"""

import math
import re
from typing import Any

from tiltd.starlark import text
from tiltd.starlark.errors import StarlarkError
from tiltd.starlark.values import MAX_STRING, Dict, Value, check_size, kind_of, type_name

_CONVERSION = re.compile(r"%(?:(%)|(?:\((?P<key>[^)]*)\))?(?P<letter>[\s\S])?)")
_MAX_RUNE = 0x10FFFF


def interpolate(format_: str, operand: Value) -> str:
    """`format_ % operand`.

    Raises:
        StarlarkError: the format is wrong, or the operand doesn't fit it.
    """
    arguments: tuple[Value, ...] = operand if kind_of(operand) is tuple else (operand,)
    parts: list[str] = []
    end = used = size = 0
    for match in _CONVERSION.finditer(format_):
        parts.append(format_[end : match.start()])
        end = match.end()
        if match[1]:
            parts.append("%")
            continue
        if match["key"] is not None:
            argument = _keyed(operand, match["key"])
        elif used >= len(arguments):
            raise StarlarkError("not enough arguments for format string")
        else:
            argument = arguments[used]
        used += 1
        parts.append(_convert(match["letter"], argument, format_[match.start() : end + 4]))
        size += len(parts[-1])
        check_size(size, MAX_STRING, "characters")
    if used < len(arguments):
        raise StarlarkError("too many arguments for format string")
    return text.joined("".join((*parts, format_[end:])))


def _keyed(operand: Value, key: str) -> Value:
    if not isinstance(operand, Dict):
        raise StarlarkError(f"%({key}) needs a dict, not {type_name(operand)}")
    if key not in operand:
        raise StarlarkError(f"key not found: {key}")
    return operand[key]


def _convert(letter: str | None, value: Value, shown: str) -> str:
    match letter:
        case "s":
            return text.to_str(value)
        case "r":
            return text.to_repr(value)
        case "d" | "i":
            return str(_integer(letter, value))
        case "x" | "X" | "o":
            return format(_integer(letter, value), letter)
        case "e" | "f" | "g" | "E" | "F" | "G":
            return _float(letter, value)
        case "c":
            return _character(value)
        case "%":
            return "%"
        case None:
            raise StarlarkError("incomplete format: it ends in %")
        case _:
            raise StarlarkError(
                f"unknown conversion %{letter} in {shown!r}",
                hint="width, precision and flags are not Starlark; write %% for a percent sign",
            )


def _integer(letter: str, value: Value) -> int:
    if type(value) is float and math.isfinite(value):
        return int(value)
    if type(value) is not int:
        raise StarlarkError(f"%{letter} format requires integer, not {type_name(value)}")
    return value


def _float(letter: str, value: Value) -> str:
    if type(value) not in (int, float):
        raise StarlarkError(f"%{letter} format requires float, not {type_name(value)}")
    try:
        number = float(value)
    except OverflowError:
        raise StarlarkError("int too large to convert to float") from None
    if not math.isfinite(number):
        return text.float_text(number)
    if letter == "g":
        return text.float_text(number)
    return text.float_text(number).upper() if letter == "G" else f"%{letter}" % number


def _character(value: Value) -> str:
    if type(value) is int:
        return character(value)
    if type(value) is str and len(value) == 1:
        return value
    raise StarlarkError(
        f"%c format requires int or single-character string, not {type_name(value)}"
    )


def character(code: int) -> str:
    """The string of one Unicode code point.

    Raises:
        StarlarkError: there is no such character.
    """
    if not 0 <= code <= _MAX_RUNE or 0xD800 <= code <= 0xDFFF:  # noqa: PLR2004 - surrogates
        raise StarlarkError(f"{code} is no Unicode code point")
    return chr(code)


def format_string(template: str, args: tuple[Value, ...], kwargs: dict[str, Value]) -> str:
    """`template.format(*args, **kwargs)`.

    Raises:
        StarlarkError: the template is wrong, or lacks an argument.
    """
    parts: list[str] = []
    fields = _Fields(args, kwargs)
    index = size = 0
    while index < len(template):
        char = template[index]
        if char not in "{}":
            end = next((i for i in range(index, len(template)) if template[i] in "{}"), None)
            parts.append(template[index:end])
            index = len(template) if end is None else end
            continue
        if template[index : index + 2] == char * 2:
            parts.append(char)
            index += 2
            continue
        if char == "}":
            raise StarlarkError("format: single '}' in format", hint="write }} for a brace")
        end = template.find("}", index)
        if end < 0:
            raise StarlarkError("format: unmatched '{' in format", hint="write {{ for a brace")
        parts.append(fields.field(template[index + 1 : end]))
        size += len(parts[-1])
        check_size(size, MAX_STRING, "characters")
        index = end + 1
    return text.joined("".join(parts))


class _Fields:
    """Replacement fields of one template; they are either all numbered or none is."""

    def __init__(self, args: tuple[Value, ...], kwargs: dict[str, Value]) -> None:
        self.args = args
        self.kwargs = kwargs
        self.automatic = 0
        self.manual = False

    def field(self, field: str) -> str:
        if "{" in field:
            raise StarlarkError("format: nested replacement fields not supported")
        name, bang, conversion = field.partition("!")
        if bang:
            conversion, _, spec = conversion.partition(":")
        else:
            name, _, spec = name.partition(":")
        if spec:
            raise StarlarkError(
                f"format: format spec features not supported in replacement fields: {spec}",
                hint="widths and alignments are not Starlark",
            )
        value = self.argument(name)
        if not bang or conversion == "s":
            return text.to_str(value)
        if conversion == "r":
            return text.to_repr(value)
        raise StarlarkError(f"format: unknown conversion !{conversion}", hint="!s and !r exist")

    def argument(self, name: str) -> Any:
        if not name:
            if self.manual:
                raise StarlarkError("format: cannot switch from manual to automatic numbering")
            self.automatic += 1
            return self.positional(self.automatic - 1)
        if name.isdecimal() and name.isascii():
            if self.automatic:
                raise StarlarkError("format: cannot switch from automatic to manual numbering")
            self.manual = True
            return self.positional(int(name[:9]))
        for sign, what in ((".", "attribute"), ("[", "element"), (",", "tuple")):
            if sign in name:
                raise StarlarkError(
                    f"format: {what} syntax is not supported in replacement fields: {name}",
                    hint="pass the value itself",
                )
        if name not in self.kwargs:
            raise StarlarkError(f"format: keyword {name} not found")
        return self.kwargs[name]

    def positional(self, index: int) -> Any:
        if index >= len(self.args):
            raise StarlarkError(f"format: {{{index}}} has no argument, got {len(self.args)}")
        return self.args[index]
