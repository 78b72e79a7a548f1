"""The arguments of one call of a builtin, turned into plain values with good messages.

A builtin asks for each argument in the form that it takes (`text`, `texts`, `path`, `command` …);
what is given in another form is refused with the builtin's name, the argument's name and the
value.  A blob stands for its text where Tilt takes it so.
"""

from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

from tiltd.core.scrub import printable
from tiltd.model.desired import Command, TriggerMode
from tiltd.starlark import text as starlark_text
from tiltd.starlark import values as starlark
from tiltd.starlark.values import Value
from tiltd.tiltfile.files import Files
from tiltd.tiltfile.host_values import (
    GitRepo,
    TriggerModeValue,
    Wrapped,
    plain_text,
)
from tiltd.tiltfile.mistakes import Mistake

_T = TypeVar("_T")
_P = ParamSpec("_P")
_SHELL = ("sh", "-c")
_SHOWN = 60


class Arguments:
    """What a call gave.

    Args:
        call: the builtin's name.
        given: the values by parameter; a parameter that was not given is absent.
        files: where relative paths begin.
    """

    def __init__(self, call: str, given: Mapping[str, Value], files: Files) -> None:
        self.call = call
        self._given = given
        self._files = files

    def has(self, name: str) -> bool:
        """Whether the argument was given, and is not None."""
        return self._given.get(name) is not None

    def was_given(self, name: str) -> bool:
        """Whether the argument was given, even as None."""
        return name in self._given

    def value(self, name: str) -> Value:
        """The value as it is; None where there is none."""
        return self._given.get(name)

    def refuse(self, name: str, wanted: str, value: Value, hint: str = "") -> Mistake:
        """The mistake for an argument of another type."""
        return Mistake(f"{self.call}: {name}= must be {wanted}, not {shown(value)}", hint=hint)

    def text(self, name: str, default: str = "") -> str:
        """A string."""
        if name not in self._given:
            return default
        value = self._given[name]
        if not isinstance(value, str):
            raise self.refuse(name, "a string", value)
        return value

    def stringable(self, name: str, default: str = "") -> str:
        """A string or a blob."""
        if name not in self._given:
            return default
        value = plain_text(self._given[name])
        if value is None:
            raise self.refuse(name, "a string", self._given[name])
        return value

    def name(self, name: str) -> str:
        """The name of a resource; may hold anything but slashes and percent signs."""
        value = self.stringable(name)
        if printable(value) != value:
            raise Mistake(f"{self.call}: {name}= is no UTF-8: {printable(value)!r}")
        bad = next((part for part in ("/", "%") if part in value), "")
        if bad or value in {".", ".."}:
            why = f"may not contain {bad!r}" if bad else "is not a name"
            raise Mistake(f"{self.call}: {name}={value!r} {why}")
        return value

    def flag(self, name: str, *, default: bool = False) -> bool:
        """True or False."""
        value = self._given.get(name, default)
        if not isinstance(value, bool):
            raise self.refuse(name, "True or False", value)
        return value

    def optional_flag(self, name: str) -> bool | None:
        """True, False, or None where nothing was given."""
        return self.flag(name) if self.has(name) else None

    def integer(self, name: str, default: int = 0) -> int:
        """An integer."""
        value = self._given.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.refuse(name, "an integer", value)
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """A string, or a list or tuple of them; None is none."""
        value = self._given.get(name)
        alone = plain_text(value)
        return (alone,) if alone is not None else self._texts(name, "a string or a list of strings")

    def text_list(self, name: str) -> tuple[str, ...]:
        """A list or tuple of strings; None is none."""
        return self._texts(name, "a list of strings")

    def patterns(self, name: str) -> tuple[str, ...]:
        """File patterns: strings without line ends."""
        found = self.texts(name)
        for pattern in found:
            if "\n" in pattern:
                raise Mistake(f"{self.call}: {name}= has a pattern with a line's end: {pattern!r}")
        return found

    def string_map(self, name: str) -> dict[str, str]:
        """A dict of strings; None is an empty one."""
        value = self._given.get(name)
        return {} if value is None else self.as_string_map(name, value)

    def as_string_map(self, name: str, value: Value) -> dict[str, str]:
        """A dict of strings that is the argument, or a part of it."""
        if not isinstance(value, starlark.Dict):
            raise self.refuse(name, "a dict of strings", value)
        found: dict[str, str] = {}
        for key, item in value.items():
            key_text, item_text = plain_text(key), plain_text(item)
            if key_text is None or item_text is None:
                raise self.refuse(
                    name,
                    "a dict of strings",
                    key if key_text is None else item,
                    "convert it with str()",
                )
            found[key_text] = item_text
        return found

    def path(self, name: str) -> str:
        """An absolute path: of a string, relative to the current folder, or a git repository."""
        return self._path(name, self._given.get(name))

    def paths(self, name: str) -> tuple[str, ...]:
        """One path or several; None is none."""
        return tuple(self._path(name, item) for item in self.items(name))

    def items(self, name: str) -> list[Value]:
        """The elements of a list, tuple or the like; one value alone; nothing for None."""
        value = self._given.get(name)
        if value is None:
            return []
        return starlark.elements(value) if starlark.is_iterable(value) else [value]

    def command(self, name: str, *, dir: str = "", env: str = "") -> Command | None:  # noqa: A002
        """A command: a string for the shell, or a list of program and arguments.

        Args:
            name: the argument with the command.
            dir: the argument with its folder (default: the current one).
            env: the argument with its environment.
        """
        folder = self.path(dir) if dir and self.has(dir) else self._files.folder
        added = self.string_map(env) if env else {}
        if "" in added:
            raise Mistake(f"{self.call}: {env}= has an empty name, with the value {added['']!r}")
        value = self._given.get(name)
        if isinstance(value, str):
            return Command((*_SHELL, value), folder, added) if value else None
        if value is None:
            return None
        argv = self._texts(name, "a string or a list of strings")
        return Command(argv, folder, added) if argv else None

    def argv(self, name: str) -> tuple[str, ...] | None:
        """A command to run in a container, as program and arguments."""
        command = self.command(name)
        return command.argv if command else None

    def trigger_mode(self, name: str) -> TriggerMode | None:
        """`TRIGGER_MODE_AUTO` or `TRIGGER_MODE_MANUAL`."""
        if name not in self._given:
            return None
        value = self._given[name]
        if not isinstance(value, TriggerModeValue):
            raise self.refuse(name, "TRIGGER_MODE_AUTO or TRIGGER_MODE_MANUAL", value)
        return value.mode

    def wrapped(self, name: str, kind: str, value_type: type[_T], wanted: str) -> _T | None:
        """A value that another builtin made; None where nothing was given."""
        value = self._given.get(name)
        if value is None:
            return None
        if isinstance(value, Wrapped) and value.kind == kind:
            inner = value.value
            if isinstance(inner, value_type):
                return inner
        raise self.refuse(name, wanted, value)

    def checked(
        self, name: str, check: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        """The result of `check`, whose mistakes get the builtin's and the argument's name."""
        try:
            return check(*args, **kwargs)
        except Mistake as error:
            if error.message.startswith(f"{self.call}: "):
                raise
            raise Mistake(
                f"{self.call}: {name}: {error.message}", hint=error.hint, place=error.place
            ) from error

    def _texts(self, name: str, wanted: str) -> tuple[str, ...]:
        value = self._given.get(name)
        if value is None:
            return ()
        if not starlark.is_iterable(value):
            raise self.refuse(name, wanted, value)
        found: list[str] = []
        for item in starlark.elements(value):
            item_text = plain_text(item)
            if item_text is None:
                raise Mistake(
                    f"{self.call}: {name}= must be {wanted}, but it contains {shown(item)}",
                    hint="convert it with str()",
                )
            found.append(item_text)
        return tuple(found)

    def _path(self, name: str, value: Any) -> str:
        if isinstance(value, GitRepo):
            return value.path
        if not isinstance(value, str):
            hint = "a blob is content; give the path of a file" if plain_text(value) else ""
            raise self.refuse(name, "a path", value, hint)
        return self.checked(name, self._files.absolute, value)


def shown(value: Value) -> str:
    """A value for a message: `the string "x"`, `None`, `the list [1, 2]`."""
    if value is None:
        return "None"
    full = starlark_text.to_repr(value)
    cut = full if len(full) <= _SHOWN else f"{full[:_SHOWN]}…"
    return f"the {starlark.type_name(value)} {cut}"
