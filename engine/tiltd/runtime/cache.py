"""Digests of files' contents, kept on disk from one daemon to the next: `DigestCache` by SQLite.

As in git's index, a file is known by its path, inode, size, mtime and ctime: while none of these
changes, nor does its content.  Only files at rest are put in (`buildcontext`), so a write in the
same tick as our reading can't hide.

Files are read folder by folder, so the rows of a folder are fetched at once, and those of the last
few folders are kept; what is new is written in one transaction, after a while or by `flush`.  Each
row carries a checksum over all of itself, since SQLite has none: a row that is damaged is no row.

The cache is never worth an error.  A file that is no cache of ours, or is damaged, is made anew;
one that can't be had (read-only, full, locked by another for long) is done without, in memory.
Either is said once, in the daemon's own log.  Several daemons may use one file: SQLite takes turns
for them, and a row holds for whoever finds the same file.
"""

import logging
import os
import sqlite3
import threading
import zlib
from collections import OrderedDict
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

_log = logging.getLogger(__name__)

_FORMAT = 1
_APPLICATION = 0x74696C74
_PATIENCE = 0.25
"""Seconds to wait for another daemon's transaction."""
_FOLDERS = 64
_PENDING = 4096
_LARGEST = 256 << 20
"""Bytes; a file that has grown beyond is begun anew, as nobody removes rows of files gone."""
_MOST = 500_000
_TABLE = """
CREATE TABLE files (
    folder BLOB NOT NULL, name BLOB NOT NULL,
    inode INTEGER NOT NULL, size INTEGER NOT NULL,
    mtime INTEGER NOT NULL, ctime INTEGER NOT NULL,
    digest BLOB NOT NULL, checksum INTEGER NOT NULL,
    PRIMARY KEY (folder, name)
) WITHOUT ROWID
"""
_READ = "SELECT name, inode, size, mtime, ctime, digest, checksum FROM files WHERE folder = ?"
_WRITE = "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?)"

Identity = tuple[int, int, int, int]
Known = tuple[Identity, bytes]
_Rows = dict[str, Known]


class _ForeignError(Exception):
    """The file is no cache, or of another format."""


class MemoryCache:
    """Digests by path and identity; safe in any thread.

    Args:
        most: entries to keep; when there are more, the oldest half goes.
    """

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._known: dict[str, Known] = {}
        self._lock = threading.Lock()

    def get(self, path: str, status: os.stat_result) -> bytes | None:
        """The digest of the file's content, or None."""
        known = self._known.get(path)
        return known[1] if known is not None and known[0] == identity(status) else None

    def put(self, path: str, status: os.stat_result, digest: bytes) -> None:
        """Remember a digest."""
        with self._lock:
            if len(self._known) >= self._most:
                newest = list(self._known.items())[self._most // 2 :]
                self._known = dict(newest)
            self._known[path] = identity(status), digest


class FileCache:
    """See the module; safe in any thread, must be closed.

    Args:
        path: the file; `None` keeps everything in memory.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._memory: MemoryCache | None = None
        self._connection: sqlite3.Connection | None = None
        self._folders: OrderedDict[str, _Rows] = OrderedDict()
        self._pending: dict[str, _Rows] = {}
        self._count = 0
        self._closed = False
        if path is None:
            self._memory = MemoryCache()

    @property
    def on_disk(self) -> bool:
        """Whether what is put in outlives this process."""
        return self._memory is None

    def get(self, path: str, status: os.stat_result) -> bytes | None:
        """The digest of the file's content (32 bytes), or None."""
        if self._memory is None:
            folder, _, name = path.rpartition("/")
            with self._lock:
                known = self._known(folder).get(name)
            if self._memory is None:
                fits = known is not None and known[0] == identity(status)
                return known[1] if fits and known is not None else None
        return self._memory.get(path, status)

    def put(self, path: str, status: os.stat_result, digest: bytes) -> None:
        """Remember a digest."""
        if self._memory is not None:
            self._memory.put(path, status, digest)
            return
        folder, _, name = path.rpartition("/")
        known = identity(status), digest
        with self._lock:
            self._known(folder)[name] = known
            self._pending.setdefault(folder, {})[name] = known
            self._count += 1
            if self._count >= _PENDING:
                self._write()

    def flush(self) -> None:
        """Write what is new; an error costs the cache, never the caller."""
        with self._lock:
            self._write()

    def close(self) -> None:
        """Write what is new, and close the file; who still reads finds nothing more."""
        with self._lock:
            self._write()
            self._closed = True
            self._disconnect()

    def _known(self, folder: str) -> _Rows:
        """The rows of a folder; what is pending is among them."""
        rows = self._folders.get(folder)
        if rows is not None:
            self._folders.move_to_end(folder)
            return rows
        rows = self._load(folder)
        rows.update(self._pending.get(folder, {}))
        self._folders[folder] = rows
        if len(self._folders) > _FOLDERS:
            self._folders.popitem(last=False)
        return rows

    def _load(self, folder: str) -> _Rows:
        raw = os.fsencode(folder)
        try:
            connection = self._open()
            found = connection.execute(_READ, (raw,)).fetchall() if connection else []
        except (sqlite3.Error, OverflowError) as error:
            self._fail(error)
            return {}
        rows: _Rows = {}
        for name, inode, size, mtime, ctime, digest, checksum in found:
            known = ((inode, size, mtime, ctime), digest)
            if _checksum(raw, name, known) == checksum:
                rows[os.fsdecode(name)] = known
        return rows

    def _write(self) -> None:
        pending, self._pending, self._count = self._pending, {}, 0
        if not pending or self._memory is not None:
            return
        rows = [
            (raw, named, *known[0], known[1], _checksum(raw, named, known))
            for folder, files in pending.items()
            for raw in (os.fsencode(folder),)
            for name, known in files.items()
            for named in (os.fsencode(name),)
        ]
        try:
            connection = self._open()
            if connection is not None:
                with _transaction(connection):
                    connection.executemany(_WRITE, rows)
        except (sqlite3.Error, OverflowError) as error:
            self._fail(error)

    def _open(self) -> sqlite3.Connection | None:
        if self._connection is None and self._path is not None and not self._closed:
            try:
                self._connection = _connected(self._path)
            except (_ForeignError, sqlite3.DatabaseError) as error:
                if isinstance(error, sqlite3.OperationalError):
                    raise
                self._begin_anew(error)
        return self._connection

    def _begin_anew(self, error: Exception) -> None:
        """Drop the file: it is damaged, or not ours."""
        _log.debug("the cache of file digests %s is begun anew: %s", self._path, error)
        self._disconnect()
        self._folders.clear()
        if self._path is None:
            return
        try:
            _remove(self._path)
            self._connection = _connected(self._path)
        except (OSError, sqlite3.Error, _ForeignError) as again:
            self._do_without(again)

    def _fail(self, error: Exception) -> None:
        """Something went wrong with an open file.

        A damaged one is dropped; one that is busy or can't be written is left alone.
        """
        if isinstance(error, sqlite3.DatabaseError) and not isinstance(
            error, sqlite3.OperationalError
        ):
            self._begin_anew(error)
        else:
            self._do_without(error)

    def _do_without(self, error: Exception) -> None:
        _log.debug("file digests are kept in memory, without %s: %s", self._path, error)
        self._disconnect()
        self._folders.clear()
        self._memory = MemoryCache()

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()


def identity(status: os.stat_result) -> Identity:
    """What tells a file from what it was before."""
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _checksum(folder: bytes, name: bytes, known: Known) -> int:
    (inode, size, mtime, ctime), digest = known
    text = b"%b/%b %d %d %d %d " % (folder, name, inode, size, mtime, ctime)
    return zlib.crc32(digest, zlib.crc32(text))


def _connected(path: Path) -> sqlite3.Connection:
    """An open cache of ours.

    Raises:
        _ForeignError: the file is something else.
        sqlite3.Error: it is damaged, locked, or can't be read or written.
    """
    if path.is_symlink() or (path.exists() and path.stat().st_uid != os.getuid()):
        raise _ForeignError("it is a link, or another user's")
    if path.exists() and path.stat().st_size > _LARGEST:
        raise _ForeignError("it has grown too large")
    connection = sqlite3.connect(
        path, timeout=_PATIENCE, check_same_thread=False, isolation_level=None
    )
    try:
        _prepare(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection) -> None:
    """Have the table; two daemons may come at once."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    if _format(connection) == (0, 0):
        with _transaction(connection):
            if not connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
                connection.execute(_TABLE)
                connection.execute(f"PRAGMA application_id = {_APPLICATION}")
                connection.execute(f"PRAGMA user_version = {_FORMAT}")
    if _format(connection) != (_APPLICATION, _FORMAT):
        raise _ForeignError("it is of another format")


def _format(connection: sqlite3.Connection) -> tuple[int, int]:
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    return application, connection.execute("PRAGMA user_version").fetchone()[0]


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Generator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


def _remove(path: Path) -> None:
    for suffix in ("-wal", "-shm", ""):
        path.with_name(f"{path.name}{suffix}").unlink(missing_ok=True)
