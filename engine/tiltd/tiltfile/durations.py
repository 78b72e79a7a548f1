"""Durations as Go writes them: `30s`, `1h15m`, `1.5h`, `300ms`."""

import re

from tiltd.tiltfile.mistakes import Mistake

_SECONDS = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "μs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
}
_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_WHOLE = re.compile(rf"([-+]?)((?:{_PART.pattern})+|0)")


def parse(text: str) -> float:
    """Seconds.

    Raises:
        Mistake: `text` is no duration.
    """
    match = _WHOLE.fullmatch(text)
    if not match:
        raise Mistake(
            f"{text!r} is no duration",
            hint="write a number with its unit, such as 30s, 5m or 1h30m",
        )
    seconds = sum(float(n) * _SECONDS[unit] for n, unit in _PART.findall(match[2]))
    return -seconds if match[1] == "-" else seconds
