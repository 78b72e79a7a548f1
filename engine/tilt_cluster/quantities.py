"""Resource quantities, exact, and written as Kubernetes writes them.

`500m` plus `1.5` is `2`, `100Mi` plus `1Gi` is `1124Mi`: a sum keeps the kind of suffix that its
first part has (k8s.io/apimachinery, `resource.Quantity`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

_DECIMAL = ("n", "u", "m", "", "k", "M", "G", "T", "P", "E")
_BINARY = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_KILO, _KIBI = 1000, 1024
_LEAST = Fraction(1, _KILO**3)
_FACTORS: Mapping[str, Fraction] = {
    **{unit: Fraction(_KILO) ** (at - 3) for at, unit in enumerate(_DECIMAL)},
    **{unit: Fraction(_KIBI**at) for at, unit in enumerate(_BINARY) if at},
}


@dataclass(frozen=True, slots=True)
class Quantity:
    """An amount; `binary`: written with Ki, Mi …"""

    value: Fraction
    binary: bool = False

    def __add__(self, other: "Quantity") -> "Quantity":
        """The sum."""
        return Quantity(self.value + other.value, (self if self.value else other).binary)

    def __sub__(self, other: "Quantity") -> "Quantity":
        """The difference."""
        return Quantity(self.value - other.value, (self if self.value else other).binary)

    def __str__(self) -> str:
        """The canonical form: a whole number with the largest suffix for which there is one."""
        value = -(-self.value // _LEAST) * _LEAST  # what is finer than `n` is rounded up
        whole = value.denominator == 1
        if self.binary and whole and abs(value) >= _KIBI:
            return _scaled(int(value), _KIBI, _BINARY)
        return _scaled(int(value / _LEAST), _KILO, _DECIMAL)


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
    text = str(value or 0)
    number = text.rstrip("numkKMGTPEi")
    suffix = text[len(number) :]
    if suffix not in _FACTORS or not number:
        return Quantity(Fraction(text))
    return Quantity(Fraction(number) * _FACTORS[suffix], suffix.endswith("i"))


def listed(amounts: Mapping[str, Quantity]) -> str:
    """As admission names them in its refusals."""
    return ",".join(f"{key}={amounts[key]}" for key in sorted(amounts))
