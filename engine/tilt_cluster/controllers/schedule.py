"""The schedule of a CronJob: five fields, names, steps, ranges, `@daily` and the like; a time zone.

When both days of month and days of week are restricted, either one is enough (as in Vixie cron).
"""

import datetime as dt
import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass

_MACROS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_YEARS_AHEAD = 5


@dataclass(frozen=True, slots=True)
class Schedule:
    """The minutes at which it is due."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either_day: bool
    zone: dt.tzinfo

    def after(self, seconds: float) -> float | None:
        """The first time due after a Unix time; None if there is none within five years."""
        moment = dt.datetime.fromtimestamp(seconds, self.zone).replace(second=0, microsecond=0)
        moment += dt.timedelta(minutes=1)
        last = moment.year + _YEARS_AHEAD
        while moment.year <= last:
            if moment.month not in self.months or not self._day(moment):
                moment = moment.replace(hour=0, minute=0) + dt.timedelta(days=1)
            elif moment.hour not in self.hours:
                moment = moment.replace(minute=0) + dt.timedelta(hours=1)
            elif moment.minute not in self.minutes:
                moment += dt.timedelta(minutes=1)
            else:
                return moment.timestamp()
        return None

    def _day(self, moment: dt.datetime) -> bool:
        by_month = moment.day in self.days
        by_week = moment.isoweekday() % 7 in self.weekdays
        return (by_month or by_week) if self.either_day else (by_month and by_week)


def parse(text: str, zone: str | None = None) -> Schedule:
    """Read a schedule.

    Args:
        text: `spec.schedule`.
        zone: `spec.timeZone`, a name of the IANA data base; None is UTC, as in a cluster.

    Raises:
        ValueError: it is not one, or there is no such zone.
    """
    parts = _MACROS.get(text.strip(), text).split()
    if len(parts) != len(("minute", "hour", "day", "month", "weekday")):
        raise ValueError(f"expected exactly 5 fields, found {len(parts)}: {text}")
    try:
        tz: dt.tzinfo = zoneinfo.ZoneInfo(zone) if zone else dt.UTC
    except (zoneinfo.ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError(f"unknown time zone {zone}") from error
    weekdays = frozenset(day % 7 for day in _field(parts[4], 0, 7, _named(_DAYS, 0)))
    return Schedule(
        minutes=_field(parts[0], 0, 59, {}),
        hours=_field(parts[1], 0, 23, {}),
        days=_field(parts[2], 1, 31, {}),
        months=_field(parts[3], 1, 12, _named(_MONTHS, 1)),
        weekdays=weekdays,
        either_day=parts[2][0] not in "*?" and parts[4][0] not in "*?",
        zone=tz,
    )


def _named(names: tuple[str, ...], first: int) -> Mapping[str, int]:
    return {name: number for number, name in enumerate(names, start=first)}


def _field(text: str, low: int, high: int, names: Mapping[str, int]) -> frozenset[int]:
    found: set[int] = set()
    for part in text.lower().split(","):
        span, _, step = part.partition("/")
        if span in {"*", "?"}:
            first, last = low, high
        else:
            begin, _, end = span.partition("-")
            first = _number(begin, names)
            last = _number(end, names) if end else (high if step else first)
        stride = int(step) if step else 1
        if stride <= 0 or not low <= first <= last <= high:
            raise ValueError(f"{part!r} is not within {low} and {high}")
        found.update(range(first, last + 1, stride))
    return frozenset(found)


def _number(text: str, names: Mapping[str, int]) -> int:
    return names[text] if text in names else int(text)
