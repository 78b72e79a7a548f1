"""Record what a real cluster reports about apps that are broken in known ways.

    KUBECONFIG=… python -m tests.core.health.record [case …]

It applies each case below in a namespace of its own, waits until the cluster shows what the case is
about, writes the object with all that it owns and their events to `data/<case>.json`, and deletes
the namespace.  `test_recorded.py` then holds the rules against these files, so a new Kubernetes
release is checked by recording anew and reading the difference.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

DATA = Path(__file__).parent / "data"
_SPACE: Final = "tiltd-health-record"
_BUSYBOX: Final = "localhost:5000/base/busybox:1"
_PATIENCE: Final = 120.0  # seconds for each case; a crash loop needs about 40

Json = dict[str, Any]
Recording = Mapping[str, Any]


def _container(script: str = "sleep 1000", **more: Any) -> Json:
    return {"name": "main", "image": _BUSYBOX, "command": ["sh", "-c", script], **more}


def _pod_spec(container: Json, **more: Any) -> Json:
    return {"containers": [container], "terminationGracePeriodSeconds": 1, **more}


def _workload(kind: str, spec: Json, **more: Any) -> Json:
    labels = {"app": "app"}
    template = {"metadata": {"labels": labels}, "spec": spec}
    body = {"selector": {"matchLabels": labels}, "template": template, **more}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "app"}, "spec": body}


def _deployment(container: Json, **more: Any) -> Json:
    return _workload("Deployment", _pod_spec(container, **more))


def _job(script: str) -> Json:
    spec = _pod_spec(_container(script), restartPolicy="Never")
    body = {"backoffLimit": 0, "template": {"spec": spec}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "app"}, "spec": body}


def _probe(**check: Any) -> Json:
    return {**check, "periodSeconds": 1, "failureThreshold": 1}


_CLAIM: Final[Json] = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "app"},
    "spec": {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "nowhere",
        "resources": {"requests": {"storage": "1Mi"}},
    },
}
_DENY = "trap '' TERM; while :; do sleep 1; done"

# What to apply, and a word that the recording must contain before it is taken.
CASES: Final[Mapping[str, tuple[Json, str]]] = {
    "healthy": (_deployment(_container()), '"availableReplicas": 1'),
    "stateful-set": (
        _workload("StatefulSet", _pod_spec(_container()), serviceName="app"),
        '"availableReplicas": 1',
    ),
    "daemon-set": (_workload("DaemonSet", _pod_spec(_container())), '"numberAvailable": 1'),
    "crash-loop": (_deployment(_container("echo boom; exit 3")), '"restartCount": 3'),
    "exits-cleanly": (_deployment(_container("exit 0")), '"restartCount": 3'),
    "init-crash": (
        _deployment(_container(), initContainers=[{**_container("exit 4"), "name": "prepare"}]),
        '"restartCount": 2',
    ),
    "image-not-found": (
        _deployment({"name": "main", "image": "localhost:5000/no/such:1"}),
        '"reason": "ImagePullBackOff"',
    ),
    "image-registry-away": (
        _deployment({"name": "main", "image": "localhost:5999/no/such:1"}),
        '"reason": "ImagePullBackOff"',
    ),
    "image-invalid": (
        _deployment({"name": "main", "image": "localhost:5000/UPPER:1"}),
        '"reason": "InvalidImageName"',
    ),
    "config-missing": (
        _deployment(_container(envFrom=[{"configMapRef": {"name": "absent"}}])),
        '"reason": "CreateContainerConfigError"',
    ),
    "config-root": (
        _deployment(_container(), securityContext={"runAsNonRoot": True}),
        '"reason": "CreateContainerConfigError"',
    ),
    "mount-missing": (
        _deployment(
            _container(volumeMounts=[{"name": "settings", "mountPath": "/settings"}]),
            volumes=[{"name": "settings", "configMap": {"name": "absent"}}],
        ),
        '"reason": "FailedMount"',
    ),
    "unschedulable": (
        _deployment(_container(resources={"requests": {"cpu": "1000"}})),
        '"reason": "Unschedulable"',
    ),
    "no-service-account": (
        _deployment(_container(), serviceAccountName="absent"),
        '"type": "ReplicaFailure"',
    ),
    "out-of-memory": (
        _deployment(_container("tail /dev/zero", resources={"limits": {"memory": "16Mi"}})),
        '"restartCount": 3',
    ),
    "liveness": (
        _deployment(_container(_DENY, livenessProbe=_probe(exec={"command": ["false"]}))),
        '"restartCount": 3',
    ),
    "readiness": (
        _deployment(_container(readinessProbe=_probe(tcpSocket={"port": 9}))),
        '"reason": "Unhealthy"',
    ),
    "start-error": (
        _deployment({"name": "main", "image": _BUSYBOX, "command": ["no-such-program"]}),
        '"reason": "StartError"',
    ),
    "job-failed": (_job("exit 5"), '"type": "Failed"'),
    "job-complete": (_job("exit 0"), '"type": "Complete"'),
    "claim-unprovisioned": (_CLAIM, '"reason": "ProvisioningFailed"'),
}


def _kubectl(*args: str, stdin: str = "") -> str:
    done = subprocess.run(
        ["kubectl", *args], input=stdin, capture_output=True, text=True, check=True
    )
    return done.stdout


@contextmanager
def _namespace(name: str) -> Generator[None]:
    _kubectl("create", "namespace", name)
    try:
        yield
    finally:
        _kubectl("delete", "namespace", name, "--wait=false")


def _list(namespace: str, kinds: str) -> list[Json]:
    found: list[Json] = json.loads(_kubectl("get", "-n", namespace, kinds, "-o", "json"))["items"]
    return found


def _look(namespace: str, kind: str) -> Json:
    kinds = "deployments,statefulsets,daemonsets,jobs,replicasets,pods,persistentvolumeclaims"
    items = _list(namespace, kinds)
    top = next(item for item in items if item["kind"] == kind)
    reported = _list(namespace, "events")
    return {"now": time.time(), "object": top, "items": items, "events": reported}


def _record(case: str) -> Json:
    manifest, sign = CASES[case]
    namespace = f"{_SPACE}-{case}"
    with _namespace(namespace):
        began = time.time()
        _await_account(namespace)
        _kubectl("apply", "-n", namespace, "-f", "-", stdin=json.dumps(manifest))
        while True:
            seen = _look(namespace, manifest["kind"])
            if sign in json.dumps(seen):
                return {"began": began, **seen}
            if time.time() > began + _PATIENCE:
                raise TimeoutError(f"{case}: the cluster never showed {sign}")
            time.sleep(0.5)


def _await_account(namespace: str) -> None:
    """A new namespace has no service account for a moment, and pods need one."""
    while not _list(namespace, "serviceaccounts"):
        time.sleep(0.1)


def _normalised(recording: Json, namespace: str) -> Json:
    """Without what differs each time and matters to nobody: ids become short, addresses go."""
    ids: dict[str, str] = {}

    def tidy(row: Json) -> Json:
        kept = {key: value for key, value in row.items() if key not in _NOISE}
        named = {key: ids.setdefault(kept[key], f"uid-{len(ids)}") for key in _IDS & kept.keys()}
        return kept | named

    result: Json = json.loads(json.dumps(recording).replace(namespace, "default"), object_hook=tidy)
    return result


_IDS: Final = frozenset({"uid", "controller-uid", "batch.kubernetes.io/controller-uid"})
_NOISE: Final = frozenset(
    {
        "managedFields",
        "resourceVersion",
        "selfLink",
        "kubectl.kubernetes.io/last-applied-configuration",
        "hostIP",
        "hostIPs",
        "podIP",
        "podIPs",
        "tolerations",
        "volumeMounts",
        "imageID",
        "user",
    }
)


def main(wanted: list[str], tell: Callable[[str], Any]) -> None:
    """Record the `wanted` cases, or all."""
    DATA.mkdir(exist_ok=True)
    for case in wanted or list(CASES):
        recording = _normalised(_record(case), f"{_SPACE}-{case}")
        (DATA / f"{case}.json").write_text(json.dumps(recording, indent=1, sort_keys=True) + "\n")
        tell(f"{case}\n")


if __name__ == "__main__":
    main(sys.argv[1:], sys.stdout.write)
