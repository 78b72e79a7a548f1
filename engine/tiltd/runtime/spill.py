"""Log lines that memory has no room for, on disk.

The oldest lines leave memory in blocks; a block is one piece of JSON, and an index says where each
begins.  Readers go through the log in order, so the block that was read last is kept.

The files have no name (`O_TMPFILE`, or removed as soon as they are open) and mode 0600: nobody else
reads them, and nothing is left when the daemon is gone, however it goes.  The disk has a bound too:
there are several files, and with the oldest the oldest lines are let go.

Not thread-safe: the log's lock is held around every call.
"""

import json
import tempfile
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Sequence
from typing import IO, NamedTuple

LIMIT = 1024 * 1024 * 1024
"""Bytes on disk, by default."""
_FILES = 16

Row = tuple[int, float, str, str, str, str]
"""A line: sequence number, time, resource, span, level, text."""


class _Block(NamedTuple):
    first: int
    file: IO[bytes]
    offset: int
    length: int


class Spill:
    """See the module.

    Args:
        folder: where the files are; the system's temporary folder if it is empty.
        limit: bytes.
    """

    def __init__(self, folder: str = "", limit: int = LIMIT) -> None:
        self._folder, self._limit = folder, limit
        self._blocks: deque[_Block] = deque()
        self._files: deque[IO[bytes]] = deque()
        self._sizes: deque[int] = deque()
        self._read: tuple[int, list[Row]] = (0, [])

    @property
    def first(self) -> int:
        """The sequence number of the oldest line that is here; 0 if there is none."""
        return self._blocks[0].first if self._blocks else 0

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(self._sizes)

    def add(self, rows: Sequence[Row]) -> None:
        """Write lines, which follow on those that are here.

        Raises:
            OSError: the disk is full, or can't be written.
        """
        text = json.dumps(rows, ensure_ascii=False, separators=(",", ":"))
        data = text.encode(errors="surrogatepass")
        file = self._writable()
        offset = self._sizes[-1]
        file.seek(offset)
        file.write(data)
        file.flush()
        self._blocks.append(_Block(rows[0][0], file, offset, len(data)))
        self._sizes[-1] += len(data)
        while self.size > self._limit and len(self._files) > 1:
            self._forget()

    def block(self, seq: int) -> list[Row]:
        """The lines of the block that has line `seq`, which must be here."""
        at = bisect_right(self._blocks, seq, key=lambda block: block.first) - 1
        block = self._blocks[at]
        if self._read[0] != block.first:
            self._read = (block.first, _load(block))
        return self._read[1]

    def rewrite(self, change: Callable[[str], str]) -> None:
        """Change the text of every line: a secret has become known.

        Raises:
            OSError: the disk is full, or can't be written; what was not rewritten is gone.
        """
        blocks, files = tuple(self._blocks), tuple(self._files)
        self._blocks, self._files, self._sizes = deque(), deque(), deque()
        self._read = (0, [])
        try:
            for block in blocks:
                self.add([(*row[:5], change(row[5])) for row in _load(block)])
        finally:
            for file in files:
                file.close()

    def close(self) -> None:
        """Forget everything, and give the place on disk back."""
        for file in self._files:
            file.close()
        self._blocks, self._files, self._sizes = deque(), deque(), deque()
        self._read = (0, [])

    def _writable(self) -> IO[bytes]:
        """The newest file, or one more if that is full."""
        if not self._files or self._sizes[-1] >= self._limit // _FILES:
            file = tempfile.TemporaryFile(dir=self._folder or None)  # noqa: SIM115 - closed when it is forgotten
            self._files.append(file)
            self._sizes.append(0)
        return self._files[-1]

    def _forget(self) -> None:
        oldest = self._files.popleft()
        self._sizes.popleft()
        while self._blocks and self._blocks[0].file is oldest:
            self._blocks.popleft()
        oldest.close()


def _load(block: _Block) -> list[Row]:
    block.file.seek(block.offset)
    text = block.file.read(block.length).decode(errors="surrogatepass")
    rows: list[list[object]] = json.loads(text)
    return [tuple(row) for row in rows]  # type: ignore[misc]  # JSON keeps no types, we wrote them
