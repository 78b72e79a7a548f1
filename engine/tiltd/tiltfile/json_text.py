"""JSON as `decode_json`, `encode_json` and tilt_config.json mean it.

Tilt reads a number with a dot as a float and any other as a 64-bit integer, so `3e2` is an error;
it writes sorted keys, two spaces, a last line's end, and escapes what HTML would mistake.
"""

import json
from typing import Any, NoReturn, cast

_INT64 = range(-(2**63), 2**63)
_HTML: dict[str, str | int | None] = {
    "<": "\\u003c",
    ">": "\\u003e",
    "&": "\\u0026",
    "\u2028": "\\u2028",
    "\u2029": "\\u2029",
}


class JsonError(ValueError):
    """Text that is no JSON; `line` and `column` count from 1, 0 is "not known"."""

    def __init__(self, reason: str, line: int = 0, column: int = 0) -> None:
        super().__init__(f"line {line}, column {column}: {reason}" if line else reason)
        self.reason = reason
        self.line = line
        self.column = column


def decode(text: str) -> Any:
    """Read one JSON value.

    Raises:
        JsonError: with line and column where they are known.
    """
    try:
        return json.loads(text, parse_int=_integer, parse_float=_fraction, parse_constant=_constant)
    except json.JSONDecodeError as error:
        reason = "more than one JSON value" if error.msg == "Extra data" else error.msg
        raise JsonError(reason[:1].lower() + reason[1:], error.lineno, error.colno) from error
    except RecursionError as error:
        raise JsonError("it is nested too deeply") from error


def encode(value: Any) -> str:
    """Write plain data, keys sorted, indented by two."""
    text = json.dumps(_as_go(value), indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return text.translate(str.maketrans(_HTML)) + "\n"


def _integer(text: str) -> int:
    value = int(text)
    if value not in _INT64:
        raise JsonError(f"the number {text} does not fit into 64 bits")
    return value


def _fraction(text: str) -> float:
    if "." not in text:
        raise JsonError(f"{text} is no integer and no number with a dot")
    return float(text)


def _constant(text: str) -> NoReturn:
    raise JsonError(f"{text} is no JSON value")


def _as_go(value: Any) -> Any:
    # Go writes a float without a fraction as an integer.
    match value:
        case float() if value.is_integer() and abs(value) < 10**21:
            return int(value)
        case dict():
            mapping = cast("dict[str, object]", value)
            return {key: _as_go(item) for key, item in mapping.items()}
        case list():
            return [_as_go(item) for item in cast("list[object]", value)]
        case _:
            return value
