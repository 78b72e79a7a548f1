"""Rules of pods and of pod templates."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tilt_cluster import fields, names, refusals, values
from tilt_cluster.objects import Object
from tilt_cluster.refusals import Cause

_ENV_NAME = re.compile(r"[^=\x00-\x1f\x7f-\U0010ffff]+")
_NEVER_EPHEMERAL = (
    "lifecycle",
    "livenessProbe",
    "ports",
    "readinessProbe",
    "resizePolicy",
    "resources",
    "restartPolicy",
    "startupProbe",
)
_SPEC_RULE = (
    "pod updates may not change fields other than `spec.containers[*].image`,"
    "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only "
    "additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set "
    "to 1 if it was previously negative)"
)


def template(given: Mapping[str, Any], path: str) -> Iterator[Cause]:
    """A pod template."""
    labels: Mapping[str, str] = fields.get(given, "metadata", "labels", default={})
    yield from values.labels(labels, f"{path}.labels")
    yield from spec(given.get("spec") or {}, f"{path}.spec")


def spec(given: Mapping[str, Any], path: str) -> Iterator[Cause]:
    """A pod's spec."""
    volumes = set[str]()
    listed: Sequence[Mapping[str, Any]] = given.get("volumes") or ()
    for at, volume in enumerate(listed):
        name = volume.get("name") or ""
        yield from _name(name, f"{path}.volumes[{at}].name")
        if name in volumes:
            yield refusals.duplicate(f"{path}.volumes[{at}].name", name)
        volumes.add(name)
        if len(volume) > 2:  # noqa: PLR2004 - its name and one source
            text = "may not specify more than 1 volume type"
            source = sorted(key for key in volume if key != "name")[1]
            yield refusals.forbidden(f"{path}.volumes[{at}].{source}", text)
    if not given.get("containers"):
        yield refusals.required(f"{path}.containers")
    seen = set[str]()
    for key in ("initContainers", "containers"):
        for at, container in enumerate(given.get(key) or ()):
            inner = f"{path}.{key}[{at}]"
            name = container.get("name") or ""
            if name in seen and name:
                yield refusals.duplicate(f"{inner}.name", name)
            seen.add(name)
            yield from _container(container, inner, volumes)
            if key == "initContainers" and container.get("restartPolicy") != "Always":
                yield from _not_for_init(container, inner)
    for at, one in enumerate(given.get("ephemeralContainers") or ()):
        yield from _ephemeral(one, f"{path}.ephemeralContainers[{at}]", seen, volumes)
    tolerations: Sequence[Mapping[str, Any]] = given.get("tolerations") or ()
    for at, one in enumerate(tolerations):
        if not one.get("key") and one.get("operator") != "Exists":
            text = (
                "operator must be Exists when `key` is empty, which means "
                '"match all values and all keys"'
            )
            where = f"{path}.tolerations[{at}].operator"
            yield refusals.invalid(where, one.get("operator") or "", text)


def _name(name: str, path: str) -> Iterator[Cause]:
    if not name:
        yield refusals.required(path)
        return
    yield from (refusals.invalid(path, name, one) for one in names.label(name))


def _not_for_init(given: Mapping[str, Any], path: str) -> Iterator[Cause]:
    for key in ("lifecycle", "livenessProbe", "readinessProbe", "startupProbe"):
        if given.get(key) is not None:
            text = "may not be set for init containers without restartPolicy=Always"
            yield refusals.forbidden(f"{path}.{key}", text)


def _container(given: Mapping[str, Any], path: str, volumes: set[str]) -> Iterator[Cause]:
    yield from _name(given.get("name") or "", f"{path}.name")
    image = given.get("image") or ""
    if not image:
        yield refusals.required(f"{path}.image")
    elif image != image.strip():
        text = "must not have leading or trailing whitespace"
        yield refusals.invalid(f"{path}.image", image, text)
    yield from _environment(given, path)
    paths = set[str]()
    for at, mount in enumerate(given.get("volumeMounts") or ()):
        where = f"{path}.volumeMounts[{at}]"
        if (mount.get("name") or "") not in volumes:
            text = f'Not found: "{mount.get("name") or ""}"'
            yield Cause("FieldValueNotFound", f"{where}.name", text)
        target = mount.get("mountPath") or ""
        if target in paths:
            yield refusals.invalid(f"{where}.mountPath", target, "must be unique")
        paths.add(target)
    yield from _resources(given.get("resources") or {}, f"{path}.resources")
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        if given.get(probe) is not None:
            yield from _probe(given[probe], f"{path}.{probe}", ready=probe == "readinessProbe")


def _ephemeral(
    given: Mapping[str, Any], path: str, names_: set[str], volumes: set[str]
) -> Iterator[Cause]:
    name = given.get("name") or ""
    target = given.get("targetContainerName")
    others = set(names_)
    if name and name in names_:
        yield refusals.duplicate(f"{path}.name", name)
    names_.add(name)
    for key in _NEVER_EPHEMERAL:
        if given.get(key):
            text = "cannot be set for an Ephemeral Container"
            yield refusals.forbidden(f"{path}.{key}", text)
    left = {key: value for key, value in given.items() if key not in _NEVER_EPHEMERAL}
    yield from _container(left, path, volumes)
    if target and target not in others:
        text = f'Not found: "{target}"'
        yield Cause("FieldValueNotFound", f"{path}.targetContainerName", text)


def _environment(given: Mapping[str, Any], path: str) -> Iterator[Cause]:
    for at, one in enumerate(given.get("env") or ()):
        name = one.get("name") or ""
        if name and not _ENV_NAME.fullmatch(name):
            text = (
                "a valid environment variable name must consist only of printable ASCII "
                "characters other than '='"
            )
            yield refusals.invalid(f"{path}.env[{at}].name", name, text)
        if one.get("value") and one.get("valueFrom"):
            text = "may not be specified when `value` is not empty"
            yield refusals.invalid(f"{path}.env[{at}].valueFrom", "", text)


def _resources(given: Mapping[str, Any], path: str) -> Iterator[Cause]:
    limits: Mapping[str, Any] = given.get("limits") or {}
    for part in ("limits", "requests"):
        for name, amount in fields.get(given, part, default={}).items():
            where = f"{path}.{part}[{name}]"
            yield from values.resource(name, where)
            yield from values.amount(amount, where)
    for name, asked in fields.get(given, "requests", default={}).items():
        if (
            name in limits
            and fields.quantity(asked) >= 0
            and fields.quantity(asked) > fields.quantity(limits[name])
        ):
            text = f"must be less than or equal to {name} limit of {limits[name]}"
            yield refusals.invalid(f"{path}.requests", str(asked), text)


def _probe(given: Mapping[str, Any], path: str, *, ready: bool) -> Iterator[Cause]:
    handlers = [
        key for key in ("exec", "httpGet", "tcpSocket", "grpc") if given.get(key) is not None
    ]
    if not handlers:
        yield refusals.required(path, "must specify a handler type")
    for extra in handlers[1:]:
        text = "may not specify more than 1 handler type"
        yield refusals.forbidden(f"{path}.{extra}", text)
    for key in (
        "initialDelaySeconds",
        "timeoutSeconds",
        "periodSeconds",
        "successThreshold",
        "failureThreshold",
    ):
        value = given.get(key)
        if isinstance(value, int) and value < 0:
            text = "must be greater than or equal to 0"
            yield refusals.invalid(f"{path}.{key}", value, text)
    if not ready and given.get("successThreshold") not in (None, 1):
        yield refusals.invalid(f"{path}.successThreshold", given["successThreshold"], "must be 1")


def fresh(pod: Object) -> Iterator[Cause]:
    """Rules of a pod that is created."""
    if fields.get(pod, "spec", "ephemeralContainers"):
        yield refusals.forbidden("spec.ephemeralContainers", "cannot be set on create")


def ephemeral_kept(old: Object, new: Object) -> Iterator[Cause]:
    """What never changes in a pod's ephemeral containers."""
    after = {
        one.get("name"): one for one in fields.get(new, "spec", "ephemeralContainers", default=())
    }
    for one in fields.get(old, "spec", "ephemeralContainers", default=()):
        name = one["name"]
        if after.get(name) != one:
            what = "changed" if name in after else "removed"
            text = f'existing ephemeral containers "{name}" may not be {what}\n'
            yield refusals.forbidden("spec.ephemeralContainers", text)


def kept(old: Object, new: Object) -> Iterator[Cause]:
    """What never changes in a pod."""
    before, after = _fixed(old["spec"]), _fixed(new["spec"])
    if before != after:
        yield refusals.forbidden("spec", _SPEC_RULE)
    yield from _deadline(old["spec"], new["spec"])
    gates = {one.get("name") for one in old["spec"].get("schedulingGates") or ()}
    for at, one in enumerate(new["spec"].get("schedulingGates") or ()):
        if one.get("name") not in gates:
            text = f"only deletion is allowed, but found new scheduling gate '{one.get('name')}'"
            yield refusals.forbidden(f"spec.schedulingGates[{at}].name", text)


def bound(old: Object, new: Object) -> Iterator[Cause]:
    """What the cluster itself never changes in a pod: it may give it a node."""
    node = new["spec"].get("nodeName")
    if not old["spec"].get("nodeName") and node:
        old = {**old, "spec": {**old["spec"], "nodeName": node}}
    yield from kept(old, new)


def _deadline(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Cause]:
    was, wanted = before.get("activeDeadlineSeconds"), after.get("activeDeadlineSeconds")
    path = "spec.activeDeadlineSeconds"
    if was is not None and wanted is None:
        text = "must not update from a positive integer to nil value"
        yield refusals.invalid(path, None, text)
    elif was is not None and wanted > was:
        yield refusals.invalid(path, wanted, "must be less than or equal to previous value")


def _fixed(given: Mapping[str, Any]) -> dict[str, Any]:
    left_out = {
        "activeDeadlineSeconds",
        "tolerations",
        "schedulingGates",
    }
    fixed = {key: value for key, value in given.items() if key not in left_out}
    for key in ("containers", "initContainers"):
        listed: Sequence[Mapping[str, Any]] = fixed.get(key) or ()
        fixed[key] = [{**one, "image": ""} for one in listed]
    return fixed
