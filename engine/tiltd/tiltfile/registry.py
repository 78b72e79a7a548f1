"""How a builtin is declared: its name, its parameters, its function, in one table per theme.

`@TABLE.add("docker_build", "ref context build_args? …")` names the parameters in the order in
which they may be given by position; after the first with a `?` all are optional, and after a lone
`*` they are given by name only.  `paths|file_path` is called `paths` by Tilt and `file_path` by its
reference, which differ here and there: either name will do.  A last `*name` takes all further
positional arguments, and `**name` all further named ones.  The function gets the reading and the
call's `Arguments`; whether it was called in the right way has been checked by then.
"""

import dataclasses
import inspect
from collections.abc import Callable, Iterator, Mapping

from tiltd import starlark
from tiltd.starlark import Value
from tiltd.tiltfile.arguments import Arguments
from tiltd.tiltfile.assembly import not_allowed
from tiltd.tiltfile.mistakes import Mistake
from tiltd.tiltfile.reading import Reading

_ANY, _NAMED = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY
_REST = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
Function = Callable[[Reading, Arguments], Value]


@dataclasses.dataclass(frozen=True, slots=True)
class Declared:
    """One builtin.

    Args:
        name: with its module (`os.path.join`).
        signature: its parameters.
        function: what it does.
        unsafe: it runs commands, so it is refused in a cluster that is not allowed.
        aliases: other names of parameters, as the reference has them.
    """

    name: str
    signature: inspect.Signature
    function: Function
    unsafe: bool = False
    aliases: Mapping[str, str] = dataclasses.field(default_factory=dict[str, str])

    def bind(self, reading: Reading) -> starlark.Builtin:
        """The value that the programs of one reading call."""
        names = tuple(self.signature.parameters)
        rest = any(p.kind in _REST for p in self.signature.parameters.values())

        def call(*args: Value, **kwargs: Value) -> Value:
            # Whether the arguments fit has been checked; to ask inspect again takes its time.
            given: Mapping[str, Value] = (
                self.signature.bind(*args, **kwargs).arguments
                if rest
                else {**dict(zip(names, args, strict=False)), **kwargs}
            )
            if self.unsafe and not reading.context_is_allowed:
                raise _refusal(self.name, reading.context.name)
            return self.function(reading, Arguments(self.name, given, reading.files))

        call.__signature__ = self.signature  # type: ignore[attr-defined] # read by inspect
        return _Aliased(self, call) if self.aliases else starlark.Builtin(self.name, call)


class _Aliased(starlark.Builtin):
    """A builtin whose parameters have other names besides."""

    __slots__ = ("_aliases",)

    def __init__(self, declared: Declared, call: Callable[..., Value]) -> None:
        super().__init__(declared.name, call)
        self._aliases = declared.aliases

    def __call__(self, /, *args: Value, **kwargs: Value) -> Value:
        """Call it by the parameters' own names."""
        renamed = {self._aliases.get(name, name): value for name, value in kwargs.items()}
        if len(renamed) < len(kwargs):
            both = next(a for a, name in self._aliases.items() if a in kwargs and name in kwargs)
            raise Mistake(
                f"{self.name}: {both}= and {self._aliases[both]}= are two names of one argument",
                hint="give one of them",
            )
        return super().__call__(*args, **renamed)


class Table:
    """The builtins of one theme."""

    def __init__(self) -> None:
        self._builtins: list[Declared] = []

    def __iter__(self) -> Iterator[Declared]:
        return iter(self._builtins)

    def add(
        self, name: str, parameters: str = "", *, unsafe: bool = False
    ) -> Callable[[Function], Function]:
        """Declare the decorated function as a builtin."""
        words = [word.partition("?")[0].split("|") for word in parameters.split()]
        aliases = {alias: own for own, *others in words for alias in others}
        signature = inspect.Signature(list(_parameters(parameters)))

        def declare(function: Function) -> Function:
            self._builtins.append(Declared(name, signature, function, unsafe, aliases))
            return function

        return declare


def _parameters(text: str) -> Iterator[inspect.Parameter]:
    keyword_only = False
    default: object = inspect.Parameter.empty
    for word in text.split():
        if word == "*":
            keyword_only = True
        elif word.startswith("**"):
            yield inspect.Parameter(word[2:], inspect.Parameter.VAR_KEYWORD)
        elif word.startswith("*"):
            yield inspect.Parameter(word[1:], inspect.Parameter.VAR_POSITIONAL)
        else:
            default = None if word.endswith("?") else default
            kind = _NAMED if keyword_only else _ANY
            own = word.removesuffix("?").partition("|")[0]
            yield inspect.Parameter(own, kind, default=default)


def _refusal(name: str, context: str) -> Mistake:
    return not_allowed(context, f"{name}() runs no command", None)
