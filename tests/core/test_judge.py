"""From the state to a verdict: what is said of a resource before, besides and after its objects."""

import pytest

from tests.builders import project as build
from tests.builders import state
from tests.builders.k8s import T0
from tiltd.core import judge, keys
from tiltd.model.desired import Command, LocalTarget, Probe, Resource, TcpSocket
from tiltd.model.events import AttemptEnded, AttemptStarted, CommandDone, ServeChanged, Triggered
from tiltd.model.health import Assessment, Finding, ObjectRef, Verdict
from tiltd.model.names import NodeName, ResourceName, command_node, object_node
from tiltd.model.observed import ServeStatus
from tiltd.model.problems import Code, Problem
from tiltd.model.state import AttemptOutcome, State

A = ResourceName("a")


def told(s: State, now: float = T0) -> tuple[Verdict, str]:
    worst = judge.judge(s, A, now).worst
    return worst.verdict, worst.rule


def failed(s: State, node: NodeName, code: Code, *, transient: bool) -> State:
    problem = Problem(code, "no", hint="try")
    ended = AttemptEnded(node, AttemptOutcome.FAILED, T0, problem, transient)
    return state.after(s, AttemptStarted(node, "x", "k", T0), ended)


def local(resource: Resource) -> State:
    return state.loaded(build.project(resource))


def key(resource: Resource, s: State) -> tuple[str, str]:
    """Of its command and its served process."""
    target = resource.target
    assert isinstance(target, LocalTarget)
    nothing = Command((), "")
    generation = s.resources[A].generation
    return (
        keys.command_key(target.cmd or nothing, generation),
        keys.command_key(target.serve or nothing, generation),
    )


def test_a_resource_of_nothing_is_well() -> None:
    s = state.loaded(build.project(build.kubernetes("a")))
    assert told(s) == (Verdict.HEALTHY, "resource.empty")


def test_an_object_that_has_not_been_applied_is_on_its_way() -> None:
    conf = build.config_map("c")
    s = state.connected(build.project(build.kubernetes("a", conf)))
    assert told(s) == (Verdict.PROGRESSING, "object.pending")
    assert told(state.applied(s, conf, uid="u")) == (Verdict.HEALTHY, "object.exists")


@pytest.mark.parametrize(
    ("code", "transient", "later", "verdict"),
    [
        pytest.param(Code.APPLY, False, 0.0, Verdict.FAILED, id="for good"),
        pytest.param(Code.REFUSED, True, 29.0, Verdict.FAILING, id="within the grace"),
        pytest.param(Code.REFUSED, True, 30.0, Verdict.FAILED, id="after it"),
    ],
)
def test_failed_work_is_told_as_it_told_itself(
    code: Code,
    transient: bool,  # noqa: FBT001 - a column of the table
    later: float,
    verdict: Verdict,
) -> None:
    conf = build.config_map("c")
    s = state.connected(build.project(build.kubernetes("a", conf)))
    s = failed(s, object_node(conf.id), code, transient=transient)
    worst = judge.judge(s, A, T0 + later).worst
    assert (worst.verdict, worst.rule) == (verdict, f"work.{code.value}")
    assert (worst.message, worst.hint) == ("no", "try")
    assert worst.until == (T0 + 30 if verdict is Verdict.FAILING else None)


def test_a_command_is_well_when_the_newest_wish_for_it_was_fulfilled() -> None:
    resource = build.local("a", "true")
    s = local(resource)
    assert told(s) == (Verdict.PROGRESSING, "command.pending")
    s = state.after(s, AttemptStarted(command_node(A), "command", "k", T0))
    assert told(s) == (Verdict.PROGRESSING, "command.running")
    s = state.after(s, CommandDone(A, key(resource, s)[0]))
    assert told(s)[0] is Verdict.HEALTHY
    s = state.after(local(resource), CommandDone(A, key(resource, s)[0]), Triggered(A))
    assert told(s) == (Verdict.PROGRESSING, "command.pending")


def served(*, probe: Probe | None = None, **status: object) -> Finding:
    resource = build.local("a", serve="serve", probe=probe)
    s = local(resource)
    known = ServeStatus(key(resource, s)[1], T0, 1, **status)  # type: ignore[arg-type] # its other fields
    return judge.judge(state.after(s, ServeChanged(A, known)), A, T0 + 100).worst


PROBE = Probe(TcpSocket(80))


@pytest.mark.parametrize(
    ("finding", "verdict"),
    [
        pytest.param(served(ready=True), Verdict.HEALTHY, id="up, without a probe"),
        pytest.param(served(probe=PROBE, ready=True), Verdict.HEALTHY, id="its probe passes"),
        pytest.param(served(probe=PROBE), Verdict.PROGRESSING, id="its probe has not decided"),
        pytest.param(served(exit_code=0), Verdict.FAILED, id="ended, even well"),
        pytest.param(served(exit_code=3), Verdict.FAILED, id="ended badly"),
    ],
)
def test_a_served_process(finding: Finding, verdict: Verdict) -> None:
    assert finding.verdict is verdict, finding


def test_a_served_process_of_an_earlier_wish_does_not_count() -> None:
    resource = build.local("a", serve="serve")
    s = local(resource)
    old = ServeStatus(key(resource, s)[1], T0, 1, ready=True)
    s = state.after(s, ServeChanged(A, old), Triggered(A))
    assert told(s, T0 + 100) == (Verdict.PROGRESSING, "serve.pending")


@pytest.mark.parametrize(
    ("rules", "ready"),
    [
        pytest.param([(Verdict.HEALTHY, "pod.ready")], True, id="well"),
        pytest.param([(Verdict.PROGRESSING, "pod.stabilising")], True, id="up, not yet for long"),
        pytest.param([(Verdict.PROGRESSING, "pod.not-ready")], False, id="not ready"),
        pytest.param(
            [(Verdict.PROGRESSING, "pod.stabilising"), (Verdict.FAILING, "pod.mount")],
            False,
            id="one of two",
        ),
    ],
)
def test_others_wait_until_it_answers_and_not_until_it_is_stable(
    rules: list[tuple[Verdict, str]],
    ready: bool,  # noqa: FBT001 - a column of the table
) -> None:
    subject = (ObjectRef("Pod", "", "p"),)
    findings = tuple(Finding(verdict, rule, subject) for verdict, rule in rules)
    assert judge.ready(Assessment(findings)) is ready
