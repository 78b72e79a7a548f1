"""One clock: seconds since the epoch, as steady as the event loop's.

Timers run on the loop's monotonic clock while the cluster speaks of dates.  The offset between the
two is taken once, so a step of the system's clock in the middle of a run moves nothing.
"""

import asyncio
import time


class Clock:
    """Made on the running loop.

    Args:
        epoch: the present; by default the system's.
    """

    def __init__(self, epoch: float | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._offset = (time.time() if epoch is None else epoch) - self._loop.time()

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._loop.time() + self._offset

    def loop_time(self, when: float) -> float:
        """`when` (since the epoch) as the loop's timers count."""
        return when - self._offset
