"""PersistentVolumeClaims on a local folder: a volume for each claim, at once or when it is used.

The cluster's storage class `standard` is served by this.  A claim of another class waits with the
words of Kubernetes.  A claim that a pod uses, and a volume that is bound, are kept by their
finalizers until nobody uses them.  A volume with `persistentVolumeReclaimPolicy: Delete` goes with
its claim; the node removes its folder when the volume is gone.
"""

from collections.abc import Generator, Sequence
from typing import Any

from tilt_cluster import fields
from tilt_cluster.controllers import pods, scheduler
from tilt_cluster.controllers.plan import Create, Delete, Key, Status, Steps, Tell, Update, View
from tilt_cluster.objects import (
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    PODS,
    STORAGE_CLASSES,
    ApiError,
    Object,
)

PROVISIONER = "tilt.dev/local-folder"
CLASS = "standard"
_CLAIM_FINALIZER = "kubernetes.io/pvc-protection"
_VOLUME_FINALIZER = "kubernetes.io/pv-protection"
_DEFAULT = "storageclass.kubernetes.io/is-default-class"
_BOUND_BY_US = "pv.kubernetes.io/bound-by-controller"


def sync_class(view: View, _key: Key, _now: float) -> Steps:
    """The default storage class, made once; who deletes it doesn't want it."""
    if view.find(STORAGE_CLASSES, CLASS) is None:
        yield Create(
            STORAGE_CLASSES,
            {
                "metadata": {"name": CLASS, "annotations": {_DEFAULT: "true"}},
                "provisioner": PROVISIONER,
                "reclaimPolicy": "Delete",
                "volumeBindingMode": "Immediate",
            },
        )
    return None


def sync(view: View, key: Key, _now: float) -> Steps:
    """Bind one claim, or say what it waits for."""
    claim = view.find(PERSISTENT_VOLUME_CLAIMS, key.name, key.namespace)
    if claim is None:
        return None
    if fields.deleting(claim):
        yield from _release(view, claim)
        return None
    finalizers = fields.get(claim, "metadata", "finalizers", default=())
    if _CLAIM_FINALIZER not in finalizers:
        kept = [*finalizers, _CLAIM_FINALIZER]
        stored = yield Update(
            PERSISTENT_VOLUME_CLAIMS, fields.with_metadata(claim, finalizers=kept)
        )
        claim = claim if stored is None or isinstance(stored, ApiError) else stored
    name = fields.get(claim, "spec", "volumeName")
    volume = view.find(PERSISTENT_VOLUMES, name) if name else _existing(view, claim)
    if volume is not None and _free_for(volume, claim):
        return (yield from _bind(claim, volume))
    if name:
        lost = fields.get(claim, "status", "phase") == "Bound"
        status = {**fields.get(claim, "status", default={}), "phase": "Lost" if lost else "Pending"}
        if lost:
            message = "Bound claim has lost its PersistentVolume. Data on the volume is lost!"
            yield Tell(PERSISTENT_VOLUME_CLAIMS, claim, "Warning", "ClaimLost", message)
        yield Status(PERSISTENT_VOLUME_CLAIMS, fields.with_status(claim, status))
        return None
    yield Status(PERSISTENT_VOLUME_CLAIMS, fields.with_status(claim, {"phase": "Pending"}))
    return (yield from _provision(view, claim))


def _existing(view: View, claim: Object) -> Object | None:
    """The smallest volume that somebody made and that this claim can have."""
    wanted = fields.get(claim, "spec", "storageClassName", default="")
    size = fields.quantity(fields.get(claim, "spec", "resources", "requests", "storage"))
    modes = set(fields.get(claim, "spec", "accessModes", default=()))
    found = [
        volume
        for volume in view.list(PERSISTENT_VOLUMES)
        if _free_for(volume, claim)
        and fields.get(volume, "spec", "storageClassName", default="") == wanted
        and _capacity(volume) >= size
        and modes <= set(fields.get(volume, "spec", "accessModes", default=()))
        and fields.selects(fields.get(claim, "spec", "selector", default={}), fields.labels(volume))
    ]
    reserved = [one for one in found if fields.get(one, "spec", "claimRef") is not None]
    return min(reserved or found, key=_capacity, default=None)


def _capacity(volume: Object) -> float:
    return fields.quantity(fields.get(volume, "spec", "capacity", "storage"))


def _free_for(volume: Object, claim: Object) -> bool:
    if fields.deleting(volume):
        return False
    reference = fields.get(volume, "spec", "claimRef")
    if reference is None:
        return True
    same = (reference.get("namespace"), reference.get("name")) == (
        fields.namespace(claim),
        fields.name(claim),
    )
    return same and reference.get("uid") in (None, "", fields.uid(claim))


def _reference(claim: Object) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "namespace": fields.namespace(claim),
        "name": fields.name(claim),
        "uid": fields.uid(claim),
    }


def _bind(claim: Object, volume: Object) -> Steps:
    if fields.get(volume, "spec", "claimRef", "uid") != fields.uid(claim):
        spec = {**fields.get(volume, "spec", default={}), "claimRef": _reference(claim)}
        stored = yield Update(PERSISTENT_VOLUMES, {**volume, "spec": spec})
        if stored is None or isinstance(stored, ApiError):
            return 1.0
        volume = stored
    bound = fields.with_status(volume, {"phase": "Bound"})
    if fields.get(volume, "status", "phase") != "Bound":
        yield Status(PERSISTENT_VOLUMES, bound)
    if fields.get(claim, "spec", "volumeName") != fields.name(volume):
        spec = {**fields.get(claim, "spec", default={}), "volumeName": fields.name(volume)}
        notes = {
            **fields.annotations(claim),
            "pv.kubernetes.io/bind-completed": "yes",
            _BOUND_BY_US: "yes",
        }
        stored = yield Update(
            PERSISTENT_VOLUME_CLAIMS,
            fields.with_metadata({**claim, "spec": spec}, annotations=notes),
        )
        if stored is None or isinstance(stored, ApiError):
            return 1.0
        claim = stored
    status = {
        "phase": "Bound",
        "accessModes": fields.get(volume, "spec", "accessModes", default=[]),
        "capacity": fields.get(volume, "spec", "capacity", default={}),
    }
    yield Status(PERSISTENT_VOLUME_CLAIMS, fields.with_status(claim, status))
    return None


def _provision(view: View, claim: Object) -> Steps:
    name = fields.get(claim, "spec", "storageClassName", default="")
    if not name:
        message = "no persistent volumes available for this claim and no storage class is set"
        yield Tell(PERSISTENT_VOLUME_CLAIMS, claim, "Normal", "FailedBinding", message)
        return 15.0
    storage = view.find(STORAGE_CLASSES, name)
    if storage is None:
        message = f'storageclass.storage.k8s.io "{name}" not found'
        yield Tell(PERSISTENT_VOLUME_CLAIMS, claim, "Warning", "ProvisioningFailed", message)
        return 15.0
    if storage.get("volumeBindingMode") == "WaitForFirstConsumer" and not _used(view, claim):
        message = "waiting for first consumer to be created before binding"
        yield Tell(PERSISTENT_VOLUME_CLAIMS, claim, "Normal", "WaitForFirstConsumer", message)
        return 15.0
    provisioner = str(storage.get("provisioner", ""))
    if provisioner != PROVISIONER:
        message = (
            f"Waiting for a volume to be created either by the external provisioner "
            f"'{provisioner}' or manually by the system administrator. If volume creation is "
            f"delayed, please verify that the provisioner is running and correctly registered."
        )
        yield Tell(PERSISTENT_VOLUME_CLAIMS, claim, "Normal", "ExternalProvisioning", message)
        return 15.0
    volume = f"pvc-{fields.uid(claim)}"
    made = yield Create(PERSISTENT_VOLUMES, _volume(view, claim, storage, volume))
    if made is None or isinstance(made, ApiError):
        message = f"failed to provision volume: {made}"
        yield Tell(PERSISTENT_VOLUME_CLAIMS, claim, "Warning", "ProvisioningFailed", message)
        return 5.0
    message = f"Successfully provisioned volume {volume}"
    yield Tell(PERSISTENT_VOLUME_CLAIMS, claim, "Normal", "ProvisioningSucceeded", message)
    return (yield from _bind(claim, made))


def _used(view: View, claim: Object) -> bool:
    return any(
        fields.name(claim) in scheduler.claims(pod) and not pods.finished(pod)
        for pod in view.list(PODS, fields.namespace(claim))
    )


def _volume(view: View, claim: Object, storage: Object, name: str) -> Object:
    hosts = [fields.name(node) for node in view.list(NODES)]
    here = {"key": "kubernetes.io/hostname", "operator": "In", "values": hosts}
    spec: dict[str, Any] = {
        "capacity": fields.get(claim, "spec", "resources", "requests", default={"storage": "1Gi"}),
        "accessModes": fields.get(claim, "spec", "accessModes", default=["ReadWriteOnce"]),
        "persistentVolumeReclaimPolicy": storage.get("reclaimPolicy", "Delete"),
        "storageClassName": fields.name(storage),
        "volumeMode": fields.get(claim, "spec", "volumeMode", default="Filesystem"),
        "claimRef": _reference(claim),
        "local": {"path": str(view.facts.folder / "volumes" / name)},
    }
    if hosts:
        spec["nodeAffinity"] = {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}}
    notes = {"pv.kubernetes.io/provisioned-by": PROVISIONER}
    metadata = {"name": name, "annotations": notes, "finalizers": [_VOLUME_FINALIZER]}
    return {"metadata": metadata, "spec": spec, "status": {"phase": "Bound"}}


def _release(view: View, claim: Object) -> Generator[Any, Any, None]:
    """Let a claim go that is being deleted, when no pod uses it."""
    finalizers: Sequence[str] = fields.get(claim, "metadata", "finalizers", default=())
    if _CLAIM_FINALIZER not in finalizers or _used(view, claim):
        return
    kept = [one for one in finalizers if one != _CLAIM_FINALIZER]
    yield Update(PERSISTENT_VOLUME_CLAIMS, fields.with_metadata(claim, finalizers=kept))


def sync_ephemeral(view: View, key: Key, _now: float) -> Steps:
    """Make the claims of a pod's `ephemeral` volumes; they belong to the pod, and go with it."""
    pod = view.find(PODS, key.name, key.namespace)
    if pod is None or fields.deleting(pod):
        return None
    for volume in fields.get(pod, "spec", "volumes", default=()):
        template = fields.get(volume, "ephemeral", "volumeClaimTemplate")
        name = f"{key.name}-{volume['name']}"
        if template is None or view.find(PERSISTENT_VOLUME_CLAIMS, name, key.namespace):
            continue
        metadata = {
            "name": name,
            "namespace": key.namespace,
            "labels": fields.labels(template),
            "annotations": fields.annotations(template),
            "ownerReferences": [fields.owned("v1", "Pod", pod)],
        }
        claim = {"metadata": metadata, "spec": template.get("spec", {})}
        outcome = yield Create(PERSISTENT_VOLUME_CLAIMS, claim)
        if isinstance(outcome, ApiError):
            message = f"ephemeral volume: create PVC {name}: {outcome}"
            yield Tell(PODS, pod, "Warning", "FailedBinding", message)
            return 5.0
    return None


def sync_volume(view: View, key: Key, _now: float) -> Steps:
    """Judge one volume: free, bound, released, and gone with its claim."""
    volume = view.find(PERSISTENT_VOLUMES, key.name)
    if volume is None:
        return None
    reference = fields.get(volume, "spec", "claimRef")
    claim = None
    if reference is not None:
        claim = view.find(
            PERSISTENT_VOLUME_CLAIMS, str(reference["name"]), str(reference["namespace"])
        )
        if claim is not None and reference.get("uid") not in (None, "", fields.uid(claim)):
            claim = None
    finalizers = fields.get(volume, "metadata", "finalizers", default=())
    if fields.deleting(volume):
        if claim is None and _VOLUME_FINALIZER in finalizers:
            kept = [one for one in finalizers if one != _VOLUME_FINALIZER]
            yield Update(PERSISTENT_VOLUMES, fields.with_metadata(volume, finalizers=kept))
        return None
    if _VOLUME_FINALIZER not in finalizers:
        kept = [*finalizers, _VOLUME_FINALIZER]
        yield Update(PERSISTENT_VOLUMES, fields.with_metadata(volume, finalizers=kept))
        return None
    if reference is None or (claim is None and not reference.get("uid")):
        yield Status(PERSISTENT_VOLUMES, fields.with_status(volume, {"phase": "Available"}))
    elif claim is None:
        yield Status(PERSISTENT_VOLUMES, fields.with_status(volume, {"phase": "Released"}))
        if fields.get(volume, "spec", "persistentVolumeReclaimPolicy") == "Delete":
            yield Delete(PERSISTENT_VOLUMES, volume)
    return None
