"""Running a program, and the boundary at which errors get their stack.

The globals of a program are the namespace of its code.  They hold the operators and the thread
under names that no program can spell; the names that it may use without binding them are the
namespace's builtins, so nothing of Python's is in reach.  A frame is a program's if its globals
hold a thread: that is how tracebacks and `call_stack` tell programs from the Python between
them, at no cost while nothing asks.

A thread is one evaluation: a main file and all that it loads.  Another operating-system thread
may call `cancel`; everything else belongs to the one that runs it.
"""

import dataclasses
import inspect
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tiltd.starlark import text
from tiltd.starlark.depth import allow_depth
from tiltd.starlark.errors import (
    Frame,
    Position,
    StarlarkCancelledError,
    StarlarkError,
    did_you_mean,
)
from tiltd.starlark.explain import explain
from tiltd.starlark.operators import OPERATORS, check_callable
from tiltd.starlark.program import Program
from tiltd.starlark.resolve import EARLY
from tiltd.starlark.rewrite import FLAG
from tiltd.starlark.universe import UNIVERSE
from tiltd.starlark.values import THREAD, Value, freeze, type_name

_PROGRAM = "<program>"
_COMPREHENSION = "<listcomp>"

Load = Callable[[str, Position], Mapping[str, Value]]
"""Gives the names of a module to a `load` statement at a position."""


@dataclasses.dataclass(frozen=True, slots=True)
class Module:
    """What a program left: its globals, frozen; names that it loaded are not among them."""

    file: str
    globals: Mapping[str, Value]


class Thread:
    """One evaluation.

    Args:
        load: gives the names of a module; without it, `load` is an error.
        on_print: takes each line that `print` writes, without its end.
    """

    __slots__ = ("_load", "_on_print", "_reason", "stop")

    def __init__(
        self, *, load: Load | None = None, on_print: Callable[[str], None] | None = None
    ) -> None:
        self._load = load
        self._on_print = on_print
        self._reason = ""
        self.stop = False

    def cancel(self, reason: str = "cancelled") -> None:
        """Stop the programs of this thread at their next loop or call; may be called anywhere."""
        self._reason = reason
        self.stop = True

    def execute(self, program: Program, predeclared: Mapping[str, Value]) -> Module:
        """Run a program to its end and freeze what it leaves.

        Args:
            program: the compiled file.
            predeclared: the names that it may use beside the universe's; may shadow those.

        Raises:
            StarlarkError: it failed; `frames` is the stack, `__cause__` a host's exception.
        """
        allow_depth()
        program.resolve(predeclared)
        namespace = self._namespace(program, predeclared)
        _at_boundary(exec, program.code, namespace)
        module = Module(program.file, {n: namespace[n] for n in program.exported if n in namespace})
        for value in module.globals.values():
            freeze(value)
        return module

    def call(self, function: Value, /, *args: Value, **kwargs: Value) -> Value:
        """Call a value of a program from the host.

        Raises:
            StarlarkError: as `execute`.
        """
        allow_depth()
        return _at_boundary(check_callable(function), *args, **kwargs)

    def call_stack(self) -> tuple[Frame, ...]:
        """The active frames, outermost first; for host functions."""
        return call_stack()

    def _namespace(self, program: Program, predeclared: Mapping[str, Value]) -> dict[str, Any]:
        given = {**UNIVERSE, "print": self._printer(), "fail": _fail, **predeclared}
        bound = {*program.names.exported, *program.names.loaded}
        names = {name: value for name, value in given.items() if name not in bound}
        names |= {EARLY + name: given[name] for name in program.names.early}
        return {
            **OPERATORS,
            "__builtins__": names,
            THREAD: self,
            FLAG: self,
            _PROGRAM: program,
            "<load>": self._loader(),
            "<stopped>": self._stopped,
        }

    def _stopped(self) -> None:
        raise StarlarkCancelledError(self._reason)

    def _printer(self) -> Callable[..., None]:
        def print(*args: Value, sep: Value = " ") -> None:  # noqa: A001 - its name is what str() shows
            line = _joined("print", args, sep)
            if self._on_print:
                self._on_print(line)

        print.__qualname__ = "print"
        return print

    def _loader(self) -> Callable[[str, tuple[str, ...]], tuple[Value, ...]]:
        def load(module: str, names: tuple[str, ...]) -> tuple[Value, ...]:
            if self._load is None:
                raise StarlarkError("load is not available here")
            known = self._load(module, call_stack()[-1].position)
            for name in names:
                if name not in known:
                    raise StarlarkError(
                        f"load: name {name} not found in module {module}",
                        hint=did_you_mean(name, known),
                    )
            return tuple(known[name] for name in names)

        return load


def _joined(function: str, args: tuple[Value, ...], sep: Value) -> str:
    if type(sep) is not str:
        raise StarlarkError(f"{function}: for parameter sep: got {type_name(sep)}, want string")
    return sep.join(map(text.to_str, args))


def _fail(*args: Value, sep: Value = " ") -> None:
    raise StarlarkError(f"fail: {_joined('fail', args, sep)}")


_fail.__name__ = _fail.__qualname__ = "fail"


def execute(
    program: Program,
    predeclared: Mapping[str, Value],
    *,
    load: Load | None = None,
    on_print: Callable[[str], None] | None = None,
) -> Module:
    """Run a program in a thread of its own; see `Thread` and `Thread.execute`."""
    return Thread(load=load, on_print=on_print).execute(program, predeclared)


def _at_boundary(function: Callable[..., Value], /, *args: Value, **kwargs: Value) -> Value:
    """Call; turn what a program raises into a StarlarkError that knows the stack up to here."""
    try:
        return function(*args, **kwargs)
    except StarlarkError as error:
        error.frames = (*_frames(error.__traceback__), *error.frames)
        # Python's traceback has served; an outer boundary must not see these frames again.
        raise error.with_traceback(None)  # noqa: B904 - the same error
    except Exception as error:  # noqa: BLE001 - whatever a host function raises is a cause
        frames = _frames(error.__traceback__)
        known = explain(error)
        new = known or StarlarkError(str(error) or type(error).__name__)
        new.frames = frames
        raise new from (None if known else error)


def call_stack() -> tuple[Frame, ...]:
    """The frames of the programs that are active in this operating-system thread.

    Outermost first; the last one is the place of the call of the host function that asks.
    """
    frames: list[tuple[types.FrameType, int]] = []
    frame: types.FrameType | None = inspect.currentframe()
    while frame is not None:
        frames.append((frame, frame.f_lasti))
        frame = frame.f_back
    return _described(reversed(frames))


def _frames(traceback: types.TracebackType | None) -> tuple[Frame, ...]:
    frames: list[tuple[types.FrameType, int]] = []
    while traceback is not None:
        frames.append((traceback.tb_frame, traceback.tb_lasti))
        traceback = traceback.tb_next
    return _described(iter(frames))


def _described(frames: Iterator[tuple[types.FrameType, int]]) -> tuple[Frame, ...]:
    result: list[Frame] = []
    for frame, instruction in frames:
        if THREAD not in frame.f_globals:
            continue
        code = frame.f_code
        program: Program = frame.f_globals[_PROGRAM]
        position = program.place_of(code, instruction)
        if code.co_name == _COMPREHENSION and result:
            # To its user a comprehension is a loop, not a call.
            result[-1] = Frame(position, result[-1].function)
        else:
            result.append(Frame(position, _function(code.co_name)))
    return tuple(result)


def _function(name: str) -> str:
    return "<toplevel>" if name == "<module>" else text.function_name(name)
