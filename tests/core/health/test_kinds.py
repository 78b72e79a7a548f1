"""The other kinds, custom resources, the order of evaluation, and time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import k8s
from tests.builders.k8s import back_off, box, condition, custom, ended, event, obj, pod, running
from tests.core.health.judging import Json, judge, scope
from tiltd.core.health import absent, assess_object, assess_resource, assessment
from tiltd.model.desired import PodReadiness
from tiltd.model.health import Limits, ObjectRef, Verdict


def claim(phase: str = "Pending", **spec: str) -> Json:
    return obj("v1", "PersistentVolumeClaim", "data", spec=spec, status={"phase": phase})


def storage_class(mode: str) -> Json:
    return obj("storage.k8s.io/v1", "StorageClass", "local", volumeBindingMode=mode)


USER = pod(
    box(), node=None, volumes=[{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]
)
LATE = event(claim(), "WaitForFirstConsumer", "waiting for first consumer", at=10, warning=False)
NO_CLASS = event(
    claim(), "ProvisioningFailed", 'storageclass.storage.k8s.io "x" not found', at=95, first=80
)


@pytest.mark.parametrize(
    ("reported", "others", "events", "now", "verdict"),
    [
        pytest.param(claim("Bound"), [], [], 100, Verdict.HEALTHY, id="bound"),
        pytest.param(claim("Lost"), [], [], 100, Verdict.FAILED, id="lost"),
        pytest.param(claim(), [], [], 100, Verdict.PROGRESSING, id="pending"),
        pytest.param(claim(), [], [LATE], 100, Verdict.HEALTHY, id="no pod uses it, by its event"),
        pytest.param(claim(), [USER], [LATE], 100, Verdict.PROGRESSING, id="a pod uses it"),
        pytest.param(
            claim(storageClassName="local"),
            [storage_class("WaitForFirstConsumer")],
            [],
            100,
            Verdict.HEALTHY,
            id="no pod uses it, by its class",
        ),
        pytest.param(
            claim(storageClassName="local"),
            [storage_class("Immediate")],
            [],
            100,
            Verdict.PROGRESSING,
            id="bound at once, by its class",
        ),
        pytest.param(
            claim(), [], [NO_CLASS], 100, Verdict.FAILING, id="no class, within the grace"
        ),
        pytest.param(claim(), [], [NO_CLASS], 111, Verdict.FAILED, id="no class, after it"),
    ],
)
def test_claim(
    reported: Json, others: list[Json], events: list[Json], now: float, verdict: Verdict
) -> None:
    assert judge(reported, now, *others, events=events).verdict is verdict


def balancer(*addresses: Json) -> Json:
    status = {"loadBalancer": {"ingress": list(addresses)} if addresses else {}}
    return obj("v1", "Service", "web", spec={"type": "LoadBalancer"}, status=status, made=100)


def test_a_load_balancer_without_address_ends_as_a_warning() -> None:
    waits = judge(balancer(), 110)
    assert (waits.verdict, waits.until) == (Verdict.PROGRESSING, k8s.T0 + 130)
    late = judge(balancer(), 130)
    assert late.verdict is Verdict.HEALTHY
    assert late.warnings == ("Service/web is a LoadBalancer to which the cluster gave no address",)
    assert judge(balancer({"ip": "10.0.0.9"}), 110).warnings == ()


CRD = "apiextensions.k8s.io/v1"
ESTABLISHED, ACCEPTED = condition("Established"), condition("NamesAccepted")


@pytest.mark.parametrize(
    ("reported", "verdict"),
    [
        pytest.param(
            obj("v1", "Service", "s", spec={"type": "ClusterIP"}), Verdict.HEALTHY, id="Service"
        ),
        pytest.param(obj("v1", "ConfigMap", "c", data={}), Verdict.HEALTHY, id="ConfigMap"),
        pytest.param(
            obj("batch/v1", "CronJob", "c", spec={}, status={}), Verdict.HEALTHY, id="CronJob"
        ),
        pytest.param(
            obj(
                "autoscaling/v2",
                "HorizontalPodAutoscaler",
                "h",
                status={"conditions": [condition("ScalingActive", "False")]},
            ),
            Verdict.HEALTHY,
            id="autoscaler without metrics",
        ),
        pytest.param(
            obj("v1", "Namespace", "n", status={"phase": "Active"}), Verdict.HEALTHY, id="Namespace"
        ),
        pytest.param(
            obj("v1", "Namespace", "n", status={}), Verdict.PROGRESSING, id="Namespace, new"
        ),
        pytest.param(
            obj(
                CRD, "CustomResourceDefinition", "d", status={"conditions": [ACCEPTED, ESTABLISHED]}
            ),
            Verdict.HEALTHY,
            id="definition, established",
        ),
        pytest.param(
            obj(CRD, "CustomResourceDefinition", "d", status={"conditions": [ACCEPTED]}),
            Verdict.PROGRESSING,
            id="definition, not yet",
        ),
        pytest.param(
            obj(
                CRD,
                "CustomResourceDefinition",
                "d",
                status={
                    "conditions": [condition("NamesAccepted", "False", reason="PluralConflict")]
                },
            ),
            Verdict.FAILED,
            id="definition, names taken",
        ),
        pytest.param(
            obj(
                "apiregistration.k8s.io/v1",
                "APIService",
                "a",
                status={"conditions": [condition("Available")]},
            ),
            Verdict.HEALTHY,
            id="APIService, available",
        ),
        pytest.param(
            obj(
                "apiregistration.k8s.io/v1",
                "APIService",
                "a",
                status={"conditions": [condition("Available", "False", reason="MissingEndpoints")]},
            ),
            Verdict.PROGRESSING,
            id="APIService, not available",
        ),
        pytest.param(custom(), Verdict.HEALTHY, id="custom, no conditions"),
        pytest.param(custom(condition("Ready")), Verdict.HEALTHY, id="custom, ready"),
        pytest.param(
            custom(condition("Ready", "False")), Verdict.PROGRESSING, id="custom, not ready"
        ),
        pytest.param(
            custom(condition("Ready", "Unknown")), Verdict.PROGRESSING, id="custom, unknown"
        ),
        pytest.param(custom(condition("Succeeded")), Verdict.HEALTHY, id="custom, succeeded"),
        pytest.param(
            custom(condition("Synced", "False")), Verdict.HEALTHY, id="custom, other words"
        ),
        pytest.param(
            custom(condition("Ready"), generation=2, observed=1),
            Verdict.PROGRESSING,
            id="custom, stale status",
        ),
        pytest.param(
            custom(condition("Ready", observedGeneration=1), generation=2),
            Verdict.PROGRESSING,
            id="custom, condition of an earlier generation",
        ),
        pytest.param(
            custom(condition("Stalled", reason="Bad"), condition("Ready")),
            Verdict.FAILED,
            id="stalled outweighs ready",
        ),
        pytest.param(
            custom(condition("Reconciling"), condition("Ready")),
            Verdict.PROGRESSING,
            id="reconciling outweighs ready",
        ),
        pytest.param(
            obj("example.com/v1", "Widget", "w", status={"conditions": "broken"}),
            Verdict.HEALTHY,
            id="custom, a status of another shape",
        ),
    ],
)
def test_kind(reported: Json, verdict: Verdict) -> None:
    assert judge(reported).verdict is verdict


def test_a_kind_of_a_foreign_group_is_custom_whatever_its_name() -> None:
    foreign = obj(
        "example.com/v1", "Deployment", "web", status={"conditions": [condition("Ready")]}
    )
    assert judge(foreign).verdict is Verdict.HEALTHY


def test_a_custom_resource_s_pods_count_through_the_workloads_between() -> None:
    top = custom()
    web = {**k8s.deployment(updated=1), "metadata": {**k8s.deployment()["metadata"]}}
    web["metadata"]["ownerReferences"] = [
        {"kind": "Widget", "name": "w", "uid": top["metadata"]["uid"]}
    ]
    old, new = k8s.replica_set(web, 1), k8s.replica_set(web, 2)
    crashed = box(back_off(), restarts=3, last=ended(1))
    before = pod(crashed, owner=old, name="before")
    after = pod(box(running(0)), owner=new, name="after")
    assert judge(top, 100, web, old, new, before, after).verdict is Verdict.HEALTHY
    after = pod(crashed, owner=new, name="after")
    found = judge(top, 100, web, old, new, before, after)
    assert found.worst.path == (
        "Widget/w → Deployment/web → ReplicaSet/web-2 → Pod/after → container main"
    )


def test_a_custom_resource_that_is_known_to_have_pods_waits_for_them() -> None:
    top = custom()
    assert judge(top, expects_pods=True).worst.rule == "pods.none"
    up = pod(box(running(0)), owner=top)
    assert judge(top, 100, up, expects_pods=True).verdict is Verdict.HEALTHY
    ignored = judge(top, expects_pods=True, readiness=PodReadiness.IGNORE)
    assert ignored.verdict is Verdict.HEALTHY


def test_what_is_not_ready_by_the_deadline_has_failed() -> None:
    waits = pod(box(running(0), ready=False))
    early = judge(waits, 250, applied=0)
    assert (early.verdict, early.until) == (Verdict.PROGRESSING, k8s.T0 + 300)
    late = judge(waits, 300, applied=0).worst
    assert (late.verdict, late.rule) == (Verdict.FAILED, "readiness.deadline")
    assert "readiness probe doesn't pass yet" in late.message
    assert late.observed == "ready after more than 300s of 300s"


@pytest.mark.parametrize(
    ("limits", "applied"),
    [
        pytest.param(Limits(readiness=None), 0.0, id="no deadline"),
        pytest.param(Limits(), None, id="not applied by this run"),
    ],
)
def test_without_deadline_waiting_goes_on(limits: Limits, applied: float | None) -> None:
    waits = pod(box(running(0), ready=False))
    assert judge(waits, 10_000, limits=limits, applied=applied).verdict is Verdict.PROGRESSING


def test_a_wait_for_stability_is_not_cut_short_by_the_deadline() -> None:
    assert judge(pod(box(running(298))), 301).verdict is Verdict.PROGRESSING
    assert judge(pod(box(running(298))), 304).verdict is Verdict.HEALTHY


def test_a_job_has_no_deadline() -> None:
    assert judge(k8s.job(), 100_000).verdict is Verdict.PROGRESSING


def test_a_resource_is_as_bad_as_its_worst_object_and_keeps_all_findings() -> None:
    waits = pod(box(running(0), ready=False), name="waits")
    broken = pod(box(back_off(), restarts=3), name="broken")
    settings = obj("v1", "ConfigMap", "settings")
    at = scope(100)
    found = assess_resource([(settings, at), (waits, at), (broken, at)])
    assert found.worst.object.name == "broken"
    assert [f.verdict for f in found.findings] == [
        Verdict.FAILED,
        Verdict.PROGRESSING,
        Verdict.HEALTHY,
    ]
    assert found.until == k8s.T0 + 300


def test_nothing_to_judge_is_no_verdict() -> None:
    with pytest.raises(ValueError, match="at least one finding"):
        assess_resource([])
    with pytest.raises(ValueError, match="at least one finding"):
        assessment([])


def test_an_object_that_never_appears_fails_at_the_deadline() -> None:
    gone = ObjectRef("Deployment", "default", "web")
    assert absent(gone, scope(10)).verdict is Verdict.PROGRESSING
    assert absent(gone, scope(301)).verdict is Verdict.FAILED


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "conditions",
                    "type",
                    "status",
                    "reason",
                    "phase",
                    "state",
                    "waiting",
                    "terminated",
                    "containerStatuses",
                    "containers",
                    "name",
                    "message",
                    "observedGeneration",
                    "lastState",
                    "replicas",
                    "updateStrategy",
                    "rollingUpdate",
                    "ownerReferences",
                    "finalizers",
                    "deletionTimestamp",
                    "restartCount",
                    "running",
                    "startedAt",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)
KINDS = [
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    ("apps/v1", "DaemonSet"),
    ("batch/v1", "Job"),
    ("v1", "Pod"),
    ("v1", "PersistentVolumeClaim"),
    ("v1", "Service"),
    (CRD, "CustomResourceDefinition"),
    ("example.com/v1", "Widget"),
]


@given(st.sampled_from(KINDS), JSON, JSON, JSON)
def test_any_shape_of_object_has_a_verdict(
    kind: tuple[str, str], meta: object, spec: object, status: object
) -> None:
    api, name = kind
    shapeless = {"apiVersion": api, "kind": name, "metadata": meta, "spec": spec, "status": status}
    assert judge(shapeless).findings


def test_objects_that_own_each_other_are_no_trap() -> None:
    one, other = custom(), obj("example.com/v1", "Gadget", "g")
    one["metadata"]["ownerReferences"] = [{"uid": other["metadata"]["uid"]}]
    other["metadata"]["ownerReferences"] = [{"uid": one["metadata"]["uid"]}]
    assert judge(one, 100, one, other).verdict is Verdict.HEALTHY


def test_the_warning_events_of_a_finding_come_oldest_first() -> None:
    web = k8s.deployment(updated=1)
    current = k8s.replica_set(web)
    broken = pod(box(back_off(), restarts=3), owner=current)
    events = [
        event(broken, "BackOff", "late", at=90, container="main"),
        event(current, "FailedCreate", "early", at=10),
        event(broken, "Pulled", "no warning", at=50, container="main", warning=False),
        event(k8s.job(), "BackoffLimitExceeded", "of another object", at=60),
    ]
    at = scope(100, current, broken, events=events)
    worst = assess_object(web, at).worst
    assert [e.message for e in at.warnings(worst.chain)] == ["early", "late"]


@pytest.mark.parametrize("kind", ["ConfigMap", "Ingress", "Role"])
def test_what_mostly_only_exists_is_asked_all_the_same_when_there_is_more_to_it(kind: str) -> None:
    group = {"ConfigMap": "v1", "Ingress": "networking.k8s.io/v1"}
    version = group.get(kind, "rbac.authorization.k8s.io/v1")
    plain = obj(version, kind, "x")
    assert judge(plain).worst.rule == "object.exists"
    assert judge(obj(version, kind, "x", deleted=90)).worst.rule == "object.deleting"
    stalled = obj(version, kind, "x", status={"conditions": [condition("Stalled", "True")]})
    assert judge(stalled).worst.rule == "object.stalled"
    down = pod(box(back_off(), restarts=5, last=ended(1)), owner=plain)
    assert judge(plain, 100, down).worst.rule == "pod.crash-loop"
    assert assess_object(plain, scope(100, expects_pods=True)).worst.rule == "pods.none"
