"""Extensions: from `ext://name` to the Tiltfile of that name in a repository.

A repository is a folder (`file://`), or is cloned by the git program: once, into the user's cache,
one folder for each address and ref, so that projects don't disturb each other.  The clone is made
beside its place and moved there when it is whole; what is there is used without the network.
Which folder a repository means is settled once in a session: whatever becomes of the cache, one
session reads one version.

The environment of the session decides:

- `TILT_EXTENSIONS_DIR`: a folder that stands for the default repository (a checkout of
  tilt-dev/tilt-extensions, say);
- `TILT_EXTENSIONS_REFRESH`: with any value but an empty one, clone anew what has no ref of its own;
- `XDG_CACHE_HOME`: where the cache is (else `~/.cache`).

Tilt's own rules decide which repository and which folder in it a name means (Tiltfile API
reference, `v1alpha1.extension_repo`; Tilt 0.37's loader of extensions).
"""

import contextlib
import difflib
import hashlib
import posixpath
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from urllib import parse

from tiltd.model.desired import ApiObject, Command
from tiltd.tiltfile import commands, paths
from tiltd.tiltfile.mistakes import Mistake
from tiltd.tiltfile.reading import Reading

PREFIX = "ext://"
MANAGED_BY = "tilt.dev/managed-by"
"""Marks an extension that a `load` has asked for; others are run by themselves."""
_DEFAULT_REPOSITORY = "default"
DEFAULT_URL = "https://github.com/tilt-dev/tilt-extensions"
FOLDER_VARIABLE = "TILT_EXTENSIONS_DIR"
REFRESH_VARIABLE = "TILT_EXTENSIONS_REFRESH"
_LOADER = "tiltfile.loader"
_TILTFILE = "Tiltfile"
_ODD = re.compile(r"[^A-Za-z0-9._-]+")
_SLASHES = re.compile(r"[/%]+")


class Pins:
    """Which folder each repository of a session is; safe to use from several threads."""

    def __init__(self) -> None:
        self._session = ""
        self._folders: dict[tuple[str, str], str] = {}

    def folder(self, session: str, url: str, ref: str, find: Callable[[], str]) -> str:
        """The folder; `find` is asked the first time in a session."""
        if session != self._session:
            self._session, self._folders = session, {}
        known = self._folders.get((url, ref))
        if known is None:
            known = self._folders[url, ref] = find()
        return known


def check_repository(call: str, url: str, ref: str, subpath: str) -> None:
    """Refuse what can be no repository.

    Raises:
        Mistake: with what to write instead.
    """
    folder = url.removeprefix("file://") if url.startswith("file://") else None
    if folder is None and not url.startswith(("https://", "http://")):
        raise Mistake(
            f"{call}: url={url!r} is neither an https:// nor a file:// address",
            hint="write https://host/owner/repository, or file:///absolute/folder",
        )
    if folder is not None and not posixpath.isabs(folder):
        raise Mistake(
            f"{call}: url={url!r} names no absolute folder",
            hint="write file:// and an absolute path: 'file://' + os.getcwd() + '/extensions'",
        )
    if folder is not None and (ref or subpath):
        given = "ref" if ref else "git_subpath"
        raise Mistake(
            f"{call}: {given}= is for git repositories, and {url!r} is a folder",
            hint=f"leave {given}= out",
        )
    if ref.startswith("-"):
        raise Mistake(
            f"{call}: ref={ref!r} is no branch, tag or commit",
            hint="their names begin with no dash",
        )


def tiltfile(reading: Reading, module: str, pins: Pins) -> str:
    """The Tiltfile that `load("ext://…")` means; the extension is registered by it.

    Args:
        reading: what the Tiltfile has declared so far.
        module: the name, with `ext://`.
        pins: the repositories of this session.

    Raises:
        Mistake: there is no such extension, or its repository can't be had.
    """
    name = module.removeprefix(PREFIX)
    object_name = _SLASHES.sub("_", name)
    extension = reading.api_objects.get(("Extension", object_name))
    if extension is None:
        extension = _inferred(reading, object_name, name)
    marked = {**extension.annotations, MANAGED_BY: _LOADER}
    reading.api_objects["Extension", object_name] = ApiObject(
        "Extension", object_name, extension.spec, extension.labels, marked, extension.place
    )
    try:
        _ensure_repository(reading, str(extension.spec.get("repoName", "")))
        path = path_of(reading, extension, pins)
    except Mistake as error:
        error.message = f"{module}: {error.message}"
        raise
    reading.files.watch_file(str(Path(path).resolve()))
    return path


def path_of(reading: Reading, extension: ApiObject, pins: Pins) -> str:
    """The Tiltfile of an extension.

    Raises:
        Mistake: as `tiltfile`.
    """
    repository = _repository(reading, str(extension.spec.get("repoName", "")))
    root = _folder(reading, repository, pins)
    inside = str(extension.spec.get("repoPath", ""))
    start = posixpath.join(root, str(repository.spec.get("gitSubpath", "")).lstrip("/"))
    path = posixpath.normpath(posixpath.join(start, inside.lstrip("/"), _TILTFILE))
    if not path.startswith(posixpath.join(root, "")):
        raise Mistake(
            f"the path {inside!r} leads out of the repository",
            hint="name a folder of the repository, without '..'",
        )
    if not paths.is_file(path):
        raise Mistake(
            f"the repository {repository.name!r} has no extension {inside!r}: there is no {path}",
            hint=_near(start, inside),
        )
    return path


def _inferred(reading: Reading, object_name: str, name: str) -> ApiObject:
    """The extension that a name means which nobody has registered."""
    host, slash, rest = name.partition("/")
    if slash:
        for (kind, repository), made in reading.api_objects.items():
            if kind == "ExtensionRepo" and made.spec.get("loadHost") == host:
                spec = {"repoName": repository, "repoPath": rest}
                return ApiObject("Extension", object_name, spec, place=reading.place())
    spec = {"repoName": _DEFAULT_REPOSITORY, "repoPath": name}
    return ApiObject("Extension", object_name, spec, place=reading.place())


def _ensure_repository(reading: Reading, name: str) -> None:
    """For a `load`, a repository that nobody has declared is the default one, as in Tilt."""
    made = ApiObject("ExtensionRepo", name, {"url": DEFAULT_URL})
    reading.api_objects.setdefault(("ExtensionRepo", name), made)


def _repository(reading: Reading, name: str) -> ApiObject:
    known = reading.api_objects.get(("ExtensionRepo", name))
    if known is None:
        names = [other for kind, other in reading.api_objects if kind == "ExtensionRepo"]
        raise Mistake(
            f"there is no extension repository {name!r}",
            hint=f"declare it first with v1alpha1.extension_repo(name={name!r}, url=…)"
            + (f"; there are {', '.join(names)}" if names else ""),
        )
    return known


def _folder(reading: Reading, repository: ApiObject, pins: Pins) -> str:
    url, ref = str(repository.spec.get("url", "")), str(repository.spec.get("ref", ""))
    override = reading.env.get(FOLDER_VARIABLE, "")
    if url == DEFAULT_URL and not ref and override:
        return _linked(reading, _existing(override, f"{FOLDER_VARIABLE} names"))
    if url.startswith("file://"):
        return _existing(url.removeprefix("file://"), f"the repository {repository.name!r} is")
    return pins.folder(reading.spec.id, url, ref, lambda: _cloned(reading, url, ref))


def _existing(folder: str, intro: str) -> str:
    if not paths.is_folder(folder):
        raise Mistake(f"{intro} the folder {folder}, and there is none")
    return posixpath.abspath(folder)


def _linked(reading: Reading, folder: str) -> str:
    """The user's folder under a name in the cache.

    Extensions expect to be below a folder `tilt_modules`, as they are in Tilt (`helm_remote` keeps
    its charts beside it).
    """
    place = _cache(reading) / f"local-{hashlib.sha256(folder.encode()).hexdigest()[:8]}"
    if not place.is_symlink():
        place.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):  # another session was faster
            place.symlink_to(folder)
    return str(place)


def _cloned(reading: Reading, url: str, ref: str) -> str:
    """The clone in the cache, made now if it is not there."""
    place = _place(reading, url, ref)
    fresh = bool(reading.env.get(REFRESH_VARIABLE)) and not ref
    if place.is_dir() and not fresh:
        return str(place)
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".clone-", dir=place.parent) as made:
        clone = Path(made, "repository")
        try:
            _clone(reading, url, ref, str(clone))
        except Mistake as error:
            if not place.is_dir():
                raise
            reading.warn(f"{url} is used as it was cloned earlier: {error.message}")
            return str(place)
        old = Path(made, "old")
        if place.is_dir() and fresh:
            place.rename(old)
        try:
            clone.rename(place)
        except OSError:
            if not place.is_dir():  # else another session was faster, with the same
                raise
    return str(place)


def _place(reading: Reading, url: str, ref: str) -> Path:
    """Readable by people, and different for different addresses."""
    parts = parse.urlsplit(url)
    path = parts.path.strip("/").removesuffix(".git")
    names = [_ODD.sub("_", part) for part in (parts.hostname or "", *path.split("/"))]
    digest = hashlib.sha256(f"{url}\n{ref}".encode()).hexdigest()[:8]
    last = f"{names[-1]}@{_ODD.sub('_', ref) or 'newest'}-{digest}"
    return _cache(reading).joinpath(*names[:-1], last)


def _cache(reading: Reading) -> Path:
    cache = reading.env.get("XDG_CACHE_HOME", "")
    if not posixpath.isabs(cache):
        cache = posixpath.join(reading.env.get("HOME") or str(Path.home()), ".cache")
    return Path(cache, "tiltd", "extensions", "tilt_modules")


def _clone(reading: Reading, url: str, ref: str, folder: str) -> None:
    if not shutil.which("git", path=reading.env.get("PATH", "")):
        raise Mistake(
            f"the extensions of {url} can't be had: there is no git program",
            hint=f"install git, or set {FOLDER_VARIABLE} to a checkout of the default repository",
        )
    reading.log.write(f"Cloning {url}{f' at {ref}' if ref else ''}\n")
    depth = () if ref else ("--depth", "1")
    _git(reading, url, "clone", "--quiet", "--no-tags" if not ref else "--tags", *depth, "--",
         url, folder)  # fmt: skip
    if not ref:
        return
    try:
        _git(reading, url, "-C", folder, "checkout", "--quiet", "--detach", f"origin/{ref}")
    except Mistake:
        _git(reading, url, "-C", folder, "checkout", "--quiet", "--detach", ref)


def _git(reading: Reading, url: str, *argv: str) -> None:
    command = Command(
        ("git", "-c", "core.hooksPath=/dev/null", *argv), "/", {"GIT_TERMINAL_PROMPT": "0"}
    )
    output = commands.run(command, reading.env, reading.stop)
    if output.code:
        raise Mistake(
            f"the extension repository {url} can't be cloned: git ended with exit code "
            f"{output.code}",
            hint=f"look at the address, the ref and the network, or set {FOLDER_VARIABLE} to a "
            "checkout of the default repository",
            detail=output.stderr.strip(),
        )


def _near(folder: str, wanted: str) -> str:
    try:
        names = [entry.name for entry in Path(folder).iterdir() if (entry / _TILTFILE).is_file()]
    except OSError:
        return ""
    close = difflib.get_close_matches(wanted, names, n=1)
    return f"did you mean {close[0]!r}?" if close else ""
