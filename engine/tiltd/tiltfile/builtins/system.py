"""The machine and the flow: `os.*`, `sys.*`, `shlex.*`, `listdir`, `watch_file`, `fail`, `exit`.

Paths follow Go's `path/filepath`, as in Tilt: `posixpath.join('a', '/b')` is `a/b`, and
`posixpath.dirname('a')` is `.`.  Source of names and defaults: the Tiltfile API reference
(tilt-dev/tilt.build).
"""

import os
import posixpath
import shlex
import sys
from pathlib import Path

from tiltd import starlark
from tiltd.starlark import Value
from tiltd.tiltfile import paths
from tiltd.tiltfile.arguments import Arguments, shown
from tiltd.tiltfile.host_values import GitRepo
from tiltd.tiltfile.mistakes import Mistake
from tiltd.tiltfile.reading import Reading
from tiltd.tiltfile.registry import Table

BUILTINS = Table()


class ExitError(starlark.StarlarkError):
    """`exit()` was called: the Tiltfile has ended, well."""


@BUILTINS.add("fail", "msg")
def fail(reading: Reading, args: Arguments) -> Value:
    """End with an error (reference: `fail`)."""
    del reading
    raise Mistake(starlark.to_str(args.value("msg")) or "fail() was called without a message")


@BUILTINS.add("exit", "code?")
def exit_(reading: Reading, args: Arguments) -> Value:
    """End without an error; what was declared until now counts (reference: `exit`)."""
    text = starlark.to_str(args.value("code")) if args.has("code") else ""
    if text:
        reading.log.write(f"{text}\n")
    raise ExitError("exit")


@BUILTINS.add("warn", "msg")
def warn(reading: Reading, args: Arguments) -> Value:
    """Show a warning (reference: `warn`)."""
    reading.warn(args.stringable("msg"))
    return None


@BUILTINS.add("listdir", "dir|directory recursive?")
def listdir(reading: Reading, args: Arguments) -> Value:
    """The files in a folder, as absolute paths (reference: `listdir`)."""
    folder = args.path("dir")
    recursive = args.flag("recursive")
    if recursive:
        reading.files.watch(folder)
    return starlark.List(list(_files(folder, recursive=recursive)))


@BUILTINS.add("watch_file", "paths|file_path")
def watch_file(reading: Reading, args: Arguments) -> Value:
    """Reload when a file, or anything in a folder, changes (reference: `watch_file`)."""
    reading.files.watch(args.path("paths"))
    return None


@BUILTINS.add("local_git_repo", "paths")
def local_git_repo(reading: Reading, args: Arguments) -> Value:
    """A folder that is a git repository (Tilt 0.37's `local_git_repo`)."""
    folder = args.path("paths")
    if not paths.is_folder(posixpath.join(folder, ".git")):
        raise Mistake(
            f"local_git_repo: {reading.files.shown(folder)} is no git repository: it has no .git"
        )

    def inside(path: str) -> str:
        return clean(posixpath.join(folder, path))

    return GitRepo(folder, starlark.Builtin("paths", inside))


@BUILTINS.add("os.getcwd")
def getcwd(reading: Reading, args: Arguments) -> Value:
    """The folder of the file that is being executed (reference: `os.getcwd`)."""
    del args
    return reading.files.folder


@BUILTINS.add("os.getenv", "key default?")
def getenv(reading: Reading, args: Arguments) -> Value:
    """A variable of the environment (reference: `os.getenv`)."""
    key = args.stringable("key")
    return reading.env[key] if key in reading.env else args.value("default")


@BUILTINS.add("os.putenv", "key value")
def putenv(reading: Reading, args: Arguments) -> Value:
    """Set a variable, for all later commands too (reference: `os.putenv`)."""
    key, value = args.stringable("key"), args.stringable("value")
    reading.environ[key] = value
    return None


@BUILTINS.add("os.unsetenv", "key")
def unsetenv(reading: Reading, args: Arguments) -> Value:
    """Remove a variable (reference: `os.unsetenv`)."""
    key = args.stringable("key")
    if key in reading.environ:
        reading.environ.delete(key)
    return None


@BUILTINS.add("os.path.abspath", "path")
def abspath(reading: Reading, args: Arguments) -> Value:
    """An absolute path, relative to the current folder (reference: `os.path.abspath`)."""
    return reading.files.joined(args.text("path"))


@BUILTINS.add("os.path.relpath", "targpath basepath?")
def relpath(reading: Reading, args: Arguments) -> Value:
    """A path relative to another (reference: `os.path.relpath`)."""
    target = args.text("targpath")
    base = args.text("basepath", reading.files.folder)
    if posixpath.isabs(target) != posixpath.isabs(base):
        raise Mistake(
            f"os.path.relpath: {target!r} can't be made relative to {base!r}",
            hint="both must be absolute, or both relative: use os.path.abspath()",
        )
    return posixpath.relpath(clean(target), clean(base))


@BUILTINS.add("os.path.basename", "path")
def basename(reading: Reading, args: Arguments) -> Value:
    """The last part of a path (reference: `os.path.basename`)."""
    del reading
    path = args.text("path")
    return (posixpath.basename(path.rstrip("/")) or "/") if path else "."


@BUILTINS.add("os.path.dirname", "path")
def dirname(reading: Reading, args: Arguments) -> Value:
    """All but the last part of a path (reference: `os.path.dirname`)."""
    del reading
    path = args.text("path")
    return clean(path[: path.rfind("/") + 1])


@BUILTINS.add("os.path.exists", "path")
def exists(reading: Reading, args: Arguments) -> Value:
    """Whether there is a file or folder (reference: `os.path.exists`)."""
    return paths.exists(reading.files.joined(args.text("path")))


@BUILTINS.add("os.path.join", "path *paths")
def join(reading: Reading, args: Arguments) -> Value:
    """One path out of several parts (reference: `os.path.join`)."""
    del reading
    parts = [args.value("path"), *(args.value("paths") or ())]
    for part in parts:
        if not isinstance(part, str):
            raise Mistake(f"os.path.join: every part must be a string, not {shown(part)}")
    joined = "/".join(part for part in parts if part)
    return clean(joined) if joined else ""


@BUILTINS.add("os.path.realpath", "path")
def realpath(reading: Reading, args: Arguments) -> Value:
    """A path without symbolic links (reference: `os.path.realpath`)."""
    path = reading.files.absolute(args.text("path"))
    try:
        return str(Path(path).resolve(strict=True))
    except (OSError, ValueError) as error:
        raise reading.files.unreadable(path, "path", error) from error


@BUILTINS.add("shlex.quote", "s")
def quote(reading: Reading, args: Arguments) -> Value:
    """A string as one word of a shell (reference: `shlex.quote`)."""
    del reading
    return shlex.quote(args.stringable("s"))


def constants(reading: Reading) -> dict[str, Value]:
    """Names that stand for values: `os.name`, `os.environ`, `sys.argv`, `config.main_path` …."""
    spec = reading.spec
    command = spec.mode.value
    rest = ["--", *spec.args] if spec.args else []
    return {
        "config.main_dir": posixpath.dirname(spec.tiltfile),
        "config.main_path": spec.tiltfile,
        "config.tilt_subcommand": command,
        "os.environ": reading.environ,
        "os.name": "posix" if os.name == "posix" else "nt",
        "sys.argv": starlark.List(["tilt", command, *rest]),
        "sys.executable": posixpath.abspath(sys.argv[0]),
    }


def clean(path: str) -> str:
    """The shortest path that means the same, as Go's `filepath.Clean` writes it."""
    normal = posixpath.normpath(path) if path else "."
    return normal[1:] if normal.startswith("//") else normal


def _files(folder: str, *, recursive: bool) -> list[str]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return []  # as in Tilt: a folder that is missing has no files
    found: list[str] = []
    for entry in entries:
        if not entry.is_dir(follow_symlinks=False):
            found.append(entry.path)
        elif recursive:
            found += _files(entry.path, recursive=True)
    return found
