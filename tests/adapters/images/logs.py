"""A log that tests can wait on."""

import asyncio
import threading


class Lines:
    """Collects what is written, from any thread, and wakes who waits for a text."""

    def __init__(self) -> None:
        self._text = ""
        self._lock = threading.Lock()
        self._waiting: list[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]] = []

    def write(self, text: str, *, level: str = "info") -> None:
        del level
        with self._lock:
            self._text += text
            for wanted, loop, event in self._waiting:
                if wanted in self._text:
                    loop.call_soon_threadsafe(event.set)

    @property
    def text(self) -> str:
        with self._lock:
            return self._text

    async def until(self, wanted: str, seconds: float = 60) -> None:
        event = asyncio.Event()
        with self._lock:
            self._waiting.append((wanted, asyncio.get_running_loop(), event))
            if wanted in self._text:
                return
        async with asyncio.timeout(seconds):
            await event.wait()
