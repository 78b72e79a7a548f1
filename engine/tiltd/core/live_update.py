"""Which steps a changed file leads to, or why only a build of the image will do.

A container is known by what it holds over its image: the files in which it differs.  What is to be
done follows from comparing that with the files as they are now, so a lost, doubled or late news of
a file does no harm, a file that is changed back is copied back, and a container that begins anew
gets everything that its image lacks.

The rules are those of Tilt's Live Update reference.  Of several `sync` steps the first that covers
a file counts; a `sync` of a single file into a path that ends with a slash goes below it.  A
changed file that no `sync` covers, or a `fall_back_on` does, takes a build of the image.  `run`
steps follow in their order, those with a `trigger` only where a changed file is at or below one of
its paths.  Folders are not news by themselves: with their files they come, and a removed one is
removed.
"""

import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tiltd.core import affected
from tiltd.model.desired import CustomBuild, DockerBuild, LiveUpdateStep
from tiltd.model.live_update import GONE, Files

_FOLDER = "d"
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do in a container; see `model.live_update.Update`."""

    removals: tuple[str, ...] = ()
    copies: tuple[tuple[str, str], ...] = ()
    runs: tuple[LiveUpdateStep, ...] = ()
    restart: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the image has to be built: the end of a sentence that begins with its name."""

    reason: str


def located(build: DockerBuild | CustomBuild, listing: Mapping[str, str]) -> dict[str, str]:
    """The files of a build by their absolute paths.

    Args:
        build: whose they are.
        listing: as `ports.Inputs.listing` has them: below the context, or below a numbered dep.
    """
    match build:
        case DockerBuild(context=context):
            return {posixpath.join(context, path): what for path, what in listing.items()}
        case CustomBuild(deps=deps):
            return {_below_dep(deps, path): what for path, what in listing.items()}


def _below_dep(deps: Sequence[str], path: str) -> str:
    number, _, rest = path.partition("/")
    return posixpath.join(deps[int(number)], rest) if rest else deps[int(number)]


def difference(before: Files, after: Files) -> dict[str, str]:
    """Where `after` differs: what is there, or that nothing is."""
    changed = {path: what for path, what in after.items() if before.get(path) != what}
    return changed | dict.fromkeys(before.keys() - after.keys(), GONE)


def wanted(steps: Sequence[LiveUpdateStep], changes: Files, files: Files) -> Files:
    """What a container is to hold over its image.

    Args:
        steps: of the image; with `initial_sync` it is all that a `sync` covers.
        changes: where the files differ from those that the image was built of.
        files: all of them.
    """
    if not any(step.kind == "initial_sync" for step in steps):
        return changes
    syncs = _of(steps, "sync")
    synced = {p: w for p, w in files.items() if not _is_folder(w) and _covering(syncs, p)}
    return {**synced, **changes}


def pending(want: Files, held: Files, files: Files) -> dict[str, str]:
    """The files that a container lacks, or has otherwise: what each is now."""
    lacking = {path: what for path, what in want.items() if held.get(path) != what}
    back = {path: files.get(path, GONE) for path in held.keys() - want.keys()}
    return lacking | back


def plan(
    steps: Sequence[LiveUpdateStep], due: Files, changes: Files, folders: Iterable[str] = ()
) -> Plan | Refusal | None:
    """What brings a container up to date; `None` if nothing has to be done.

    Args:
        steps: of the image, in the order that was checked when the Tiltfile was read.
        due: the files that it lacks, as `pending` says.
        changes: where the files differ from those that the image was built of: only they can ask
            for a build, and not what `initial_sync` copies besides.
        folders: which of those that are gone were folders.
    """
    syncs, gone = _of(steps, "sync"), set(folders)
    files = {p: w for p, w in due.items() if not _is_folder(w)}
    if refusal := _refused(steps, syncs, {p for p in files if p not in gone}, changes):
        return refusal
    removals: dict[str, None] = {}
    copies: list[tuple[str, str]] = []
    for path in sorted(files):
        step = _covering(syncs, path)
        if step is None:
            continue  # a folder that nobody syncs
        remote = _remote(step, path, folder=path in gone)
        if files[path] != GONE:
            copies.append((path, remote))
        elif remote != "/":
            removals[remote] = None
    if not copies and not removals:
        return None
    runs = tuple(s for s in _of(steps, "run") if not s.paths or _any(s.paths, files))
    restart = bool(_of(steps, "restart_container"))
    return Plan(tuple(_outermost(removals)), tuple(copies), runs, restart)


def _refused(
    steps: Sequence[LiveUpdateStep],
    syncs: Sequence[LiveUpdateStep],
    files: Iterable[str],
    changes: Files,
) -> Refusal | None:
    changed = sorted(path for path in files if path in changes)
    stops = tuple(path for step in _of(steps, "fall_back_on") for path in step.paths)
    stopping = [p for p in changed if affected.any_within([p], stops)]
    if stopping:
        return Refusal(f"fall_back_on() names {_named(stopping)}")
    loose = [path for path in changed if _covering(syncs, path) is None]
    if loose:
        return Refusal(f"no sync() covers {_named(loose)}")
    return None


def _of(steps: Sequence[LiveUpdateStep], kind: str) -> tuple[LiveUpdateStep, ...]:
    return tuple(step for step in steps if step.kind == kind)


def _covering(syncs: Sequence[LiveUpdateStep], path: str) -> LiveUpdateStep | None:
    return next((s for s in syncs if affected.within(path, s.paths[0])), None)


def _remote(step: LiveUpdateStep, path: str, *, folder: bool) -> str:
    local = step.paths[0]
    if path == local and not folder and step.remote.endswith("/"):
        return posixpath.join(step.remote, posixpath.basename(path))
    return posixpath.normpath(posixpath.join(step.remote, posixpath.relpath(path, local)))


def _any(triggers: Sequence[str], files: Iterable[str]) -> bool:
    return affected.any_within(files, triggers)


def _outermost(paths: Iterable[str]) -> Iterator[str]:
    """Without what lies below another: that goes with it."""
    last = ""
    for path in sorted(paths, key=lambda p: p.split("/")):
        if not last or not affected.within(path, last):
            last = path
            yield path


def _is_folder(what: str) -> bool:
    return what.startswith(_FOLDER)


def gone_folders(due: Files, *known: Files) -> frozenset[str]:
    """Which of the paths that are gone were folders, as those say who knew them."""
    gone = (path for path, what in due.items() if what == GONE)
    return frozenset(p for p in gone if any(_is_folder(k.get(p, "")) for k in known))


def _named(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    return ", ".join(paths[:_SHOWN]) + more
