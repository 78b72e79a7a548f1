"""Rules of single values, as functions of the value and of the path that a refusal names.

A rule decides about absence too: it gets what the decoder left, which is an empty text or a 0 where
Go has no pointer, else None.
"""

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from tilt_cluster import fields, names, refusals
from tilt_cluster.refusals import Cause

Rule = Callable[[Any, str], Iterator[Cause]]

HIGHEST_PORT = 65535
_HIGHEST_ID = 2**31 - 1
_STANDARD = frozenset({"cpu", "memory", "ephemeral-storage"})
_PERCENT = re.compile(r"[0-9]+%")
_PERCENT_RULE = (
    "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or "
    "'93%', regex used for validation is '[0-9]+%')"
)
_HEADER = re.compile(r"[-A-Za-z0-9]+")
_HEADER_RULE = (
    "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', "
    "regex used for validation is '[-A-Za-z0-9]+')"
)


def anything(value: Any, path: str) -> Iterator[Cause]:
    """No rule, and no need for a value: for fields that OpenAPI calls required."""
    del value, path
    yield from ()


def text(faults: Callable[[str], Sequence[str]], *, needed: bool = False) -> Rule:
    """A text without faults.

    Args:
        faults: what is wrong with a text.
        needed: an empty one is looked at too, and an absent one is taken for empty.
    """

    def rule(value: Any, path: str) -> Iterator[Cause]:
        if value in (None, "") and not needed:
            return
        yield from (refusals.invalid(path, value or "", one) for one in faults(value or ""))

    return rule


def named(faults: Callable[[str], Sequence[str]]) -> Rule:
    """A text that must be there, and without faults."""
    inner = text(faults)

    def rule(value: Any, path: str) -> Iterator[Cause]:
        if not value:
            yield refusals.required(path)
        yield from inner(value, path)

    return rule


def pointer(faults: Callable[[str], Sequence[str]]) -> Rule:
    """A text that may be absent, but neither empty nor faulty."""

    def rule(value: Any, path: str) -> Iterator[Cause]:
        if value is not None:
            yield from (refusals.invalid(path, value, one) for one in faults(value))

    return rule


def each(inner: Rule) -> Rule:
    """A rule for every item of a list."""

    def rule(value: Any, path: str) -> Iterator[Cause]:
        for at, item in enumerate(value or ()):
            yield from inner(item, f"{path}[{at}]")

    return rule


def every(*rules: Rule) -> Rule:
    """Several rules for one value."""

    def rule(value: Any, path: str) -> Iterator[Cause]:
        for one in rules:
            yield from one(value, path)

    return rule


def one_of(*options: str, needed: bool = False, ordered: bool = False) -> Rule:
    """One of some texts.

    Args:
        options: them.
        needed: an empty or absent one is refused as well, in the same words.
        ordered: the refusal lists them in this order rather than sorted.
    """
    listed = options if ordered else sorted(options)

    def rule(value: Any, path: str) -> Iterator[Cause]:
        if value in options or (value is None and not needed):
            return
        yield refusals.unsupported(path, value or "", listed)

    return rule


def operator(*options: str) -> Rule:
    """The operator of a selector's requirement."""

    def rule(value: Any, path: str) -> Iterator[Cause]:
        if value not in options:
            yield refusals.invalid(path, value or "", "not a valid selector operator")

    return rule


def filled(detail: str = "") -> Rule:
    """Something that must be there."""

    def rule(value: Any, path: str) -> Iterator[Cause]:
        if not value:
            yield refusals.required(path, detail)

    return rule


def least(lowest: int, detail: str = "") -> Rule:
    """A number that is not below another."""
    said = detail or f"must be greater than or equal to {lowest}"

    def rule(value: Any, path: str) -> Iterator[Cause]:
        if isinstance(value, int) and value < lowest:
            yield refusals.invalid(path, value, said)

    return rule


def most(highest: int, detail: str = "") -> Rule:
    """A number that is not above another."""
    said = detail or f"must be less than or equal to {highest}"

    def rule(value: Any, path: str) -> Iterator[Cause]:
        if isinstance(value, int) and value > highest:
            yield refusals.invalid(path, value, said)

    return rule


def between(lowest: int, highest: int, detail: str = "") -> Rule:
    """A number in a range; an absent one is right."""
    said = detail or f"must be between {lowest} and {highest}, inclusive"

    def rule(value: Any, path: str) -> Iterator[Cause]:
        if value is not None and not lowest <= value <= highest:
            yield refusals.invalid(path, value, said)

    return rule


port_number = between(1, HIGHEST_PORT)
number_of_user = between(0, _HIGHEST_ID)
mode = between(0, 0o777, "must be a number between 0 and 0777 (octal), both inclusive")


def port(value: Any, path: str) -> Iterator[Cause]:
    """A port by its number or name."""
    if isinstance(value, str):
        yield from (refusals.invalid(path, value, one) for one in names.port(value))
    else:
        yield from port_number(value or 0, path)


def share(value: Any, path: str) -> Iterator[Cause]:
    """A number that is not negative, or a percentage."""
    if isinstance(value, str):
        if not _PERCENT.fullmatch(value):
            yield refusals.invalid(path, value, _PERCENT_RULE)
    else:
        yield from least(0)(value, path)


def part(value: Any, path: str) -> Iterator[Cause]:
    """A number that is not negative, or a percentage up to 100."""
    yield from share(value, path)
    if isinstance(value, str) and _PERCENT.fullmatch(value) and int(value[:-1]) > 100:  # noqa: PLR2004
        yield refusals.invalid(path, value, "must not be greater than 100%")


def address(value: Any, path: str) -> Iterator[Cause]:
    """An IP address."""
    try:
        ipaddress.ip_address(value or "")
    except ValueError:
        said = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
        yield refusals.invalid(path, value or "", said)


def network(value: Any, path: str) -> Iterator[Cause]:
    """A range of addresses."""
    try:
        ipaddress.ip_network(value or "", strict=False)
        right = "/" in value
    except ValueError:
        right = False
    if not right:
        said = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
        yield refusals.invalid(path, value or "", said)


def header(value: Any, path: str) -> Iterator[Cause]:
    """The name of an HTTP header."""
    if not _HEADER.fullmatch(value or ""):
        yield refusals.invalid(path, value or "", _HEADER_RULE)


def inside(value: Any, path: str) -> Iterator[Cause]:
    """A path below some folder."""
    if value and value.startswith("/"):
        yield refusals.invalid(path, value, "must be a relative path")
    yield from no_way_up(value, path)


def no_way_up(value: Any, path: str) -> Iterator[Cause]:
    """A path that never leaves its folder."""
    if value and ".." in value.split("/"):
        yield refusals.invalid(path, value, "must not contain '..'")


def amount(value: Any, path: str) -> Iterator[Cause]:
    """A quantity that is not negative."""
    if value is not None and fields.quantity(value) < 0:
        yield refusals.invalid(path, str(value), "must be greater than or equal to 0")


def resource(value: Any, path: str) -> Iterator[Cause]:
    """A resource that containers use."""
    name = value or ""
    yield from text(names.label_key)(name, path)
    if name and "/" not in name and name not in _STANDARD and not name.startswith("hugepages-"):
        for said in ("resource type or fully qualified", "resource for containers"):
            yield refusals.invalid(path, name, f"must be a standard {said}")


def labels(value: Any, path: str) -> Iterator[Cause]:
    """A map of labels."""
    pairs: Mapping[str, str] = value or {}
    for key, item in pairs.items():
        yield from (refusals.invalid(path, key, one) for one in names.label_key(key))
        yield from (refusals.invalid(path, item, one) for one in names.label_value(item))
