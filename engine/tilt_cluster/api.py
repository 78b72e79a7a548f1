"""Every verb on every kind: the gate that clients' and controllers' writes pass alike.

A write goes through the same steps whoever asks: metadata, defaults, what the kind does of itself
(`strategy`), rules (`validate`), generation, who set which field (`managed`), storage.  Nothing
waits in between, so two writes never mix.  `Api` is `objects.Cluster`; what only clients can say
(dry run, field manager, versions) is in `Options`.
"""

import contextlib
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tilt_cluster import (
    catalog,
    custom,
    defaults,
    fields,
    limits,
    managed,
    names,
    quota,
    refusals,
    strategy,
    structure,
    tokens,
    unserved,
    validate,
)
from tilt_cluster.objects import (
    CUSTOM_RESOURCE_DEFINITIONS,
    NAMESPACES,
    PODS,
    ApiError,
    Facts,
    Object,
    Propagation,
    Resource,
    Subscription,
    Token,
)
from tilt_cluster.store import Store

_ATTEMPTS = 8


@dataclass(slots=True)
class Options:
    """What a client says beside the object.

    Args:
        dry_run: do everything but store.
        manager: the field manager.
        version: the API version that the client speaks (empty: the stored one).
        trusted: one of the cluster's own parts, which may set any status.
        subresource: `status`, `scale` … or empty.
        apply: what server-side apply left of managedFields, if this write is one.
        warnings: what to tell the client in Warning headers; added to.
    """

    dry_run: bool = False
    manager: str = ""
    version: str = ""
    trusted: bool = False
    subresource: str = ""
    apply: Sequence[Any] | None = None
    warnings: list[str] = field(default_factory=list[str])


@dataclass(frozen=True, slots=True)
class Deletion:
    """What a delete says."""

    uid: str | None = None
    resource_version: str | None = None
    propagation: Propagation | None = None
    grace_seconds: int | None = None
    dry_run: bool = False


_OWN = Options(trusted=True)


class Api:
    """The objects of the cluster and every verb on them (see `objects.Cluster`)."""

    def __init__(self, facts: Facts, signer: tokens.Signer) -> None:
        self._facts = facts
        self._signer = signer
        self.catalog = catalog.Catalog()
        self.store = Store()

    # Reading

    @property
    def facts(self) -> Facts:
        """Name, folder, addresses."""
        return self._facts

    def kind(self, resource: Resource) -> catalog.Kind:
        """The kind of a resource.

        Raises:
            NotFoundError: there is no such resource.
        """
        found = self.catalog.find(resource)
        if found is None:
            raise refusals.no_such_path()
        return found

    def find(self, resource: Resource, name: str, namespace: str = "") -> Object | None:
        """The object, or None."""
        return self.store.collection(self.catalog.home(resource)).objects.get((namespace, name))

    def get(self, resource: Resource, name: str, namespace: str = "") -> Object:
        """The object."""
        found = self.find(resource, name, namespace)
        if found is None:
            raise refusals.not_found(resource, name)
        return found

    def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        labels: Object | None = None,
        owner: str | None = None,
    ) -> Sequence[Object]:
        """The objects, ordered by namespace and name."""
        collection = self.store.collection(self.catalog.home(resource))
        if owner is not None:
            objects = collection.owned.get(owner, {})
            keys: Sequence[tuple[str, str]] = sorted(objects)
        else:
            objects, keys = collection.objects, collection.ordered()
        found = [objects[key] for key in keys if namespace is None or key[0] == namespace]
        if labels is None:
            return found
        return [obj for obj in found if fields.selects(labels, fields.labels(obj))]

    def resources(self) -> Sequence[Resource]:
        """Every collection."""
        return [kind.resource for kind in self.catalog.stored()]

    def resource_of(self, api_version: str, kind: str) -> Resource | None:
        """The resource of an ownerReference."""
        group = api_version.partition("/")[0] if "/" in api_version else ""
        found = self.catalog.of_kind(group, kind)
        return found.resource if found else None

    def kind_of(self, resource: Resource) -> tuple[str, str]:
        """`apiVersion` (as stored) and `kind` of a resource."""
        found = self.kind(resource)
        return found.api_version(), found.kind

    def namespaced(self, resource: Resource) -> bool:
        """Whether its objects live in namespaces."""
        return self.kind(resource).namespaced

    @contextlib.asynccontextmanager
    async def watch(self, *resources: Resource) -> AsyncGenerator[Subscription]:
        """Subscribe; every resource if none is named."""
        subscriber = self.store.subscribe(frozenset(map(self.catalog.home, resources)))
        try:
            yield subscriber
        finally:
            self.store.unsubscribe(subscriber)

    def issue_token(
        self,
        namespace: str,
        service_account: str,
        *,
        seconds: int = 3600,
        audiences: Sequence[str] = (),
        pod: Object | None = None,
    ) -> Token:
        """A token of a service account."""
        return self._signer.issue(
            namespace, service_account, seconds=seconds, audiences=audiences, pod=pod
        )

    # Writing, for controllers and the node

    def create(self, resource: Resource, obj: Object, *, manager: str = "") -> Object:
        """Create an object."""
        return self.insert(resource, _copy(obj), Options(trusted=True, manager=manager))

    def update(self, resource: Resource, obj: Object, *, manager: str = "") -> Object:
        """Replace everything but the status."""
        return self.replace(resource, _copy(obj), Options(trusted=True, manager=manager))

    def update_status(self, resource: Resource, obj: Object) -> Object:
        """Replace only the status."""
        return self.replace(resource, {**obj, "metadata": _copy(obj["metadata"])}, _STATUS)

    def modify(
        self,
        resource: Resource,
        name: str,
        namespace: str,
        change: Callable[[Object], Object],
        *,
        status: bool = False,
    ) -> Object:
        """Read, change, write in one step."""
        now = self.get(resource, name, namespace)
        wanted = change(now)
        if wanted is now:
            return now
        return self.update_status(resource, wanted) if status else self.update(resource, wanted)

    def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str = "",
        *,
        uid: str | None = None,
        resource_version: str | None = None,
        propagation: Propagation | None = None,
        grace_seconds: int | None = None,
    ) -> Object:
        """Delete as the API does."""
        how = Deletion(uid, resource_version, propagation, grace_seconds)
        return self.remove(resource, name, namespace, how)[0]

    # Writing, for everybody

    def insert(self, resource: Resource, obj: dict[str, Any], options: Options) -> Object:
        """Create a fresh object, which this changes and keeps."""
        kind = self.kind(resource)
        resource = self.catalog.home(resource)
        version = obj.get("metadata", {}).pop("resourceVersion", "")
        if version not in ("", "0") and not options.trusted:
            text = "resourceVersion should not be set on objects to be created"
            raise ApiError(500, "", text)
        metadata = self._new_metadata(kind, obj)
        self._check_namespace(kind, metadata)
        if not options.trusted and kind.has_status():
            obj.pop("status", None)
        self._complete(kind, obj)
        if not options.trusted:
            self._add_managers(kind, None, obj, options)
        strategy.create(self, kind, obj, options.warnings)
        self._check(kind, None, obj, options)
        self._admit(kind, None, obj)
        if self.find(resource, metadata["name"], metadata.get("namespace", "")) is not None:
            raise refusals.already_exists(kind.resource, metadata["name"])
        if options.manager and options.trusted:
            self._add_managers(kind, None, obj, options)
        if options.dry_run:
            return obj
        stored = self.store.write(resource, obj)
        self._after(kind, stored)
        return self.find(resource, metadata["name"], metadata.get("namespace", "")) or stored

    def _new_metadata(self, kind: catalog.Kind, obj: dict[str, Any]) -> dict[str, Any]:
        api_version = kind.api_version()
        given = dict(obj)
        obj.clear()
        obj.update({"apiVersion": api_version, "kind": kind.kind, **given})
        obj["apiVersion"], obj["kind"] = api_version, kind.kind
        metadata: dict[str, Any] = obj.setdefault("metadata", {})
        for key in ("deletionTimestamp", "deletionGracePeriodSeconds"):
            metadata.pop(key, None)
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = self._fresh_name(kind, metadata)
        if not kind.namespaced:
            metadata.pop("namespace", None)
        if not metadata.get("name"):
            cause = refusals.required("metadata.name", "name or generateName is required")
            raise refusals.invalid_object(kind.group, kind.kind, "", [cause])
        metadata["uid"] = str(uuid.uuid4())
        metadata["creationTimestamp"] = fields.stamp(time.time())
        metadata.pop("generation", None)
        metadata.pop("selfLink", None)
        if kind.counts_generation:
            metadata["generation"] = 1
        return metadata

    def _fresh_name(self, kind: catalog.Kind, metadata: Mapping[str, Any]) -> str:
        collection = self.store.collection(self.catalog.home(kind.resource))
        for _ in range(_ATTEMPTS):
            name = names.generated(metadata["generateName"])
            if (metadata.get("namespace", ""), name) not in collection.objects:
                return name
        raise refusals.already_exists(kind.resource, metadata["generateName"])

    def _check_namespace(self, kind: catalog.Kind, metadata: Mapping[str, Any]) -> None:
        if not kind.namespaced:
            return
        name = metadata.get("namespace")
        if not name:
            raise refusals.bad_request("an empty namespace may not be set during creation")
        found = self.find(NAMESPACES, name)
        if found is None:
            raise refusals.not_found(NAMESPACES, name)
        if fields.deleting(found):
            cause = refusals.Cause(
                "NamespaceTerminating",
                "metadata.namespace",
                f"namespace {name} is being terminated",
            )
            why = f"unable to create new content in namespace {name} because it is being terminated"
            raise refusals.denied(kind.resource, metadata["name"], why, [cause])

    def _complete(self, kind: catalog.Kind, obj: dict[str, Any]) -> None:
        if kind.custom is None:
            defaults.fill(kind.resource, obj)
        else:
            custom.fill(kind.storage.schema, obj)

    def _check(self, kind: catalog.Kind, old: Object | None, obj: Object, options: Options) -> None:
        part = options.subresource or ("own" if options.trusted else "")
        causes = validate.check(kind, old, obj, part)
        if causes:
            name: str = obj["metadata"].get("name", "")
            raise refusals.invalid_object(kind.group, kind.kind, name, causes)
        if kind.resource == CUSTOM_RESOURCE_DEFINITIONS:
            options.warnings += structure.warnings(obj["spec"]["versions"])
        if kind.custom is None and not options.trusted and not options.subresource:
            options.warnings += unserved.warnings(kind.storage.schema, obj)

    def _admit(self, kind: catalog.Kind, old: Object | None, obj: Object) -> None:
        """What LimitRanges and ResourceQuotas of the namespace refuse, once all else is right."""
        if kind.namespaced:
            if old is None or kind.resource != PODS:
                limits.admit(self, kind.resource, obj)
            quota.admit(self, self.catalog.home(kind.resource), old, obj)

    def _add_managers(
        self, kind: catalog.Kind, old: Object | None, obj: dict[str, Any], options: Options
    ) -> None:
        metadata: dict[str, Any] = obj["metadata"]
        if options.apply is not None:
            metadata["managedFields"] = [*options.apply]
        elif options.manager:
            entries = managed.after_update(
                kind.versions.get(options.version, kind.storage).schema,
                old,
                obj,
                managed.Writer(
                    options.manager, kind.api_version(options.version), options.subresource
                ),
            )
            if entries:
                metadata["managedFields"] = entries
            else:
                metadata.pop("managedFields", None)

    def replace(self, resource: Resource, obj: dict[str, Any], options: Options) -> Object:
        """Update with a fresh object, which this changes and keeps."""
        kind = self.kind(resource)
        resource = self.catalog.home(resource)
        metadata: dict[str, Any] = obj.setdefault("metadata", {})
        name: str = metadata.get("name") or ""
        old = self.get(resource, name, metadata.get("namespace") or "")
        self._check_same(kind, old, metadata)
        self._keep_metadata(old, metadata)
        obj["apiVersion"], obj["kind"] = old["apiVersion"], old["kind"]
        new = self._part(kind, old, obj, options)
        if options.subresource != "status":
            self._complete(kind, new)
            strategy.update(self, kind, old, new)
        if not options.trusted or options.manager:
            self._add_managers(kind, old, new, options)
        if options.subresource != "status" or not options.trusted:
            self._check(kind, old, new, options)
        if not options.subresource:
            self._admit(kind, old, new)
        if kind.counts_generation and _spec_changed(kind, old, new):
            new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1
        if _same(old, new):
            return old
        if options.dry_run:
            new["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"]
            return new
        stored = self.store.write(resource, new)
        if self._gone(kind, stored):
            return self._drop(kind, stored)
        self._after(kind, stored)
        return self.find(resource, name, metadata.get("namespace") or "") or stored

    def _check_same(self, kind: catalog.Kind, old: Object, metadata: Mapping[str, Any]) -> None:
        name = old["metadata"]["name"]
        given = metadata.get("resourceVersion")
        if given not in (None, "", "0", old["metadata"]["resourceVersion"]):
            raise refusals.conflict(kind.resource, name)
        uid = metadata.get("uid")
        if uid and uid != old["metadata"]["uid"]:
            why = (
                f"Precondition failed: UID in precondition: {uid}, "
                f"UID in object meta: {old['metadata']['uid']}"
            )
            raise refusals.conflict(kind.resource, name, why)

    def _keep_metadata(self, old: Object, metadata: dict[str, Any]) -> None:
        kept: Mapping[str, Any] = old["metadata"]
        for key in (
            "uid",
            "creationTimestamp",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "generation",
            "generateName",
        ):
            if key in kept:
                metadata[key] = kept[key]
            else:
                metadata.pop(key, None)
        metadata.pop("selfLink", None)
        if "managedFields" not in metadata and "managedFields" in kept:
            metadata["managedFields"] = kept["managedFields"]
        elif metadata.get("managedFields") == [{}] or not metadata.get("managedFields"):
            metadata.pop("managedFields", None)

    def _part(
        self, kind: catalog.Kind, old: Object, obj: dict[str, Any], options: Options
    ) -> dict[str, Any]:
        """The object with what this write may change from `obj`, and the rest as it was."""
        if options.subresource == "status":
            given: Mapping[str, Any] = obj["metadata"]
            metadata = dict(old["metadata"])
            if not options.trusted and "managedFields" in given:
                metadata["managedFields"] = given["managedFields"]
            new = {**old, "metadata": metadata}
            new.pop("status", None)
            if obj.get("status") is not None:
                new["status"] = obj["status"]
            return new
        if options.subresource == "ephemeralcontainers":
            added = fields.get(obj, "spec", "ephemeralContainers", default=[])
            spec = {**old["spec"], "ephemeralContainers": added}
            if not added:
                spec.pop("ephemeralContainers")
            metadata = dict(old["metadata"])
            if "managedFields" in obj["metadata"]:
                metadata["managedFields"] = obj["metadata"]["managedFields"]
            return {**old, "metadata": metadata, "spec": _copy(spec)}
        if kind.has_status():
            obj.pop("status", None)
            if "status" in old:
                obj["status"] = old["status"]
        return obj

    def _gone(self, kind: catalog.Kind, obj: Object) -> bool:
        metadata: Mapping[str, Any] = obj["metadata"]
        if not metadata.get("deletionTimestamp") or metadata.get("finalizers"):
            return False
        if kind.resource == NAMESPACES:
            return not fields.get(obj, "spec", "finalizers")
        return kind.resource != PODS or metadata.get("deletionGracePeriodSeconds") == 0

    def _drop(self, kind: catalog.Kind, obj: Object) -> Object:
        last = self.store.remove(self.catalog.home(kind.resource), obj)
        if kind.resource == CUSTOM_RESOURCE_DEFINITIONS:
            resource = Resource(obj["spec"]["group"], obj["spec"]["names"]["plural"])
            self.catalog.drop(resource)
            self.store.drop(resource)
        return last

    def _after(self, kind: catalog.Kind, stored: Object) -> None:
        """What a stored definition changes at once: its kind is served."""
        if kind.resource == CUSTOM_RESOURCE_DEFINITIONS:
            status = custom.accepted(stored, self.catalog)
            if status != stored.get("status"):
                stored = self.update_status(kind.resource, {**stored, "status": status})
            if custom.is_established(stored):
                self.catalog.put(custom.kind(stored))

    def remove(
        self, resource: Resource, name: str, namespace: str, how: Deletion
    ) -> tuple[Object, bool]:
        """Delete; the object, and whether it is gone already."""
        kind = self.kind(resource)
        resource = self.catalog.home(resource)
        old = self.get(resource, name, namespace)
        self._check_preconditions(kind, old, how)
        metadata: dict[str, Any] = dict(old["metadata"])
        finalizers = _finalizers(metadata, how.propagation)
        if kind.resource == CUSTOM_RESOURCE_DEFINITIONS:
            self._empty(old)
        grace = _grace(kind, old, how.grace_seconds)
        held = (kind.resource == NAMESPACES and fields.get(old, "spec", "finalizers")) or finalizers
        if how.dry_run:
            return old, not held and not grace
        if not held and not grace:
            return self._drop(kind, old), True
        earlier = metadata.get("deletionGracePeriodSeconds")
        if not metadata.get("deletionTimestamp") or (earlier or 0) > grace:
            metadata["deletionTimestamp"] = fields.stamp(time.time() + grace)
            metadata["deletionGracePeriodSeconds"] = grace
            if "generation" in metadata:
                metadata["generation"] += 1
        if finalizers:
            metadata["finalizers"] = finalizers
        new = {**old, "metadata": metadata}
        if kind.resource == NAMESPACES:
            new["status"] = {**fields.get(old, "status", default={}), "phase": "Terminating"}
            metadata.pop("deletionGracePeriodSeconds", None)
        if new == old:
            return old, False
        return self.store.write(resource, new), False

    def _check_preconditions(self, kind: catalog.Kind, old: Object, how: Deletion) -> None:
        metadata: Mapping[str, Any] = old["metadata"]
        pairs = (
            ("UID", how.uid, "uid", "deleted and then recreated"),
            ("ResourceVersion", how.resource_version, "resourceVersion", "modified"),
        )
        for label, wanted, key, guess in pairs:
            found = metadata[key]
            if wanted is not None and wanted != found:
                why = (
                    f"the {label} in the precondition ({wanted}) does not match the {label} in "
                    f"record ({found}). The object might have been {guess}"
                )
                raise refusals.conflict(Resource(kind.group, kind.kind), metadata["name"], why)

    def _empty(self, definition: Object) -> None:
        """A definition takes its objects along."""
        resource = Resource(definition["spec"]["group"], definition["spec"]["names"]["plural"])
        if self.catalog.find(resource) is None:
            return
        for obj in self.list(resource):
            with contextlib.suppress(ApiError):
                self.delete(resource, fields.name(obj), fields.namespace(obj))

    def restore(self) -> None:
        """After objects came back from disk: serve what the definitions among them say."""
        for obj in self.list(CUSTOM_RESOURCE_DEFINITIONS):
            if custom.is_established(obj):
                self.catalog.put(custom.kind(obj))


_STATUS = Options(trusted=True, subresource="status")


def _copy(value: Any) -> Any:
    """A copy all the way down, so that defaults never reach a shared object."""
    if type(value) is dict or isinstance(value, Mapping):  # the first is quick, and mostly true
        return {key: _copy(inner) for key, inner in value.items()}  # pyright: ignore[reportUnknownVariableType] - JSON
    if isinstance(value, list | tuple):
        return [_copy(inner) for inner in value]  # pyright: ignore[reportUnknownVariableType] - JSON
    return value


def _spec_changed(kind: catalog.Kind, old: Object, new: Object) -> bool:
    left_out = {"metadata", "apiVersion", "kind"}
    if kind.has_status() or kind.custom is None:
        left_out.add("status")
    keys = {*old, *new} - left_out
    if kind.resource == PODS:
        return _unbound(old) != _unbound(new)
    return any(old.get(key) != new.get(key) for key in keys)


def _unbound(pod: Object) -> Mapping[str, Any]:
    """A pod's spec without its node: binding is nobody's wish for another pod."""
    spec: Mapping[str, Any] = pod.get("spec") or {}
    return {key: value for key, value in spec.items() if key != "nodeName"}


def _same(old: Object, new: Object) -> bool:
    """Whether a write changes nothing; times of managedFields alone are no change."""
    if any(old.get(key) != new.get(key) for key in {*old, *new} - {"metadata"}):
        return False
    before, after = dict(old["metadata"]), dict(new["metadata"])
    before.pop("resourceVersion", None)
    after.pop("resourceVersion", None)
    if managed.same(before.pop("managedFields", []), after.pop("managedFields", [])):
        return before == after
    return False


def _finalizers(metadata: Mapping[str, Any], propagation: Propagation | None) -> list[str]:
    found = [one for one in metadata.get("finalizers") or () if one]
    if propagation is not None and not metadata.get("deletionTimestamp"):
        found = [one for one in found if one not in ("foregroundDeletion", "orphan")]
        if propagation == "Foreground":
            found.append("foregroundDeletion")
        elif propagation == "Orphan":
            found.append("orphan")
    return found


def _grace(kind: catalog.Kind, old: Object, asked: int | None) -> int:
    if kind.resource != PODS:
        return 0
    done = fields.get(old, "status", "phase") in ("Succeeded", "Failed")
    if not fields.get(old, "spec", "nodeName") or done:
        return 0
    own = fields.get(old, "spec", "terminationGracePeriodSeconds", default=30)
    return max(int(own) if asked is None else asked, 0)
