r"""A Dockerfile as instructions, each word knowing where it stands in the file.

Reads what BuildKit's own parser reads: directives (`# escape=`, `# syntax=`), comments and blank
lines inside a continued line, heredocs, flags in front of the arguments.  The continued line is
put together from pieces of the file, and a map from its characters to the file's goes along; so a
word can be replaced in the file without disturbing a line.  `expand` is the word expansion of the
Dockerfile reference: quotes, `$A`, `${A:-b}`, `${A:+b}`, `${A:?why}`, `${A#b}`, `${A%b}`,
`${A/b/c}`.
"""

import dataclasses
import functools
import re
from collections.abc import Iterator, Mapping

_DIRECTIVE = re.compile(r"#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*")
_DIRECTIVES = frozenset({"syntax", "escape", "check"})
_HEREDOC = re.compile(r"\d*<<(-?)\s*([^<\s]+)")
_MAY_HOLD_HEREDOCS = frozenset({"RUN", "COPY", "ADD"})
_BLANKS = " \t\v\f\r"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MODIFIER = re.compile(r":[-+?]|##|%%|//|[-+?#%/]")


class DockerfileError(ValueError):
    """A Dockerfile that can't be understood.

    Args:
        line: counted from 1.
        reason: one sentence without a full stop.
        hint: what to do, empty where the reason says it.
    """

    def __init__(self, line: int, reason: str, hint: str = "") -> None:
        super().__init__(f"line {line}: {reason}" + (f"; {hint}" if hint else ""))
        self.line = line
        self.reason = reason
        self.hint = hint


@dataclasses.dataclass(frozen=True, slots=True)
class Word:
    """A word as written, quotes included, and its place in the file's text."""

    text: str
    start: int
    end: int


@dataclasses.dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction.  An ONBUILD is the instruction that it holds, with `onbuild` set."""

    keyword: str
    line: int
    flags: tuple[Word, ...]
    arguments: tuple[Word, ...]
    heredocs: tuple[str, ...] = ()
    onbuild: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Dockerfile:
    """All instructions of a file, its escape character and its `# syntax=`."""

    instructions: tuple[Instruction, ...]
    escape: str
    syntax: str | None
    syntax_line: int


@dataclasses.dataclass(frozen=True, slots=True)
class _Line:
    number: int
    start: int
    text: str


@dataclasses.dataclass(frozen=True, slots=True)
class _Logical:
    """A continued line in one piece, and for each of its characters the place in the file."""

    number: int
    text: str
    places: tuple[int, ...]


@functools.lru_cache(maxsize=1024)
def parse(text: str) -> Dockerfile:
    """Read a Dockerfile; remembered, as it is asked for again by each who wants to know of it.

    Raises:
        DockerfileError: a directive is wrong, or there is no instruction.
    """
    lines = _lines(text)
    directives = _directives(lines)
    escape, escape_line = directives.get("escape", ("\\", 1))
    if escape not in {"\\", "`"}:
        raise DockerfileError(
            escape_line, f"escape={escape} is not possible", r"choose \ or the backquote"
        )
    syntax, syntax_line = directives.get("syntax", (None, 0))
    instructions = tuple(_instructions(lines, escape))
    if not instructions:
        raise DockerfileError(1, "the Dockerfile has no instruction", "begin with FROM")
    return Dockerfile(instructions, escape, syntax, syntax_line)


def expand(word: str, variables: Mapping[str, str], escape: str, line: int) -> str:
    """`word` with its quotes removed and its variables replaced; what is not set is empty.

    Args:
        word: as written.
        variables: by name.
        escape: the Dockerfile's escape character.
        line: for errors.

    Raises:
        DockerfileError: a `${` is malformed or never closed, or `${A:?why}` finds nothing.
    """
    return _Expansion(word, variables, escape, line).until("")


def _lines(text: str) -> list[_Line]:
    lines: list[_Line] = []
    start = 1 if text.startswith("\ufeff") else 0
    for number, line in enumerate(text[start:].split("\n"), start=1):
        lines.append(_Line(number, start, line.removesuffix("\r")))
        start += len(line) + 1
    return lines


def _directives(lines: list[_Line]) -> dict[str, tuple[str, int]]:
    """Those at the top; the first line that is none, a comment too, ends them."""
    found: dict[str, tuple[str, int]] = {}
    for line in lines:
        match = _DIRECTIVE.fullmatch(line.text)
        if match is None or (name := match[1].lower()) not in _DIRECTIVES:
            break
        if name in found:
            raise DockerfileError(line.number, f"a second {name} directive", "keep one of them")
        found[name] = (match[2], line.number)
    return found


def _instructions(lines: list[_Line], escape: str) -> Iterator[Instruction]:
    index = 0
    while index < len(lines):
        logical, index = _logical(lines, index, escape)
        if words := _words(logical, escape):
            heredocs, index = _heredocs(words, lines, index)
            yield _instruction(words, heredocs, logical.number)


def _logical(lines: list[_Line], index: int, escape: str) -> tuple[_Logical, int]:
    """The line at `index` with all its continuations, and the index of the line after it.

    A comment or an empty line within is skipped and does not end it (as in Docker); a doubled
    escape character at the end of a line continues nothing.
    """
    continued = re.compile(rf"(?:^|[^{re.escape(escape)}]){re.escape(escape)}[ \t]*$")
    characters: list[str] = []
    places: list[int] = []
    first = lines[index].number
    begun = False
    while index < len(lines):
        line = lines[index]
        index += 1
        bare = line.text.lstrip(_BLANKS)
        if bare.startswith("#") or not bare:
            if begun:
                continue
            break
        goes_on = continued.search(line.text)
        text = line.text.rstrip(" \t")[:-1] if goes_on else line.text
        characters.append(text)
        places.extend(range(line.start, line.start + len(text)))
        begun = True
        if not goes_on:
            break
    return _Logical(first, "".join(characters), tuple(places)), index


def _words(logical: _Logical, escape: str) -> list[Word]:
    """Split at blanks outside quotes; a quote that is never closed holds all that follows."""
    words: list[Word] = []
    begin: int | None = None
    quote = ""
    skip = False
    for at, character in enumerate(logical.text):
        if begin is None and character not in _BLANKS:
            begin = at
        if skip:
            skip = False
        elif character == escape and quote != "'":
            skip = True
        elif quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif begin is not None and character in _BLANKS:
            words.append(_word(logical, begin, at))
            begin = None
    if begin is not None:
        words.append(_word(logical, begin, len(logical.text.rstrip(_BLANKS))))
    return words


def _word(logical: _Logical, begin: int, end: int) -> Word:
    return Word(logical.text[begin:end], logical.places[begin], logical.places[end - 1] + 1)


def _instruction(words: list[Word], heredocs: tuple[str, ...], line: int) -> Instruction:
    keyword = words[0].text.upper()
    if keyword == "ONBUILD" and len(words) > 1:
        return dataclasses.replace(_instruction(words[1:], heredocs, line), onbuild=True)
    count = 1
    while count < len(words) and words[count].text.startswith("--") and words[count].text != "--":
        count += 1
    return Instruction(keyword, line, tuple(words[1:count]), tuple(words[count:]), heredocs)


def _heredocs(words: list[Word], lines: list[_Line], index: int) -> tuple[tuple[str, ...], int]:
    """The names of the heredocs that a line opens, and the index after the last one's end.

    A name that no later line repeats opens nothing: it may be an arithmetic shift.
    """
    keywords = [word.text.upper() for word in words[:2]]
    if not _MAY_HOLD_HEREDOCS.intersection(keywords[1:] if keywords[0] == "ONBUILD" else keywords):
        return (), index
    names: list[str] = []
    for word in words:
        if match := _HEREDOC.fullmatch(word.text):
            name = match[2].replace('"', "").replace("'", "")
            end = _heredoc_end(name, lines, index, tabs=bool(match[1]))
            if end is not None:
                names.append(name)
                index = end
    return tuple(names), index


def _heredoc_end(name: str, lines: list[_Line], index: int, *, tabs: bool) -> int | None:
    for at in range(index, len(lines)):
        if (lines[at].text.lstrip("\t") if tabs else lines[at].text) == name:
            return at + 1
    return None


class _Expansion:
    """One word's expansion: a cursor over its text."""

    def __init__(self, text: str, variables: Mapping[str, str], escape: str, line: int) -> None:
        self._text = text
        self._variables = variables
        self._escape = escape
        self._line = line
        self._at = 0

    def until(self, stops: str) -> str:
        """Expand up to one of the characters `stops`, which is left for the caller."""
        out: list[str] = []
        quoted = False
        while self._at < len(self._text):
            character = self._text[self._at]
            if character in stops and not quoted:
                break
            self._at += 1
            if character == '"':
                quoted = not quoted
            elif character == "'" and not quoted:
                out.append(self._single_quoted())
            elif character == self._escape:
                out.append(self._escaped(quoted=quoted))
            elif character == "$":
                out.append(self._variable())
            else:
                out.append(character)
        return "".join(out)

    def _single_quoted(self) -> str:
        end = self._text.find("'", self._at)
        if end < 0:
            raise DockerfileError(self._line, f"a quote is never closed in {self._text}")
        inside = self._text[self._at : end]
        self._at = end + 1
        return inside

    def _escaped(self, *, quoted: bool) -> str:
        character = self._text[self._at : self._at + 1]
        self._at += 1
        # Inside double quotes only these lose their escape character.
        keeps = quoted and character not in {'"', "$", self._escape}
        return self._escape + character if keeps else character

    def _variable(self) -> str:
        braced = self._text.startswith("{", self._at)
        match = _NAME.match(self._text, self._at + braced)
        if match is None:
            if braced:
                raise DockerfileError(
                    self._line, f"no variable's name follows '${{' in {self._text}"
                )
            return "$"
        self._at = match.end()
        if not braced:
            return self._variables.get(match[0], "")
        value = self._modified(match[0])
        if not self._text.startswith("}", self._at):
            raise DockerfileError(self._line, f"'${{' is never closed in {self._text}")
        self._at += 1
        return value

    def _modified(self, name: str) -> str:
        match = _MODIFIER.match(self._text, self._at)
        value = self._variables.get(name, "")
        if match is None:
            return value
        self._at = match.end()
        modifier = match[0]
        if modifier in {"/", "//"}:
            return self._replaced(value, everywhere=modifier == "//")
        word = self.until("}")
        if modifier in {"#", "##"}:
            return _cut(value, word, longest=modifier == "##")
        if modifier in {"%", "%%"}:
            return _cut(value[::-1], word[::-1], longest=modifier == "%%")[::-1]
        present = bool(value) or (name in self._variables and not modifier.startswith(":"))
        if modifier.endswith("+"):
            return word if present else ""
        if modifier.endswith("?") and not present:
            raise DockerfileError(self._line, f"{name}: {word or 'not set'}")
        return value if present else word

    def _replaced(self, value: str, *, everywhere: bool) -> str:
        pattern = self.until("/}")
        replacement = ""
        if self._text.startswith("/", self._at):
            self._at += 1
            replacement = self.until("}")
        return re.sub(
            _glob(pattern, longest=True), lambda _: replacement, value, count=0 if everywhere else 1
        )


def _cut(value: str, pattern: str, *, longest: bool) -> str:
    match = re.match(_glob(pattern, longest=longest), value, re.DOTALL)
    return value[match.end() :] if match else value


def _glob(pattern: str, *, longest: bool) -> str:
    star = ".*" if longest else ".*?"
    return "".join({"*": star, "?": "."}.get(c, re.escape(c)) for c in pattern)
