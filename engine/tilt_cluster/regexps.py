r"""Regular expressions of schemas: Go's syntax (RE2), matched by Python's `re`.

The two agree on most of what people write.  What Go refuses is refused; what only Go has (`\pL`,
flags in the middle) can't be matched here, which is told where the schema is written.
"""

import functools
import re

_CLASSES = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "ascii": r"\x00-\x7F",
    "blank": r"\t ",
    "cntrl": r"\x00-\x1F\x7F",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": r"!-/:-@\[-`{-~",
    "space": r"\t\n\v\f\r ",
    "upper": "A-Z",
    "word": "0-9A-Za-z_",
    "xdigit": "0-9A-Fa-f",
}
_MOST = 1000
_REPEAT = re.compile(r"\{(\d+)(?:,(\d*))?\}")
_POSIX = re.compile(r"\[:(\w+):\]")
_FOREIGN = re.compile(r"\(\?(?:=|!|<=|<!|>|#|\(|P=|P>)")


class RefusedError(ValueError):
    """Go can't read it either; the text is Go's reason."""


class ForeignError(ValueError):
    """Go can read it, Python can't."""


@functools.lru_cache(maxsize=4096)
def compiled(pattern: str) -> re.Pattern[str]:
    """What matches as Go would.

    Raises:
        RefusedError: it is no regular expression of Go's.
        ForeignError: it is none of Python's.
    """
    text = _Translation(pattern).run()
    try:
        return re.compile(text, re.ASCII)
    except re.error as error:
        raise ForeignError(str(error)) from error
    except (OverflowError, RecursionError) as error:
        raise ForeignError("it is too large") from error


def matches(pattern: str, text: str) -> bool:
    """Whether it matches somewhere; what can't be matched here counts as matching."""
    try:
        return compiled(pattern).search(text) is not None
    except (RefusedError, ForeignError):
        return True


class _Translation:
    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0
        self._out: list[str] = []

    def run(self) -> str:
        while self._at < len(self._pattern):
            match self._pattern[self._at]:
                case "\\":
                    self._escape(in_class=False)
                case "[":
                    self._class()
                case "(":
                    self._group()
                case "{":
                    self._repeat()
                case "$" if not self._pattern.startswith("(?m"):
                    self._put(1, r"\Z")
                case one:
                    self._put(1, one)
        return "".join(self._out)

    def _put(self, size: int, text: str) -> None:
        self._at += size
        self._out.append(text)

    def _refuse(self, why: str, what: str) -> RefusedError:
        return RefusedError(f"error parsing regexp: {why}: `{what}`")

    def _escape(self, *, in_class: bool) -> None:
        if self._at + 1 >= len(self._pattern):
            raise RefusedError("error parsing regexp: trailing backslash at end of expression: ``")
        one = self._pattern[self._at + 1]
        if one == "z" and not in_class:
            self._put(2, r"\Z")
        elif one == "Q" and not in_class:
            literal, _, _ = self._pattern[self._at + 2 :].partition(r"\E")
            ended = self._pattern.startswith(r"\E", self._at + 2 + len(literal))
            self._put(2 + len(literal) + 2 * ended, re.escape(literal))
        elif one in "pP":
            raise ForeignError(f"\\{one} is Go's only")
        elif one in "123456789ZGhHRXKNuU" or (in_class and one in "AbBz"):
            raise self._refuse("invalid escape sequence", f"\\{one}")
        elif one == "x" and self._pattern.startswith("{", self._at + 2):
            digits, _, _ = self._pattern[self._at + 3 :].partition("}")
            self._put(4 + len(digits), re.escape(chr(int(digits, 16))))
        else:
            self._put(2, f"\\{one}")

    def _class(self) -> None:
        start = self._at
        self._put(1, "[")
        if self._pattern.startswith("^", self._at):
            self._put(1, "^")
        first = True
        while self._at < len(self._pattern):
            one = self._pattern[self._at]
            posix = _POSIX.match(self._pattern, self._at)
            if posix and posix[1] in _CLASSES:
                self._put(len(posix[0]), _CLASSES[posix[1]])
            elif one == "]" and not first:
                self._put(1, "]")
                return
            elif one == "\\":
                self._escape(in_class=True)
            else:
                # Python warns of sets in sets, which neither of the two has.
                self._put(1, f"\\{one}" if one in "[]&~|" else one)
            first = False
        raise self._refuse("missing closing ]", self._pattern[start:])

    def _group(self) -> None:
        foreign = _FOREIGN.match(self._pattern, self._at)
        if foreign:
            raise self._refuse("invalid or unsupported Perl syntax", foreign[0])
        if self._pattern.startswith("(?<", self._at):
            self._put(3, "(?P<")
        else:
            self._put(1, "(")

    def _repeat(self) -> None:
        found = _REPEAT.match(self._pattern, self._at)
        if found is None:
            self._put(1, r"\{")
            return
        if max(int(found[1]), int(found[2] or 0)) > _MOST:
            raise self._refuse("invalid repeat count", found[0])
        self._put(len(found[0]), found[0])
