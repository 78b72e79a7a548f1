"""Resource quantities, exact, and written as Kubernetes writes them.

`500m` plus `1.5` is `2`, `100Mi` plus `1Gi` is `1124Mi`: a sum keeps the kind of suffix that its
first part has (k8s.io/apimachinery, `resource.Quantity`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

_DECIMAL = ("n", "u", "m", "", "k", "M", "G", "T", "P", "E")
_EXPONENTS = tuple(f"e{power}" if power else "" for power in range(-9, 19, 3))
_BINARY = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_KILO, _KIBI = 1000, 1024
_LEAST = Fraction(1, _KILO**3)
_MOST = Fraction(2**63 - 1)
_EXACT = 18
"""Digits up to which Kubernetes reckons with integers."""
_TEXT = re.compile(
    r"(?P<sign>[+-]?)(?P<whole>\d*)(?:\.(?P<part>\d*))?"
    r"(?P<suffix>|[numkMGTPE]|[KMGTPE]i|[eE][+-]?\d+)",
    re.ASCII,
)
_FACTORS: Mapping[str, Fraction] = {
    **{unit: Fraction(_KILO) ** (at - 3) for at, unit in enumerate(_DECIMAL)},
    **{unit: Fraction(_KIBI**at) for at, unit in enumerate(_BINARY) if at},
}


@dataclass(frozen=True, slots=True)
class Quantity:
    """An amount; `binary`: written with Ki, Mi …; `exponent`: as `1e3`."""

    value: Fraction
    binary: bool = False
    exponent: bool = False

    def __add__(self, other: "Quantity") -> "Quantity":
        """The sum."""
        like = self if self.value else other
        return Quantity(self.value + other.value, like.binary, like.exponent)

    def __sub__(self, other: "Quantity") -> "Quantity":
        """The difference."""
        like = self if self.value else other
        return Quantity(self.value - other.value, like.binary, like.exponent)

    def __str__(self) -> str:
        """The canonical form: a whole number with the largest suffix for which there is one."""
        value = _up(self.value, _LEAST)
        whole = value.denominator == 1
        if self.binary and whole and abs(value) >= _KIBI:
            return _scaled(int(value), _KIBI, _BINARY)
        return _scaled(int(value / _LEAST), _KILO, _EXPONENTS if self.exponent else _DECIMAL)


ZERO = Quantity(Fraction(0))
ONE = Quantity(Fraction(1))


def _scaled(number: int, step: int, units: tuple[str, ...]) -> str:
    if number == 0:
        return "0"
    at = 0
    while at + 1 < len(units) and number % step == 0:
        number //= step
        at += 1
    return f"{number}{units[at]}"


def parse(value: Any) -> Quantity:
    """A quantity as it stands in JSON; zero for none.

    Raises:
        ValueError: it is none.
    """
    found = _TEXT.fullmatch(str(value or 0).strip())
    if found is None:
        raise ValueError(f"{value!r} is no quantity")
    suffix = found["suffix"]
    number = Fraction(f"{found['sign']}0{found['whole']}.{found['part'] or ''}0")
    if suffix[:1] in ("e", "E") and suffix not in _FACTORS:
        return Quantity(number * Fraction(10) ** int(suffix[1:]), exponent=True)
    number *= _FACTORS[suffix]
    if suffix.endswith("i"):
        return Quantity(max(-_MOST, min(number, _MOST)), binary=True)
    return Quantity(number)


def canonical(value: Any, *, milli: bool = False) -> str:
    """A quantity as the API server keeps it: `1000m` is `1`, `1024Mi` is `1Gi`, 0.5 is `500m`.

    A text that needs no other suffix stays as it is, even if it is unusual (`+1`, `1.100`).

    Args:
        value: as it stands in JSON.
        milli: round up to thousandths, as in lists of resources.

    Raises:
        ValueError: it is none.
    """
    text = str(value).strip()
    if _stays(text, -3 if milli else -9):
        return text
    found = parse(text)
    step = Fraction(1, _KILO) if milli else _LEAST
    return str(replace(found, value=_up(found.value, step)))


def _stays(text: str, finest: int) -> bool:
    found = _TEXT.fullmatch(text)
    whole = found["whole"].lstrip("0") if found else ""
    if found is None or not whole:
        return False
    part, suffix = found["part"] or "", found["suffix"]
    digits = int(whole + part)
    if suffix.endswith("i"):
        return not part and digits % _KIBI != 0 and abs(parse(text).value) < _MOST
    power = 3 * (_DECIMAL.index(suffix) - 3) if suffix in _DECIMAL else int(suffix[1:])
    scale = power - len(part)
    short = len(whole) + len(part) <= _EXACT
    return short and scale >= finest and scale % 3 == 0 and digits % _KILO != 0


def _up(value: Fraction, step: Fraction) -> Fraction:
    """Rounded away from zero."""
    number = -(-abs(value) // step)
    return (-number if value < 0 else number) * step


def listed(amounts: Mapping[str, Quantity]) -> str:
    """As admission names them in its refusals."""
    return ",".join(f"{key}={amounts[key]}" for key in sorted(amounts))
