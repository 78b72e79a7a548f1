"""Cluster time and host time.

The cluster's clock and ours differ, so every cluster timestamp is turned into host time as it is
read, and no rule compares the two.  `metav1.Time` is cut to the second: the real moment lies up to
`RESOLUTION` later.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

RESOLUTION = 1.0


@dataclass(frozen=True, slots=True)
class Clock:
    """The present, as an argument.

    Args:
        now: seconds since the epoch on the host's clock.
        skew: the cluster's clock minus the host's, in seconds.
    """

    now: float
    skew: float = 0.0

    def host(self, stamp: str) -> float | None:
        """Host time of an RFC 3339 `stamp` of the cluster; None if it is empty or unreadable."""
        try:
            moment = datetime.fromisoformat(stamp)
        except ValueError:
            return None
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        seconds = aware.timestamp()
        return seconds - self.skew if seconds > 0 else None  # the kubelet writes 1970 for "never"
