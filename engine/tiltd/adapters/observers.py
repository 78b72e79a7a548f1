"""watchdog, as far as it is needed: the system's observer, and polling where that gives up.

watchdog swallows two things that make a watch silently blind: a folder below the watched one for
which the system has no watch left, and an overflow of the kernel's queue.  Both are seen here,
one level below its observer.
"""

import errno
import sys
import warnings
from collections.abc import Callable
from typing import Protocol

from watchdog import events
from watchdog.observers import api, polling

STRUCTURE: list[type[events.FileSystemEvent]] = [
    events.FileCreatedEvent,
    events.FileDeletedEvent,
    events.FileMovedEvent,
    events.DirCreatedEvent,
    events.DirDeletedEvent,
    events.DirMovedEvent,
]
"""Something came, went, or got another name."""
EVERYTHING: list[type[events.FileSystemEvent]] = [
    *STRUCTURE,
    events.FileModifiedEvent,
    events.FileAttribEvent,
    events.DirAttribEvent,
]
"""The same, and contents and modes; not opening, reading or closing."""
_STRUCTURAL = frozenset({"created", "deleted", "moved"})
_EXHAUSTED = frozenset({errno.ENOSPC, errno.EMFILE})
POLL_SECONDS = 1.0

Saw = Callable[[str, bool], None]
"""Told in some thread: a path, and whether it came, went or got another name."""


class Handler(events.FileSystemEventHandler):
    """Passes on what an event is about."""

    def __init__(self, saw: Saw) -> None:
        self._saw = saw

    def dispatch(self, event: events.FileSystemEvent) -> None:
        """Tell both paths of a move, and the one path of everything else."""
        structural = event.event_type in _STRUCTURAL
        for path in (event.src_path, event.dest_path):
            if path:
                self._saw(path if isinstance(path, str) else path.decode(), structural)


class Thread(Protocol):
    """What watchdog's threads have in common."""

    def stop(self) -> None:
        """Ask it to end."""
        ...

    def join(self, timeout: float | None = None) -> None:
        """Wait for its end."""
        ...


def native(lost: Callable[[], None], exhausted: Callable[[], None]) -> list[Thread]:
    """Start the system's observer; it comes first, and all of them must be stopped.

    Args:
        lost: called in some thread when events were lost.
        exhausted: called in some thread when a folder could not be watched for want of watches.

    Raises:
        OSError: the system has no observer left (EMFILE).
    """
    if sys.platform != "linux":
        from watchdog.observers import Observer  # noqa: PLC0415 - picks by platform on import

        observer = Observer()
        observer.start()
        return [observer]
    return _inotify(lost, exhausted)


def _inotify(lost: Callable[[], None], exhausted: Callable[[], None]) -> list[Thread]:
    from watchdog.observers import inotify, inotify_c  # noqa: PLC0415 - only Linux has them

    class Watches(inotify_c.InotifyFD):
        def add_callback(
            self,
            path: bytes,
            mask: inotify_c.Mask,
            callback: inotify_c.WatchCallback,
            id_: inotify_c.CallbackId,
        ) -> inotify_c.WatchDescriptor:
            try:
                return super().add_callback(path, mask, callback, id_)
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    exhausted()
                raise

        def handle_event(self, event: inotify_c.InotifyEvent) -> None:
            super().handle_event(event)
            if event.is_queue_overflow:
                lost()

    # watchdog warns in its own thread when it meets a new folder twice, which is harmless.
    warnings.filterwarnings("ignore", message="Callback with id", category=RuntimeWarning)
    watches = Watches()
    watches.start()
    observer = api.BaseObserver(inotify.InotifyEmitter, inotify_fd=watches)
    observer.start()
    return [observer, watches]


def polled(looked: Callable[[str], None]) -> list[Thread]:
    """Start an observer that looks for itself, once a second.

    Args:
        looked: told in some thread each folder that has been looked at for the first time: only
            what changes from then on will be seen.
    """

    class Looking(polling.PollingEmitter):
        def on_thread_start(self) -> None:
            super().on_thread_start()
            looked(self.watch.path)

    observer = api.BaseObserver(Looking, timeout=POLL_SECONDS)
    observer.start()
    return [observer]
