"""In what order objects are applied, over the whole project.

Pairs (first, then): a Namespace before what is in it, a CustomResourceDefinition before its
objects, what a pod template names (ServiceAccount, ConfigMap, Secret, PVC, PriorityClass,
RuntimeClass) before the template, the roles of a ServiceAccount before the pods that use it, a
Service before the workloads that it selects (so that they find its address in their environment,
as Kubernetes sets it at a container's start), quotas and limits of a namespace before its pods.

Pure bookkeeping over the manifests: an object that is not in the project is no concern here.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from tiltd.core import podspec
from tiltd.model.desired import JSON, Manifest
from tiltd.model.names import ObjectId

Pair = tuple[ObjectId, ObjectId]
_FIRST_IN_NAMESPACE = frozenset({"ResourceQuota", "LimitRange", "NetworkPolicy"})
_BINDINGS = frozenset({"RoleBinding", "ClusterRoleBinding"})
_CLASS_FIELDS = {"priorityClassName": "PriorityClass", "runtimeClassName": "RuntimeClass"}


def edges(manifests: Sequence[Manifest], namespace: str) -> list[Pair]:
    """All pairs among `manifests`, each may occur more than once.

    Args:
        manifests: the project's objects.
        namespace: where objects go whose manifest names no namespace.
    """
    index = _Index(manifests, namespace)
    return [pair for m in manifests for pair in _before(m, index) if pair[0] != pair[1]]


class _Index:
    """The manifests by what others name them by."""

    def __init__(self, manifests: Sequence[Manifest], namespace: str) -> None:
        self.namespace = namespace
        self.named: dict[tuple[str, str, str], list[ObjectId]] = {}
        self.crds: dict[tuple[str, str], ObjectId] = {}
        self.in_namespace: dict[str, list[ObjectId]] = {}
        self.services: dict[str, list[tuple[ObjectId, Mapping[str, Any]]]] = {}
        self.roles_of: dict[tuple[str, str], list[ObjectId]] = {}
        for m in manifests:
            self._add(m)

    def _add(self, m: Manifest) -> None:
        o = m.id
        where = self.place(o)
        # A cluster-scoped object is found without a namespace, and nothing looks for it elsewhere.
        for place in {where, o.namespace}:
            self.named.setdefault((o.kind, place, o.name), []).append(o)
        spec = podspec.section(m.body, "spec")
        if o.kind == "CustomResourceDefinition":
            kind = podspec.section(spec, "names").get("kind")
            self.crds[str(spec.get("group")), str(kind)] = o
        elif o.kind in _FIRST_IN_NAMESPACE:
            self.in_namespace.setdefault(where, []).append(o)
        elif o.kind == "Service" and not o.group and podspec.section(spec, "selector"):
            chosen = (o, podspec.section(spec, "selector"))
            self.services.setdefault(where, []).append(chosen)
        elif o.kind in _BINDINGS:
            for subject in podspec.rows(m.body.get("subjects")):
                if subject.get("kind") == "ServiceAccount":
                    of = str(subject.get("namespace") or where)
                    key = (of, str(subject.get("name")))
                    self.roles_of.setdefault(key, []).append(o)

    def place(self, o: ObjectId) -> str:
        return o.namespace or self.namespace

    def find(self, kind: str, namespace: str, name: object) -> Iterable[ObjectId]:
        return self.named.get((kind, namespace, str(name)), ())


def _before(m: Manifest, index: _Index) -> Iterator[Pair]:
    o = m.id
    firsts = itertools.chain(
        index.find("Namespace", "", index.place(o)),
        [index.crds[o.group, o.kind]] if (o.group, o.kind) in index.crds else [],
        _before_binding(m, index) if o.kind in _BINDINGS else (),
        _before_claim(m, index) if o.kind == "PersistentVolumeClaim" else (),
        _before_webhooks(m, index),
        *(_before_template(t, index.place(o), index) for t in podspec.templates(m.body)),
    )
    return ((first, o) for first in firsts)


def _before_binding(m: Manifest, index: _Index) -> Iterator[ObjectId]:
    ref = podspec.section(m.body, "roleRef")
    where = index.place(m.id) if ref.get("kind") == "Role" else ""
    yield from index.find(str(ref.get("kind")), where, ref.get("name"))


def _before_claim(m: Manifest, index: _Index) -> Iterator[ObjectId]:
    name = podspec.section(m.body, "spec").get("storageClassName")
    yield from index.find("StorageClass", "", name)


def _before_webhooks(m: Manifest, index: _Index) -> Iterator[ObjectId]:
    for webhook in podspec.rows(m.body.get("webhooks")):
        service = podspec.section(podspec.section(webhook, "clientConfig"), "service")
        yield from index.find("Service", str(service.get("namespace")), service.get("name"))


def _before_template(template: JSON, where: str, index: _Index) -> Iterator[ObjectId]:
    yield from index.in_namespace.get(where, ())
    spec = podspec.section(template, "spec")
    account = str(spec.get("serviceAccountName") or spec.get("serviceAccount") or "default")
    yield from index.find("ServiceAccount", where, account)
    yield from index.roles_of.get((where, account), ())
    for field, kind in _CLASS_FIELDS.items():
        if spec.get(field):
            yield from index.find(kind, "", spec[field])
    for kind, name in podspec.references(spec):
        yield from index.find(kind, where, name)
    labels = podspec.section(podspec.section(template, "metadata"), "labels")
    for service, selector in index.services.get(where, ()):
        if all(labels.get(k) == v for k, v in selector.items()):
            yield service
