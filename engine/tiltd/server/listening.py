"""The daemon's place: its folder, its lock, and its word to whoever started it.

The lock (flock, so the kernel frees it with the process) makes sure of one daemon a project.
Whoever finds it taken says so and leaves: the starter then uses the daemon that has it.
"""

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from tilt_api import address, handshake

__all__ = ["Claim", "TakenError"]


class TakenError(Exception):
    """Another daemon serves this project."""


class Claim:
    """A project's place, held until it is closed.

    Args:
        project_dir: the folder to serve.
        ready_fd: where the starter listens; `None` if it does not.
    """

    def __init__(self, project_dir: str, ready_fd: int | None) -> None:
        self.project_dir = str(Path(project_dir).resolve())
        self._ready_fd = ready_fd
        self._lock = -1
        self.address = self.folder = ""

    def take(self) -> str:
        """Take the place; the address to listen on, for gRPC.

        Raises:
            TakenError: another daemon has it; the starter has been told.
            address.AddressError: there is no place.
        """
        try:
            home = address.home(self.project_dir)
            address.ensure_folder(home)
        except address.AddressError as error:
            self._tell(handshake.Failed(str(error), error.hint))
            raise
        self.address, self.folder = str(home.address), home.folder
        self._lock = os.open(home.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._tell(handshake.Running(self.address))
            raise TakenError(self.project_dir) from None
        os.ftruncate(self._lock, 0)
        os.write(self._lock, f"{os.getpid()}\n".encode())
        if isinstance(home.address, address.Unix):
            # A socket that a killed daemon left: the lock says that nobody listens there.
            with suppress(FileNotFoundError):
                Path(home.address.path).unlink()
        return self.address

    def ready(self) -> None:
        """Calls are answered: tell the starter."""
        self._tell(handshake.Ready(self.address))

    def failed(self, message: str, hint: str = "") -> None:
        """The daemon can't start: tell the starter why."""
        self._tell(handshake.Failed(message, hint))

    def _tell(self, word: handshake.Word) -> None:
        fd, self._ready_fd = self._ready_fd, None
        if fd is not None:
            with suppress(BrokenPipeError):  # the starter has gone
                os.write(fd, handshake.encode(word))
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._lock >= 0:
            with suppress(OSError):
                os.close(self._lock)
