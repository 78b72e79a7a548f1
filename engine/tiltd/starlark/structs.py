"""`struct` and `module`: values with named fields, for programs and for hosts."""

from collections.abc import Callable, Mapping

from tiltd.starlark import compare, text
from tiltd.starlark.binding import Builtin
from tiltd.starlark.errors import StarlarkError, did_you_mean
from tiltd.starlark.values import HostValue, Value, key_of


class Struct(HostValue):
    """An immutable record; equal to another with equal fields."""

    __slots__ = ("fields",)
    type_name = "struct"

    def __init__(self, fields: Mapping[str, Value]) -> None:
        self.fields = dict(sorted(fields.items()))

    def starlark_repr(self) -> str:
        """As it is printed, inside of lists too."""
        pairs = (f"{name} = {text.to_repr(value)}" for name, value in self.fields.items())
        return f"{self.type_name}({', '.join(pairs)})"

    def starlark_attr(self, name: str) -> Value:
        """A field by its name."""
        if name not in self.fields:
            hint = did_you_mean(name, self.fields)
            raise StarlarkError(f"{self.type_name} has no .{name} attribute", hint=hint)
        return self.fields[name]

    def starlark_dir(self) -> list[str]:
        """The names of the fields."""
        return list(self.fields)

    def starlark_binary(self, operator: str, other: Value, *, swapped: bool) -> Value:
        """`+` joins the fields of two structs; the right one wins."""
        if operator == "+" and type(other) is type(self) and not swapped:
            return type(self)({**self.fields, **other.fields})
        return NotImplemented

    def starlark_freeze(self, freeze: Callable[[Value], None]) -> None:
        """Freeze what the fields hold."""
        for value in self.fields.values():
            freeze(value)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Struct)
            and self.fields.keys() == other.fields.keys()
            and all(compare.equal(self.fields[name], other.fields[name]) for name in self.fields)
        )

    def __hash__(self) -> int:
        return hash(tuple((name, key_of(value)) for name, value in self.fields.items()))


class Namespace(HostValue):
    """A host's module, such as `os`: named members, equal to itself alone.

    Args:
        name: shown when it is printed.
        members: its attributes.
    """

    __slots__ = ("members", "name")
    type_name = "module"

    def __init__(self, name: str, members: Mapping[str, Value]) -> None:
        self.name = name
        self.members = dict(members)

    def starlark_repr(self) -> str:
        """As it is printed, inside of lists too."""
        return f"[module: {self.name}]"

    def starlark_attr(self, name: str) -> Value:
        """A field by its name."""
        if name in self.members:
            return self.members[name]
        raise StarlarkError(
            f"module {self.name} has no .{name} field or method",
            hint=did_you_mean(name, self.members),
        )

    def starlark_dir(self) -> list[str]:
        """The names of the fields."""
        return sorted(self.members)

    def starlark_freeze(self, freeze: Callable[[Value], None]) -> None:
        """Freeze what the fields hold."""
        for value in self.members.values():
            freeze(value)

    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other


class DeclaredModule(Namespace):
    """What a program makes with `module("name", a=1)`."""

    __slots__ = ()

    def starlark_repr(self) -> str:
        """As it is printed, inside of lists too."""
        return f"<module {text.quote(self.name)}>"


def _struct(**fields: Value) -> Struct:
    return Struct(fields)


def _module(name: str, /, **members: Value) -> DeclaredModule:
    return DeclaredModule(name, members)


struct = Builtin("struct", _struct)
module = Builtin("module", _module)
