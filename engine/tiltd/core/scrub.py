"""Take secret values out of text before anyone sees it.

A secret shows up in logs as it is, or in base64: that of the whole value, as `kubectl get -o yaml`
prints it, or inside a longer text, as in `Authorization: Basic`, where its bytes begin at any of
three offsets and only the characters in the middle are its own.  Of a value of several lines each
line counts, since a log is made of lines.

What is shorter than four characters is left alone: it is no secret, and `1` and `no` would turn
the whole log into placeholders.  All forms make one regular expression, longest first, so that a
value that begins with another one is taken whole.
"""

import base64
import re
from collections.abc import Iterable, Mapping

_SHORTEST = 4
_SHORTEST_LINE = 8
_SHORTEST_INNER = 8
_ARMOUR = "-----"
_UNPRINTABLE = re.compile("[\ud800-\udfff]")


class Scrubber:
    """Replaces secret values; a value itself, safe to share between threads.

    Args:
        secrets: by value, the name to show (`db:password`); empty for none.

    Attributes:
        forms: every text that it replaces.
    """

    def __init__(self, secrets: Mapping[str, str] | None = None) -> None:
        names: dict[str, str] = {}
        for value, name in (secrets or {}).items():
            for form in _forms(value):
                names.setdefault(form, name)
        self._names = names
        self.forms = frozenset(names)
        longest_first = sorted(names, key=lambda form: (-len(form), form))
        self._regex = re.compile("|".join(map(re.escape, longest_first))) if names else None
        self._starts = frozenset(form[0] for form in names)
        self._longest = max(map(len, names), default=0)

    @classmethod
    def of(cls, values: Iterable[str]) -> "Scrubber":
        """A scrubber for values without names."""
        return cls(dict.fromkeys(values, ""))

    def knows_all_of(self, other: "Scrubber") -> bool:
        """Whether what `other` replaces, this one replaces too."""
        return self.forms >= other.forms

    def scrub(self, text: str) -> str:
        """The text with `[redacted secret NAME]` in the place of each secret, and printable."""
        return printable(self._regex.sub(self._placeholder, text) if self._regex else text)

    def safe_length(self, text: str) -> int:
        """How much of `text` may be cut off and scrubbed alone, more text being on its way.

        What follows may be the first part of a secret.
        """
        if not self._regex:
            return len(text)
        whole = [found.span() for found in self._regex.finditer(text)]
        start = max(0, len(text) - self._longest + 1)
        for at in range(start, len(text)):
            if text[at] in self._starts and any(f.startswith(text[at:]) for f in self._names):
                inside = next((begin for begin, end in whole if begin < at < end), at)
                return min(at, inside)
        return len(text)

    def _placeholder(self, found: re.Match[str]) -> str:
        name = self._names[found[0]]
        return f"[redacted secret {name}]" if name else "[redacted secret]"


def printable(text: str) -> str:
    """The text with a mark in the place of each byte that is no UTF-8 (PEP 383), as Go writes it.

    A command may print such bytes, and a file may hold them; whoever is told of them can't.
    """
    return text if text.isascii() else _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def _forms(value: str) -> set[str]:
    """Every text that gives `value` away."""
    plain = {value, value.strip()}
    lines = value.splitlines()
    if len(lines) > 1:
        plain |= {
            line
            for line in map(str.strip, lines)
            if len(line) >= _SHORTEST_LINE and not line.startswith(_ARMOUR)
        }
    plain = {form for form in plain if len(form) >= _SHORTEST and "\n" not in form}
    if len(value) < _SHORTEST:
        return plain
    whole = {form for form in (value, value.strip()) if len(form) >= _SHORTEST}
    return plain.union(*(_base64_forms(form) for form in whole))


def _base64_forms(value: str) -> set[str]:
    data = value.encode(errors="surrogateescape")
    forms: set[str] = set()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        padded = encode(data).decode()
        forms |= {padded, padded.rstrip("=")}
        for offset in range(3):
            # A character stands for six bits: those that touch a neighbour's bits are not ours.
            first = -(-offset * 8 // 6)
            last = (offset + len(data)) * 8 // 6
            inner = encode(b"\0" * offset + data).decode()[first:last]
            if len(inner) >= _SHORTEST_INNER:
                forms.add(inner)
    return forms
