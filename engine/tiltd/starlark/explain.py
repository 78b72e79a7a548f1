"""CPython's own errors in a running program, said in Starlark's words.

Native calls and native name lookups fail with Python's exceptions.  Their wording is Python's,
so this module knows it; a message that it doesn't know is a bug of ours or of the host, and is
left as it is.
"""

import re
from collections.abc import Callable

from tiltd.starlark.errors import StarlarkError

_CALLEE = r"(?P<callee>.+?)\(\) "
_TYPES = {
    "str": "string",
    "List": "list",
    "Dict": "dict",
    "Set": "set",
    "method": "builtin_function_or_method",
}


def explain(error: Exception) -> StarlarkError | None:
    """The user's error behind an exception of Python's own, if it is one."""
    match error:
        case RecursionError():
            return StarlarkError(
                "stack overflow: too many nested calls",
                hint="look for a function that calls itself",
            )
        case MemoryError():
            return StarlarkError("out of memory")
        case NameError():
            return _unassigned(str(error))
        case TypeError():
            return _wrong_call(str(error))
        case _:
            return None


def _unassigned(message: str) -> StarlarkError | None:
    name = re.search(r"'([^']+)'", message)
    if not name:
        return None
    kind = "global" if message.startswith("name ") else "local"
    return StarlarkError(f"{kind} variable {name[1]} referenced before assignment")


def _wrong_call(message: str) -> StarlarkError | None:
    for pattern, say in _CALLS:
        if match := pattern.fullmatch(message):
            return StarlarkError(say(match))
    return None


def _name(match: re.Match[str]) -> str:
    callee = match["callee"].rpartition(".<locals>.")[2]
    return "lambda" if callee == "<lambda>" else callee.rpartition(".")[2]


def _receiver(match: re.Match[str]) -> int:
    """1 if the callee is a method of ours: Python counts the receiver as an argument."""
    return int("." in match["callee"].rpartition(".<locals>.")[2])


def _too_many(match: re.Match[str]) -> str:
    most = int(match["most"]) - _receiver(match)
    got = int(match["got"]) - _receiver(match)
    amount = "at most" if match["least"] else "exactly" if most else "no"
    wanted = f"{amount} {most}" if most else "none"
    return f"{_name(match)}: got {got} positional arguments, want {wanted}"


def _missing(match: re.Match[str]) -> str:
    names = re.findall(r"'([^']+)'", match["names"])
    plural = "s" if len(names) > 1 else ""
    return f"{_name(match)}: missing {len(names)} argument{plural} ({', '.join(names)})"


def _not_callable(match: re.Match[str]) -> str:
    return f"{_TYPES.get(match['type'], match['type'])} is not callable"


_CALLS: list[tuple[re.Pattern[str], Callable[[re.Match[str]], str]]] = [
    (re.compile(_CALLEE + r"missing \d+ required .*arguments?: (?P<names>.+)"), _missing),
    (
        re.compile(
            _CALLEE + r"takes (?:from (?P<least>\d+) to )?(?P<most>\d+) positional arguments? "
            r"but (?P<got>\d+)(?: positional arguments? .*)? (?:was|were) given"
        ),
        _too_many,
    ),
    (
        re.compile(_CALLEE + r"got an unexpected keyword argument '(?P<name>[^']*)'.*"),
        lambda match: f'{_name(match)}: unexpected keyword argument "{match["name"]}"',
    ),
    (
        re.compile(
            r"(?P<callee>.+?)(?:\(\))? got multiple values for (?:keyword )?argument '(?P<name>.*)'"
        ),
        lambda match: f'{_name(match)}: got multiple values for parameter "{match["name"]}"',
    ),
    (
        re.compile(
            _CALLEE
            + r"got some positional-only arguments passed as keyword arguments: (?P<names>.+)"
        ),
        lambda match: f"{_name(match)}: {match['names'].strip(chr(39))} can't be passed by name",
    ),
    (re.compile(r"'(?P<type>.+)' object is not callable"), _not_callable),
]
