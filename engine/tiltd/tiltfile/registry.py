"""How a builtin is declared: its name, its parameters, its function, in one table per theme.

`@TABLE.add("docker_build", "ref context build_args? …")` names the parameters in the order in
which they may be given by position; after the first with a `?` all are optional, and after a lone
`*` they are given by name only.  A last `*name` takes all further positional arguments, and
`**name` all further named ones.  The function gets the reading and the call's `Arguments`;
whether it was called in the right way has been checked by then.
"""

import dataclasses
import inspect
from collections.abc import Callable, Iterator

from tiltd import starlark
from tiltd.starlark import Value
from tiltd.tiltfile.arguments import Arguments
from tiltd.tiltfile.assembly import not_allowed
from tiltd.tiltfile.mistakes import Mistake
from tiltd.tiltfile.reading import Reading

_ANY, _NAMED = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY
Function = Callable[[Reading, Arguments], Value]


@dataclasses.dataclass(frozen=True, slots=True)
class Declared:
    """One builtin.

    Args:
        name: with its module (`os.path.join`).
        signature: its parameters.
        function: what it does.
        unsafe: it runs commands, so it is refused in a cluster that is not allowed.
    """

    name: str
    signature: inspect.Signature
    function: Function
    unsafe: bool = False

    def bind(self, reading: Reading) -> starlark.Builtin:
        """The value that the programs of one reading call."""

        def call(*args: Value, **kwargs: Value) -> Value:
            bound = self.signature.bind(*args, **kwargs)
            if self.unsafe and not reading.context_is_allowed:
                raise _refusal(self.name, reading.context.name)
            return self.function(reading, Arguments(self.name, bound.arguments, reading.files))

        call.__signature__ = self.signature  # type: ignore[attr-defined] # read by inspect
        return starlark.Builtin(self.name, call)


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
        signature = inspect.Signature(list(_parameters(parameters)))

        def declare(function: Function) -> Function:
            self._builtins.append(Declared(name, signature, function, unsafe))
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
            yield inspect.Parameter(word.removesuffix("?"), kind, default=default)


def _refusal(name: str, context: str) -> Mistake:
    return not_allowed(context, f"{name}() runs no command", None)
