"""The daemon's log: what every piece of work prints, in one order, for any number of readers.

A `Writer` takes text as it comes, from any thread, and makes lines of it.  A line waits for its
end, so that lines of two sources never mix and secrets are found whole; one that stays unfinished
(a prompt, a row of dots) is flushed after a fifth of a second, all but an end that could be the
beginning of a secret.  Progress bars rewrite their line with carriage returns: what was
overwritten is dropped.  Colours stay; other control sequences, which would move the reader's
cursor or set his window's title, do not.

The store keeps the newest lines in memory up to a bound; the oldest go to disk (`runtime.spill`),
which has a bound of its own, and what is beyond that is dropped.  Readers come at their own pace,
from a sequence number on: nobody waits for them, and one that falls behind the bounds is told how
many lines it missed.  Writers wake readers that wait, and only those, so a burst costs one wake-up
and not one for each line.
"""

import asyncio
import contextlib
import logging
import re
import sys
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Collection, Iterable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from tiltd.core.scrub import Scrubber
from tiltd.runtime.spill import Spill

_log = logging.getLogger(__name__)

LIMIT = 64 * 1024 * 1024
"""Bytes of memory for lines that are kept, by default."""
LONGEST_LINE = 16 * 1024
"""Characters after which a line is cut."""
PATIENCE = 0.2
"""Seconds until an unfinished line is flushed."""
PROGRESS_PATIENCE = 5.0
"""Likewise, for a line that is being rewritten, and for what could become a secret."""
GATHER = 0.02
"""Seconds that a woken reader waits for more, so that it gets batches and not single lines."""

_BATCH = 1000
_SCAN = 20_000
_CHARGE = 240  # what a line takes besides its text: entry, place and numbers, as measured
_SPARE = 64  # the part of memory that is made free at a time, so that disk is written in blocks
_EARLY = 0.01  # timers and clocks don't agree to the last digit
# Colours (CSI … m) pass.  Else: CSI, OSC and other strings, two-character escapes, controls.
_UNWANTED = re.compile(
    r"\x1b\[(?![0-9;:]*m)[0-?]*[ -/]*[@-~]?"
    r"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?"
    r"|\x1b(?!\[)[ -/]*[0-~]?"
    r"|[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f\x80-\x9f]"
)


class Entry(NamedTuple):
    """A line.

    Args:
        seq: counts all lines, from 1.
        time: when its end came; seconds since the epoch.
        resource: the resource's name; empty for what is the session's.
        span: what of the resource printed it (`build/shop-api`, `pod/web-1/main/0` …).
        level: `debug`, `info`, `warn` or `error`.
        text: without its line end.
    """

    seq: int
    time: float
    resource: str
    span: str
    level: str
    text: str


@dataclass(frozen=True, slots=True)
class Batch:
    """What a reader gets at a time.

    Args:
        entries: in order; those that its filter let through.
        last: the sequence number up to which it has now read: resume from there.
        dropped: lines, of any resource, that were gone before this reader came to them.
    """

    entries: tuple[Entry, ...]
    last: int
    dropped: int = 0


class LogStore:
    """See the module.  Made on the running loop, which has the timers of unfinished lines.

    Args:
        limit: bytes of memory for lines, with all that comes with each.
        clock: the present, in seconds since the epoch.
        spill: takes what memory has no room for; without it, that is dropped.
    """

    def __init__(
        self,
        limit: int = LIMIT,
        clock: Callable[[], float] = time.time,
        spill: Spill | None = None,
    ) -> None:
        self._spill = spill
        self._loop = asyncio.get_running_loop()
        self._limit, self._clock = limit, clock
        self.lock = threading.Lock()
        self.scrubber = Scrubber()
        self._entries: dict[int, Entry] = {}
        self._spans: dict[tuple[str, str], deque[int]] = {}
        self._first, self._next, self._size = 1, 1, 0  # the oldest in memory, the next
        self._closed = False
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []
        self._unfinished: set[Writer] = set()
        self._timer_due = False

    @property
    def last(self) -> int:
        """The sequence number of the newest line; 0 before the first."""
        return self._next - 1

    @property
    def dropped(self) -> int:
        """How many lines were dropped so far."""
        return self._oldest - 1

    @property
    def size(self) -> int:
        """Bytes of memory that lines take."""
        return self._size

    def writer(self, resource: str, span: str) -> "Writer":
        """A new writer; two of the same names don't share a line."""
        return Writer(self, resource, span)

    def scrub(self, secrets: Iterable[str]) -> None:
        """From now on replace these values, and no others; in the lines that are there too."""
        self.scrub_with(Scrubber.of(secrets))

    def scrub_with(self, scrubber: Scrubber) -> None:
        """Likewise, with a scrubber that knows the values' names."""
        with self.lock:
            news = not self.scrubber.knows_all_of(scrubber)
            self.scrubber = scrubber
            if not news:
                return
            for seq, entry in self._entries.items():
                text = scrubber.scrub(entry.text)
                if text != entry.text:
                    self._size += cost(text) - cost(entry.text)
                    self._entries[seq] = entry._replace(text=text)

            if self._spill is not None:
                self._try(lambda spill: spill.rewrite(scrubber.scrub))

    def append(self, resource: str, span: str, level: str, lines: list[str]) -> None:
        """Add whole lines, scrubbed already; the caller holds `lock`."""
        if not lines:
            return
        now = self._clock()
        seqs = self._spans.setdefault((resource, span), deque())
        for text in lines:
            seq = self._next
            self._entries[seq] = Entry(seq, now, resource, span, level, text)
            seqs.append(seq)
            self._next += 1
            self._size += cost(text)
        if self._size > self._limit:
            self._make_room()
        self._wake()

    async def read(
        self,
        since: int = 0,
        *,
        resources: Collection[str] | None = None,
        levels: Collection[str] | None = None,
        follow: bool = True,
    ) -> AsyncGenerator[Batch]:
        """The lines after sequence number `since`, then those to come, until the store closes.

        Args:
            since: the last one that the reader has seen; 0 for all.
            resources: only theirs; `None` for all.
            levels: only these; `None` for all.
            follow: whether to go on after the lines that are there.
        """
        at, event, end = since + 1, asyncio.Event(), None if follow else self.last
        while True:
            with self.lock:
                batch = self._take(at, resources, levels)
                if batch is None and not self._closed:
                    event.clear()
                    self._waiting.append((asyncio.get_running_loop(), event))
            if batch is not None:
                at = batch.last + 1
                if batch.entries or batch.dropped:
                    yield batch
                else:
                    await asyncio.sleep(0)  # filtering much must not hold up the loop
            if end is not None and at > end:
                return
            if batch is None:
                if self._closed:
                    return
                await event.wait()
                await asyncio.sleep(0 if self._closed else GATHER)

    def tail(self, resource: str, span: str, count: int) -> tuple[Entry, ...]:
        """The last `count` lines of a span, oldest first, as far as they are still there."""
        with self.lock:
            seqs = self._spans.get((resource, span), ())
            newest = [seq for seq, _ in zip(reversed(seqs), range(count), strict=False)]
            return tuple(self._entries[seq] for seq in reversed(newest))

    def flush(self) -> None:
        """End all unfinished lines: who wrote them has stopped."""
        with self.lock:
            for writer in tuple(self._unfinished):
                writer.flush_all()

    def close(self) -> None:
        """Flush what is unfinished; readers end when they have read what is there."""
        with self.lock:
            for writer in tuple(self._unfinished):
                writer.flush_all()
            self._closed = True
            self._wake()

    def forget(self) -> None:
        """Give back what old lines take on disk; nobody reads any more."""
        with self.lock:
            if self._spill is not None:
                self._spill.close()

    def note(self, writer: "Writer", *, unfinished: bool) -> None:
        """Keep an eye on a writer with an unfinished line; the caller holds `lock`."""
        if not unfinished:
            self._unfinished.discard(writer)
            return
        self._unfinished.add(writer)
        if not self._timer_due:
            self._timer_due = True
            with contextlib.suppress(RuntimeError):  # the loop has closed: no timers any more
                self._loop.call_soon_threadsafe(self._loop.call_later, PATIENCE, self._flush)

    def _flush(self) -> None:
        with self.lock:
            self._timer_due = False
            for writer in tuple(self._unfinished):
                writer.flush_stale()
            for writer in tuple(self._unfinished):
                self.note(writer, unfinished=True)

    def time(self) -> float:
        """The loop's clock, which unfinished lines go by; from any thread."""
        return self._loop.time()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for loop, event in waiting:
            with contextlib.suppress(RuntimeError):  # that reader's loop has closed
                loop.call_soon_threadsafe(event.set)

    def _take(
        self, at: int, resources: Collection[str] | None, levels: Collection[str] | None
    ) -> Batch | None:
        start = max(at, self._oldest)
        if start >= self._next:
            return None
        if start < self._first and self._spill is not None:
            return self._take_spilled(self._spill, start, start - at, resources, levels)
        stop = min(self._next, start + (_BATCH if resources is levels is None else _SCAN))
        found: list[Entry] = []
        seq = start
        for seq in range(start, stop):
            entry = self._entries[seq]
            if (resources is None or entry.resource in resources) and (
                levels is None or entry.level in levels
            ):
                found.append(entry)
                if len(found) == _BATCH:
                    break
        return Batch(tuple(found), seq, start - at)

    def _take_spilled(
        self,
        spill: Spill,
        start: int,
        dropped: int,
        resources: Collection[str] | None,
        levels: Collection[str] | None,
    ) -> Batch:
        """What one block on disk has from `start` on."""
        rows = [row for row in spill.block(start) if row[0] >= start]
        found = tuple(
            Entry(*row)
            for row in rows
            if (resources is None or row[2] in resources) and (levels is None or row[4] in levels)
        )
        return Batch(found, rows[-1][0], dropped)

    @property
    def _oldest(self) -> int:
        """The oldest line that can be read."""
        return (self._spill.first if self._spill is not None else 0) or self._first

    def _make_room(self) -> None:
        """Let the oldest lines leave memory: to disk in blocks, if there is one for them."""
        if self._spill is None:
            while self._size > self._limit and self._entries:
                self._drop()
            return
        room = self._limit - self._limit // _SPARE
        while self._size > room and self._entries:
            block: list[Entry] = []
            while self._size > room and self._entries and len(block) < _BATCH:
                block.append(self._drop())
            self._try(partial(_add, block))

    def _try(self, write: Callable[[Spill], None]) -> None:
        """A disk that is full or broken loses old lines, never the daemon."""
        if self._spill is not None:
            try:
                write(self._spill)
            except OSError as error:
                _log.warning("old log lines are lost: %s", error)
                self._spill.close()

    def _drop(self) -> Entry:
        entry = self._entries.pop(self._first)
        self._first += 1
        self._size -= cost(entry.text)
        name = entry.resource, entry.span
        seqs = self._spans[name]
        seqs.popleft()
        if not seqs:
            del self._spans[name]
        return entry


class Writer:
    """A `ports.Log`: makes lines of text, for one span of one resource.  Safe in any thread."""

    def __init__(self, store: LogStore, resource: str, span: str) -> None:
        self._store, self._resource, self._span = store, resource, span
        self._rest, self._level, self._since = "", "info", 0.0
        self._patience = PATIENCE

    def write(self, text: str, *, level: str = "info") -> None:
        """Append text, which may end anywhere; a change of level ends the line."""
        if not text:
            return
        with self._store.lock:
            if level != self._level:
                self.flush_all()
                self._level = level
            fresh = not self._rest
            *whole, self._rest = (self._rest + text).split("\n")
            self._emit(whole)
            if fresh or whole:
                self._since, self._patience = self._store.time(), PATIENCE
            if "\r" in self._rest:
                self._rest = _newest(self._rest)
                self._patience = PROGRESS_PATIENCE
            if len(self._rest) > LONGEST_LINE:
                self._flush_safe()
            self._store.note(self, unfinished=bool(self._rest))

    def flush(self) -> None:
        """End an unfinished line."""
        with self._store.lock:
            self.flush_all()

    def flush_all(self) -> None:
        """Likewise; the caller holds the store's lock."""
        rest, self._rest = self._rest, ""
        if rest:
            self._emit([rest])
        self._store.note(self, unfinished=False)

    def flush_stale(self) -> None:
        """End a line that waited long enough; the caller holds the store's lock."""
        waited = self._store.time() - self._since
        if waited >= PROGRESS_PATIENCE - _EARLY:
            self.flush_all()
        elif waited >= self._patience - _EARLY:
            self._flush_safe()
            self._patience = PROGRESS_PATIENCE
            self._store.note(self, unfinished=bool(self._rest))

    def _flush_safe(self) -> None:
        """Emit all but an end that may be the beginning of a secret."""
        safe = self._store.scrubber.safe_length(self._rest)
        ready, self._rest = self._rest[:safe], self._rest[safe:]
        if ready:
            self._emit([ready])

    def _emit(self, lines: list[str]) -> None:
        clean = self._clean
        done = [clean(line) for line in lines]
        if any(len(line) > LONGEST_LINE for line in done):
            done = [piece for line in done for piece in _pieces(line)]
        self._store.append(self._resource, self._span, self._level, done)

    def _clean(self, line: str) -> str:
        if "\r" in line:
            line = line.rstrip("\r").rpartition("\r")[2]
        line = self._store.scrubber.scrub(line)
        if line.isprintable():  # by far the cheapest question, and mostly the last one
            return line
        # A control sequence may have stood in the middle of a secret.
        return self._store.scrubber.scrub(_UNWANTED.sub("", line))


def _add(block: list[Entry], spill: Spill) -> None:
    spill.add(block)


def _newest(rest: str) -> str:
    """What is not overwritten yet; a final return may be the first half of a line end."""
    body = rest.rstrip("\r")
    ending = "\r" if len(body) < len(rest) else ""
    return body.rpartition("\r")[2] + ending


def _pieces(line: str) -> list[str]:
    return [line[at : at + LONGEST_LINE] for at in range(0, len(line), LONGEST_LINE)] or [""]


def cost(text: str) -> int:
    """Bytes of memory that a line takes: a character takes one, two or four, by the widest."""
    return sys.getsizeof(text) + _CHARGE
