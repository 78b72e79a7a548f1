"""How long to wait before the next try."""

_DELAYS = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)


def delay(tries: int) -> float:
    """Seconds to wait after so many failures in a row (from 1)."""
    return _DELAYS[min(tries, len(_DELAYS)) - 1]
