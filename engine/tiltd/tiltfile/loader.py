"""Runs a Tiltfile and gives a `Project`: the implementation of `ports.Tiltfiles`.

One reading runs in one thread of the pool.  `load`, `load_dynamic` and `include` execute a file
once a reading, by its path, and share what it left (`include` too: so it is in Tilt 0.37).  A
cancelled load asks the reading to stop: the interpreter ends at its next loop or call, a running
command is killed, and the load returns only after that.  What an unchanged file means is kept:
its program (`programs`), and what its YAML holds (`kept`).
"""

import asyncio
import contextlib
import dataclasses
import functools
import gc
import posixpath
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import Protocol, TypeVar

from tiltd import starlark
from tiltd.model.desired import Ignore, Project
from tiltd.model.observed import KubeContext
from tiltd.model.problems import Code, Place, Problem
from tiltd.model.state import SessionSpec
from tiltd.ports import Loaded, LoadError, Log
from tiltd.starlark import Position, Value
from tiltd.tiltfile import assembly, extensions, merging, secrets
from tiltd.tiltfile.builtins import predeclared
from tiltd.tiltfile.builtins.system import ExitError
from tiltd.tiltfile.commands import Stop, StoppedError
from tiltd.tiltfile.files import Files
from tiltd.tiltfile.mistakes import Mistake
from tiltd.tiltfile.programs import Programs
from tiltd.tiltfile.reading import Reading

_T = TypeVar("_T")
_OBJECTS_BETWEEN_COLLECTIONS = 500_000
_IGNORE_FILE = ".tiltignore"


class Executor(Protocol):
    """What calls functions in a thread (`runtime.threads.Pool`)."""

    async def run(self, fn: Callable[[], _T], /) -> _T:
        """Call `fn` in a thread."""
        ...


class TiltfileLoader:
    """Reads Tiltfiles.

    Args:
        pool: where they run.
        programs: a folder in which compiled programs outlive the daemon, if there is one.
    """

    def __init__(self, pool: Executor, programs: Path | None = None) -> None:
        self._pool = pool
        self._programs = Programs(programs)
        self._pins = extensions.Pins()
        # Kept until the next one, which takes over the manifests that are still the same.
        self._last: Loaded | None = None

    async def load(self, spec: SessionSpec, context: KubeContext, log: Log) -> Loaded:
        """Run the Tiltfile.

        Raises:
            LoadError: the Tiltfile is wrong; `watched` names what was read until then.
        """
        stop = Stop()
        ended = asyncio.Event()
        begun = threading.Event()
        loop = asyncio.get_running_loop()

        def work() -> Loaded:
            begun.set()
            try:
                with _few_collections():
                    return _Run(spec, context, log, stop, self._programs, self._pins).result()
            finally:
                stop.close()
                with contextlib.suppress(RuntimeError):  # the loop has closed
                    loop.call_soon_threadsafe(ended.set)

        try:
            self._last = await self._pool.run(work)
        except asyncio.CancelledError:
            stop.ask()
            if begun.is_set():
                await ended.wait()
            raise
        else:
            return self._last
        finally:
            if not begun.is_set():
                stop.close()


@contextlib.contextmanager
def _few_collections() -> Generator[None]:
    """A reading makes many objects that stay; to look for garbage among them takes a third of it.

    They are put aside until the next reading, which lets go of them and of the garbage among them.
    """
    usual = gc.get_threshold()
    gc.unfreeze()
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS, *usual[1:])
    try:
        yield
    finally:
        gc.freeze()
        gc.set_threshold(*usual)


class _Run:
    """One reading, from the first line to the project."""

    def __init__(
        self,
        spec: SessionSpec,
        context: KubeContext,
        log: Log,
        stop: Stop,
        programs: Programs,
        pins: extensions.Pins,
        above: tuple[str, ...] = (),
    ) -> None:
        self._above = (*above, spec.tiltfile)
        self._programs = programs
        self._pins = pins
        self._log = log
        self._files = Files(spec.tiltfile, spec.cwd, self._above[0])
        self._modules: dict[str, Mapping[str, Value]] = {}
        self._predeclared: dict[str, Value] = {}
        thread = starlark.Thread(load=self._load, on_print=self._print)
        env = dict(spec.env)
        self._reading = Reading(
            spec=spec,
            context=context,
            log=log,
            stop=stop,
            files=self._files,
            env=env,
            environ=_environ(env),
            thread=thread,
        )
        stop.when_asked(lambda: thread.cancel("the reading was stopped"))

    def result(self) -> Loaded:
        """Run it all.

        Raises:
            LoadError: the Tiltfile is wrong.
            asyncio.CancelledError: a stop was asked for.
        """
        try:
            project = self._project()
        except StoppedError:
            raise asyncio.CancelledError from None
        except starlark.StarlarkError as error:
            if isinstance(error, starlark.StarlarkCancelled) or self._reading.stop.asked:
                raise asyncio.CancelledError from None
            if isinstance(error.__cause__, StoppedError):
                raise asyncio.CancelledError from None
            if error.__cause__ is not None and not isinstance(error, Mistake):
                raise error.__cause__ from error  # a builtin's bug, with its own traceback
            raise LoadError(self._problem(error), self._files.watched) from error
        hidden = [r.entity for r in self._reading.kubernetes.objects]
        scrub = project.settings.scrub_secrets
        known = (*secrets.values(hidden), *self._reading.compose.secrets) if scrub else ()
        loaded = Loaded(project, self._reading.context, known)
        return functools.reduce(merging.merge, self._extensions(), loaded)

    def _extensions(self) -> Iterator[tuple[str, Loaded]]:
        """The extensions that are run by themselves, each as a Tiltfile of its own."""
        for made in tuple(self._reading.api_objects.values()):
            if made.kind != "Extension" or extensions.MANAGED_BY in made.annotations:
                continue
            try:
                path = extensions.path_of(self._reading, made, self._pins)
                if path in self._above:
                    chain = " -> ".join(map(self._files.shown, (*self._above, path)))
                    raise Mistake(f"extensions register each other in a circle: {chain}")  # noqa: TRY301 - told as the others
            except Mistake as error:
                error.place = error.place or made.place
                raise LoadError(self._problem(error), self._files.watched) from error
            spec = dataclasses.replace(
                self._reading.spec,
                tiltfile=path,
                args=tuple(made.spec.get("args", ())),
                env=dict(self._reading.env),
            )
            reading = self._reading
            run = _Run(
                spec,
                reading.context,
                reading.log,
                reading.stop,
                self._programs,
                self._pins,
                self._above,
            )
            try:
                yield made.name, run.result()
            except LoadError as error:
                watched = (*self._files.watched, *error.watched)
                raise LoadError(error.problem, watched) from error

    def _project(self) -> Project:
        self._predeclared = {
            **predeclared.names(self._reading),
            "include": starlark.Builtin("include", self._include),
            "load_dynamic": starlark.Builtin("load_dynamic", self._load_dynamic),
        }
        main = self._files.main
        with contextlib.suppress(ExitError):
            self._execute(main)
        self._read_ignore_file(main)
        return assembly.assemble(self._reading)

    # -- executing files

    def _load(self, module: str, position: Position) -> Mapping[str, Value]:
        del position
        return self._module(module)

    def _include(self, path: str) -> None:
        self._module(path)

    def _load_dynamic(self, path: Value) -> Value:
        text = starlark.to_str(path)
        exported = starlark.Dict(self._module(text).items())
        starlark.freeze(exported)
        return exported

    def _module(self, path: str) -> Mapping[str, Value]:
        if path.startswith(extensions.PREFIX):
            absolute = extensions.tiltfile(self._reading, path, self._pins)
        else:
            absolute = self._files.absolute(path)
        known = self._modules.get(absolute)
        if known is not None:
            return known
        if absolute in self._files.running:
            shown = (self._files.shown(p) for p in (*self._files.running, absolute))
            raise Mistake(f"Tiltfiles load each other in a circle: {' -> '.join(shown)}")
        with self._files.executing(absolute):
            module = self._execute(absolute)
        self._modules[absolute] = module
        return module

    def _execute(self, path: str) -> Mapping[str, Value]:
        program = self._programs.get(self._text(path), path)
        names = {
            **self._predeclared,
            "__file__": path,
            "__name__": "__main__" if path == self._files.main else posixpath.basename(path),
        }
        try:
            return self._reading.thread.execute(program, names).globals
        finally:
            # What a file leaves is frozen, but the environment stays live under any name.
            self._reading.environ.frozen = False

    def _text(self, path: str) -> bytes:
        self._files.watch_file(path)
        try:
            return Path(path).read_bytes()
        except (OSError, ValueError) as error:
            raise self._files.unreadable(path, "Tiltfile", error) from error

    def _print(self, line: str) -> None:
        self._log.write(f"{line}\n")

    def _read_ignore_file(self, main: str) -> None:
        folder = posixpath.dirname(main)
        path = posixpath.join(folder, _IGNORE_FILE)
        try:
            text = self._files.read(path)
        except FileNotFoundError:
            return
        lines = (line.strip() for line in text.splitlines())
        patterns = tuple(line for line in lines if line and not line.startswith("#"))
        if patterns:
            self._reading.watch_ignores.append(Ignore(folder, patterns, path))

    # -- telling what is wrong

    def _problem(self, error: starlark.StarlarkError) -> Problem:
        place = self._place(error)
        traceback = _traceback(error, self._files)
        detail = error.detail if isinstance(error, Mistake) else ""
        return Problem(
            code=error.code if isinstance(error, Mistake) else Code.TILTFILE,
            message=error.message,
            place=place,
            hint=error.hint,
            detail="\n".join(part for part in (detail, traceback) if part),
        )

    def _place(self, error: starlark.StarlarkError) -> Place | None:
        if isinstance(error, Mistake) and error.place:
            own = error.place
            return dataclasses.replace(own, file=self._files.shown(own.file))
        at = error.position
        return Place(self._files.shown(at.file), at.line, at.column) if at else None


def _traceback(error: starlark.StarlarkError, files: Files) -> str:
    """The stack of the Tiltfile, outermost call first; nothing for a single frame."""
    if len(error.frames) < 1:
        return ""
    lines = ["Traceback (most recent call last):"]
    for frame in error.frames:
        at = frame.position
        place = Place(files.shown(at.file), at.line, at.column)
        lines.append(f"  {place}: in {frame.function}")
    return "\n".join(lines)


def _environ(env: dict[str, str]) -> starlark.Dict:
    """`os.environ`: a dict whose changes are changes of `env`, and must be strings."""
    live = starlark.Dict(env.items())

    def observe(key: Value, value: Value | None) -> None:
        if not isinstance(key, str) or (value is not None and not isinstance(value, str)):
            raise Mistake(
                "os.environ holds strings only",
                hint=f"write os.environ[{starlark.to_repr(key)}] = str(…)",
            )
        if not key or "=" in key or "\0" in key or (value is not None and "\0" in value):
            raise Mistake(f"os.environ: {key!r} can't be the name of a variable")
        if value is None:
            env.pop(key, None)
        else:
            env[key] = value

    live.observer = observe
    return live
