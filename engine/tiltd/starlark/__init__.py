"""Starlark with Tilt's options, on CPython.

    program = starlark.compile(text, "Tiltfile")
    module = starlark.execute(program, {"greet": starlark.Builtin("greet", greet)})
    module.globals["x"]

The path of a program: `source` makes the text fit for Python's parser and refuses Starlark's
own mistakes, `grammar` parses it and refuses what only Python has, `resolve` settles the names,
`rewrite` turns the tree into one whose operators are ours (`operators`, `attributes`, the method
tables, `universe`), `program` compiles it and `run` executes the bytecode natively.

For hosts:

- `compile`, `load_program` and `Program.dump`: programs, to be cached by the hash of their text;
- `Thread` (or `execute`): an evaluation, with `load`, `on_print`, `cancel`, `call`;
- `call_stack()`: where the program is, for host functions;
- `Builtin`, `builtin`, `builtins_of`, `Converter`, `MismatchError`: functions for programs;
- `HostValue`, `Struct`, `Namespace`: values for programs; `struct` and `module` make some;
- `List`, `Dict`, `Set`, `from_python`, `to_python`, `to_str`, `to_repr`, `type_name`, `iterate`,
  `equal`, `freeze`;
- `StarlarkError` (with `frames`, `traceback()`, `hint`), `StarlarkSyntaxError`,
  `StarlarkCancelled`.

There is no global state but the interpreter's recursion limit, which is raised (see `depth`).
"""

from tiltd.starlark.binding import Builtin, Converter, MismatchError, builtin, builtins_of
from tiltd.starlark.compare import equal
from tiltd.starlark.convert import from_python, to_python
from tiltd.starlark.errors import (
    Frame,
    Position,
    StarlarkCancelled,
    StarlarkError,
    StarlarkSyntaxError,
    did_you_mean,
)
from tiltd.starlark.program import Program, compile, load_program  # noqa: A004 - starlark.compile
from tiltd.starlark.run import Load, Module, Thread, call_stack, execute
from tiltd.starlark.structs import DeclaredModule, Namespace, Struct, module, struct
from tiltd.starlark.text import to_repr, to_str
from tiltd.starlark.values import (
    Dict,
    HostValue,
    List,
    Set,
    Value,
    freeze,
    is_function,
    iterate,
    key_of,
    type_name,
)

__all__ = [
    "Builtin",
    "Converter",
    "DeclaredModule",
    "Dict",
    "Frame",
    "HostValue",
    "List",
    "Load",
    "MismatchError",
    "Module",
    "Namespace",
    "Position",
    "Program",
    "Set",
    "StarlarkCancelled",
    "StarlarkError",
    "StarlarkSyntaxError",
    "Struct",
    "Thread",
    "Value",
    "builtin",
    "builtins_of",
    "call_stack",
    "compile",
    "did_you_mean",
    "equal",
    "execute",
    "freeze",
    "from_python",
    "is_function",
    "iterate",
    "key_of",
    "load_program",
    "module",
    "struct",
    "to_python",
    "to_repr",
    "to_str",
    "type_name",
]
