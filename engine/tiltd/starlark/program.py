"""Text to program: compile once, keep by content, run many times.

A compiled program contains no file name but the one given to `compile` or `load_program`, and
no predeclared names: which names exist is asked where it runs, before it runs.
"""

import array
import builtins
import dataclasses
import hashlib
import marshal
import sys
import types
from collections.abc import Collection

from tiltd.starlark import grammar, source
from tiltd.starlark.depth import allow_depth
from tiltd.starlark.errors import Position, StarlarkSyntaxError, did_you_mean
from tiltd.starlark.resolve import Names, resolve
from tiltd.starlark.rewrite import rewrite
from tiltd.starlark.universe import UNIVERSE

FORMAT = "tiltd-starlark-1"
"""Changes whenever compiled programs of an older version must not be used any more."""
_TAG = f"{FORMAT} {sys.implementation.cache_tag} {sys.hexversion:x}".encode()
_DIGEST = hashlib.sha256().digest_size
UNIVERSAL = frozenset({*UNIVERSE, "print", "fail"})


class Places:
    """Line and byte of each instruction of a code object."""

    __slots__ = ("_bytes", "_code", "_lines")

    def __init__(self, code: types.CodeType) -> None:
        self._code = code  # kept alive: it is known by its identity
        self._lines, self._bytes = array.array("L"), array.array("L")
        for line, _, byte, _ in code.co_positions():
            self._lines.append(line or 1)
            self._bytes.append(byte or 0)

    def of(self, instruction: int) -> tuple[int, int]:
        """The line, from 1, and the byte in it, from 0."""
        index = instruction // 2
        return self._lines[index], self._bytes[index]


@dataclasses.dataclass(frozen=True, slots=True)
class Program:
    """A compiled file.

    `exported` are the globals that it binds, `names` all that is known of its names.
    """

    file: str
    code: types.CodeType
    names: Names
    columns: source.Columns
    _places: dict[int, Places] = dataclasses.field(
        default_factory=dict[int, Places], repr=False, compare=False
    )

    @property
    def exported(self) -> tuple[str, ...]:
        """The names that another file may load (those with a leading underscore aside)."""
        return self.names.exported

    def position(self, line: int, byte: int) -> Position:
        """The user's position for one of the code's."""
        return Position(self.file, line, self.columns.column(line, byte))

    def place_of(self, code: types.CodeType, instruction: int) -> Position:
        """The user's position of an instruction.

        CPython tells the positions of a code object only by walking over all of them, which for a
        long file is slow; so they are walked once.  Code objects are kept by identity: the program
        holds all of its own for as long as it lives.

        Args:
            code: the program's own code, or that of a function in it.
            instruction: the offset in its bytecode (`f_lasti`).
        """
        places = self._places.get(id(code))
        if places is None:
            places = self._places[id(code)] = Places(code)
        return self.position(*places.of(instruction))

    def resolve(self, predeclared: Collection[str]) -> None:
        """Check that every name is defined.

        Args:
            predeclared: the names that the host gives; the universe need not be among them.

        Raises:
            StarlarkSyntaxError: for the first name that nothing defines.
        """
        missing = [
            (place, name)
            for name, place in self.names.needed.items()
            if name not in predeclared and name not in UNIVERSAL
        ]
        if not missing:
            return
        (line, byte), name = min(missing)
        known = {*predeclared, *UNIVERSAL, *self.names.exported, *self.names.loaded} - {name}
        raise StarlarkSyntaxError(
            self.position(line, byte), f"undefined: {name}", hint=_undefined_hint(name, known)
        )

    def dump(self) -> bytes:
        """The program as bytes, for `load_program` of the same Python and the same tiltd."""
        names = self.names
        body = marshal.dumps(
            (
                self.code,
                names.exported,
                names.loaded,
                names.needed,
                names.early,
                self.columns.odd,
            )
        )
        return _TAG + b"\n" + hashlib.sha256(body).digest() + body


def _undefined_hint(name: str, known: Collection[str]) -> str:
    match name:
        case "sum" | "map" | "filter" | "round" | "pow" | "isinstance" | "open" | "eval" | "json":
            return f"Python's {name} is not Starlark"
        case "true" | "false" | "none" | "null" | "nil":
            return {"true": "write True", "false": "write False"}.get(name, "write None")
        case _:
            return did_you_mean(name, known)


def load_program(data: bytes, file: str) -> Program | None:
    """A dumped program; None if it is from another version, or damaged.

    Args:
        data: what `Program.dump` gave.
        file: the name of the file in messages.
    """
    tag, _, rest = data.partition(b"\n")
    digest, body = rest[:_DIGEST], rest[_DIGEST:]
    if tag != _TAG or hashlib.sha256(body).digest() != digest:
        return None
    code, exported, loaded, needed, early, odd = marshal.loads(body)  # noqa: S302 - of our own making
    names = Names(exported, loaded, needed, early)
    return Program(file, code, names, source.Columns(odd))


def compile(source_text: bytes | str, filename: str) -> Program:  # noqa: A001 - read as starlark.compile
    """Compile a program.

    Args:
        source_text: the text, or its bytes.
        filename: the name of the file in messages.

    Raises:
        StarlarkSyntaxError: it is no Starlark program.
    """
    allow_depth()
    text = source.normalise(source_text, filename)
    tree = grammar.parse(text)
    names = resolve(tree)
    try:
        code = builtins.compile(rewrite(tree), "<starlark>", "exec", dont_inherit=True)
    except SyntaxError as error:
        place = text.position(error.lineno or 1, max((error.offset or 1) - 1, 0))
        raise StarlarkSyntaxError(place, error.msg) from None
    except (MemoryError, RecursionError):
        raise StarlarkSyntaxError(
            Position(filename, 1, 1),
            "the program is nested too deeply",
            hint="split it up with variables or functions",
        ) from None
    return Program(filename, code, names, text.columns)
