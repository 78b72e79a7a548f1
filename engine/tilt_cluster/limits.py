"""LimitRanges: what admission fills into pods, and what it refuses.

Rules and words are those of Kubernetes' LimitRanger: first the defaults of `type: Container`, then
each limit of containers, pods and claims; everything that is broken is said at once.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from tilt_cluster import fields, quantities, refusals
from tilt_cluster.objects import (
    LIMIT_RANGES,
    PERSISTENT_VOLUME_CLAIMS,
    PODS,
    Object,
    Resource,
)
from tilt_cluster.quantities import Quantity

_NOTE = "kubernetes.io/limit-ranger"
_LISTS = (("container", "containers"), ("init container", "initContainers"))
Amounts = Mapping[str, Quantity]
Json = dict[str, Any]


class Reads(Protocol):
    """What is looked at."""

    def list(self, resource: Resource, namespace: str | None = None) -> Sequence[Object]:
        """Objects."""
        ...


def _of(reads: Reads, namespace: str, kind: str) -> Iterator[Mapping[str, Any]]:
    for one in reads.list(LIMIT_RANGES, namespace):
        yield from (
            limit
            for limit in fields.get(one, "spec", "limits", default=())
            if limit.get("type") == kind
        )


def fill(reads: Reads, pod: Json) -> None:
    """Give containers that ask for nothing what the namespace's LimitRanges say."""
    requests: Json = {}
    most: Json = {}
    for limit in _of(reads, fields.namespace(pod), "Container"):
        requests |= limit.get("defaultRequest") or {}
        most |= limit.get("default") or {}
    said: list[str] = []
    for word, key in _LISTS:
        for container in pod["spec"].get(key) or ():
            resources: Json = container.setdefault("resources", {})
            for part, usual in (("requests", requests), ("limits", most)):
                known: Json = resources.get(part) or {}
                added = sorted(set(usual) - set(known))
                if added:
                    resources[part] = {**known, **{name: usual[name] for name in added}}
                    what = f"{', '.join(added)} {part[:-1]}"
                    said.append(f"{what} for {word} {container.get('name', '')}")
    if said:
        notes: Json = pod["metadata"].get("annotations") or {}
        text = f"LimitRanger plugin set: {'; '.join(said)}"
        pod["metadata"]["annotations"] = {**notes, _NOTE: text}


def admit(reads: Reads, resource: Resource, obj: Object) -> None:
    """Refuse what is outside the limits.

    Raises:
        ApiError: 403, with every limit that is broken.
    """
    if resource == PODS:
        broken = [*_pod(reads, obj)]
    elif resource == PERSISTENT_VOLUME_CLAIMS:
        broken = [*_claim(reads, obj)]
    else:
        return
    if broken:
        said = broken[0] if len(broken) == 1 else f"[{', '.join(broken)}]"
        raise refusals.denied(resource, fields.name(obj), said)


def _pod(reads: Reads, pod: Object) -> Iterator[str]:
    namespace = fields.namespace(pod)
    for limit in _of(reads, namespace, "Container"):
        for _, key in _LISTS:
            for one in fields.get(pod, "spec", key, default=()):
                yield from _limit(limit, amounts(one, "requests"), amounts(one, "limits"))
    for limit in _of(reads, namespace, "Pod"):
        yield from _limit(limit, total(pod, "requests"), total(pod, "limits"))


def _claim(reads: Reads, claim: Object) -> Iterator[str]:
    asked = {
        name: quantities.parse(value)
        for name, value in fields.get(claim, "spec", "resources", "requests", default={}).items()
    }
    for limit in _of(reads, fields.namespace(claim), "PersistentVolumeClaim"):
        for name, least in _amounts(limit, "min"):
            yield from _least(limit, name, least, asked, {})
        for name, most in _amounts(limit, "max"):
            head = f"maximum {name} usage per {limit['type']} is {most}"
            if name not in asked:
                yield f"{head}.  No request is specified"
            elif asked[name].value > most.value:
                yield f"{head}, but request is {asked[name]}"


def _amounts(limit: Mapping[str, Any], key: str) -> Iterator[tuple[str, Quantity]]:
    found: Mapping[str, Any] = limit.get(key) or {}
    for name in sorted(found):
        yield name, quantities.parse(found[name])


def _limit(limit: Mapping[str, Any], asked: Amounts, most: Amounts) -> Iterator[str]:
    for name, bound in _amounts(limit, "min"):
        yield from _least(limit, name, bound, asked, most)
    for name, bound in _amounts(limit, "max"):
        head = f"maximum {name} usage per {limit['type']} is {bound}"
        if name not in most:
            yield f"{head}.  No limit is specified"
        elif most[name].value > bound.value:
            yield f"{head}, but limit is {most[name]}"
        elif name in asked and asked[name].value > bound.value:
            yield f"{head}, but request is {asked[name]}"
    for name, bound in _amounts(limit, "maxLimitRequestRatio"):
        head = f"{name} max limit to request ratio per {limit['type']} is {bound}, but "
        if not asked.get(name, quantities.ZERO).value:
            yield f"{head}no request is specified or request is 0"
        elif not most.get(name, quantities.ZERO).value:
            yield f"{head}no limit is specified or limit is 0"
        elif (ratio := most[name].value / asked[name].value) > bound.value:
            yield f"{head}provided ratio is {float(ratio):.6f}"


def _least(
    limit: Mapping[str, Any], name: str, bound: Quantity, asked: Amounts, most: Amounts
) -> Iterator[str]:
    head = f"minimum {name} usage per {limit['type']} is {bound}"
    if name not in asked:
        yield f"{head}.  No request is specified"
    elif asked[name].value < bound.value:
        yield f"{head}, but request is {asked[name]}"
    elif name in most and most[name].value < bound.value:
        yield f"{head}, but limit is {most[name]}"


def amounts(container: Mapping[str, Any], part: str) -> dict[str, Quantity]:
    """The `requests` or `limits` of a container."""
    found: Mapping[str, Any] = fields.get(container, "resources", part, default={})
    return {name: quantities.parse(value) for name, value in found.items()}


def total(pod: Object, part: str) -> dict[str, Quantity]:
    """The `requests` or `limits` of a pod: all containers at once, or what its start needs."""
    running: dict[str, Quantity] = {}
    for container in fields.get(pod, "spec", "containers", default=()):
        _add(running, amounts(container, part))
    peak: dict[str, Quantity] = {}
    beside: dict[str, Quantity] = {}
    for container in fields.get(pod, "spec", "initContainers", default=()):
        own = amounts(container, part)
        if container.get("restartPolicy") == "Always":  # a sidecar stays
            _add(running, own)
            _add(beside, own)
            own = beside
        else:
            own = {**beside, **{key: own[key] + beside.get(key, quantities.ZERO) for key in own}}
        for name, amount in own.items():
            if amount.value > peak.get(name, quantities.ZERO).value or name not in peak:
                peak[name] = amount
    for name, amount in peak.items():
        if name not in running or amount.value > running[name].value:
            running[name] = amount
    overhead: Mapping[str, Any] = fields.get(pod, "spec", "overhead", default={})
    known = {name: quantities.parse(value) for name, value in overhead.items()}
    _add(running, {key: known[key] for key in known if part == "requests" or key in running})
    return running


def _add(into: dict[str, Quantity], other: Amounts) -> None:
    for name, amount in other.items():
        into[name] = into.get(name, quantities.ZERO) + amount
