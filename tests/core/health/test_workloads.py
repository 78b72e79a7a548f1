"""Controllers and their pods: counts, revisions, and whose pods count."""

from collections.abc import Sequence

import pytest

from tests.builders import k8s
from tests.builders.k8s import back_off, box, condition, ended, event, pod, running, waiting
from tests.core.health.judging import Json, judge
from tiltd.core.health import Reference
from tiltd.model.desired import PodReadiness
from tiltd.model.health import Verdict

UP = box(running(0))
DOWN = box(back_off("40s"), restarts=3, last=ended(3))
TIMED_OUT = condition(
    "Progressing", "False", reason="ProgressDeadlineExceeded", message="timed out", at=50
)
REFUSED = condition(
    "ReplicaFailure",
    reason="FailedCreate",
    message='pods "web-1-x" is forbidden: exceeded quota: few, requested: pods=1',
    at=50,
)


@pytest.mark.parametrize(
    ("web", "verdict", "rule"),
    [
        pytest.param(
            k8s.deployment(observed=None), Verdict.PROGRESSING, "object.unobserved", id="just made"
        ),
        pytest.param(
            k8s.deployment(generation=2, updated=1, available=1),
            Verdict.PROGRESSING,
            "object.unobserved",
            id="changed, not looked at since",
        ),
        pytest.param(
            k8s.deployment(updated=1, available=1),
            Verdict.HEALTHY,
            "workload.replicas",
            id="complete",
        ),
        pytest.param(
            k8s.deployment(updated=1), Verdict.PROGRESSING, "workload.replicas", id="not available"
        ),
        pytest.param(
            k8s.deployment(2, updated=1, available=2),
            Verdict.PROGRESSING,
            "workload.replicas",
            id="not all updated",
        ),
        pytest.param(
            k8s.deployment(updated=1, total=2, available=1),
            Verdict.PROGRESSING,
            "workload.replicas",
            id="an old replica is left",
        ),
        pytest.param(k8s.deployment(0), Verdict.HEALTHY, "workload.zero", id="none wanted"),
        pytest.param(
            k8s.deployment(paused=True), Verdict.HEALTHY, "deployment.paused", id="paused"
        ),
        pytest.param(
            k8s.deployment(updated=0, conditions=[TIMED_OUT]),
            Verdict.FAILED,
            "deployment.progress-deadline",
            id="no progress in time",
        ),
        pytest.param(
            k8s.deployment(
                updated=1, conditions=[condition("Progressing", reason="ReplicaSetUpdated")]
            ),
            Verdict.PROGRESSING,
            "workload.replicas",
            id="progress going on",
        ),
        pytest.param(
            k8s.deployment(conditions=[{**REFUSED, "lastTransitionTime": k8s.stamp(90)}]),
            Verdict.FAILING,
            "workload.create-failed",
            id="no pods allowed, within the grace",
        ),
        pytest.param(
            k8s.deployment(conditions=[REFUSED]),
            Verdict.FAILED,
            "workload.create-failed",
            id="no pods allowed, after it",
        ),
        pytest.param(
            k8s.deployment(deleted=99), Verdict.PROGRESSING, "object.deleting", id="being deleted"
        ),
    ],
)
def test_deployment(web: Json, verdict: Verdict, rule: str) -> None:
    current = k8s.replica_set(web)
    found = judge(web, 100, current, pod(UP, owner=current))
    assert (found.verdict, found.worst.rule) == (verdict, rule)


def test_a_refusal_names_the_quota() -> None:
    worst = judge(k8s.deployment(conditions=[REFUSED])).worst
    assert "exceeded quota: few" in worst.message
    assert "raise the quota" in worst.hint


def test_a_missing_service_account_that_is_about_to_be_applied_is_no_fault() -> None:
    words = 'error looking up service account default/bot: serviceaccount "bot" not found'
    refused = {**REFUSED, "message": words}
    web = k8s.deployment(conditions=[refused])
    bot = Reference("serviceaccount", "default", "bot")
    assert judge(web).verdict is Verdict.FAILED
    assert judge(web, pending=[bot]).verdict is Verdict.PROGRESSING


def test_a_paused_deployment_comes_with_a_warning() -> None:
    assert judge(k8s.deployment(paused=True)).warnings == (
        "Deployment/web is paused: changes don't roll out",
    )


def test_a_deployment_is_not_healthy_before_its_pods_were_seen_and_stable() -> None:
    web = k8s.deployment(2, updated=2, available=2)
    current = k8s.replica_set(web)
    first = pod(UP, owner=current, name="a")
    young = pod(box(running(98)), owner=current, name="b")
    assert judge(web, 100, current).worst.rule == "workload.pods-unseen"
    assert judge(web, 100, current, first).worst.rule == "workload.pods-unseen"
    assert judge(web, 100, current, first, young).worst.rule == "pod.stabilising"
    assert judge(web, 104, current, first, young).verdict is Verdict.HEALTHY


def test_min_ready_seconds_lengthens_the_wait_for_stability() -> None:
    web = k8s.deployment(updated=1, available=1, minReadySeconds=30)
    current = k8s.replica_set(web)
    young = pod(box(running(98)), owner=current)
    assert judge(web, 110, current, young).worst.until == k8s.T0 + 129


def test_a_pod_s_failure_outweighs_and_explains_its_deployment() -> None:
    web = k8s.deployment(updated=1, conditions=[TIMED_OUT])
    current = k8s.replica_set(web)
    found = judge(web, 100, current, pod(DOWN, owner=current))
    assert found.worst.rule == "pod.crash-loop"
    assert found.worst.path == "Deployment/web → ReplicaSet/web-1 → Pod/web-1 → container main"
    assert [f.rule for f in found.findings] == ["pod.crash-loop", "deployment.progress-deadline"]


def test_a_rollout_out_of_time_is_explained_by_what_its_pod_still_waits_for() -> None:
    web = k8s.deployment(updated=1, conditions=[TIMED_OUT])
    current = k8s.replica_set(web)
    assert judge(web, 100, current).verdict is Verdict.FAILING
    missing = box(waiting("CreateContainerConfigError", 'secret "token" not found'))
    found = judge(web, 100, current, pod(missing, owner=current))
    assert found.verdict is Verdict.FAILED
    assert found.worst.path.endswith("Pod/web-1 → container main")
    assert "token" in found.worst.message


def test_only_pods_of_the_newest_replica_set_count() -> None:
    web = k8s.deployment(updated=1, available=1)
    old, new = k8s.replica_set(web, 9), k8s.replica_set(web, 10)
    crashing = pod(DOWN, owner=old, name="old")
    well = pod(UP, owner=new, name="new")
    assert judge(web, 100, old, new, crashing, well).verdict is Verdict.HEALTHY
    rolled_back = k8s.replica_set(web, 11, name="web-9")
    assert judge(web, 100, rolled_back, new, crashing, well).verdict is Verdict.FAILED


def test_pods_on_their_way_out_or_ended_before_do_not_count_against_a_complete_deployment() -> None:
    web = k8s.deployment(updated=1, available=1)
    current = k8s.replica_set(web)
    leaving = pod(DOWN, owner=current, name="leaving", deleted=99)
    history = pod(box(ended(1)), owner=current, name="history", phase="Failed")
    well = pod(UP, owner=current, name="well")
    assert judge(web, 100, current, leaving, history, well).verdict is Verdict.HEALTHY


def test_an_evicted_pod_is_no_failure_while_its_replacement_comes_up() -> None:
    web = k8s.deployment(updated=1)
    current = k8s.replica_set(web)
    evicted = pod(owner=current, name="evicted", phase="Failed", reason="Evicted")
    coming = pod(box(waiting("ContainerCreating")), owner=current, name="coming")
    found = judge(web, 100, current, evicted, coming)
    assert found.verdict is Verdict.PROGRESSING
    assert "evicted" not in found.worst.message


ROLLING = {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}
ON_DELETE = {"type": "OnDelete"}


def replicas(owner: Json, *revisions: str, boxed: tuple[Json, Json] = UP) -> Sequence[Json]:
    return [
        pod(boxed, name=f"db-{i}", owner=owner, labels={"controller-revision-hash": revision})
        for i, revision in enumerate(revisions)
    ]


@pytest.mark.parametrize(
    ("db", "revisions", "verdict"),
    [
        pytest.param(
            k8s.stateful_set(2, ready=2, updated=2), ["r1", "r1"], Verdict.HEALTHY, id="complete"
        ),
        pytest.param(
            k8s.stateful_set(2, ready=1, updated=2),
            ["r1", "r1"],
            Verdict.PROGRESSING,
            id="not ready",
        ),
        pytest.param(
            k8s.stateful_set(2, ready=2, updated=1, update="r2"),
            ["r1", "r2"],
            Verdict.PROGRESSING,
            id="half way",
        ),
        pytest.param(
            k8s.stateful_set(2, ready=2, updated=2, update="r2"),
            ["r2", "r2"],
            Verdict.PROGRESSING,
            id="revision not settled",
        ),
        pytest.param(
            k8s.stateful_set(3, ready=3, updated=1, update="r2", strategy=ROLLING),
            ["r1", "r1", "r2"],
            Verdict.HEALTHY,
            id="as far as the partition allows",
        ),
        pytest.param(
            k8s.stateful_set(3, ready=3, updated=0, update="r2", strategy=ROLLING),
            ["r1", "r1", "r1"],
            Verdict.PROGRESSING,
            id="not as far as the partition wants",
        ),
        pytest.param(
            k8s.stateful_set(2, ready=2, update="r2", strategy=ON_DELETE),
            ["r1", "r1"],
            Verdict.HEALTHY,
            id="on delete, nothing deleted",
        ),
        pytest.param(k8s.stateful_set(0), [], Verdict.HEALTHY, id="none wanted"),
    ],
)
def test_stateful_set(db: Json, revisions: list[str], verdict: Verdict) -> None:
    assert judge(db, 100, *replicas(db, *revisions)).verdict is verdict


def test_a_stateful_set_held_up_by_a_broken_old_pod_says_so() -> None:
    db = k8s.stateful_set(1, update="r2")
    found = judge(db, 100, *replicas(db, "r1", boxed=DOWN))
    assert found.verdict is Verdict.PROGRESSING
    assert found.worst.hint.endswith("delete pod db-0")


def test_a_stateful_set_s_refused_pods_are_known_from_events() -> None:
    db = k8s.stateful_set(1)
    refused = event(
        db, "FailedCreate", "create Pod db-0 failed: exceeded quota: few", at=90, first=60
    )
    made = event(db, "SuccessfulCreate", "create Pod db-0 successful", at=95, warning=False)
    assert judge(db, 80, events=[refused]).worst.rule == "workload.create-failed"
    assert judge(db, 100, events=[refused]).verdict is Verdict.FAILED
    assert judge(db, 100, events=[refused, made]).verdict is Verdict.PROGRESSING


def agents(owner: Json, *generations: int, boxed: tuple[Json, Json] = UP) -> Sequence[Json]:
    return [
        pod(
            boxed,
            name=f"agent-{i}",
            owner=owner,
            labels={
                "pod-template-generation": str(generation),
                "controller-revision-hash": f"r{generation}",
            },
        )
        for i, generation in enumerate(generations)
    ]


@pytest.mark.parametrize(
    ("agent", "generations", "verdict"),
    [
        pytest.param(
            k8s.daemon_set(2, updated=2, available=2), [9, 9], Verdict.HEALTHY, id="complete"
        ),
        pytest.param(
            k8s.daemon_set(2, updated=2, available=1),
            [9, 9],
            Verdict.PROGRESSING,
            id="not available",
        ),
        pytest.param(
            k8s.daemon_set(2, updated=1, available=2), [9, 10], Verdict.PROGRESSING, id="half way"
        ),
        pytest.param(
            k8s.daemon_set(2, updated=1, available=2, strategy="OnDelete"),
            [9, 10],
            Verdict.HEALTHY,
            id="on delete",
        ),
        pytest.param(k8s.daemon_set(0), [], Verdict.HEALTHY, id="matches no node"),
        pytest.param(
            k8s.daemon_set(0, observed=None),
            [],
            Verdict.PROGRESSING,
            id="just made, all counts zero",
        ),
    ],
)
def test_daemon_set(agent: Json, generations: list[int], verdict: Verdict) -> None:
    assert judge(agent, 100, *agents(agent, *generations)).verdict is verdict


def test_a_daemon_set_s_old_pods_do_not_count() -> None:
    agent = k8s.daemon_set(2, updated=1, available=1)
    (old,), (_, new) = agents(agent, 9, boxed=DOWN), agents(agent, 9, 10)
    assert judge(agent, 100, old, new).verdict is Verdict.PROGRESSING


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        pytest.param({"availableReplicas": 1}, Verdict.HEALTHY, id="available"),
        pytest.param({}, Verdict.PROGRESSING, id="not available"),
        pytest.param({"conditions": [REFUSED]}, Verdict.FAILED, id="refused"),
    ],
)
def test_replica_set_by_itself(status: Json, verdict: Verdict) -> None:
    bare = k8s.replica_set(k8s.deployment(), **status)
    assert judge(bare, 100, pod(UP, owner=bare)).verdict is verdict


def test_ignored_pods_are_not_looked_at() -> None:
    web = k8s.deployment(updated=1)
    current = k8s.replica_set(web)
    broken = pod(DOWN, owner=current)
    assert (
        judge(web, 100, current, broken, readiness=PodReadiness.IGNORE).verdict is Verdict.HEALTHY
    )


FAILED = condition("Failed", reason="BackoffLimitExceeded", message="too many failures", at=90)


@pytest.mark.parametrize(
    ("migrate", "verdict", "rule"),
    [
        pytest.param(k8s.job(), Verdict.PROGRESSING, "job.running", id="running"),
        pytest.param(
            k8s.job(condition("Complete")), Verdict.HEALTHY, "job.complete", id="complete"
        ),
        pytest.param(k8s.job(FAILED), Verdict.FAILED, "job.failed", id="failed"),
        pytest.param(
            k8s.job(condition("FailureTarget", reason="PodFailurePolicy")),
            Verdict.FAILED,
            "job.failed",
            id="about to be failed",
        ),
        pytest.param(k8s.job(failed=2), Verdict.FAILING, "job.retrying", id="trying again"),
        pytest.param(k8s.job(suspend=True), Verdict.PROGRESSING, "job.suspended", id="suspended"),
    ],
)
def test_job(migrate: Json, verdict: Verdict, rule: str) -> None:
    found = judge(migrate, 10_000)
    assert (found.verdict, found.worst.rule) == (verdict, rule)


def test_a_failed_job_shows_the_last_exit() -> None:
    migrate = k8s.job(FAILED, failed=2)
    early = pod(box(ended(1)), owner=migrate, name="early", phase="Failed", made=1)
    late = pod(box(ended(139)), owner=migrate, name="late", phase="Failed", made=2)
    worst = judge(migrate, 100, late, early).worst
    assert worst.path == "Job/migrate → Pod/late → container main"
    assert (worst.exit_code, worst.signal) == (139, 11)
    assert "BackoffLimitExceeded: too many failures" in worst.message


@pytest.mark.parametrize(
    ("state", "verdict"),
    [
        pytest.param(back_off("5m0s"), Verdict.FAILING, id="its crashes are its own business"),
        pytest.param(
            waiting("ErrImagePull", "manifest unknown"), Verdict.FAILED, id="its image is not"
        ),
        pytest.param(running(0), Verdict.PROGRESSING, id="running"),
    ],
)
def test_a_job_s_pods(state: Json, verdict: Verdict) -> None:
    migrate = k8s.job()
    one = pod(box(state, restarts=5), owner=migrate, policy="OnFailure")
    assert judge(migrate, 100, one).verdict is verdict


def test_a_job_may_be_asked_for_ready_pods_only() -> None:
    server = k8s.job()
    up = pod(UP, owner=server, policy="OnFailure")
    assert judge(server, 100, up).verdict is Verdict.PROGRESSING
    assert judge(server, 100, up, readiness=PodReadiness.WAIT).verdict is Verdict.HEALTHY
