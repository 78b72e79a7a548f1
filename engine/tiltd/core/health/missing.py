"""Which object a message misses.

Config maps, secrets, claims and service accounts are looked up late, by whoever needs them, and
each says so in its own words.  Knowing the object's name, the engine can tell "you forgot it" from
"this same run is about to apply it".
"""

import re
from collections.abc import Sequence
from typing import Final

from tiltd.core.health.scope import Context, Reference

_MISSING: Final[Sequence[re.Pattern[str]]] = [
    re.compile(
        r"(?P<kind>configmap|secret|persistentvolumeclaim|serviceaccount)"
        r" \"(?P<name>[^\"]+)\" not found",
        re.IGNORECASE,
    ),
    re.compile(
        r"couldn't find key (?P<key>\S+) in (?P<kind>ConfigMap|Secret)"
        r" (?:(?P<ns>[^/\s]+)/)?(?P<name>[^\s,]+)"
    ),
    re.compile(r"(?P<kind>PriorityClass) with name (?P<name>\S+) was found"),
    re.compile(r"(?P<kind>storageclass)(?:\.storage\.k8s\.io)? \"(?P<name>[^\"]+)\" not found"),
]
_KEY = re.compile(r"references non-existent (?:config|secret) key: ?(?P<key>\S+)")
_NAMESPACED = {"configmap", "secret", "persistentvolumeclaim", "serviceaccount"}

# Put there by the cluster itself, moments after a namespace is made.
_OF_CLUSTER = {("configmap", "kube-root-ca.crt"), ("serviceaccount", "default")}


def reference(message: str, namespace: str) -> Reference | None:
    """The object that `message`, about an object of `namespace`, says is not there."""
    found = next((m for p in _MISSING if (m := p.search(message))), None)
    if found is None:
        return None
    kind = found["kind"].lower()
    own = found.groupdict().get("ns") or namespace
    return Reference(kind, own if kind in _NAMESPACED else "", found["name"])


def key(message: str) -> str:
    """The key of a ConfigMap or Secret that `message` says is not there; else empty."""
    for pattern in (_MISSING[1], _KEY):
        if found := pattern.search(message):
            return found["key"].rstrip(",.")
    return ""


def names_something(message: str) -> bool:
    """Whether `message` blames something that isn't there."""
    return reference(message, "") is not None or bool(key(message))


def awaited(wanted: Reference | None, context: Context) -> bool:
    """Whether this run, or the cluster itself, is about to bring it."""
    if wanted is None:
        return False
    return wanted in context.pending or (wanted.kind, wanted.name) in _OF_CLUSTER


def since(wanted: Reference | None, context: Context, began: float) -> float:
    """From when its absence counts: since it was applied, where this run did that."""
    brought = context.applied.get(wanted) if wanted is not None else None
    return began if brought is None else max(began, brought)
