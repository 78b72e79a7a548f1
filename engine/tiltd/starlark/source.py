r"""Starlark text made fit for Python's parser, and refused where only Starlark would refuse it.

`ast` does the parsing, but its tokenizer differs from Starlark's in a few places, which
one scan over the tokens settles first:

- indentation counts a tab to the next multiple of 8; Python refuses mixtures, so leading
  white space becomes spaces, and the scan remembers by how much each line has moved;
- CRLF and CR are newlines; a byte order mark is dropped; broken UTF-8 is allowed in comments;
- adjacent string literals don't join, escapes are a closed set, `\x80` and above need `\u`,
  and there are no prefixes but r, b and rb;
- `0755` and `1_000` aren't numbers; `@`, `:=`, `->`, `**=`, `...` aren't operators;
- `async`, `await`, `assert` and `nonlocal`'s kin: the first three are plain names here, so
  they travel through Python's parser under a disguise of the same length.

The scan also bounds how deep the text can nest.  Python's parser and compiler recurse in C,
where depth costs stack that nobody checks; nothing deeper than `MAX_NESTING` reaches them.
"""

import bisect
import dataclasses
import re
from typing import NoReturn

from tiltd.starlark.errors import Position, StarlarkSyntaxError

MAX_NESTING = 1500
"""Levels of expressions and of `elif`; far above what people write, far below any crash."""
_MAX_INDENTS = 99
_TAB = 8

_TOKEN = re.compile(
    r"""
      (?P<space>[ \t]+)
    | (?P<comment>\#[^\n]*)
    | (?P<newline>\n)
    | (?P<continuation>\\\n)
    | (?P<string>(?P<prefix>[A-Za-z]{0,2})(?P<quote>\"\"\"|'''|\"|')(?=(?P<rest>[\s\S]?)))
    | (?P<number>(?:0[xX][0-9a-fA-F]+|0[oO][0-7]+|0[bB][01]+
        |(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?))
    | (?P<name>[^\W\d]\w*)
    | (?P<op>//=|<<=|>>=|\*\*|//|<<|>>|[=!<>]=|[-+*/%&|^]=|[-+*/%&|^~<>=.,;:()\[\]{}])
    | (?P<bad>[\s\S])
    """,
    re.VERBOSE,
)
_LONG_BODY = {
    quote: re.compile(rf"(?:[^\\{quote[0]}]|\\[\s\S]|{quote[0]}(?!{quote[1:]}))*{quote}")
    for quote in ('"""', "'''")
}
_SHORT_BODY = {quote: re.compile(rf"(?:[^\\\n{quote}]|\\[\s\S])*{quote}") for quote in ('"', "'")}
_ESCAPE = re.compile(
    r"\\(?:(?P<plain>[abfnrtv\\'\"\n])|(?P<octal>[0-7]{1,3})|x(?P<hex>[0-9a-fA-F]{2})"
    r"|u(?P<u4>[0-9a-fA-F]{4})|U(?P<u8>[0-9a-fA-F]{8})|(?P<bad>[\s\S]))"
)
_RESERVED = {
    "as": "name it otherwise",
    "class": "use struct(...) or a dict",
    "del": "use d.pop(key), or assign None",
    "except": "errors can't be caught in Starlark; check before you call",
    "finally": "errors can't be caught in Starlark",
    "from": 'use load("file", "name")',
    "global": "functions can't assign globals; return the value, or change a list or dict",
    "import": 'use load("file", "name")',
    "is": "use ==",
    "nonlocal": "change a list or dict of the outer function instead",
    "raise": "use fail(...)",
    "try": "errors can't be caught in Starlark; check before you call",
    "with": "there are no context managers in Starlark",
    "yield": "there are no generators in Starlark; build a list",
}
_DISGUISES = {"async": "asyn\u0441", "await": "aw\u0430it", "assert": "\u0430ssert"}
_REVEALED = {disguise: name for name, disguise in _DISGUISES.items()}
_NESTING_WORDS = frozenset({"not", "lambda", "if", "else", "and", "or", "in", "for"})
_FIRST_SURROGATE, _LAST_SURROGATE = "\ud800", "\udfff"
_MAX_ASCII = 0x7F
_MAX_BYTE = 0xFF
_MAX_RUNE = 0x10FFFF


def reveal(name: str) -> str:
    """The name as the user wrote it, for one that came out of Python's parser."""
    return _REVEALED.get(name, name)


@dataclasses.dataclass(frozen=True, slots=True)
class Columns:
    """Where Python's columns (UTF-8 bytes, after re-indentation) are in the user's text.

    `odd` holds only the lines on which the two differ: how many columns the line has moved
    to the right, and its text after that.
    """

    odd: dict[int, tuple[int, str]]

    def column(self, line: int, byte: int) -> int:
        """The user's column, from 1, of a byte offset from 0 in a line from 1."""
        if line not in self.odd:
            return byte + 1
        shift, text = self.odd[line]
        return max(len(text.encode()[:byte].decode(errors="replace")) - shift, 0) + 1


@dataclasses.dataclass(frozen=True, slots=True)
class Source:
    """Text that Python's parser may read, and the way back from its positions."""

    file: str
    text: str
    columns: Columns

    def position(self, line: int, byte: int) -> Position:
        """The user's position of a node (Python's `lineno` and `col_offset`)."""
        return Position(self.file, line, self.columns.column(line, byte))


def normalise(source: bytes | str, file: str) -> Source:
    """Scan and normalise a program.

    Args:
        source: the text, or its bytes in UTF-8.
        file: the file's name in messages.

    Raises:
        StarlarkSyntaxError: the text has tokens that Starlark has not.
    """
    if isinstance(source, bytes):
        source = source.decode("utf-8", "surrogateescape")
    text = source.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    return _Scanner(text, file).scan()


class _Scanner:
    """One pass over the tokens; `out` is the text for Python, piece by piece."""

    def __init__(self, text: str, file: str) -> None:
        self.text = text
        self.file = file
        self.starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self.out: list[str] = []
        self.shifts: dict[int, int] = {}
        self.chain = [0]  # how deep the expression may be, per open bracket
        self.lambdas = 0
        self.elifs: dict[int, int] = {}
        self.indents = [0]
        self.indent = 0
        self.line_start = True
        self.after_string = False

    def fail(self, offset: int, message: str, hint: str = "") -> NoReturn:
        line = bisect.bisect_right(self.starts, offset)
        column = offset - self.starts[line - 1] + 1
        raise StarlarkSyntaxError(Position(self.file, line, column), message, hint=hint)

    def scan(self) -> Source:
        offset, end = 0, len(self.text)
        match_at = _TOKEN.match
        while offset < end:
            if self.line_start:
                offset = self.indentation(offset)
                if offset >= end:
                    break
            token = match_at(self.text, offset)
            if token is None or token.lastgroup is None:  # pragma: no cover
                self.fail(offset, "unexpected text")  # `bad` matches whatever else doesn't
            offset = self.token(token, offset)
        text = "".join(self.out)
        return Source(self.file, text, self.columns(text))

    def columns(self, text: str) -> Columns:
        if text.isascii() and not self.shifts:
            return Columns({})
        return Columns(
            {
                number: (self.shifts.get(number, 0), line)
                for number, line in enumerate(text.split("\n"), 1)
                if number in self.shifts or not line.isascii()
            }
        )

    def indentation(self, offset: int) -> int:
        """Replace the white space that opens a logical line."""
        self.line_start = False
        width, start = 0, offset
        while offset < len(self.text) and self.text[offset] in " \t":
            width += 1 if self.text[offset] == " " else _TAB - width % _TAB
            offset += 1
        self.out.append(" " * width)
        if width != offset - start:
            line = bisect.bisect_right(self.starts, start)
            self.shifts[line] = width - (offset - start)
        self.indent = width
        if offset < len(self.text) and self.text[offset] not in "#\n":
            self.open_statement(offset)
        return offset

    def open_statement(self, offset: int) -> None:
        while self.indents[-1] > self.indent:
            self.elifs.pop(self.indents.pop(), None)
        if self.indents[-1] < self.indent:
            self.indents.append(self.indent)
            if len(self.indents) > _MAX_INDENTS:
                self.fail(offset, "too many levels of indentation", "move a part to a function")
        if self.text.startswith("elif", offset):
            self.elifs[self.indent] = self.elifs.get(self.indent, 0) + 1
            if sum(self.elifs.values()) > MAX_NESTING:
                self.fail(offset, "too many elif branches", "use a dict")
        elif not self.text.startswith("else", offset):
            self.elifs.pop(self.indent, None)

    def token(self, token: re.Match[str], offset: int) -> int:
        """Check one token, append what Python shall read, return where the next one starts."""
        match token.lastgroup:
            case "space" | "continuation":
                self.out.append(token[0])
                return token.end()
            case "comment":
                self.out.append(re.sub("[\ud800-\udfff]", "?", token[0]))
                return token.end()
            case "newline":
                self.newline()
                return token.end()
            case "name":
                self.name(token[0], offset)
            case "number":
                self.number(token[0], offset)
            case "op":
                self.operator(token[0], offset)
            case "bad":
                self.bad(token[0], offset)
            case _:
                return self.string(token, offset)
        return token.end()

    def newline(self) -> None:
        self.out.append("\n")
        if len(self.chain) == 1:
            self.chain[0] = self.lambdas = 0
            self.line_start = True
            self.after_string = False

    def deepen(self, offset: int, levels: int = 1) -> None:
        self.chain[-1] += levels
        if self.chain[-1] + self.lambdas > MAX_NESTING or (
            len(self.chain) > 1 and sum(self.chain) + self.lambdas > MAX_NESTING
        ):
            self.fail(offset, "expression nested too deeply", "split it up with variables")

    def name(self, name: str, offset: int) -> None:
        if name in _RESERVED:
            self.fail(offset, f"{name} is a reserved word", _RESERVED[name])
        if name in _NESTING_WORDS:
            self.deepen(offset)
            self.lambdas += name == "lambda"
        self.after_string = False
        self.out.append(_DISGUISES.get(name, name))

    def number(self, number: str, offset: int) -> None:
        if number[0] == "0" and number.isdigit() and number.strip("0"):
            self.fail(offset, "obsolete form of octal literal", f"write 0o{number.lstrip('0')}")
        self.out.append(number)
        following = self.text[offset + len(number) : offset + len(number) + 1]
        if following == "_" or following.isalpha():
            # "1if x" is legal but unreadable, "1_000" and "1j" are Python's own.
            hint = "write it without _" if following == "_" else "separate them with a space"
            self.fail(offset + len(number), f"number followed by {following}", hint)
        self.after_string = False

    def operator(self, operator: str, offset: int) -> None:
        self.after_string = False
        self.out.append(operator)
        match operator:
            case "(" | "[" | "{":
                self.deepen(offset)
                self.chain.append(0)
            case ")" | "]" | "}":
                if len(self.chain) > 1:
                    self.chain.pop()
            case "," | "=":
                self.chain[-1] = 0
            case ";":
                self.chain[-1] = self.lambdas = 0
            case ":":
                following = self.text[offset + 1 : offset + 2]
                if following == "=":
                    self.fail(offset, ":= is not Starlark", "assign on a line of its own")
            case _:
                self.deepen(offset)

    def bad(self, char: str, offset: int) -> None:
        match char:
            case "@":
                self.fail(offset, "unexpected character @", "decorators are not Starlark")
            case "!":
                self.fail(offset, "unexpected character !", "write not x")
            case "\\":
                self.fail(offset, "stray backslash", "it may only end a line")
            case _ if _FIRST_SURROGATE <= char <= _LAST_SURROGATE:
                self.fail(offset, "the text is not valid UTF-8", "save the file as UTF-8")
            case _:
                self.fail(offset, f"unexpected character {char!r}")

    def string(self, token: re.Match[str], offset: int) -> int:
        if self.after_string:
            self.fail(
                offset, "adjacent string literals don't join", "put + between them, or a comma"
            )
        prefix, quote = token["prefix"], token["quote"]
        if prefix not in {"", "r", "b", "rb"}:
            hint = "use format() or %" if "f" in prefix.lower() else "only r, b and rb exist"
            self.fail(offset, f"unknown string prefix {prefix}", hint)
        body_start = offset + len(prefix) + len(quote)
        bodies = _LONG_BODY if len(quote) > 1 else _SHORT_BODY
        body = bodies[quote].match(self.text, body_start)
        if body is None:
            self.fail(offset, "unterminated string", f"end it with {quote}")
        content = self.text[body_start : body.end() - len(quote)]
        if "r" not in prefix and "\\" in content:
            self.escapes(content, body_start, is_bytes="b" in prefix)
        if not content.isascii():
            self.encoding(content, body_start, is_bytes="b" in prefix)
        self.out.append(self.text[offset : body.end()])
        self.after_string = True
        return body.end()

    def encoding(self, content: str, start: int, *, is_bytes: bool) -> None:
        for index, char in enumerate(content):
            if _FIRST_SURROGATE <= char <= _LAST_SURROGATE:
                self.fail(start + index, "the text is not valid UTF-8", "save the file as UTF-8")
            if is_bytes and not char.isascii():
                self.fail(start + index, "non-ASCII character in bytes", "use escapes like \\xff")

    def escapes(self, content: str, start: int, *, is_bytes: bool) -> None:
        for match in _ESCAPE.finditer(content):
            at = start + match.start()
            if match["plain"]:
                continue
            if match["bad"]:
                self.fail(at, f"invalid escape sequence {match[0]}", f"write \\{match[0]}")
            if match["u4"] or match["u8"]:
                self.rune(match[0], int(match["u4"] or match["u8"], 16), at, is_bytes=is_bytes)
                continue
            code = int(match["octal"], 8) if match["octal"] else int(match["hex"], 16)
            if (code > _MAX_ASCII and not is_bytes) or code > _MAX_BYTE:
                self.fail(at, f"non-ASCII escape {match[0]}", f"write \\u{code:04x}")

    def rune(self, escape: str, rune: int, at: int, *, is_bytes: bool) -> None:
        if is_bytes:
            self.fail(at, f"{escape} in bytes", "use escapes like \\xff")
        surrogate = ord(_FIRST_SURROGATE) <= rune <= ord(_LAST_SURROGATE)
        if rune > _MAX_RUNE or surrogate:
            self.fail(at, f"{escape} is no Unicode character")
