"""Values that builtins give to a Tiltfile, and what it may do with them."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from tiltd.model.desired import TriggerMode
from tiltd.starlark import text, values
from tiltd.starlark.values import HostValue, Value


class Blob(HostValue):
    """Text that is content, not a path: what `local()` and `read_file()` give.

    It has a text and a truth, and equals a blob of the same text; nothing else, as in Tilt.
    """

    __slots__ = ("source", "text")
    type_name: ClassVar[str] = "blob"
    __hash__ = HostValue.__hash__

    def __init__(self, content: str, source: str) -> None:
        self.text = content
        self.source = source

    def starlark_str(self) -> str:
        """The content."""
        return self.text

    def starlark_repr(self) -> str:
        """The content, without quotes."""
        return self.text

    def __bool__(self) -> bool:
        return bool(self.text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Blob) and self.text == other.text


class Wrapped(HostValue):
    """A value of the model with a type's name and readable fields: a link, a probe, a step.

    Args:
        kind: what `type()` says.
        value: what the builtins that take it use.
        fields: what `x.name` gives.
    """

    __slots__ = ("fields", "kind", "value")
    __hash__ = HostValue.__hash__

    def __init__(self, kind: str, value: Any, fields: Mapping[str, Value] | None = None) -> None:
        self.kind = kind
        self.value = value
        self.fields = dict(fields or {})

    def starlark_type(self) -> str:
        """The type's name."""
        return self.kind

    def starlark_repr(self) -> str:
        """`link(name = "x", url = "y")`."""
        shown = (f"{name} = {text.to_repr(self.fields[name])}" for name in sorted(self.fields))
        return f"{self.kind}({', '.join(shown)})"

    def starlark_attr(self, name: str) -> Value:
        """A field."""
        if name not in self.fields:
            raise values.no_attribute(self.kind, name, self.fields)
        return self.fields[name]

    def starlark_dir(self) -> list[str]:
        """The fields' names."""
        return sorted(self.fields)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Wrapped) and (self.kind, self.value) == (other.kind, other.value)


class TriggerModeValue(HostValue):
    """`TRIGGER_MODE_AUTO` and `TRIGGER_MODE_MANUAL`."""

    __slots__ = ("mode",)
    type_name: ClassVar[str] = "TriggerMode"

    def __init__(self, mode: TriggerMode) -> None:
        self.mode = mode

    def starlark_repr(self) -> str:
        """The constant's name."""
        return f"TRIGGER_MODE_{self.mode.name}"

    def __hash__(self) -> int:
        return hash(self.mode)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TriggerModeValue) and self.mode is other.mode


TRIGGER_MODES = {f"TRIGGER_MODE_{mode.name}": TriggerModeValue(mode) for mode in TriggerMode}


@dataclasses.dataclass(frozen=True, eq=False)
class GitRepo(HostValue):
    """What `local_git_repo()` gives: a folder; a path where a path is wanted.

    Args:
        path: the folder, absolute.
        paths: the function `x.paths(p)`.
    """

    path: str
    paths: Callable[..., Any]
    type_name: ClassVar[str] = "git.Repo"

    def starlark_repr(self) -> str:
        """`[git.Repo] basePath: /x`."""
        return f"[git.Repo] basePath: {self.path}"

    def starlark_attr(self, name: str) -> Value:
        """`paths` alone."""
        if name != "paths":
            raise values.no_attribute(self.type_name, name, ["paths"])
        return self.paths

    def starlark_dir(self) -> list[str]:
        """The one method."""
        return ["paths"]


def plain_text(value: Value) -> str | None:
    """The text of a string or a blob; `None` for anything else."""
    if isinstance(value, Blob):
        return value.text
    return value if isinstance(value, str) else None
