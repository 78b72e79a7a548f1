"""Watches files and folders: `ports.Files`, on watchdog.

What to watch is planned anew from the paths each time that something at or above one of them came
or went, so a path may be missing, be removed and come back, or be a symbolic link that is turned:
- a folder is watched with all below; a file through its folder (editors replace files);
- above each, the nearest folder that exists is watched for comings and goings only;
- what lies in a folder that is watched as a whole needs no watch of its own.

A thread plans and sets watches, since that walks whole trees.  What changed between `follow` and
the moment when its watches stand is found by the files' change times.  Events are gathered on the
loop until it has been quiet for a moment.  When the system is out of watches, everything is polled
instead, with a warning; as is always what lies on a file system of another machine (`mounts`),
whose changes the kernel doesn't hear of.
"""

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, cast

from tiltd.runtime import mounts, threads

if TYPE_CHECKING:
    from watchdog.observers import api

    from tiltd.adapters import observers

QUIET = 0.05
"""Seconds without an event after which changes are told."""
LONGEST = 0.3
"""Seconds after which they are told in any case."""
_RETRY = 0.1
_SLACK_NS = 20_000_000
"""How far a file's change time may lag behind the clock."""

Listener = Callable[[tuple[str, ...]], None]


class Reach(Enum):
    """How far a watch goes."""

    TREE = "a folder with all below"
    FOLDER = "a folder's own entries"
    GUARD = "comings and goings in a folder"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to watch for some paths.

    Args:
        watches: by real folder.
        names: by real path, the paths asked for that lead there.
        above: by real folder above one, likewise.
    """

    watches: dict[str, Reach] = field(default_factory=dict[str, Reach])
    names: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    above: dict[str, set[str]] = field(default_factory=dict[str, set[str]])


def plan(paths: frozenset[str], mounted: tuple[mounts.Mount, ...] = ()) -> Plan:
    """See the module; looks at the file system as it is now.

    A distant file system somewhere in a folder that is watched has a watch of its own.
    """
    made = Plan()
    for path in paths:
        for place in {_place(path), os.path.realpath(path)}:
            made.names.setdefault(place, set()).add(path)
            for folder in Path(place).parents:
                made.above.setdefault(str(folder), set()).add(path)
            parent = str(Path(place).parent)
            if _is_folder(place):
                made.watches[place] = Reach.TREE
                _watch(made, _existing(parent), Reach.GUARD)
            elif _is_folder(parent):
                _watch(made, parent, Reach.FOLDER)
            else:
                _watch(made, _existing(parent), Reach.GUARD)
    trees = {folder for folder, reach in made.watches.items() if reach is Reach.TREE}
    for watched in list(made.watches):
        if any(str(parent) in trees for parent in Path(watched).parents):
            del made.watches[watched]
    for tree in trees & made.watches.keys():
        for mount in mounts.below(tree, mounted):
            if mount.distant and not _distant(tree, mounted):
                made.watches[mount.point] = Reach.TREE
    return made


def _distant(folder: str, mounted: tuple[mounts.Mount, ...]) -> bool:
    mount = mounts.holding(folder, mounted)
    return mount is not None and mount.distant


def _watch(made: Plan, folder: str, reach: Reach) -> None:
    known = made.watches.get(folder)
    if known is None or known is Reach.GUARD:
        made.watches[folder] = reach


def _place(path: str) -> str:
    """The path with its folder's links resolved, but not its own."""
    parent, name = os.path.split(path)
    return str(Path(os.path.realpath(parent), name))


def _is_folder(path: str) -> bool:
    return os.path.isdir(path) and not os.path.islink(path)  # noqa: PTH112, PTH114 - hot, on str


def _existing(folder: str) -> str:
    while not _is_folder(folder):
        folder = str(Path(folder).parent)
    return folder


class Watcher:
    """Watches this machine's files; belongs to one loop, and must be closed.

    Args:
        warn: told in some thread that files are polled from now on, once for each reason.
    """

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._warn = warn
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listener: Listener | None = None
        self._wake = threading.Condition()
        self._paths: frozenset[str] = frozenset()
        self._new: dict[str, int] = {}
        self._stale: set[str] = set()
        self._due = self._closed = self._exhausted = self._polling = False
        self._plan = Plan()
        self._mounted: tuple[mounts.Mount, ...] = ()
        self._thread: threading.Thread | None = None
        self._threads: list[observers.Thread] = []
        self._distant: list[observers.Thread] = []
        self._watched: dict[str, tuple[Reach, api.ObservedWatch]] = {}
        self._changed: dict[str, None] = {}
        self._first, self._last = 0.0, 0.0

    def follow(self, paths: frozenset[str], listener: Listener) -> None:
        """Watch exactly these files and folders (with all below) from now on.

        Args:
            paths: absolute; they need not exist.
            listener: called on the loop with paths at or below these, gathered over a short
                while.  What happened from this call on is told, and perhaps a little more.
        """
        self._loop, self._listener = asyncio.get_running_loop(), listener
        wanted = frozenset(map(os.path.normpath, paths))
        now = time.time_ns()
        with self._wake:
            self._new |= dict.fromkeys(wanted - self._paths, now)
            self._paths = wanted
            self._due = True
            self._wake.notify()
            if self._thread is None and wanted:
                self._thread = threading.Thread(target=self._run, name="files", daemon=True)
                self._thread.start()

    async def close(self) -> None:
        """Stop watching; nothing is told any more."""
        self._listener = None
        with self._wake:
            self._closed = True
            self._wake.notify()
        if self._thread is not None:
            await threads.alone("files-close", self._thread.join)

    def _run(self) -> None:
        try:
            while self._next():
                self._apply()
        finally:
            self._stop()

    def _next(self) -> bool:
        with self._wake:
            while not (self._due or self._closed):
                self._wake.wait()
            self._due = False
            return not self._closed

    def _apply(self) -> None:
        """Make the watches what the paths need now."""
        with self._wake:
            paths, new, stale = self._paths, self._new, self._stale
            self._new, self._stale = {}, set()
        if self._exhausted and not self._polling:
            self._poll()
        self._mounted = mounts.read()
        made = plan(paths, self._mounted)
        self._plan = made  # before the watches: their first event must be understood
        for folder, (reach, watch) in list(self._watched.items()):
            if made.watches.get(folder) is not reach or _at_or_below(folder, stale):
                del self._watched[folder]
                with contextlib.suppress(KeyError):
                    self._observer(folder).unschedule(watch)
        for folder, reach in made.watches.items():
            if folder not in self._watched and not self._add(folder, reach):
                self._again()
                with self._wake:
                    self._wake.wait(_RETRY)
        for path, since in new.items():
            self._tell(_changed_since(path, since - _SLACK_NS))
        if plan(paths, self._mounted).watches != made.watches:
            self._again()

    def _add(self, folder: str, reach: Reach) -> bool:
        from tiltd.adapters import observers  # noqa: PLC0415 - imports watchdog

        handler = observers.Handler(self._saw)
        filters = observers.STRUCTURE if reach is Reach.GUARD else observers.EVERYTHING
        try:
            watch = self._observer(folder).schedule(
                handler, folder, recursive=reach is Reach.TREE, event_filter=filters
            )
        except OSError:  # gone again, or no watch left: the next plan knows
            return False
        self._watched[folder] = reach, watch
        return True

    def _observer(self, folder: str) -> "api.BaseObserver":
        from tiltd.adapters import observers  # noqa: PLC0415 - imports watchdog

        mount = mounts.holding(folder, self._mounted)
        if mount is not None and mount.distant and not self._polling:
            if not self._distant:
                self._distant = observers.polled(self._looked)
                self._warn(
                    f"{mount.point} is a file system ({mount.type}) that tells of no changes made "
                    "elsewhere: files there are looked at once a second"
                )
            return cast("api.BaseObserver", self._distant[0])
        if not self._threads:
            try:
                self._threads = observers.native(self._lost, self._exhaust)
            except OSError:
                self._exhausted = True
                self._poll()
        return cast("api.BaseObserver", self._threads[0])

    def _poll(self) -> None:
        from tiltd.adapters import observers  # noqa: PLC0415 - imports watchdog

        self._stop()
        self._watched.clear()
        self._polling = True
        self._threads = observers.polled(self._looked)
        self._warn(
            "the system is out of file watches: files are looked at once a second instead; "
            "raise fs.inotify.max_user_watches and fs.inotify.max_user_instances"
        )
        self._again()

    def _stop(self) -> None:
        running = (*self._threads, *self._distant)
        for thread in running:
            thread.stop()
        for thread in running:
            thread.join()
        self._threads, self._distant = [], []

    def _again(self) -> None:
        with self._wake:
            self._due = True
            self._wake.notify()

    def _exhaust(self) -> None:
        self._exhausted = True
        self._again()

    def _looked(self, folder: str) -> None:
        """From now on changes there are seen.  What changed before, no clock of ours can tell."""
        self._saw(folder, False)  # noqa: FBT003 - as `observers.Saw`
        places = self._plan.names.items()
        self._tell(n for place, names in places if _at_or_below(place, {folder}) for n in names)

    def _lost(self) -> None:
        """Events are missing: anything may have changed."""
        self._tell(iter(self._paths))

    def _saw(self, path: str, structural: bool) -> None:  # noqa: FBT001 - as `observers.Saw`
        made = self._plan
        found: set[str] = set()
        for place in (path, *map(str, Path(path).parents)):
            found.update(name + path[len(place) :] for name in made.names.get(place, ()))
        if structural and (path in made.names or path in made.above):
            found |= made.above.get(path, set())
            now = time.time_ns()
            with self._wake:
                self._stale.add(path)
                for name in made.above.get(path, set()) | made.names.get(path, set()):
                    self._new.setdefault(name, now)
            self._again()
        self._tell(iter(found))

    def _tell(self, paths: Iterator[str]) -> None:
        """Gather changes, from any thread."""
        news = dict.fromkeys(paths)
        loop = self._loop
        if not news or loop is None:
            return
        with self._wake:
            first = not self._changed
            self._changed |= news
            self._last = loop.time()
        if first:
            with contextlib.suppress(RuntimeError):  # the loop has closed
                loop.call_soon_threadsafe(self._begin, loop)

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        self._first = loop.time()
        loop.call_later(QUIET, self._settle, loop)

    def _settle(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._wake:
            due = min(self._last + QUIET, self._first + LONGEST)
            if loop.time() < due:
                loop.call_at(due, self._settle, loop)
                return
            changed, self._changed = self._changed, {}
        if self._listener is not None:
            self._listener(tuple(sorted(changed)))


def _at_or_below(path: str, places: set[str]) -> bool:
    return bool(places) and (path in places or any(str(p) in places for p in Path(path).parents))


def _changed_since(path: str, since: int) -> Iterator[str]:
    """`path`, and what is below it, as far as it was changed at or after `since` (ns)."""
    try:
        if os.lstat(path).st_ctime_ns >= since or os.stat(path).st_ctime_ns >= since:  # noqa: PTH116
            yield path
        with os.scandir(path) as found:
            entries = list(found)
    except OSError:  # missing, no folder, or gone: nothing (more) to say
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _changed_since(entry.path, since)
        else:
            with contextlib.suppress(OSError):
                if entry.stat(follow_symlinks=False).st_ctime_ns >= since:
                    yield entry.path
