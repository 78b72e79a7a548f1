"""As much of an API server as a daemon needs that watches an app: lists, watches, applies, logs.

Fifty Deployments of ten pods, all healthy, each of the size that real ones have.  Pods change (a
status update each now and then, as kubelets send them, of another Deployment each time), and some
print; both at a given pace.  It runs in the process of the bench, so that what the daemon needs can
be told from what the cluster needs.
"""

import asyncio
import contextlib
import json
import threading
import time
from datetime import UTC, datetime
from typing import Any, Self

from aiohttp import web

DEPLOYMENTS, PODS_EACH = 50, 10
_LOGGING = 50
_STRIDE = 37  # of another Deployment each time
_WORDS = "GET /cart 200 12ms " * 30  # so that they are more than memory may hold
_KINDS = (
    ("", "v1", "Pod", "pods"),
    ("", "v1", "Event", "events"),
    ("apps", "v1", "Deployment", "deployments"),
    ("apps", "v1", "ReplicaSet", "replicasets"),
    ("", "v1", "ConfigMap", "configmaps"),
)
Json = dict[str, Any]
_FIELDS: Json = {f"f:part-{number}": {} for number in range(5)}
_OWNED: Json = {f"f:field-{number}": _FIELDS for number in range(12)}
_MANAGED = [
    {"manager": manager, "operation": "Update", "fieldsType": "FieldsV1", "fieldsV1": _OWNED}
    for manager in ("kube-controller-manager", "kubelet")
]
"""Who owns which field: a third of a real pod."""


class FakeCluster:
    """A server in a thread of its own.

    Args:
        updates: changes of pods per second, all together.
        lines: log lines per second, of fifty pods together.
        seconds: for how long they print.
    """

    def __init__(self, updates: float, lines: float = 0.0, seconds: float = 0.0) -> None:
        self._updates, self._lines, self._seconds = updates, lines, seconds
        self._objects: dict[str, dict[str, Json]] = {plural: {} for *_, plural in _KINDS}
        self._watchers: dict[str, list[asyncio.Queue[Json]]] = {plural: [] for *_, plural in _KINDS}
        self._version = 1000
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._stopped = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),))
        self.url = ""
        self.told = 0
        self.printed = 0
        self.bytes = 0
        for number in range(DEPLOYMENTS):
            self._add_deployment(f"app-{number}")

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join()

    def crash(self) -> float:
        """A pod that prints nothing crashes, for the third time; when that was told."""
        done: list[float] = []
        over = threading.Event()

        def tell() -> None:
            pod = self._objects["pods"]["app-0-r-1"]
            ended = {"exitCode": 1, "reason": "Error", "finishedAt": _stamp()}
            status = pod["status"]["containerStatuses"][0]
            status["ready"], status["restartCount"] = False, 3
            status["state"] = {"waiting": {"reason": "CrashLoopBackOff"}}
            status["lastState"] = {"terminated": ended}
            self._tell("pods", pod)
            done.append(time.time())
            over.set()

        self._loop.call_soon_threadsafe(tell)
        over.wait()
        return done[0]

    async def _run(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        self._ready.set()
        async with asyncio.TaskGroup() as group:
            updating = group.create_task(self._update())
            await self._stopped.wait()
            updating.cancel()
        await runner.cleanup()
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    async def _update(self) -> None:
        pods = list(self._objects["pods"].values())
        number = 0
        while self._updates:
            await asyncio.sleep(1 / self._updates)
            if self._watchers["pods"]:
                pod = pods[number * _STRIDE % len(pods)]
                pod["status"]["conditions"][-1]["lastTransitionTime"] = _stamp()
                self._tell("pods", pod)
                self.told += 1
                number += 1

    def _tell(self, plural: str, body: Json) -> None:
        self._version += 1
        body["metadata"]["resourceVersion"] = str(self._version)
        for watcher in self._watchers[plural]:
            watcher.put_nowait(body)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        path = request.path.strip("/").split("/")
        answers = {
            "version": {"gitVersion": "v1.36.0"},
            "api": _discovery(""),
            "apis": _discovery("apps"),
        }
        if len(path) == 1:
            return _json(answers[path[0]])
        if path[-1] == "log":
            with contextlib.suppress(ConnectionError):  # nobody reads any more
                return await self._log(request, path[-2])
        if request.method == "POST":
            return self._create(path[-1], await request.json())
        if request.method == "PATCH":
            return self._patch(path[-2], path[-1], await request.json())
        if path[-1] not in self._objects:
            return _missing()
        if "watch" in request.query:
            with contextlib.suppress(ConnectionError):
                return await self._watch(request, path[-1])
        items = list(self._objects[path[-1]].values())
        if "labelSelector" in request.query:
            items = [item for item in items if item.get("applied")]
        metadata = {"resourceVersion": str(self._version)}
        return _json({"kind": "List", "metadata": metadata, "items": items})

    def _create(self, plural: str, body: Json) -> web.StreamResponse:
        name = body["metadata"]["name"]
        made = _object("v1", body["kind"], name, None, {}) | {"data": body["data"]}
        self._objects[plural][name] = made
        return _json(made)

    def _patch(self, plural: str, name: str, body: Json) -> web.StreamResponse:
        """An apply, or the account of what was applied (docs/decisions/account-of-objects.md)."""
        known = self._objects[plural].get(name)
        if known is None:
            return _missing()
        known |= {key: body[key] for key in ("spec", "data") if key in body}
        metadata = body.get("metadata", {})
        known["metadata"] |= {k: metadata.get(k, {}) for k in ("labels", "annotations")}
        known["applied"] = True
        self._tell(plural, known)
        return _json(known)

    async def _watch(self, request: web.Request, plural: str) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        queue: asyncio.Queue[Json] = asyncio.Queue()
        self._watchers[plural].append(queue)
        try:
            while True:
                body = await queue.get()
                line = json.dumps({"type": "MODIFIED", "object": body}) + "\n"
                await response.write(line.encode())
        finally:
            self._watchers[plural].remove(queue)

    async def _log(self, request: web.Request, pod: str) -> web.StreamResponse:
        """Print in bursts, ten a second, and then be silent."""
        response = web.StreamResponse()
        await response.prepare(request)
        logging = pod.endswith("-0") and self._lines
        bursts, each = 10, int(self._lines / _LOGGING / 10)
        for burst in range(int(self._seconds * bursts)) if logging else ():
            begin = f"{_stamp()} {pod} says {_WORDS}"
            lines = "".join([f"{begin} {burst * each + n}\n" for n in range(each)]).encode()
            await response.write(lines)
            self.printed += each
            self.bytes += len(lines)
            await asyncio.sleep(1 / bursts)
        await asyncio.Event().wait()
        return response

    def _add_deployment(self, name: str) -> None:
        labels = {"app": name}
        deployment = _object("apps/v1", "Deployment", name, None, labels)
        counts = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
        deployment["spec"] = {"replicas": PODS_EACH}
        deployment["status"] = {"observedGeneration": 1, **dict.fromkeys(counts, PODS_EACH)}
        owner = _object("apps/v1", "ReplicaSet", f"{name}-r", deployment, labels)
        owner["metadata"]["annotations"] = {"deployment.kubernetes.io/revision": "1"}
        owner["spec"] = {"replicas": PODS_EACH}
        self._objects["deployments"][name] = deployment
        self._objects["replicasets"][f"{name}-r"] = owner
        for number in range(PODS_EACH):
            pod = _object("v1", "Pod", f"{name}-r-{number}", owner, labels)
            container = {"name": "main", "image": "some/image:1"}
            pod["metadata"]["managedFields"] = _MANAGED
            pod["spec"] = _pod_spec(container)
            pod["status"] = _running(container)
            self._objects["pods"][pod["metadata"]["name"]] = pod


def kubeconfig(url: str) -> str:
    """For one context, which is a local cluster by its name."""
    name = "kind-bench"
    document: Json = {
        "current-context": name,
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "clusters": [{"name": name, "cluster": {"server": url}}],
        "users": [{"name": name, "user": {}}],
    }
    return json.dumps(document)


def manifests() -> str:
    """The Deployments, as YAML documents."""
    return "\n---\n".join(_manifest(f"app-{number}") for number in range(DEPLOYMENTS))


def _manifest(name: str) -> str:
    labels = {"app": name}
    spec = {"containers": [{"name": "main", "image": "some/image:1"}]}
    template = {"metadata": {"labels": labels}, "spec": spec}
    body = {"replicas": PODS_EACH, "selector": {"matchLabels": labels}, "template": template}
    metadata = {"name": name}
    return json.dumps(
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": body}
    )


def _object(api: str, kind: str, name: str, owner: Json | None, labels: Json) -> Json:
    metadata: Json = {
        "name": name,
        "namespace": "default",
        "uid": f"uid-{name}",
        "resourceVersion": "1000",
        "generation": 1,
        "labels": labels,
        "creationTimestamp": _stamp(),
    }
    if owner is not None:
        above = {"kind": owner["kind"], "name": owner["metadata"]["name"], "controller": True}
        metadata["ownerReferences"] = [{**above, "uid": owner["metadata"]["uid"]}]
    return {"apiVersion": api, "kind": kind, "metadata": metadata}


def _pod_spec(container: Json) -> Json:
    """As long as it is once defaults and admission have had their say."""
    env = [{"name": f"SETTING_{n}", "value": f"the value of setting {n}"} for n in range(12)]
    mount = {"name": "token", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}
    probe = {"httpGet": {"path": "/healthz", "port": 8080, "scheme": "HTTP"}, "timeoutSeconds": 1}
    full = {
        **container,
        "env": env,
        "imagePullPolicy": "IfNotPresent",
        "ports": [{"containerPort": 8080, "protocol": "TCP"}],
        "readinessProbe": probe,
        "resources": {"limits": {"memory": "64Mi"}, "requests": {"cpu": "10m"}},
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "volumeMounts": [{**mount, "readOnly": True}],
    }
    source = [{"serviceAccountToken": {"path": "token"}}, {"configMap": {"name": "ca"}}]
    tolerations = [
        {"key": f"node.kubernetes.io/{key}", "operator": "Exists", "tolerationSeconds": 300}
        for key in ("not-ready", "unreachable")
    ]
    return {
        "nodeName": "node",
        "containers": [full],
        "restartPolicy": "Always",
        "serviceAccountName": "default",
        "tolerations": tolerations,
        "volumes": [{"name": "token", "projected": {"sources": source}}],
    }


def _running(container: Json) -> Json:
    status = {
        **container,
        "ready": True,
        "started": True,
        "restartCount": 0,
        "containerID": "containerd://1",
        "state": {"running": {"startedAt": _stamp()}},
    }
    told = ("PodScheduled", "Initialized", "ContainersReady", "Ready")
    conditions = [{"type": name, "status": "True", "lastTransitionTime": _stamp()} for name in told]
    return {"phase": "Running", "conditions": conditions, "containerStatuses": [status]}


def _stamp() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _json(body: Json, code: int = 200) -> web.StreamResponse:
    return web.json_response(body, status=code)


def _missing() -> web.StreamResponse:
    return _json({"kind": "Status", "code": 404, "message": "no"}, 404)


def _discovery(group: str) -> Json:
    resources = [
        {
            "resource": plural,
            "scope": "Namespaced",
            "responseKind": {"group": g, "version": v, "kind": kind},
        }
        for g, v, kind, plural in _KINDS
        if g == group
    ]
    item = {
        "metadata": {"name": group} if group else {},
        "versions": [{"version": "v1", "resources": resources}],
    }
    return {"kind": "APIGroupDiscoveryList", "items": [item]}
