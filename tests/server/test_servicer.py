"""The real server on a real socket, with a real stub; behind it the whole engine around fakes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import grpc
import pytest
from google.rpc import status_pb2
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from tests.builders import project as build
from tests.runtime.world import World, world
from tilt_api.v1 import tilt_pb2 as pb
from tilt_api.v1.tilt_pb2_grpc import TiltStub
from tilt_api.version import VERSION
from tiltd.model.desired import Settings
from tiltd.model.names import NodeName, ResourceName
from tiltd.model.problems import Code, Place, Problem
from tiltd.model.state import State
from tiltd.ports import PermanentError
from tiltd.server.serve import Server
from tiltd.server.servicer import Daemon

if TYPE_CHECKING:
    from tilt_api.v1.tilt_pb2_grpc import TiltAsyncStub


@dataclass
class Served:
    """A daemon and a client of it."""

    engine: World
    stub: "TiltAsyncStub"
    channel: aio.Channel
    stopped: asyncio.Event

    async def start(self, mode: pb.Mode.ValueType = pb.MODE_CI, **fields: Any) -> str:
        request = pb.StartSessionRequest(
            tiltfile_path="/src/shop/Tiltfile", mode=mode, working_dir="/src", **fields
        )
        return (await self.stub.StartSession(request)).session_id

    async def watched(
        self, until: Callable[[pb.WatchResponse], bool], request: pb.WatchRequest | None = None
    ) -> list[pb.WatchResponse]:
        """All messages up to the one that was waited for."""
        found: list[pb.WatchResponse] = []
        stream = self.stub.Watch(request or pb.WatchRequest())
        async for message in stream:
            found.append(message)
            if until(message):
                stream.cancel()
                return found
        raise AssertionError("the stream ended")


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with world() as engine:
        stopped = asyncio.Event()
        daemon = Daemon(
            project_dir="/src/shop",
            idle_timeout=-1,
            started_at=engine.clock.now(),
            store=engine.store,
            sessions=engine.sessions,
            controller=engine.controller,
            planner=engine.planner,
            logs=engine.logs,
            clock=engine.clock,
            stop=stopped.set,
        )
        address = f"unix://{tmp_path}/t.sock"
        server = Server(daemon, address)
        await server.start()
        async with aio.insecure_channel(address) as channel:
            yield Served(engine, TiltStub(channel), channel, stopped)
            engine.store.close()
            engine.logs.close()
        await server.stop(0.1)


A = ResourceName("a")


def is_running(state: State, node: str) -> bool:
    progress = state.progress.get(NodeName(node))
    return progress is not None and progress.running is not None


def settled(message: pb.WatchResponse) -> bool:
    return message.session.settled


async def refused(call: Any) -> tuple[grpc.StatusCode, pb.Problem]:
    """The refusal of a call, with the problem out of its details."""
    with pytest.raises(aio.AioRpcError) as caught:
        await call
    metadata = dict(cast("Any", caught.value.trailing_metadata()))
    status = status_pb2.Status.FromString(metadata["grpc-status-details-bin"])
    problem = pb.Problem()
    assert status.details[0].Unpack(problem)
    assert problem.message == caught.value.details()
    return caught.value.code(), problem


async def test_it_says_who_it_is(served: Served) -> None:
    info = await served.stub.GetInfo(pb.GetInfoRequest())
    assert (info.version, info.project_dir) == (VERSION, "/src/shop")
    assert not info.session_active


async def test_a_session_is_watched_from_its_start_to_its_verdict(served: Served) -> None:
    served.engine.processes.seconds["true"] = 0.01
    served.engine.tiltfiles.project = build.project(build.local("check", "true"))
    session = await served.start()
    messages = await served.watched(settled)
    last = messages[-1].session
    assert (last.id, last.outcome) == (session, pb.OUTCOME_HEALTHY)
    check = [r for m in messages for r in m.resources][-1]
    assert (check.name, check.verdict) == ("check", pb.VERDICT_HEALTHY)
    assert [(t.id, t.phase) for t in check.targets] == [("command/check", pb.TARGET_PHASE_DONE)]
    assert check.targets[0].attempt.outcome == pb.ATTEMPT_OUTCOME_SUCCEEDED


async def test_the_verdict_names_causes_with_their_places(served: Served) -> None:
    problem = Problem(Code.TILTFILE, "undefined: nope", Place("Tiltfile", 3, 5), "did you mean no?")
    served.engine.tiltfiles.error = PermanentError(problem)
    await served.start()
    session = (await served.watched(settled))[-1].session
    assert session.outcome == pb.OUTCOME_TILTFILE_ERROR
    told = session.problems[0]
    assert (told.code, told.file, told.line, told.column) == ("tiltfile", "Tiltfile", 3, 5)
    assert (told.message, told.hint) == ("undefined: nope", "did you mean no?")


async def test_a_watch_goes_on_where_it_broke_off(served: Served) -> None:
    served.engine.processes.seconds["a"] = 0.01
    one, two = build.local("a", "a"), build.local("b", "b", deps=["a"])
    served.engine.tiltfiles.project = build.project(one, two)
    hold = served.engine.processes.hold("b")
    await served.start(pb.MODE_UP)
    first = await served.watched(
        lambda m: any(r.name == "a" and r.verdict == pb.VERDICT_HEALTHY for r in m.resources)
    )
    hold.set()
    resume = pb.WatchRequest(since=first[-1].sequence, instance_id=first[-1].instance_id)
    rest = await served.watched(
        lambda m: any(r.name == "b" and r.verdict == pb.VERDICT_HEALTHY for r in m.resources),
        resume,
    )
    assert not any(m.reset for m in rest)
    assert {r.name for m in rest for r in m.resources} == {"b"}


async def test_a_watch_of_another_daemon_starts_anew(served: Served) -> None:
    served.engine.tiltfiles.project = build.project(build.local("a", serve="a"))
    await served.start()
    ready = await served.watched(lambda m: bool(m.resources))
    request = pb.WatchRequest(since=ready[-1].sequence, instance_id="somebody else")
    again = await served.watched(lambda m: bool(m.resources), request)
    assert again[0].reset


async def test_a_second_session_is_refused_while_one_runs(served: Served) -> None:
    served.engine.tiltfiles.project = build.project(build.local("a", serve="a"))
    await served.start(pb.MODE_UP)
    request = pb.StartSessionRequest(tiltfile_path="/src/shop/Tiltfile", mode=pb.MODE_CI)
    code, problem = await refused(served.stub.StartSession(request))
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert "running in this project already" in problem.message
    assert problem.hint


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(pb.StartSessionRequest(mode=pb.MODE_CI), id="no path"),
        pytest.param(
            pb.StartSessionRequest(tiltfile_path="Tiltfile", mode=pb.MODE_CI), id="relative path"
        ),
        pytest.param(pb.StartSessionRequest(tiltfile_path="/Tiltfile"), id="no mode"),
    ],
)
async def test_a_request_that_says_too_little_is_refused(
    served: Served, request_: pb.StartSessionRequest
) -> None:
    code, _ = await refused(served.stub.StartSession(request_))
    assert code is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_session_can_be_stopped_and_what_it_runs_ends(served: Served) -> None:
    served.engine.tiltfiles.project = build.project(build.local("a", serve="a"))
    session = await served.start(pb.MODE_UP)
    await served.engine.until(
        lambda s: s.resources.get(A) is not None and s.resources[A].ready_once
    )
    await served.stub.StopSession(pb.StopSessionRequest(session_id=session))
    assert (await served.watched(settled))[-1].session.outcome == pb.OUTCOME_CANCELLED
    assert served.engine.processes.stopped == ["a"]
    code, _ = await refused(served.stub.StopSession(pb.StopSessionRequest(session_id=session)))
    assert code is grpc.StatusCode.NOT_FOUND


async def test_a_session_ends_with_its_client_if_that_was_asked(served: Served) -> None:
    served.engine.tiltfiles.project = build.project(build.local("a", serve="a"))
    session = await served.start(pb.MODE_UP, end_with_client=True)
    await served.watched(lambda m: bool(m.resources), pb.WatchRequest(session_id=session))
    assert (await served.engine.ended()).outcome.value == "cancelled"


async def test_another_clients_end_is_no_end(served: Served) -> None:
    served.engine.tiltfiles.project = build.project(build.local("a", serve="a"))
    await served.start(pb.MODE_UP, end_with_client=True)
    await served.watched(lambda m: bool(m.resources))
    assert served.engine.sessions.active is not None


async def test_the_limits_of_the_client_are_in_force(served: Served) -> None:
    served.engine.tiltfiles.project = build.project(
        build.local("a", serve="a"), settings=Settings(ci_timeout=5, ci_readiness_timeout=6)
    )
    await served.start(limits=pb.Limits(timeout=0.2, stable_for=0, crash_budget=0))
    session = (await served.watched(settled))[-1].session
    limits = session.limits
    assert (limits.timeout, limits.readiness_timeout) == (0.2, 6)
    assert (limits.stable_for, limits.crash_budget) == (0, 0)


async def test_logs_are_told_in_order_and_filtered(served: Served) -> None:
    served.engine.processes.seconds["a"] = served.engine.processes.seconds["b"] = 0.01
    served.engine.tiltfiles.project = build.project(build.local("a", "a"), build.local("b", "b"))
    await served.start()
    await served.watched(settled)
    stream = served.stub.StreamLogs(pb.StreamLogsRequest(resources=["b"]))
    lines = [line async for message in stream for line in message.lines]
    assert [(line.resource, line.span, line.text) for line in lines] == [("b", "command", "ran b")]
    everything = served.stub.StreamLogs(pb.StreamLogsRequest(min_level=pb.LOG_LEVEL_DEBUG))
    numbers = [line.sequence async for message in everything for line in message.lines]
    assert numbers == sorted(numbers)


async def test_secrets_are_in_no_message(served: Served) -> None:
    served.engine.tiltfiles.secrets = ("hunter2hunter2",)
    served.engine.processes.seconds["echo hunter2hunter2"] = 0.01
    served.engine.processes.exits["echo hunter2hunter2"] = 1
    served.engine.tiltfiles.project = build.project(build.local("a", "echo hunter2hunter2"))
    await served.start()
    messages = await served.watched(settled)
    stream = served.stub.StreamLogs(pb.StreamLogsRequest(min_level=pb.LOG_LEVEL_DEBUG))
    lines = [line.text async for message in stream for line in message.lines]
    assert any("redacted" in line for line in lines)
    assert "hunter2" not in "".join(map(str, messages)) + "".join(lines)


async def test_what_does_not_start_by_itself_is_started_on_request(served: Served) -> None:
    served.engine.processes.seconds["m"] = 0.01
    manual = build.local("manual", "m", auto_init=False)
    served.engine.tiltfiles.project = build.project(manual)
    await served.start(pb.MODE_UP)
    waiting = await served.watched(lambda m: bool(m.resources))
    assert "triggered" in waiting[-1].resources[0].status
    await served.stub.Trigger(pb.TriggerRequest(resource="manual"))
    await served.watched(lambda m: any(r.verdict == pb.VERDICT_HEALTHY for r in m.resources))
    assert served.engine.processes.ran == ["m"]


async def test_what_runs_is_cancelled_on_request(served: Served) -> None:
    served.engine.processes.seconds["slow"] = 1000
    served.engine.tiltfiles.project = build.project(build.local("slow", "slow"))
    await served.start()
    await served.engine.until(lambda s: is_running(s, "command/slow"))
    answer = await served.stub.Cancel(pb.CancelRequest(resource="slow"))
    assert list(answer.cancelled) == ["command/slow"]
    session = (await served.watched(settled))[-1].session
    assert session.outcome == pb.OUTCOME_FAILED
    assert [p.code for p in session.problems] == ["cancelled"]


async def test_an_unknown_resource_is_refused_with_those_that_there_are(served: Served) -> None:
    served.engine.tiltfiles.project = build.project(build.local("a", serve="a"))
    await served.start(pb.MODE_UP)
    await served.watched(lambda m: bool(m.resources))
    code, problem = await refused(served.stub.Trigger(pb.TriggerRequest(resource="b")))
    assert (code, problem.hint) == (grpc.StatusCode.NOT_FOUND, "there are: a")


async def test_shutdown_is_passed_on(served: Served) -> None:
    await served.stub.Shutdown(pb.ShutdownRequest())
    assert served.stopped.is_set()


async def test_it_speaks_the_standard_health_protocol(served: Served) -> None:
    health: Any = health_pb2_grpc.HealthStub(cast("Any", served.channel))
    for service in ("", "tilt_api.v1.Tilt"):
        answer = await health.Check(health_pb2.HealthCheckRequest(service=service))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_it_describes_itself(served: Served) -> None:
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(cast("Any", served.channel))
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    call = stub.ServerReflectionInfo(iter([request]))
    async for answer in call:
        names = {s.name for s in answer.list_services_response.service}
        assert "tilt_api.v1.Tilt" in names
        break
    call.cancel()


def plan_request(**fields: Any) -> pb.PlanRequest:
    return pb.PlanRequest(tiltfile_path="/src/shop/Tiltfile", working_dir="/src", **fields)


async def test_a_plan_is_made_beside_a_running_session(served: Served) -> None:
    engine = served.engine
    engine.tiltfiles.project = build.project(
        build.kubernetes("a", build.config_map("a", value="1")), build.local("long", "sleep")
    )
    engine.processes.hold("sleep")
    session = await served.start()
    await engine.until(lambda s: is_running(s, "command/long") and len(s.applied) == 1)
    engine.tiltfiles.project = build.project(
        build.kubernetes("a", build.config_map("a", value="2")), build.local("long", "sleep")
    )
    answer = await served.stub.Plan(plan_request())
    steps = {node.id: node.step for node in answer.nodes if node.wanted}
    assert steps["object//ConfigMap//a"] == pb.PLANNED_STEP_CHANGE
    (change,) = next(n for n in answer.nodes if n.id == "object//ConfigMap//a").changes
    assert (change.path, change.old, change.new) == ("data.value", '"1"', '"2"')
    assert engine.state.session is not None
    assert engine.state.session.ended is None
    await served.stub.StopSession(pb.StopSessionRequest(session_id=session))


async def test_a_plan_that_cannot_be_made_is_refused_with_its_problem(served: Served) -> None:
    served.engine.tiltfiles.error = PermanentError(
        Problem(Code.TILTFILE, "no such builtin", Place("/src/shop/Tiltfile", 3, 1), "look it up")
    )
    code, problem = await refused(served.stub.Plan(plan_request()))
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert (problem.code, problem.line, problem.hint) == ("tiltfile", 3, "look it up")
    relative = pb.PlanRequest(tiltfile_path="Tiltfile")
    code, _ = await refused(served.stub.Plan(relative))
    assert code is grpc.StatusCode.INVALID_ARGUMENT


async def test_secrets_are_nowhere_in_a_plan(served: Served) -> None:
    engine = served.engine
    engine.tiltfiles.secrets = ("correct horse battery",)
    meta = {"name": "s"}
    secret = build.manifest(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": meta,
            "stringData": {"password": "correct horse battery"},
        }
    )
    config = build.config_map("c", leak="my correct horse battery staple")
    engine.tiltfiles.project = build.project(build.kubernetes("a", secret, config))
    live = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "c", "namespace": "default"},
        "data": {"leak": "old"},
    }
    engine.cluster.put(live)
    answer = await served.stub.Plan(plan_request())
    assert "correct horse" not in str(answer)
    assert "redacted" in str(answer)
