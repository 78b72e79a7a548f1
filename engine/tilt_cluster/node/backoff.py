"""Kubernetes' back-off for crashing containers and failing pulls: 10 s, doubling, at most 5 min."""

from dataclasses import dataclass, replace

FIRST, MOST = 10.0, 300.0
_CALM = 600.0


@dataclass(frozen=True, slots=True)
class BackOff:
    """How long the next attempt has to wait after the last one ended; 0 before the first."""

    delay: float = 0.0

    def until(self, ended: float) -> float:
        """When the next attempt may begin, if the last one ended then."""
        return ended + self.delay

    def next(self, lasted: float = 0.0) -> "BackOff":
        """After another attempt, whose predecessor lasted so many seconds."""
        if not self.delay or lasted >= _CALM:
            return replace(self, delay=FIRST)
        return replace(self, delay=min(self.delay * 2, MOST))


def show(seconds: float) -> str:
    """A duration as Go writes it (`1m20s`)."""
    whole = int(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    if hours:
        return f"{hours}h{minutes}m{rest}s"
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
