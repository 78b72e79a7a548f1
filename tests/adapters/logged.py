"""A `ports.Log` to look at, and to wait for."""

import asyncio

_PATIENCE = 60.0
"""Seconds, for what is not itself about time, on a busy machine."""


class Logged:
    def __init__(self) -> None:
        self.text = ""
        self.biggest = 0
        self.keep = True
        self._came = asyncio.Event()

    def write(self, text: str, *, level: str = "info") -> None:
        assert level == "info"
        self.biggest = max(self.biggest, len(text))
        if self.keep:
            self.text += text
        self._came.set()

    async def shows(self, wanted: str) -> None:
        async with asyncio.timeout(_PATIENCE):
            while wanted not in self.text:
                self._came.clear()
                await self._came.wait()
