"""Rules of LimitRanges themselves: what may be limited, and that the bounds don't contradict.

Order and words are those of Kubernetes' validation.  Bounds are compared after the defaults have
been filled in, so one mistake may be told several times, as by a real server.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from tilt_cluster import fields, names, quantities, quota, refusals
from tilt_cluster.objects import Object
from tilt_cluster.quantities import Quantity
from tilt_cluster.refusals import Cause

_TYPES = frozenset({"Pod", "Container", "PersistentVolumeClaim"})
_OF_CONTAINERS = frozenset({"cpu", "memory", "ephemeral-storage"})
_STANDARD = quota.STANDARD | {"storage"}
_HUGE = "hugepages-"
_USUAL = ("default", "defaultRequest")
_LARGEST_EXACT = 2**63 // 1000
"""Above it, Kubernetes compares whole numbers only."""

Limit = Mapping[str, Any]


def check(obj: Object) -> Iterator[Cause]:
    """Rules of a LimitRange."""
    seen: set[str] = set()
    limits: Sequence[Limit] = fields.get(obj, "spec", "limits", default=())
    for at, limit in enumerate(limits):
        path = f"spec.limits[{at}]"
        kind = str(limit.get("type") or "")
        yield from _type(kind, f"{path}.type")
        if kind in seen:
            yield refusals.duplicate(f"{path}.type", kind)
        seen.add(kind)
        yield from _keys(limit, kind, path)
        for key in sorted({key for part in _parts(limit, kind) for key in limit.get(part) or ()}):
            yield from _bounds(limit, kind, key, path)


def _type(kind: str, path: str) -> Iterator[Cause]:
    wrong = names.label_key(kind)
    yield from (refusals.invalid(path, kind, one) for one in wrong)
    if not wrong and "/" not in kind and kind not in _TYPES:
        yield refusals.invalid(path, kind, "must be a standard limit type or fully qualified")


def _parts(limit: Limit, kind: str) -> Sequence[str]:
    """The parts that name resources, in the order in which they are looked at."""
    usual = () if kind == "Pod" else _USUAL
    found = ("max", "min", *usual, "maxLimitRequestRatio")
    return [part for part in found if limit.get(part)]


def _keys(limit: Limit, kind: str, path: str) -> Iterator[Cause]:
    *first, last = ("max", "min", *_USUAL, "maxLimitRequestRatio")
    for part in first:
        if part in _USUAL and kind == "Pod":
            if limit.get(part):
                text = "may not be specified when `type` is 'Pod'"
                yield refusals.forbidden(f"{path}.{part}", text)
            continue
        yield from _resources(limit, kind, part, path)
    bounded = {*(limit.get("min") or ()), *(limit.get("max") or ())}
    if kind == "PersistentVolumeClaim" and "storage" not in bounded:
        text = "either minimum or maximum storage value is required, but neither was provided"
        yield refusals.required(f"{path}.limits", text)
    yield from _resources(limit, kind, last, path)


def _resources(limit: Limit, kind: str, part: str, path: str) -> Iterator[Cause]:
    for key in limit.get(part) or ():
        field = f"{path}.{part}[{key}]"
        yield from (refusals.invalid(field, key, one) for one in _resource(key, kind))


def _resource(key: str, kind: str) -> Iterator[str]:
    """What is wrong with a resource's name."""
    wrong = names.label_key(key)
    yield from wrong
    huge = key.startswith(_HUGE)
    if not wrong and "/" not in key and key not in _STANDARD and not huge:
        yield "must be a standard resource type or fully qualified"
    if kind not in ("Pod", "Container"):
        return
    if "/" not in key:
        if key not in _OF_CONTAINERS and not huge:
            yield "must be a standard resource for containers"
    elif "kubernetes.io/" not in key and (key.startswith("requests.") or wrong):
        yield "doesn't follow extended resource name standard"


def _bounds(limit: Limit, kind: str, key: str, path: str) -> Iterator[Cause]:
    """What contradicts itself in the bounds of one resource."""
    found = {
        part: quantities.parse(limit[part][key])
        for part in _parts(limit, kind)
        if key in limit[part]
    }

    def above(upper: str, lower: str, said: str, field: str, shown: str) -> Iterator[Cause]:
        if upper in found and lower in found and found[upper].value > found[lower].value:
            text = said.format(found[upper], found[lower])
            yield refusals.invalid(f"{path}.{field}[{key}]", str(found[shown]), text)

    least, most, usual, asked = "min", "max", *_USUAL
    head = "default request value {} is greater than"
    yield from above(least, most, "min value {} is greater than max value {}", least, least)
    text = "min value {} is greater than default request value {}"
    yield from above(least, asked, text, asked, asked)
    yield from above(asked, most, f"{head} max value {{}}", asked, asked)
    yield from above(asked, usual, f"{head} default limit value {{}}", asked, asked)
    yield from above(least, usual, "min value {} is greater than default value {}", usual, least)
    yield from above(usual, most, "default value {} is greater than max value {}", usual, most)
    if "maxLimitRequestRatio" in found:
        yield from _ratio(found, f"{path}.maxLimitRequestRatio[{key}]")
    fixed = key.startswith(_HUGE) or not ("/" not in key or "kubernetes.io/" in key)
    if fixed and usual in found and asked in found and found[usual].value != found[asked].value:
        text = f"default value {found[usual]} must equal to defaultRequest value {found[asked]}"
        field = f"{path}.{asked}[{key}]"
        yield refusals.invalid(field, str(found[asked]), f"{text} in {key}")


def _ratio(found: Mapping[str, Quantity], path: str) -> Iterator[Cause]:
    ratio = found["maxLimitRequestRatio"]
    if ratio.value < 1:
        yield refusals.invalid(path, str(ratio), f"ratio {ratio} is less than 1")
    least, most = found.get("min"), found.get("max")
    if least is None or most is None:
        return
    three = [ratio, least, most]
    exact = all(one.value.__ceil__() < _LARGEST_EXACT for one in three)
    rounded: Callable[[Quantity], float] = (
        (lambda one: float((one.value * 1000).__ceil__())) if exact else _whole
    )
    bottom, top = rounded(least), rounded(most)
    if not bottom:
        return  # Go divides to infinity, or to what is no number: neither is exceeded
    highest = top / bottom
    if rounded(ratio) / (1000 if exact else 1) > highest:
        text = f"ratio {ratio} is greater than max/min = {highest:f}"
        yield refusals.invalid(path, str(ratio), text)


def _whole(one: Quantity) -> float:
    return float(one.value.__ceil__())
