"""ResourceQuotas: what objects use, and what admission refuses because there is no more.

What is used is counted from the objects at each write in a namespace that has a quota, so it is
never behind; the controller writes the same into `status`.  Rules and words are those of
Kubernetes' quota evaluators (k8s.io/kubernetes, `pkg/quota/v1`).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any, Protocol

from tilt_cluster import fields, limits, names, quantities, refusals
from tilt_cluster.objects import (
    PERSISTENT_VOLUME_CLAIMS,
    PODS,
    RESOURCE_QUOTAS,
    SERVICES,
    Object,
    Resource,
)
from tilt_cluster.quantities import Quantity
from tilt_cluster.refusals import Cause

Amounts = dict[str, Quantity]

_COUNTED = frozenset(
    {
        "configmaps",
        "persistentvolumeclaims",
        "pods",
        "replicationcontrollers",
        "resourcequotas",
        "secrets",
        "services",
    }
)
_COMPUTE = frozenset(
    f"{prefix}{name}" for prefix in ("", "requests.", "limits.") for name in ("cpu", "memory")
)
"""What each container must say if it is limited."""
_STORAGE = frozenset(
    {"ephemeral-storage", "requests.ephemeral-storage", "limits.ephemeral-storage"}
)
_OF_SERVICES = frozenset({"services.nodeports", "services.loadbalancers"})
_HUGE = ("hugepages-", "requests.hugepages-")
_OF_CLAIMS = ".storageclass.storage.k8s.io/"
STANDARD = _COUNTED | _COMPUTE | _STORAGE | _OF_SERVICES | {"requests.storage"}
_SCOPES = (
    "Terminating",
    "NotTerminating",
    "BestEffort",
    "NotBestEffort",
    "PriorityClass",
    "CrossNamespacePodAffinity",
)
_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")
_CONFLICTS = (("BestEffort", "NotBestEffort"), ("Terminating", "NotTerminating"))


class Reads(Protocol):
    """What is looked at."""

    def list(self, resource: Resource, namespace: str | None = None) -> Sequence[Object]:
        """Objects."""
        ...

    def resources(self) -> Sequence[Resource]:
        """Every collection."""
        ...


# What objects use


def _home(key: str) -> Resource | None:
    """The resource whose objects use what a key limits."""
    if key.startswith("count/"):
        plural, _, group = key.removeprefix("count/").partition(".")
        return Resource(group, plural)
    if key == "requests.storage" or _OF_CLAIMS in key:
        return PERSISTENT_VOLUME_CLAIMS
    if key in _OF_SERVICES:
        return SERVICES
    if key in _COUNTED:
        return Resource("", key)
    if key in _COMPUTE | _STORAGE or key.startswith(("requests.", "hugepages-")):
        return PODS
    return None


def usage(resource: Resource, obj: Object) -> Amounts:
    """What one object uses, of everything that a quota can limit."""
    found: Amounts = {f"count/{resource}": quantities.ONE}
    if resource == PODS:
        if fields.get(obj, "status", "phase") not in {"Succeeded", "Failed"}:
            found |= {"pods": quantities.ONE, **_of_pod(obj)}
        return found
    if not resource.group and resource.name in _COUNTED:
        found[resource.name] = quantities.ONE
    if resource == SERVICES:
        found |= _of_service(obj)
    elif resource == PERSISTENT_VOLUME_CLAIMS:
        found |= _of_claim(obj)
    return found


def _of_pod(pod: Object) -> Amounts:
    return _compute(limits.total(pod, "requests"), limits.total(pod, "limits"))


def _compute(requests: Mapping[str, Quantity], most: Mapping[str, Quantity]) -> Amounts:
    found: Amounts = {}
    for name, amount in requests.items():
        found[f"requests.{name}"] = amount
        if name in {"cpu", "memory", "ephemeral-storage"} or name.startswith("hugepages-"):
            found[name] = amount
    for name in ("cpu", "memory", "ephemeral-storage"):
        if name in most:
            found[f"limits.{name}"] = most[name]
    return found


def _of_service(service: Object) -> Amounts:
    spec: Mapping[str, Any] = service.get("spec") or {}
    kind = spec.get("type")
    balanced = kind == "LoadBalancer"
    opened = kind == "NodePort" or (balanced and spec.get("allocateLoadBalancerNodePorts", True))
    ports = len(spec.get("ports") or ()) if opened else 0
    return {
        "services.nodeports": Quantity(Fraction(ports)),
        "services.loadbalancers": Quantity(Fraction(int(balanced))),
    }


def _of_claim(claim: Object) -> Amounts:
    size = quantities.parse(fields.get(claim, "spec", "resources", "requests", "storage"))
    found = {"requests.storage": size}
    if chosen := fields.get(claim, "spec", "storageClassName"):
        found[f"{chosen}{_OF_CLAIMS}requests.storage"] = size
        found[f"{chosen}{_OF_CLAIMS}persistentvolumeclaims"] = quantities.ONE
    return found


# Whose objects


def _requirements(quota: Object) -> Iterator[tuple[str, str, Sequence[str]]]:
    """Each scope with its operator and values."""
    for scope in fields.get(quota, "spec", "scopes", default=()):
        yield scope, "Exists", ()
    for one in fields.get(quota, "spec", "scopeSelector", "matchExpressions", default=()):
        yield one["scopeName"], one["operator"], one.get("values") or ()


def _counts(quota: Object, resource: Resource, obj: Object) -> bool:
    """Whether an object is within a quota's scopes."""
    wanted = [*_requirements(quota)]
    if resource != PODS:
        return not wanted
    return all(_within(obj, *one) for one in wanted)


def _within(pod: Object, scope: str, operator: str, values: Sequence[str]) -> bool:
    match scope:
        case "Terminating" | "NotTerminating":
            limited = fields.get(pod, "spec", "activeDeadlineSeconds") is not None
            return limited is (scope == "Terminating")
        case "BestEffort" | "NotBestEffort":
            best = fields.get(pod, "status", "qosClass") == "BestEffort"
            return best is (scope == "BestEffort")
        case "PriorityClass":
            name = fields.get(pod, "spec", "priorityClassName")
            expression = {"key": scope, "operator": operator, "values": values}
            return fields.selects({"matchExpressions": [expression]}, {scope: name} if name else {})
        case _:
            return _crosses(pod)


def _crosses(pod: Object) -> bool:
    """Whether its affinity looks into other namespaces."""
    for kind in ("podAffinity", "podAntiAffinity"):
        rules: Mapping[str, Any] = fields.get(pod, "spec", "affinity", kind, default={})
        terms = [*(rules.get("requiredDuringSchedulingIgnoredDuringExecution") or ())]
        weighted = rules.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
        terms += [one.get("podAffinityTerm") or {} for one in weighted]
        if any(one.get("namespaces") or one.get("namespaceSelector") is not None for one in terms):
            return True
    return False


# Admission


def admit(reads: Reads, resource: Resource, old: Object | None, new: Object) -> None:
    """Refuse an object for which there is no more.

    Raises:
        ApiError: 403, `exceeded quota …`, or a container doesn't say what it needs.
    """
    if old is not None and resource not in {SERVICES, PERSISTENT_VOLUME_CLAIMS}:
        return
    concerned = [
        (quota, keys)
        for quota in reads.list(RESOURCE_QUOTAS, fields.namespace(new))
        if (keys := [key for key in _hard(quota) if _home(key) == resource])
        and _counts(quota, resource, new)
    ]
    if not concerned:
        return
    if resource == PODS:
        for quota, keys in concerned:
            _demand(quota, keys, new)
    before = usage(resource, old) if old is not None else {}
    asked = {
        key: amount - before.get(key, quantities.ZERO)
        for key, amount in usage(resource, new).items()
    }
    for quota, keys in concerned:
        _weigh(reads, quota, resource, new, {k: asked[k] for k in keys if k in asked})


def _hard(quota: Object) -> Mapping[str, Any]:
    found: Mapping[str, Any] = fields.get(quota, "spec", "hard", default={})
    return found


def _demand(quota: Object, keys: Iterable[str], pod: Object) -> None:
    """Where CPU or memory is limited, every container must say what it needs."""
    missing: dict[str, list[str]] = {}
    for part in ("containers", "initContainers"):
        for one in fields.get(pod, "spec", part, default=()):
            said = _compute(limits.amounts(one, "requests"), limits.amounts(one, "limits"))
            for key in _COMPUTE.intersection(keys) - said.keys():
                missing.setdefault(key, []).append(one["name"])
    if missing:
        listed = "; ".join(
            f"{key} for: {','.join(sorted(missing[key]))}" for key in sorted(missing)
        )
        why = f"failed quota: {fields.name(quota)}: must specify {listed}"
        raise refusals.denied(PODS, fields.name(pod), why)


def _weigh(reads: Reads, quota: Object, resource: Resource, new: Object, asked: Amounts) -> None:
    hard = {key: quantities.parse(_hard(quota)[key]) for key in asked}
    used = _sum(reads, quota, resource, asked)
    over = [
        key
        for key in asked
        if asked[key].value > 0 and used[key].value + asked[key].value > hard[key].value
    ]
    if over:
        shown = [
            quantities.listed({key: part[key] for key in over}) for part in (asked, used, hard)
        ]
        why = (
            f"exceeded quota: {fields.name(quota)}, requested: {shown[0]}, used: {shown[1]}, "
            f"limited: {shown[2]}"
        )
        raise refusals.denied(resource, fields.name(new), why)


def _sum(reads: Reads, quota: Object, resource: Resource, keys: Iterable[str]) -> Amounts:
    found = dict.fromkeys(keys, quantities.ZERO)
    for obj in reads.list(resource, fields.namespace(quota)):
        if _counts(quota, resource, obj):
            own = usage(resource, obj)
            for key in found:
                found[key] += own.get(key, quantities.ZERO)
    return found


def status(reads: Reads, quota: Object) -> Mapping[str, Any]:
    """What the controller writes: `hard` again, and of it what is used."""
    homes: dict[Resource, list[str]] = {}
    known = set(reads.resources())
    for key in _hard(quota):
        home = _home(key)
        if home is not None and home in known:
            homes.setdefault(home, []).append(key)
    used: Amounts = {}
    for resource, keys in homes.items():
        used |= _sum(reads, quota, resource, keys)
    return {
        "hard": {key: quantities.canonical(value) for key, value in _hard(quota).items()},
        "used": {key: str(used[key]) for key in _hard(quota) if key in used},
    }


# The object itself


def check(obj: Object) -> Iterator[Cause]:
    """Rules of a ResourceQuota."""
    hard = _hard(obj)
    for key, value in hard.items():
        yield from _check_key(key, f"spec.hard[{key}]")
        amount = quantities.parse(value)
        if amount.value < 0:
            text = "must be greater than or equal to 0"
            yield refusals.invalid(f"spec.hard[{key}]", str(value), text)
        elif (key in _COUNTED | _OF_SERVICES or key.startswith("count/")) and (
            amount.value.denominator != 1
        ):
            yield refusals.invalid(f"spec.hard[{key}]", str(amount), "must be an integer")
    yield from _check_scopes(fields.get(obj, "spec", "scopes", default=()), hard)
    yield from _check_selector(obj, hard)


def _check_key(key: str, path: str) -> Iterator[Cause]:
    wrong = names.label_key(key)
    if wrong:
        yield from (refusals.invalid(path, key, one) for one in wrong)
    elif "/" not in key and key not in STANDARD and not key.startswith(_HUGE):
        for text in ("resource type or fully qualified", "resource for quota"):
            yield refusals.invalid(path, key, f"must be a standard {text}")


def _check_scopes(scopes: Sequence[str], hard: Mapping[str, Any]) -> Iterator[Cause]:
    path = "spec.scopes"
    for scope in scopes:
        if scope not in _SCOPES:
            yield refusals.invalid(path, list(scopes), "unsupported scope")
        elif any(not _fits(scope, key) for key in hard if key in STANDARD):
            text = "unsupported scope applied to resource"
            yield refusals.invalid(path, list(scopes), text)
    for pair in _CONFLICTS:
        if set(pair) <= set(scopes):
            yield refusals.invalid(path, list(scopes), "conflicting scopes")


def _fits(scope: str, key: str) -> bool:
    return key == "pods" or (scope != "BestEffort" and key in _COMPUTE)


def _check_selector(obj: Object, hard: Mapping[str, Any]) -> Iterator[Cause]:
    path = "spec.scopeSelector.matchExpressions"
    for one in fields.get(obj, "spec", "scopeSelector", "matchExpressions", default=()):
        scope, operator = one.get("scopeName"), one.get("operator")
        values: list[str] = one.get("values") or []
        if scope not in _SCOPES:
            yield refusals.invalid(f"{path}.scopeName", scope, "unsupported scope")
        elif any(not _fits(scope, key) for key in hard if key in STANDARD):
            text = "unsupported scope applied to resource"
            yield refusals.invalid(path, scope, text)
        if operator not in _OPERATORS:
            yield refusals.invalid(f"{path}.operator", operator, "not a valid selector operator")
        elif scope != "PriorityClass" and operator != "Exists":
            text = (
                "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, "
                "ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, "
                "ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity"
            )
            yield refusals.invalid(f"{path}.operator", operator, text)
        elif operator in {"In", "NotIn"} and not values:
            text = (
                "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"
            )
            yield refusals.required(f"{path}.values", text)
        elif operator in {"Exists", "DoesNotExist"} and values:
            text = (
                "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"
            )
            yield refusals.invalid(f"{path}.values", values, text)


def kept(old: Object, new: Object) -> Iterator[Cause]:
    """What never changes in a ResourceQuota."""
    before: Sequence[str] = fields.get(old, "spec", "scopes", default=())
    after: Sequence[str] = fields.get(new, "spec", "scopes", default=())
    if sorted(before) != sorted(after):
        yield refusals.immutable("spec.scopes", list(after))
