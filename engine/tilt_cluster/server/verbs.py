"""Every verb, from a request to its answer."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tilt_cluster import api, convert, decode, fields, managed, patches, refusals, scale, selectors
from tilt_cluster.objects import ApiError, Object, Propagation
from tilt_cluster.schema import is_map
from tilt_cluster.server import exchange
from tilt_cluster.server import query as asking
from tilt_cluster.server.query import Query
from tilt_cluster.server.target import Target

_ATTEMPTS = 5
_POLICIES: Mapping[str, Propagation] = {
    "Orphan": "Orphan",
    "Background": "Background",
    "Foreground": "Foreground",
}
_ORPHANS = frozenset({"jobs", "replicationcontrollers"})
_RBAC = "rbac.authorization.k8s.io"
_MADE_BY_PUT = frozenset(
    {
        ("", "endpoints"),
        ("", "events"),
        ("", "limitranges"),
        ("", "services"),
        ("coordination.k8s.io", "leases"),
        ("events.k8s.io", "events"),
        ("node.k8s.io", "runtimeclasses"),
        (_RBAC, "clusterrolebindings"),
        (_RBAC, "clusterroles"),
        (_RBAC, "rolebindings"),
        (_RBAC, "roles"),
    }
)
_NEVER_BLIND = frozenset(
    {
        ("apiextensions.k8s.io", "customresourcedefinitions"),
        ("coordination.k8s.io", "leases"),
        ("node.k8s.io", "runtimeclasses"),
        ("policy", "poddisruptionbudgets"),
        ("storage.k8s.io", "csidrivers"),
        ("storage.k8s.io", "csinodes"),
        ("storage.k8s.io", "csistoragecapacities"),
        ("storage.k8s.io", "volumeattachments"),
    }
)
"""Kinds that a PUT replaces only if it says which version; admission's and custom ones, too."""
_ADMISSION = "admissionregistration.k8s.io"
_SPEC_OF_OBJECT = "application/apply-patch+yaml"


class Verbs:
    """What clients do with objects.

    Args:
        objects: the objects.
    """

    def __init__(self, objects: api.Api) -> None:
        self._api = objects

    def shown(self, target: Target, obj: Object) -> Object:
        """An object in the client's version."""
        return convert.outward(target.kind, target.version, obj)

    def current(self, target: Target) -> Object:
        """The object of a target, as stored."""
        return self._api.get(target.resource, target.name, target.namespace)

    def get(self, target: Target, query: Query) -> Object:
        """The object, or the subresource that is read like one."""
        asked = query.version
        if asked is not None and asked > self._api.store.version:
            raise asking.too_new(asked, self._api.store.version)
        obj = self.current(target)
        if target.subresource == "scale":
            return scale.of(target.kind, target.version, obj)
        return self.shown(target, obj)

    def test_of(self, target: Target, query: Query) -> Callable[[Object], bool]:
        """The test that a list's or a watch's selectors mean."""
        custom = target.kind.custom
        selectable: tuple[str, ...] = ()
        if custom is not None:
            selectable = tuple(
                one["jsonPath"].removeprefix(".")
                for version in custom["versions"]
                for one in version.get("selectableFields") or ()
            )
        tests = [
            selectors.labels(query.text("labelSelector")),
            selectors.by_fields(
                query.text("fieldSelector"),
                self._api.catalog.home(target.resource),
                selectable,
            ),
        ]
        wanted = [test for test in tests if test is not None]
        namespace, name = target.namespace, target.name

        def test(obj: Object) -> bool:
            metadata = obj["metadata"]
            if namespace and metadata.get("namespace") != namespace:
                return False
            if name and metadata["name"] != name:
                return False
            return all(one(obj) for one in wanted)

        return test

    def listed(self, target: Target, query: Query) -> tuple[Sequence[Object], dict[str, Any]]:
        """The objects of a collection and the list's metadata."""
        collection = self._api.store.collection(self._api.catalog.home(target.resource))
        test = self.test_of(target, query)
        keys = collection.ordered()
        query.check_list()
        limit = max(query.number("limit") or 0, 0)
        version = self._api.store.version
        token = query.text("continue")
        after: tuple[str, str] | None = None
        if token:
            version, after = exchange.read_continue(token)
            if version < collection.forgotten or version > self._api.store.version:
                raise refusals.expired(
                    "The provided continue parameter is too old to display a consistent list "
                    "result. You can start a new list without the continue parameter."
                )
        else:
            asked = query.version
            if asked is not None and asked > version:
                raise asking.too_new(asked, version)
            if query.text("resourceVersionMatch") == "Exact" and asked != version:
                # Only the newest state is kept; who asks for another can't have it.
                raise refusals.expired("The resourceVersion for the provided list is too old.")
        found: list[Object] = []
        left = 0
        for key in keys:
            if after is not None and key <= after:
                continue
            obj = collection.objects[key]
            if not test(obj):
                continue
            if limit and len(found) >= limit:
                left += 1
            else:
                found.append(obj)
        metadata: dict[str, Any] = {"resourceVersion": str(version)}
        if left:
            last = found[-1]
            metadata["continue"] = exchange.pack_continue(
                version, fields.namespace(last), fields.name(last)
            )
            if not query.text("labelSelector") and not query.text("fieldSelector"):
                metadata["remainingItemCount"] = left
        return [self.shown(target, obj) for obj in found], metadata

    # Writing

    def _read(
        self, target: Target, given: Mapping[str, Any], query: Query, warnings: list[str]
    ) -> dict[str, Any]:
        """A client's object, decoded and converted to the stored version."""
        kind = target.kind
        api_version = kind.api_version(target.version)
        self._check_kind(target, given)
        decoder = decode.Decoder(kind.kind, target.version, typed=kind.custom is None)
        obj = decoder.read(kind.versions[target.version].schema, given)
        match query.validation:
            case "Strict":
                refused = decoder.strict()
                if refused:
                    raise refused
            case "Warn":
                warnings += decoder.problems
            case _:
                pass
        obj.setdefault("apiVersion", api_version)
        return convert.inward(kind, obj)

    def _check_kind(self, target: Target, given: Mapping[str, Any]) -> None:
        kind = target.kind
        api_version = kind.api_version(target.version)
        if kind.custom is not None:
            _check_named(kind.kind, api_version, given)
        for key, wanted in (("apiVersion", api_version), ("kind", kind.kind)):
            found = given.get(key)
            if found and found != wanted:
                what = "API version" if key == "apiVersion" else "kind"
                text = (
                    f"the {what} in the data ({found}) does not match the expected {what} "
                    f"({wanted})"
                )
                raise refusals.bad_request(text)
        metadata = given.get("metadata")
        if metadata is not None and not is_map(metadata):
            raise refusals.bad_request("metadata must be an object")

    def _place(self, target: Target, obj: dict[str, Any], *, named: bool = False) -> None:
        """Put the URL's namespace and name into an object; they must agree with it."""
        metadata: dict[str, Any] = obj.setdefault("metadata", {})
        namespace = metadata.get("namespace")
        if target.kind.namespaced:
            if namespace and namespace != target.namespace:
                text = (
                    "the namespace of the provided object does not match the namespace sent on "
                    "the request"
                )
                raise refusals.bad_request(text)
            metadata["namespace"] = target.namespace
        name = metadata.get("name")
        if target.name:
            if not name and named:
                text = (
                    f"the name of the object ({target.name} based on URL) was undeterminable: "
                    "name must be provided"
                )
                raise refusals.bad_request(text)
            if name and name != target.name:
                text = (
                    f"the name of the object ({name}) does not match the name on the URL "
                    f"({target.name})"
                )
                raise refusals.bad_request(text)
            metadata["name"] = target.name

    def _options(self, target: Target, query: Query, warnings: list[str]) -> api.Options:
        deprecated = target.kind.versions[target.version].deprecated
        if deprecated:
            warnings.append(deprecated)
        return api.Options(
            dry_run=query.dry_run,
            manager=query.manager,
            version=target.version,
            subresource=target.subresource,
            warnings=warnings,
        )

    def create(
        self, target: Target, given: Mapping[str, Any], query: Query, warnings: list[str]
    ) -> Object:
        """POST."""
        obj = self._read(target, given, query, warnings)
        self._place(target, obj)
        stored = self._api.insert(target.resource, obj, self._options(target, query, warnings))
        return self.shown(target, stored)

    def update(
        self, target: Target, given: Mapping[str, Any], query: Query, warnings: list[str]
    ) -> Object:
        """PUT, of an object or of its status or scale."""
        if target.subresource == "scale":
            return self._write_scale(target, dict(given), query, warnings)
        obj = self._read(target, given, query, warnings)
        self._place(target, obj, named=True)
        options = self._options(target, query, warnings)
        return self.shown(target, self._api.replace(target.resource, obj, options))

    def put(
        self, target: Target, given: Mapping[str, Any], query: Query, warnings: list[str]
    ) -> Object:
        """PUT."""
        group, name = target.resource.group, target.resource.name
        whole = target.subresource != "scale"
        never = target.kind.custom is not None or group == _ADMISSION
        version = fields.get(given, "metadata", "resourceVersion")
        is_blind = version in (None, "", "0")
        if whole and is_blind and (never or (group, name) in _NEVER_BLIND):
            self.current(target)
            text = "must be specified for an update"
            cause = refusals.invalid("metadata.resourceVersion", 0, text)
            raise refusals.invalid_object(group, name, target.name, [cause])
        return self.update(target, given, query, warnings)

    def makes(self, target: Target) -> bool:
        """Whether a PUT makes an object that isn't there, as it does for some kinds."""
        place = (target.resource.group, target.resource.name)
        return (
            not target.subresource
            and place in _MADE_BY_PUT
            and self._api.find(target.resource, target.name, target.namespace) is None
        )

    def _write_scale(
        self, target: Target, given: dict[str, Any], query: Query, warnings: list[str]
    ) -> Object:
        old = self.current(target)
        self._place(target, given, named=True)
        unknown = set(fields.get(given, "spec", default={})) - {"replicas"}
        problems = [f'unknown field "spec.{key}"' for key in sorted(unknown)]
        if problems and query.validation == "Strict":
            text = (
                'Scale in version "v1" cannot be handled as a Scale: strict decoding error: '
                f"{', '.join(problems)}"
            )
            raise refusals.bad_request(text)
        warnings += problems if query.validation == "Warn" else []
        version = fields.get(given, "metadata", "resourceVersion")
        if version and version != old["metadata"]["resourceVersion"]:
            raise refusals.conflict(target.resource, target.name)
        new = scale.apply(target.kind, target.version, old, given)
        options = self._options(target, query, warnings)
        stored = self._api.replace(target.resource, new, options)
        return scale.of(target.kind, target.version, stored)

    def patch(
        self, target: Target, media: str, content: bytes, query: Query, warnings: list[str]
    ) -> tuple[Object, bool]:
        """PATCH; the object, and whether it is new."""
        media = media.partition(";")[0].strip()
        if media == _SPEC_OF_OBJECT:
            return self._apply(target, exchange.value_of(content, media), query, warnings)
        change = self._change(target, media, content)
        if query.flag("force"):
            cause = refusals.forbidden("force", "may not be specified for non-apply patch")
            raise refusals.invalid_object("meta.k8s.io", "PatchOptions", "", [cause])
        old = self.get(target, query)
        given = change(old)
        if not is_map(given):
            raise refusals.bad_request("the patch left no object")
        uid = fields.get(given, "metadata", "uid")
        if uid and uid != old["metadata"]["uid"]:
            cause = refusals.immutable("metadata.uid", uid)
            raise refusals.invalid_object(target.kind.group, target.kind.kind, target.name, [cause])
        pinned = fields.get(given, "metadata", "resourceVersion")
        if pinned and pinned != old["metadata"]["resourceVersion"]:
            raise refusals.conflict(target.resource, target.name)
        return self.update(target, given, query, warnings), False

    def _change(self, target: Target, media: str, content: bytes) -> Callable[[Any], Any]:
        def parsed() -> Any:
            try:
                return decode.parse_json(content)
            except decode.RefusedError as error:
                raise refusals.bad_request(f"error decoding patch: {error}") from error

        match media:
            case "application/json-patch+json":
                return functools.partial(patches.json_patch, operations=parsed())
            case "application/merge-patch+json":
                return functools.partial(patches.merge_patch, patch=_map(parsed()))
            case "application/strategic-merge-patch+json" if target.kind.custom is None:
                of = target.kind.versions[target.version].schema
                return functools.partial(patches.strategic, of, patch=_map(parsed()))
            case _:
                known = [
                    "application/json-patch+json",
                    "application/merge-patch+json",
                    *(
                        ["application/strategic-merge-patch+json"]
                        if target.kind.custom is None
                        else []
                    ),
                    _SPEC_OF_OBJECT,
                ]
                text = (
                    "the body of the request was in an unknown format - accepted media types "
                    f"include: {', '.join(known)}"
                )
                raise ApiError(415, "UnsupportedMediaType", text)

    def _apply(
        self, target: Target, given: dict[str, Any], query: Query, warnings: list[str]
    ) -> tuple[Object, bool]:
        """Server-side apply."""
        if not query.text("fieldManager"):
            cause = refusals.required("fieldManager", "is required for apply patch")
            raise refusals.invalid_object("meta.k8s.io", "PatchOptions", "", [cause])
        kind = target.kind
        api_version = kind.api_version(target.version)
        if target.subresource == "scale":
            raise refusals.bad_request(
                "the embedded cluster applies to objects and their status; use a merge patch here"
            )
        if not given.get("apiVersion") or not given.get("kind"):
            raise refusals.bad_request("apiVersion and kind must be set")
        self._check_kind(target, given)
        if fields.get(given, "metadata", "managedFields"):
            raise refusals.bad_request("metadata.managedFields must be nil")
        of = kind.versions[target.version].schema
        decoder = decode.Decoder(kind.kind, target.version, typed=kind.custom is None, whole=True)
        config = decoder.read(of, given)
        refused = self._undeclared(target, decoder, query, warnings)
        if refused:
            raise refused
        self._place(target, config)
        double = next(managed.doubles(of, config), None)
        if double:
            raise self._untyped(target, double)
        stored = self._api.find(target.resource, target.name, target.namespace)
        live = self.shown(target, stored) if stored else None
        pinned = fields.get(config, "metadata", "resourceVersion")
        if pinned and (live is None or pinned != live["metadata"]["resourceVersion"]):
            raise refusals.conflict(target.resource, target.name)
        writer = managed.Writer(query.manager, api_version, target.subresource)
        applied = managed.apply(of, live, config, writer, force=query.flag("force"))
        options = self._options(target, query, warnings)
        options.apply = applied.managed
        # What the appliers own is known; from here on it is an object like any other.
        typed = kind.custom is None
        shown = decode.Decoder(kind.kind, target.version, typed=typed).read(of, applied.obj)
        obj = convert.inward(kind, shown)
        obj["metadata"] = {**obj["metadata"]}
        if live is None:
            if target.subresource:
                raise refusals.not_found(target.resource, target.name)
            return self.shown(target, self._api.insert(target.resource, obj, options)), True
        obj["metadata"]["managedFields"] = [*applied.managed]
        return self.shown(target, self._api.replace(target.resource, obj, options)), False

    def _undeclared(
        self, target: Target, decoder: decode.Decoder, query: Query, warnings: list[str]
    ) -> ApiError | None:
        """An apply refuses unknown fields whatever the client asked for (built-in kinds)."""
        unknown = [one for one in decoder.problems if one.startswith("unknown")]
        if decoder.problems and query.validation == "Strict" and not unknown:
            return decoder.strict()
        if target.kind.custom is not None or not unknown:
            if unknown and query.validation == "Strict":
                return decoder.strict()
            warnings += decoder.problems if query.validation == "Warn" else []
            return None
        path = unknown[0].partition('"')[2].rstrip('"')
        return self._untyped(target, f".{path}: field not declared in schema")

    def _untyped(self, target: Target, why: str) -> ApiError:
        kind, place = target.kind, f"{target.namespace}/{target.name}"
        text = (
            f"failed to create typed patch object ({place}; {kind.group}/{target.version}, "
            f"Kind={kind.kind}): {why}"
        )
        return ApiError(500, "", text)

    # Deleting

    def deletion(
        self, target: Target, query: Query, body: Mapping[str, Any], warnings: list[str]
    ) -> api.Deletion:
        """What a DELETE's body and parameters ask for."""
        kind = body.get("kind")
        if kind not in (None, "DeleteOptions"):
            text = f'no kind "{kind}" is registered for version "{body.get("apiVersion", "")}"'
            raise refusals.bad_request(f"{text}: the body of a DELETE is DeleteOptions")
        seconds = body.get("gracePeriodSeconds")
        if seconds is None:
            seconds = query.number("gracePeriodSeconds")
        policy = body.get("propagationPolicy") or query.text("propagationPolicy") or None
        orphan = body.get("orphanDependents")
        if orphan is None and query.text("orphanDependents"):
            orphan = query.flag("orphanDependents")
        if policy is not None and orphan is not None:
            text = "orphanDependents and deletionPropagation cannot be both set"
            cause = refusals.invalid("propagationPolicy", policy, text)
            raise refusals.invalid_object("meta.k8s.io", "DeleteOptions", "", [cause])
        if policy is None and orphan is not None:
            policy = "Orphan" if orphan else "Background"
        if policy is not None and policy not in _POLICIES:
            cause = refusals.unsupported(
                "propagationPolicy", policy, ["Background", "Foreground", "Orphan"]
            )
            raise refusals.invalid_object("meta.k8s.io", "DeleteOptions", "", [cause])
        if policy is None and target.resource.name in _ORPHANS and target.kind.custom is None:
            policy = "Orphan"
            if target.resource.name == "jobs":
                warnings.append(
                    "child pods are preserved by default when jobs are deleted; set "
                    "propagationPolicy=Background to remove them or set "
                    "propagationPolicy=Orphan to suppress this warning"
                )
        return api.Deletion(
            uid=fields.get(body, "preconditions", "uid"),
            resource_version=fields.get(body, "preconditions", "resourceVersion"),
            propagation=_POLICIES.get(policy) if policy else None,
            grace_seconds=None if seconds is None else int(seconds),
            dry_run=query.dry_run or asking.dry(body.get("dryRun") or ()),
        )

    def delete(self, target: Target, how: api.Deletion) -> Object:
        """DELETE of one object."""
        obj, gone = self._api.remove(target.resource, target.name, target.namespace, how)
        if not gone or _returns(target):
            return self.shown(target, obj)
        details = {
            "name": target.name,
            "group": target.resource.group,
            "kind": target.resource.name,
            "uid": obj["metadata"]["uid"],
        }
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Success",
            "details": {key: value for key, value in details.items() if value},
        }

    def delete_all(
        self, target: Target, query: Query, how: api.Deletion
    ) -> tuple[Sequence[Object], dict[str, Any]]:
        """DELETE of a collection."""
        found, metadata = self.listed(target, query)
        for obj in found:
            name, namespace = fields.name(obj), fields.namespace(obj)
            if self._api.find(target.resource, name, namespace) is not None:
                self._api.remove(target.resource, name, namespace, how)
        return found, metadata


def _check_named(kind: str, api_version: str, given: Mapping[str, Any]) -> None:
    """A custom object must say what it is; a built-in one is known by its URL.

    Raises:
        ApiError: 400, kind or apiVersion is missing.
    """
    if not given.get("kind"):
        text = (
            f"the object provided is unrecognized (must be of type {kind}): "
            f"Object 'Kind' is missing in '{exchange.dumps(given).decode(errors='replace')}'"
        )
        raise refusals.bad_request(text)
    if not given.get("apiVersion"):
        text = (
            "the API version in the data () does not match the expected API version "
            f"({api_version})"
        )
        raise refusals.bad_request(text)


_RETURNED = frozenset(
    {
        "persistentvolumeclaims",
        "persistentvolumes",
        "pods",
        "podtemplates",
        "resourcequotas",
        "serviceaccounts",
        "services",
        "storageclasses",
        "csidrivers",
        "csinodes",
        "volumeattachments",
    }
)


def _returns(target: Target) -> bool:
    """Whether DELETE answers with the object rather than with a Status."""
    return target.kind.custom is None and target.resource.name in _RETURNED


def _map(patch: Any) -> Mapping[str, Any]:
    if not is_map(patch):
        text = "error decoding patch: json: cannot unmarshal array into Go value of type map"
        raise refusals.bad_request(text)
    return patch
