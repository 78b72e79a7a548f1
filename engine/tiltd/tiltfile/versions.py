"""`version_settings(constraint=)`: ranges of semantic versions, as `blang/semver` reads them.

`<0.30.0`, `>=0.13.2 <1.0.0` (and), `<1.0.0 || >2.0.0` (or), `1.2.x`, `!=1.0.0`, `=` or nothing for
equality.
"""

import re
from collections.abc import Callable

from tiltd.tiltfile.mistakes import Mistake

COMPATIBLE = "0.37.6"
"""The version of Tilt whose Tiltfile API this is; what constraints are compared with."""

Version = tuple[int, int, int]
_TERM = re.compile(r"(>=|<=|==|!=|>|<|=|!|)\s*v?(\d+|[xX*])(?:\.(\d+|[xX*]))?(?:\.(\d+|[xX*]))?")
_TESTS: dict[str, Callable[[Version, Version, Version], bool]] = {
    # A term with wildcards stands for the versions from its lowest up to its next.
    ">=": lambda v, low, _: v >= low,
    ">": lambda v, _, after: v >= after,
    "<": lambda v, low, _: v < low,
    "<=": lambda v, _, after: v < after,
    "=": lambda v, low, after: low <= v < after,
    "!=": lambda v, low, after: not low <= v < after,
}
_SPELLINGS = {"": "=", "==": "=", "!": "!="}


def satisfies(constraint: str, version: str = COMPATIBLE) -> bool:
    """Whether `version` is in the range.

    Raises:
        Mistake: `constraint` is no range.
    """
    major, minor, patch = (int(part) for part in version.split("."))
    alternatives = [part.strip() for part in constraint.split("||")]
    answers = [_all_terms(part, (major, minor, patch), constraint) for part in alternatives]
    return any(answers)


def _all_terms(text: str, version: Version, whole: str) -> bool:
    terms = re.findall(r"(?:>=|<=|==|!=|>|<|=|!)?\s*[^\s<>=!]+", text)
    if not terms or "".join("".join(terms).split()) != "".join(text.split()):
        raise _bad(whole)
    answers = [_term(term, version, whole) for term in terms]
    return all(answers)


def _term(text: str, version: Version, whole: str) -> bool:
    match = _TERM.fullmatch(text.strip())
    if not match:
        raise _bad(whole)
    numbers = [int(part) if part and part.isdigit() else None for part in match.groups()[1:]]
    low = (numbers[0] or 0, numbers[1] or 0, numbers[2] or 0)
    operator = _SPELLINGS.get(match[1], match[1])
    return _TESTS[operator](version, low, _after(numbers, low))


def _after(numbers: list[int | None], low: Version) -> Version:
    if numbers[0] is None:
        return (2**31, 0, 0)
    if numbers[1] is None:
        return (low[0] + 1, 0, 0)
    if numbers[2] is None:
        return (low[0], low[1] + 1, 0)
    return (low[0], low[1], low[2] + 1)


def _bad(text: str) -> Mistake:
    return Mistake(
        f"{text!r} is no version constraint",
        hint="write comparisons such as '>=0.30.0' or '>=0.30.0 <1.0.0'",
    )
