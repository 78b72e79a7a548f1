"""Durations as Go writes them and Tilt's flags take them: `30s`, `1h30m`, `1.5h`, `100ms`."""

import re

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_NUMBER = r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)"
_PART = re.compile(rf"({_NUMBER})(h|ms|m|s|us|µs|ns)")
_WHOLE = re.compile(rf"(?:{_NUMBER}(?:h|ms|m|s|us|µs|ns))+")


def seconds(text: str) -> float:
    """A duration, or a plain number of seconds, in seconds.

    Raises:
        ValueError: it is neither, or negative.
    """
    if re.fullmatch(_NUMBER, text):
        return float(text)
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"{text!r} is no duration: write 30s, 5m, 1h30m, or seconds")
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
