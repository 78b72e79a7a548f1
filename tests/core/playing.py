"""Play an engine that does what it pleases: any work may begin, end, fail, at any moment.

Every state that the real engine can be in, and many that it will hardly ever be in, come about this
way; properties that hold on all of them hold on the real one.
"""

from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.builders import project as build
from tiltd.core import follow, work
from tiltd.core import graph as graphs
from tiltd.core.reconcile import reconcile
from tiltd.core.reduce import reduce
from tiltd.core.wake import everyone
from tiltd.model import actions, events
from tiltd.model.decisions import Act, Decision, Record
from tiltd.model.desired import JSON, Image, Manifest, Project, Resource
from tiltd.model.names import NodeName, SessionId
from tiltd.model.observed import ClusterInfo, KubeContext, ServeStatus, Uid
from tiltd.model.problems import Code, Problem
from tiltd.model.state import AttemptOutcome, ImageReady, Mode, Outcome, SessionSpec, State

CONTEXT = KubeContext("kind-x", "kind-x", "default", "https://x", is_local=True)
NAMES = ("a", "b", "c", "d")
STEPS = (
    build.step("fall_back_on", "/src/app/stop"),
    build.step("sync", "/src/app", remote="/app"),
    build.step("run", argv=("true",)),
)


def project(random: Random) -> Project:
    """A small project without circles."""
    images: list[Image] = []
    for name in ("base", "mid", "app"):
        bases = [i.name for i in images if random.random() < 0.5]
        made_image = build.image(name, *bases)
        if random.random() < 0.4:
            made_image = build.live(made_image, *STEPS[: random.randint(1, len(STEPS))])
        images.append(made_image)
    resources: list[Resource] = []
    for name in NAMES[: random.randint(1, len(NAMES))]:
        deps = [r.name for r in resources if random.random() < 0.3]
        auto, manual = random.random() < 0.8, random.random() < 0.2
        if random.random() < 0.4:
            serve = f"serve {name}" if random.random() < 0.4 else None
            cmd = f"run {name}" if random.random() < 0.8 or serve is None else None
            parallel = random.random() < 0.5
            files = [f"/src/{name}"]
            made = build.local(
                name,
                cmd,
                serve=serve,
                deps=deps,
                auto_init=auto,
                allow_parallel=parallel,
                files=files,
                manual=manual,
            )
        else:
            manifests = _manifests(name, random)
            made = build.kubernetes(name, *manifests, deps=deps, auto_init=auto, manual=manual)
        resources.append(made)
    return build.project(*resources, images=images)


def _manifests(name: str, random: Random) -> list[Manifest]:
    found = [build.config_map(f"{name}-conf", a="1")]
    if random.random() < 0.8:
        used = [i for i in ("base", "app") if random.random() < 0.5]
        other = random.choice(NAMES)
        spec = {"volumes": [{"name": "v", "configMap": {"name": f"{other}-conf"}}]}
        found.append(build.deployment(name, *used, spec=spec))
    if random.random() < 0.2:
        meta = {"name": f"{name}s.x.example"}
        names = {"kind": name.upper(), "plural": f"{name}s"}
        group = {"group": "x.example", "names": names}
        crd = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"}
        found.append(build.manifest({**crd, "metadata": meta, "spec": group}))
        custom = {"apiVersion": "x.example/v1", "kind": name.upper(), "metadata": {"name": name}}
        found.append(build.manifest(custom))
    return found


@dataclass
class Player:
    """An engine's state, and the moves that can be made."""

    random: Random
    mode: Mode = Mode.UP
    state: State = field(default_factory=State)
    now: float = 1_800_000_000.0
    running: dict[NodeName, actions.Action] = field(default_factory=dict[NodeName, Any])
    serial: int = 0

    def begin(self) -> events.Event:
        spec = SessionSpec(SessionId("s"), self.mode, "/src/shop/Tiltfile")
        return events.SessionStarted(spec, self.now)

    def move(self) -> events.Event:
        """The next event."""
        self.now += self.random.choice((0.0, 0.1, 1.0, 7.0))
        due = self._due()
        records = [d.event for _, d in due if isinstance(d, Record)]
        acts = [(n, d.action) for n, d in due if isinstance(d, Act) and n not in self.running]
        choice = self.random.random()
        if records and choice < 0.3:
            return self.random.choice(records)
        if acts and choice < 0.6:
            return self._start(*self.random.choice(acts))
        if self.running and choice < 0.85:
            return self._end()
        return self._outside()

    def said(self) -> list[events.Event]:
        """What nodes find out at this moment, those of a kind together."""
        return [d.event for _, d in self._due() if isinstance(d, Record)]

    def _due(self) -> list[tuple[NodeName, Decision]]:
        return [(n, reconcile(n, self.state, self.now)) for n in sorted(everyone(self.state))]

    def play(self, event: events.Event) -> tuple[State, State]:
        """Fold it in; the states before and after."""
        old = self.state
        self.state = reduce(old, event)
        return old, self.state

    def _start(self, node: NodeName, action: actions.Action) -> events.Event:
        self.running[node] = action
        return events.AttemptStarted(node, work.kind(action).value, work.wanted(action), self.now)

    def _end(self) -> events.Event:
        node = self.random.choice(sorted(self.running))
        action = self.running[node]
        choice = self.random.random()
        fact = self._fact(action)
        if choice < 0.5 and fact is not None:
            return fact
        del self.running[node]
        if choice < 0.8:
            return events.AttemptEnded(node, AttemptOutcome.SUCCEEDED, self.now)
        if choice < 0.85:
            return events.AttemptEnded(node, AttemptOutcome.CANCELLED, self.now)
        problem = Problem(Code.BUILD, f"{node} broke")
        transient = self.random.random() < 0.7
        return events.AttemptEnded(node, AttemptOutcome.FAILED, self.now, problem, transient)

    def _fact(self, action: actions.Action) -> events.Event | None:
        match action:
            case actions.LoadTiltfile(generation=generation):
                made = project(self.random)
                graph = graphs.build(made, "default")
                return events.TiltfileLoaded(made, graph, CONTEXT, generation, self.now)
            case actions.Connect():
                return events.Connected(ClusterInfo(CONTEXT, "v1"))
            case actions.Look(scopes=scopes):
                found = {
                    i: self._live(m.body)
                    for i, m in self.state.graph.manifests.items()
                    if self.random.random() < 0.2
                }
                return events.Looked(scopes, found)
            case actions.ReadInputs(image=image, generation=generation, listed=listed):
                digest = self.random.choice("xyz")
                name = self.random.choice(("main", "main", "stop"))
                files = {f"/src/{image.name}/{name}": f"f644 {digest}"} if listed else {}
                return events.InputsRead(image.name, generation, digest, files=files)
            case actions.EnsureImage(image=image, key=key, refs=refs, inputs=inputs):
                return events.ImageBuilt(image.name, ImageReady(key, refs), inputs)
            case actions.LiveUpdate(resource=resource, updates=updates) if updates:
                done = updates[0]
                if self.random.random() < 0.1:
                    return events.LiveUpdateStopped({done.image: "it broke"})
                return events.ContainerUpdated(resource, done.target.id, done.held)
            case actions.Apply(manifest=manifest, body=body, key=key):
                live = self._live(body)
                return events.ObjectApplied(manifest.id, key, live, self.now, changed=True)
            case actions.RunCommand(resource=resource, key=key):
                return events.CommandDone(resource, key)
            case actions.Serve(resource=resource, key=key):
                ready = self.random.choice((None, True, False))
                code = self.random.choice((None, None, None, 1))
                status = ServeStatus(key, self.now, 1, ready, exit_code=code)
                return events.ServeChanged(resource, status)
            case actions.TakeStock(key=key):
                return events.StockTaken(key, (), pruned=True)
            case _:
                return None  # its end alone says enough

    def _live(self, body: JSON) -> JSON:
        self.serial += 1
        metadata = body["metadata"]
        uid = f"{body['kind']}-{metadata['name']}"
        full = {"namespace": "default", "uid": uid, "resourceVersion": str(self.serial)}
        status: dict[str, Any] = {}
        if body["kind"] == "CustomResourceDefinition":
            established = self.random.choice(("True", "False"))
            status = {"conditions": [{"type": "Established", "status": established}]}
        elif body["kind"] == "Deployment":
            status = {"observedGeneration": 1, "updatedReplicas": self.random.choice((0, 1))}
            status["availableReplicas"] = status["replicas"] = status["updatedReplicas"]
            full["generation"] = 1  # type: ignore[assignment]
        return {**body, "metadata": {**metadata, **full}, "status": status}

    def _outside(self) -> events.Event:
        names = sorted(self.state.graph.resources)
        choice = self.random.randrange(7)
        if choice == 0 and names:
            return events.Triggered(self.random.choice(names))
        if choice == 1:
            return events.FilesChanged((f"/src/{self.random.choice((*NAMES, 'app', 'base'))}/x",))
        if choice == 2:
            return events.FilesChanged(("/src/shop/Tiltfile",))
        if choice == 3 and self.random.random() < 0.05:
            return events.SessionEnded(Outcome.CANCELLED, self.now)
        runs = sorted(follow.log_runs(self.state))
        if choice == 4 and runs:
            return events.LogEnded(self.random.choice(runs), self.random.choice((self.now, None)))
        return self._cluster()

    def _cluster(self) -> events.Event:
        known = self.state.live.objects
        manifests = list(self.state.graph.manifests.values())
        seen: list[JSON] = []
        gone: list[Uid] = []
        if known and self.random.random() < 0.3:
            gone.append(self.random.choice(sorted(known)))
        if manifests and self.random.random() < 0.7:
            body = self.random.choice(manifests).body
            seen.append(self._live(body))
            if body["kind"] == "Deployment":
                seen += self._pods(body)
        return events.ClusterChanged(self.now, tuple(seen), tuple(gone))

    def _pods(self, body: JSON) -> list[JSON]:
        name = body["metadata"]["name"]
        owner, middle = f"Deployment-{name}", f"ReplicaSet-{name}"
        state = self.random.choice(
            (
                {"running": {"startedAt": "2027-01-15T08:00:00Z"}},
                {"waiting": {"reason": "CreateContainerConfigError", "message": _missing(name)}},
                {"waiting": {"reason": "CrashLoopBackOff"}},
            )
        )
        ready = "running" in state
        restarts = self.random.choice((0, 1, 5))
        status = {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": str(ready)}],
            "containerStatuses": [
                {
                    "name": "c0",
                    "ready": ready,
                    "restartCount": restarts,
                    "state": state,
                    "containerID": f"c://{restarts}",
                }
            ],
        }
        replica_set = {"apiVersion": "apps/v1", "kind": "ReplicaSet"}
        used = body["spec"]["template"]["spec"]["containers"][0].get("image")
        known = self.state.images.get(used)
        if known is not None and known.ready is not None:
            used = known.ready.refs.in_cluster
        containers = [{"name": "c0", "image": used}]
        pod = {"apiVersion": "v1", "kind": "Pod", "spec": {"containers": containers}}
        return [
            {**replica_set, "metadata": _owned(middle, owner)},
            {**pod, "metadata": _owned(f"Pod-{name}", middle), "status": status},
        ]


def _missing(name: str) -> str:
    return f'configmap "{name}-conf" not found'


def _owned(uid: str, owner: str) -> dict[str, Any]:
    owners = [{"uid": owner, "kind": "X", "name": "x", "controller": True}]
    return {"uid": uid, "name": uid.lower(), "namespace": "default", "ownerReferences": owners}
