"""Formats of strings in schemas: which there are, and what has them (github.com/go-openapi/strfmt).

A format that Kubernetes doesn't know is a warning and no rule; so is one that it knows and that
this can't check.
"""

import base64
import binascii
import contextlib
import datetime as dt
import ipaddress
import re
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from tilt_cluster import names

UNCHECKED = frozenset({"creditcard", "isbn", "isbn10", "isbn13"})
"""Known to Kubernetes, and not checked here."""
_NUMBERS = frozenset({"int32", "int64", "float", "double"})
_FREE = frozenset({"password"})
_LONGEST_HOST = 255
_GO_DURATION = re.compile(r"[-+]?(?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+|0")
_WORD_DURATION = re.compile(
    r"\d+\s*(?:nanoseconds?|nanos?|ns|microseconds?|micros?|us|µs|milliseconds?|millis?|ms|"
    r"seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|d|weeks?|wks?|w)"
)
_ISO_DURATION = re.compile(
    r"P(?=.)(?:\d+Y)?(?:\d+M)?(?:\d+W)?(?:\d+D)?(?:T(?=.)(?:\d+H)?(?:\d+M)?(?:\d+(?:\.\d+)?S)?)?"
)
_UUID = r"[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?%s[0-9a-fA-F]{3}-?%s[0-9a-fA-F]{3}-?[0-9a-fA-F]{12}"
_ANY = "[0-9a-fA-F]"
_BYTE = r"25[0-5]|2[0-4]\d|1?\d?\d"
_MOMENT = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:?\d\d)", re.ASCII
)


def _like(*patterns: str) -> Callable[[str], bool]:
    rules = [re.compile(one, re.ASCII) for one in patterns]
    return lambda text: any(rule.fullmatch(text) for rule in rules)


def _moment(text: str) -> bool:
    if not _MOMENT.fullmatch(text):
        return False
    with contextlib.suppress(ValueError):
        dt.datetime.strptime(text[:19].upper(), "%Y-%m-%dT%H:%M:%S")  # noqa: DTZ007 - only whether it is one
        return True
    return False


def _day(text: str) -> bool:
    with contextlib.suppress(ValueError):
        return dt.date.fromisoformat(text).isoformat() == text
    return False


def _address(version: int) -> Callable[[str], bool]:
    def has(text: str) -> bool:
        with contextlib.suppress(ValueError):
            return ipaddress.ip_address(text).version == version
        return False

    return has


def _network(text: str) -> bool:
    with contextlib.suppress(ValueError):
        ipaddress.ip_interface(text)
        return re.fullmatch(r".+/\d+", text) is not None
    return False


def _uri(text: str) -> bool:
    with contextlib.suppress(ValueError):
        return text.startswith("/") or bool(urlsplit(text).scheme)
    return False


def _bytes(text: str) -> bool:
    with contextlib.suppress(binascii.Error, ValueError):
        base64.b64decode(text, validate=True)
        return True
    return False


def _host(text: str) -> bool:
    part = "[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
    return len(text) <= _LONGEST_HOST and bool(
        re.fullmatch(rf"{part}|(?:{part}\.)+[a-zA-Z]{{2,63}}", text, re.ASCII)
    )


_CHECKS: Mapping[str, Callable[[str], bool]] = {
    "bsonobjectid": _like("[0-9a-fA-F]{24}"),
    "byte": _bytes,
    "cidr": _network,
    "date": _day,
    "date-time": _moment,
    "datetime": _moment,
    "duration": lambda text: any(
        rule.fullmatch(text) for rule in (_GO_DURATION, _WORD_DURATION, _ISO_DURATION)
    ),
    "email": _like(r"[^@<>\s]+@[^@<>\s]+", r"[^@<>]*<[^@<>\s]+@[^@<>\s]+>"),
    "hexcolor": _like("#?(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})"),
    "hostname": _host,
    "ipv4": _address(4),
    "ipv6": _address(6),
    "k8s-long-name": lambda text: not names.subdomain(text),
    "k8s-short-name": lambda text: not names.label(text),
    "mac": _like(
        *(f"{_ANY}{{2}}(?:{mark}{_ANY}{{2}}){{{n}}}" for mark in ":-" for n in (5, 7, 19)),
        *(rf"{_ANY}{{4}}(?:\.{_ANY}{{4}}){{{n}}}" for n in (2, 3, 9)),
    ),
    "rgbcolor": _like(rf"rgb\(\s*(?:{_BYTE})\s*,\s*(?:{_BYTE})\s*,\s*(?:{_BYTE})\s*\)"),
    "ssn": _like(r"\d{3}[- ]?\d{2}[- ]?\d{4}"),
    "uri": _uri,
    "uuid": _like(_UUID % (_ANY, _ANY)),
    "uuid3": _like(_UUID % ("3", _ANY)),
    "uuid4": _like(_UUID % ("4", "[89abAB]")),
    "uuid5": _like(_UUID % ("5", "[89abAB]")),
}


def is_known(name: str) -> bool:
    """Whether Kubernetes knows a format."""
    return name in _CHECKS or name in UNCHECKED | _NUMBERS | _FREE


def has(name: str, text: str) -> bool:
    """Whether a string has a format; any has one that nobody checks."""
    check = _CHECKS.get(name)
    return check is None or check(text)
