"""The files of a build context: walked once, digested for the key, sent to the builder.

All three use the same entries, so the key covers exactly what the builder gets: paths below the
context in a fixed order, permission bits, contents, targets of symbolic links.  Owners, times and
extended attributes are not keyed, nor are they sent (the tar says root and 1970), so that two
machines agree; but times are where BuildKit is to get what it would get from buildx.  All
permission bits count, since they reach the image: a checkout under another umask is another key.

Folders that hold something are entries even where a pattern leaves them out, for their mode.
Sockets, pipes and devices are passed over: no build can use one, and reading one may never end.
Names are bytes to Linux; those that are no UTF-8 pass through unharmed (surrogateescape).

People save files while we read.  A file counts as read when its size and times after the last
byte are those before the first one; otherwise it is read again, and after some tries
`ContextChangedError` says so.  `write_tar` digests what it sends and returns that digest: one
other than the key's means that the context changed between the two, and the build is not the
one that was asked for.

Everything here blocks: call it in a thread.  Nothing here holds more than one block of a file.
"""

import contextlib
import dataclasses
import enum
import hashlib
import io
import os
import stat
import tarfile
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import IO, Protocol

from tiltd.core import dockerignore
from tiltd.runtime import mounts

DOCKERFILE = ".tiltd.Dockerfile"
"""The name under which a Dockerfile is sent that isn't sent as a file of the context."""

_BLOCK = 1 << 18
_TRIES = 4
_TAR_BLOCK = 1 << 20
_FINE_TICK_NS = 50_000_000
_COARSE_TICK_NS = 2_000_000_000
_DISTANT_TICK_NS = 600_000_000_000
_SECOND_NS = 1_000_000_000
_IGNORE_FILE = ".dockerignore"


class ContextError(Exception):
    """A build context that can't be used; a change by the user helps.

    Args:
        path: the file or folder, absolute.
        reason: the sentence, without its hint.
        hint: what to do.
    """

    def __init__(self, path: str, reason: str, hint: str) -> None:
        shown = os.fsencode(path).decode(errors="backslashreplace")
        super().__init__(f"{shown}: {reason}; {hint}")
        self.path = path
        self.reason = reason
        self.hint = hint


class ContextMissingError(ContextError):
    """The context is not there, or is no folder."""


class UnreadableError(ContextError):
    """A file or folder of the context can't be read."""


class ContextChangedError(ContextError):
    """The context changed while it was read; another try may find it at rest."""


class Kind(enum.Enum):
    """What an entry is; the value is part of the digest."""

    FILE = "f"
    FOLDER = "d"
    LINK = "l"


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """A file, folder or symbolic link of a context.

    Args:
        path: relative to the context, with slashes.
        kind: what it is.
        mode: its permission bits.
        size: in bytes; 0 for what is no file.
        target: where a link points, as written in it.
        source: its path on this machine.
        status: of a file, as it was found.
    """

    path: str
    kind: Kind
    mode: int
    size: int
    target: str
    source: str
    status: os.stat_result | None = dataclasses.field(default=None, compare=False, repr=False)


@dataclasses.dataclass(frozen=True, slots=True)
class ExtraFile:
    """A file that only the builder sees, such as the Dockerfile; it replaces an entry."""

    path: str
    content: bytes


class DigestCache(Protocol):
    """Remembers SHA-256 digests of contents, by path and identity, as Git's index does.

    `get` answers only if inode, size, mtime and ctime (in nanoseconds) are those of `put`.  `put`
    is called only for files that have been at rest for longer than the file system's clock
    takes to tick, so that equal times mean equal contents.
    """

    def get(self, path: str, status: os.stat_result) -> bytes | None:
        """The digest of the file's content (32 bytes), or None."""
        ...

    def put(self, path: str, status: os.stat_result, digest: bytes) -> None:
        """Remember a digest."""
        ...


def entries(context: str, excludes: dockerignore.ContextFilter) -> Iterator[Entry]:
    """The context's entries, folder by folder, names in order, each folder before its contents.

    Args:
        context: the folder, absolute.
        excludes: what is left out.

    Raises:
        ContextMissingError: `context` is not there, or is no folder.
        UnreadableError: a folder or link can't be read.
    """
    try:
        root = os.stat(context)  # noqa: PTH116 - os throughout: pathlib can't scan this fast
    except FileNotFoundError:
        raise ContextMissingError(
            context, "the build context does not exist", "create it, or correct its path"
        ) from None
    except OSError as error:
        raise _unreadable(context, error) from error
    if not stat.S_ISDIR(root.st_mode):
        raise ContextMissingError(
            context, "the build context is no folder", "name the folder that the file is in"
        )
    return _folder(context, "", excludes)


def path_entries(
    paths: Iterable[tuple[str, dockerignore.ContextFilter]],
) -> Iterator[Entry]:
    """Entries of single files and of whole folders, such as the `deps` of a local resource.

    Args:
        paths: absolute, each with what is left out below it.  Missing ones have no entries.

    Raises:
        UnreadableError: one of them can't be read.
    """
    for number, (path, excludes) in enumerate(paths):
        try:
            status = os.stat(path)  # noqa: PTH116 - as above
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise _unreadable(path, error) from error
        if stat.S_ISDIR(status.st_mode):
            for entry in _folder(path, "", excludes):
                yield dataclasses.replace(entry, path=f"{number}/{entry.path}")
        elif stat.S_ISREG(status.st_mode):
            real = os.path.realpath(path)
            yield Entry(
                str(number),
                Kind.FILE,
                stat.S_IMODE(status.st_mode),
                status.st_size,
                "",
                real,
                status,
            )


def digest(
    items: Iterable[Entry],
    cache: DigestCache | None = None,
    note: Callable[[Entry, bytes], None] | None = None,
) -> str:
    """SHA-256 (hex) over path, kind, permission bits and content of each entry, in their order.

    Args:
        items: as `entries` gives them.
        cache: digests of files that haven't changed since.
        note: told each entry, with the digest of a file's content.

    Raises:
        UnreadableError: a file can't be read.
        ContextChangedError: a file was replaced or removed, or never came to rest.
    """
    total = hashlib.sha256()
    distant = frozenset[int]() if cache is None else mounts.distant_devices()
    for item in items:
        content = b""
        if item.kind is Kind.FILE:
            content = _file_digest(item, cache, distant)
        if note is not None:
            note(item, content)
        total.update(_record(item, content))
    return total.hexdigest()


def write_tar(
    out: IO[bytes],
    items: Iterable[Entry],
    extra: Iterable[ExtraFile] = (),
    *,
    times: bool = False,
) -> str:
    """Write a context as the Docker Engine's `/build` takes it, an uncompressed tar stream.

    Args:
        out: where to; only written to, never sought.
        items: as `entries` gives them.
        extra: sent in the place of entries of the same path, before all others.
        times: whether entries keep their time of change, in whole seconds.

    Returns:
        The digest of the entries as they were read, to be compared with the key's.

    Raises:
        UnreadableError: a file can't be read.
        ContextChangedError: a file changed while it was sent.
    """
    total = hashlib.sha256()
    with tarfile.open(
        fileobj=out,
        mode="w|",
        format=tarfile.GNU_FORMAT,
        encoding="utf-8",
        errors="surrogateescape",
        bufsize=_TAR_BLOCK,
    ) as tar:
        replaced: set[str] = set()
        for file in extra:
            replaced.add(file.path)
            info = _header(file.path, 0o644)
            info.size = len(file.content)
            tar.addfile(info, io.BytesIO(file.content))
        for item in items:
            sent = _discard(item) if item.path in replaced else _send(tar, item, times=times)
            total.update(_record(item, sent))
    return total.hexdigest()


def builder_files(dockerfile: bytes, visible_ignore_file: bytes | None) -> tuple[ExtraFile, ...]:
    """The Dockerfile, sent under a name of its own, which the build itself can't see.

    The classic builder removes from the context those of its two files that `.dockerignore`
    names.  So `.dockerignore` is sent too: the user's with one line more, as the Docker CLI does
    for a Dockerfile from outside, or one that hides both.

    Args:
        dockerfile: its bytes, bases replaced.
        visible_ignore_file: `.dockerignore`, if it is among the entries; None if not.
    """
    hidden = f"{_IGNORE_FILE}\n{DOCKERFILE}\n".encode()
    if visible_ignore_file is not None:
        hidden = visible_ignore_file + f"\n{DOCKERFILE}\n".encode()
    return ExtraFile(DOCKERFILE, dockerfile), ExtraFile(_IGNORE_FILE, hidden)


def affected(
    context: str, excludes: dockerignore.ContextFilter, changed: Iterable[str]
) -> tuple[str, ...]:
    """Those of the changed paths (absolute) that may change the context's digest.

    Looks at names alone, since what was removed is no file and no folder any more.  It says yes
    to a folder that is left out but may hold something that isn't; the digest knows better.
    """
    inside = context.rstrip("/") + "/"
    found: list[str] = []
    for path in changed:
        relative = path.removeprefix(inside)
        if path == context or (
            relative != path
            and not (excludes.excludes(relative) and excludes.can_skip_dir(relative))
        ):
            found.append(path)
    return tuple(found)


def _folder(folder: str, prefix: str, excludes: dockerignore.ContextFilter) -> Iterator[Entry]:
    try:
        with os.scandir(folder) as found:
            names = sorted(found, key=_name)
    except FileNotFoundError as error:
        raise _changed(folder, "disappeared while it was read") from error
    except OSError as error:
        raise _unreadable(folder, error) from error
    for name in names:
        path = prefix + name.name
        excluded = excludes.excludes(path)
        if name.is_dir(follow_symlinks=False):
            if not (excluded and excludes.can_skip_dir(path)):
                yield from _subfolder(name, path, excludes, excluded=excluded)
        elif not excluded and (entry := _leaf(name, path)):
            yield entry


def _name(entry: os.DirEntry[str]) -> str:
    return entry.name


def _subfolder(
    name: os.DirEntry[str], path: str, excludes: dockerignore.ContextFilter, *, excluded: bool
) -> Iterator[Entry]:
    """A folder and what is in it; one that is left out only if something in it is not."""
    inner = _folder(name.path, f"{path}/", excludes)
    first = next(inner, None) if excluded else None
    if excluded and first is None:
        return
    yield Entry(path, Kind.FOLDER, stat.S_IMODE(_status(name).st_mode), 0, "", name.path)
    if first is not None:
        yield first
    yield from inner


def _leaf(name: os.DirEntry[str], path: str) -> Entry | None:
    """A file or a link; None for a socket, a pipe or a device."""
    status = _status(name)
    mode = stat.S_IMODE(status.st_mode)
    if stat.S_ISREG(status.st_mode):
        return Entry(path, Kind.FILE, mode, status.st_size, "", name.path, status)
    if stat.S_ISLNK(status.st_mode):
        try:
            target = os.readlink(name.path)  # noqa: PTH115 - the text as written
        except OSError as error:
            raise _changed(name.path, "was replaced while the context was read") from error
        return Entry(path, Kind.LINK, mode, 0, target, name.path)
    return None


def _status(name: os.DirEntry[str]) -> os.stat_result:
    try:
        return name.stat(follow_symlinks=False)
    except FileNotFoundError as error:
        raise _changed(name.path, "disappeared while the context was read") from error
    except OSError as error:
        raise _unreadable(name.path, error) from error


def _record(item: Entry, content: bytes) -> bytes:
    """What the digest covers of one entry; lengths first, so that no two lists look alike."""
    path = os.fsencode(item.path)
    body = os.fsencode(item.target) if item.kind is Kind.LINK else content
    head = f"{item.kind.value} {item.mode:o} {len(path)} {len(body)}\0"
    return head.encode() + path + body


def _file_digest(
    item: Entry, cache: DigestCache | None, distant: frozenset[int] = frozenset()
) -> bytes:
    asked: tuple[int, int, int, int] | None = None
    if cache is not None and item.status is not None:
        if (known := cache.get(item.source, item.status)) is not None:
            return known  # not even opened
        asked = _identity(item.status)
    with _opened(item) as handle:
        for _ in range(_TRIES):
            before = os.fstat(handle)
            if (
                cache is not None
                and _identity(before) != asked
                and (known := cache.get(item.source, before)) is not None
            ):
                return known
            started = time.time_ns()
            found, count = _read(handle, item.source)
            if count == before.st_size and _identity(before) == _identity(os.fstat(handle)):
                if cache is not None and _at_rest(before, started, distant):
                    cache.put(item.source, before, found)
                return found
            os.lseek(handle, 0, os.SEEK_SET)
    raise _changed(item.source, "keeps changing while it is read")


def _read(handle: int, path: str) -> tuple[bytes, int]:
    total = hashlib.sha256()
    count = 0
    while block := _block(handle, path, _BLOCK):
        total.update(block)
        count += len(block)
    return total.digest(), count


def _block(handle: int, path: str, size: int) -> bytes:
    try:
        return os.read(handle, size)
    except OSError as error:
        raise _unreadable(path, error) from error


def _identity(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _at_rest(status: os.stat_result, now: int, distant: frozenset[int]) -> bool:
    """Whether a later write would show in the file's times.

    Some file systems count in whole seconds or two; a time without a fraction is taken for one
    of theirs.  A distant one (`mounts`) has another clock, which may be minutes off.
    """
    newest = max(status.st_mtime_ns, status.st_ctime_ns)
    if status.st_dev in distant:
        return now - newest > _DISTANT_TICK_NS
    coarse = status.st_mtime_ns % _SECOND_NS == 0
    return now - newest > (_COARSE_TICK_NS if coarse else _FINE_TICK_NS)


@contextlib.contextmanager
def _opened(item: Entry) -> Generator[int]:
    """The file of an entry, if it still is a file; a pipe in its place must not block us."""
    try:
        handle = os.open(item.source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except PermissionError as error:
        raise _unreadable(item.source, error) from error
    except OSError as error:
        raise _changed(item.source, "was removed or replaced after it was found") from error
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise _changed(item.source, "was replaced after it was found")
        yield handle
    finally:
        os.close(handle)


def _header(path: str, mode: int) -> tarfile.TarInfo:
    """Root's, of 1970: nothing of this machine."""
    info = tarfile.TarInfo(path)
    info.mode = mode
    return info


def _send(tar: tarfile.TarFile, item: Entry, *, times: bool) -> bytes:
    info = _header(item.path, item.mode)
    if times:
        with contextlib.suppress(OSError):  # whoever opens it will say what is wrong
            info.mtime = int(os.lstat(item.source).st_mtime)
    match item.kind:
        case Kind.FOLDER:
            info.type = tarfile.DIRTYPE
        case Kind.LINK:
            info.type = tarfile.SYMTYPE
            info.linkname = item.target
        case Kind.FILE:
            return _send_file(tar, info, item)
    tar.addfile(info)
    return b""


def _send_file(tar: tarfile.TarFile, info: tarfile.TarInfo, item: Entry) -> bytes:
    """The header promises a size, so a file that has another one by the end spoils the stream."""
    with _opened(item) as handle:
        before = os.fstat(handle)
        info.size = before.st_size
        reader = _Reader(handle, item.source, before.st_size)
        try:
            tar.addfile(info, reader)
        except OSError as error:
            if reader.ended:
                raise _changed(item.source, "became shorter while it was sent") from error
            raise
        if _identity(before) != _identity(os.fstat(handle)):
            raise _changed(item.source, "changed while it was sent")
        return reader.digest()


class _Reader(io.RawIOBase):
    """Reads a file for the tar, and digests what passes."""

    def __init__(self, handle: int, path: str, size: int) -> None:
        super().__init__()
        self._handle = handle
        self._path = path
        self._left = size
        self._total = hashlib.sha256()
        self.ended = False
        """Whether the file ended before its size."""

    def digest(self) -> bytes:
        """Of all that was read."""
        return self._total.digest()

    def read(self, size: int = -1) -> bytes:
        """The next bytes: all that were asked for, except at the end (tarfile insists)."""
        wanted = self._left if size < 0 else min(size, self._left)
        if not wanted:
            return b""
        block = _block(self._handle, self._path, wanted)
        self.ended = not block
        self._left -= len(block)
        self._total.update(block)
        return block


def _discard(item: Entry) -> bytes:
    return _file_digest(item, None) if item.kind is Kind.FILE else b""


def _unreadable(path: str, error: OSError) -> UnreadableError:
    return UnreadableError(
        path,
        f"it can't be read ({error.strerror})",
        "make it readable, or leave it out with .dockerignore or ignore=",
    )


def _changed(path: str, reason: str) -> ContextChangedError:
    return ContextChangedError(
        path, reason, "leave out what other programs write with .dockerignore or ignore="
    )
