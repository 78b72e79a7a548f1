"""Where pods are described inside objects, and what they name.

A pod template is found by its shape, not by its kind, so that custom resources (Argo Rollouts,
Knative Services) are understood like Deployments: a mapping whose `spec` has `containers`.
"""

from collections.abc import Iterator, Mapping
from typing import Any, cast

from tiltd.model.desired import JSON

MAPPINGS = (dict, Mapping)  # a dict is recognised sooner by its type than by what it can do
_PLAIN = frozenset({"ConfigMap", "Secret", "ServiceAccount"})
"""Kinds of the core group without a `spec`, of which there are many."""
CONTAINER_LISTS = ("initContainers", "containers", "ephemeralContainers")


def section(obj: JSON, key: str) -> JSON:
    """The mapping at `key`; an empty one if there is none."""
    value = obj.get(key)
    return cast("JSON", value) if isinstance(value, MAPPINGS) else {}


def rows(value: object) -> Iterator[JSON]:
    """The mappings in a list; nothing for anything else."""
    if isinstance(value, list):
        for item in cast("list[object]", value):
            if isinstance(item, MAPPINGS):
                yield cast("JSON", item)


def templates(body: JSON) -> Iterator[JSON]:
    """Every pod template in an object (for a Pod: the object itself), outermost first."""
    if body.get("kind") in _PLAIN and body.get("apiVersion") == "v1":
        return
    if any(rows(section(body, "spec").get("containers"))):
        yield body
        return
    for value in body.values():
        if isinstance(value, str):
            continue  # as most values are
        if isinstance(value, MAPPINGS):
            yield from templates(cast("JSON", value))
        else:
            for row in rows(value):
                yield from templates(row)


def containers(spec: JSON) -> Iterator[JSON]:
    """All containers of a pod's spec, in the order in which they start."""
    for key in CONTAINER_LISTS:
        yield from rows(spec.get(key))


def references(spec: JSON) -> Iterator[tuple[str, str]]:
    """Kind and name of every ConfigMap, Secret and PersistentVolumeClaim that a pod names."""
    for secret in rows(spec.get("imagePullSecrets")):
        yield from _named("Secret", secret.get("name"))
    for volume in rows(spec.get("volumes")):
        yield from _volume(volume)
    for container in containers(spec):
        for env in rows(container.get("env")):
            source = section(env, "valueFrom")
            yield from _named("ConfigMap", section(source, "configMapKeyRef").get("name"))
            yield from _named("Secret", section(source, "secretKeyRef").get("name"))
        for source in rows(container.get("envFrom")):
            yield from _named("ConfigMap", section(source, "configMapRef").get("name"))
            yield from _named("Secret", section(source, "secretRef").get("name"))


def _volume(volume: JSON) -> Iterator[tuple[str, str]]:
    yield from _named("ConfigMap", section(volume, "configMap").get("name"))
    yield from _named("Secret", section(volume, "secret").get("secretName"))
    claim = section(volume, "persistentVolumeClaim")
    yield from _named("PersistentVolumeClaim", claim.get("claimName"))
    for source in rows(section(volume, "projected").get("sources")):
        yield from _named("ConfigMap", section(source, "configMap").get("name"))
        yield from _named("Secret", section(source, "secret").get("name"))


def _named(kind: str, name: Any) -> Iterator[tuple[str, str]]:
    if isinstance(name, str) and name:
        yield kind, name
