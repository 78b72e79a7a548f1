"""`config.define_*` and `config.parse`: a project's own settings.

Values come from `tilt_config.json` beside the Tiltfile and, over them, from what follows `--` on
the command line, in the manner of Go's flags: `--name value`, `--name=value`, a lone `--flag` for
a boolean, repeated `--name` for a list, everything else for the one setting that takes positional
arguments.  A setting that nobody gives is absent from the result.
"""

import dataclasses
import difflib
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import Any, cast

from tiltd.tiltfile import json_text
from tiltd.tiltfile.mistakes import Mistake

FILE = "tilt_config.json"


class Kind(Enum):
    """What a setting holds; the value is its name in messages."""

    STRING = "string"
    BOOL = "bool"
    STRING_LIST = "list of strings"
    OBJECT = "object"


@dataclasses.dataclass(frozen=True, slots=True)
class Definition:
    """One `config.define_…` call; `positional` is its `args=True`."""

    name: str
    kind: Kind
    positional: bool = False
    usage: str = ""


_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})


def parse(
    definitions: Mapping[str, Definition], args: Sequence[str], file: Mapping[str, Any]
) -> dict[str, Any]:
    """The settings that are given, by name.

    Args:
        definitions: by name.
        args: the command line after `--`.
        file: the checked content of `tilt_config.json`.

    Raises:
        Mistake: the arguments don't fit.
    """
    values = dict(file)
    given: dict[str, Any] = {}
    for name, text in _assignments(definitions, args):
        _set(given, definitions[name], text)
    return values | given


def read_file(text: str, path: str, definitions: Mapping[str, Definition]) -> dict[str, Any]:
    """The content of `tilt_config.json`.

    Raises:
        Mistake: it is no JSON object, or its settings are unknown or of another type.
    """
    try:
        content = json_text.decode(text)
    except json_text.JsonError as error:
        raise Mistake(f"{path} is no JSON: {error}") from error
    if not isinstance(content, dict):
        raise Mistake(f"{path} must hold one JSON object")
    values: dict[str, Any] = {}
    for name, value in cast("dict[str, Any]", content).items():
        if name not in definitions:
            raise Mistake(f"{path} has the unknown setting {name!r}", hint=_near(name, definitions))
        kind = definitions[name].kind
        if value is None and kind is Kind.OBJECT:
            continue
        if not _fits(kind, value):
            raise Mistake(
                f"{path}: the setting {name!r} must be a {kind.value}, not {_type_name(value)}"
            )
        values[name] = value
    return values


def _assignments(
    definitions: Mapping[str, Definition], args: Sequence[str]
) -> Iterator[tuple[str, str]]:
    positional = next((d.name for d in definitions.values() if d.positional), None)
    rest = list(args)
    while rest:
        word = rest.pop(0)
        if word == "--":
            yield from ((_positional(positional, args, w), w) for w in rest)
            return
        if word.startswith("--"):
            yield _flag(definitions, word, rest)
        elif word.startswith("-") and word != "-":
            raise Mistake(f"unknown flag {word}", hint=_usage(definitions))
        else:
            yield _positional(positional, args, word), word


def _flag(definitions: Mapping[str, Definition], word: str, rest: list[str]) -> tuple[str, str]:
    name, equals, text = word[2:].partition("=")
    definition = definitions.get(name)
    if not definition or definition.positional:
        raise Mistake(f"unknown flag --{name}", hint=_usage(definitions))
    if equals:
        return name, text
    if definition.kind is Kind.BOOL:
        return name, "true"
    if not rest:
        raise Mistake(f"the flag --{name} needs a value", hint=_usage(definitions))
    return name, rest.pop(0)


def _positional(name: str | None, args: Sequence[str], word: str) -> str:
    if name is None:
        raise Mistake(
            f"the argument {word!r} is not expected (of: {' '.join(args)})",
            hint="give one of the config.define_… calls args=True to take such arguments",
        )
    return name


def _set(values: dict[str, Any], definition: Definition, text: str) -> None:
    name = definition.name
    if definition.kind is Kind.STRING_LIST:
        values.setdefault(name, []).append(text)
        return
    if name in values:
        raise Mistake(f"the setting {name!r} is given more than once, and takes one value")
    values[name] = _value(definition, text)


def _value(definition: Definition, text: str) -> Any:
    match definition.kind:
        case Kind.BOOL:
            if text not in _TRUE | _FALSE:
                raise Mistake(f"the setting {definition.name!r} takes true or false, not {text!r}")
            return text in _TRUE
        case Kind.OBJECT:
            try:
                return json_text.decode(text)
            except json_text.JsonError as error:
                raise Mistake(
                    f"the setting {definition.name!r} takes JSON, not {text!r}: {error}"
                ) from error
        case Kind.STRING | Kind.STRING_LIST:
            return text


def _fits(kind: Kind, value: Any) -> bool:
    match kind:
        case Kind.BOOL:
            return isinstance(value, bool)
        case Kind.STRING:
            return isinstance(value, str)
        case Kind.STRING_LIST:
            return _is_texts(value)
        case Kind.OBJECT:
            return True


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(item, str) for item in cast("list[object]", value)
    )


def _type_name(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a bool"
        case str():
            return "a string"
        case int() | float():
            return "a number"
        case list():
            return "a list"
        case _:
            return "an object"


def _near(name: str, definitions: Mapping[str, Definition]) -> str:
    close = difflib.get_close_matches(name, definitions, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    known = ", ".join(sorted(definitions))
    return f"the settings are: {known}" if known else "no config.define_… call defines a setting"


def _usage(definitions: Mapping[str, Definition]) -> str:
    flags = [d for d in definitions.values() if not d.positional]
    if not flags:
        return "no flags are defined"
    lines = [f"  --{d.name}  {d.usage}".rstrip() for d in sorted(flags, key=lambda d: d.name)]
    return "\n".join(["the flags are:", *lines])
