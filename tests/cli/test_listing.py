"""What `get`, `status`, `describe` and `wait` make of resources, as tables."""

from typing import Any

import pytest

from tests.cli import schema
from tests.cli.test_render import CRASH, PLAIN, applied, change, ended, line
from tests.fakes.daemon import STARTED, resource
from tilt_api.v1 import tilt_pb2 as pb
from tilt_client import asking
from tilt_client.commands import wait
from tilt_client.complaint import Complaint
from tilt_client.outputs import document
from tilt_client.render import describing, listing, uiresource
from tilt_client.render.known import Known
from tilt_client.render.tails import Tails

NOW = STARTED + 100


def pod(name: str, *, ready: bool = True, phase: str = "Running", restarts: int = 0) -> pb.Pod:
    main = pb.Container(name="main", image="shop", ready=ready, restarts=restarts, state="running")
    setup = pb.Container(name="setup", init=True, state="terminated", reason="Completed")
    return pb.Pod(name=name, phase=phase, created_at=STARTED, containers=[setup, main])


def knowing(*resources: pb.Resource, session: pb.Session | None = None) -> Known:
    known = Known()
    known.learn(change(*resources, session=session))
    return known


WEB = resource(
    "web",
    pb.VERDICT_FAILED,
    kind=pb.RESOURCE_KIND_KUBERNETES,
    labels=["front"],
    resource_deps=["api"],
    findings=[CRASH],
    started_at=STARTED,
    pods=[pod("web-1", ready=False, restarts=3), pod("web-0", phase="Terminating", restarts=9)],
    targets=[applied("Deployment/web", reused="cluster")],
)
API = resource(
    "api",
    pb.VERDICT_HEALTHY,
    kind=pb.RESOURCE_KIND_KUBERNETES,
    order=1,
    started_at=STARTED,
    ready_at=STARTED + 2,
    links=[pb.Link(url="http://localhost:8080/"), pb.Link(url="http://localhost:9229/")],
    port_forwards=[
        pb.PortForward(
            host="localhost", local_port=8080, open=True, pod="api-1", container_port=80
        ),
        pb.PortForward(
            name="debug", host="localhost", local_port=9229, problem="9229 is in use by another"
        ),
    ],
    pods=[pod("api-1"), pod("job", phase="Succeeded", ready=False)],
)
ASLEEP = pb.Resource(name="seed", enabled=True, kind=pb.RESOURCE_KIND_LOCAL, order=2)
OFF = pb.Resource(name="off", order=3)


def test_a_table_has_a_line_for_each_resource() -> None:
    known = knowing(WEB, API, ASLEEP, OFF)
    assert listing.table(known.all, known, NOW, PLAIN, wide=False) == [
        "NAME  VERDICT   PODS  RESTARTS  BEGAN      STATUS",
        "web   Failed    0/1   3         1m40s ago  not started yet",
        "api   Healthy   2/2   0         1m40s ago",
        "seed  Waiting   -     -         -          not started yet",
        "off   Disabled  -     -         -          not started yet",
    ]
    wide = listing.table([API], known, NOW, PLAIN, wide=True)
    assert wide[0].split()[-5:] == ["PUSH", "APPLY", "READY-AFTER", "LINKS", "STATUS"]
    assert wide[1].split()[-2:] == ["2.0s", "http://localhost:8080/,http://localhost:9229/"]


def test_the_head_tells_how_the_session_stands() -> None:
    fields: dict[str, Any] = {"mode": pb.MODE_UP, "tiltfile_path": "/src/Tiltfile"}
    running = pb.Session(started_at=STARTED, context="kind", namespace="n", **fields)
    assert listing.head(knowing(WEB, API, session=running), NOW, PLAIN) == [
        "up of /src/Tiltfile",
        "context kind, namespace n",
        "running for 1m40s, 1 of 2 resources healthy",
    ]
    over = ended(pb.OUTCOME_FAILED)
    over.MergeFrom(pb.Session(**fields))
    told = listing.head(knowing(WEB, API, session=over), NOW, PLAIN)
    assert told[-1] == "✘ 1 of 2 resources failed in 12.3s: web, 1m27s ago"


@pytest.mark.parametrize(
    ("shown", "update", "runtime", "ready"),
    [
        pytest.param(WEB, "ok", "error", False, id="failed"),
        pytest.param(API, "ok", "ok", True, id="healthy"),
        pytest.param(ASLEEP, "none", "none", False, id="asleep"),
        pytest.param(OFF, "none", "none", False, id="disabled"),
        pytest.param(
            resource(
                "serve",
                pb.VERDICT_HEALTHY,
                kind=pb.RESOURCE_KIND_LOCAL,
                targets=[
                    pb.Target(
                        id="serve/serve",
                        phase=pb.TARGET_PHASE_RUNNING,
                        attempt=pb.Attempt(number=1, work="serve"),
                    )
                ],
            ),
            "ok",
            "ok",
            True,
            id="serves",
        ),
        pytest.param(
            resource(
                "build",
                pb.VERDICT_PROGRESSING,
                kind=pb.RESOURCE_KIND_LOCAL,
                targets=[pb.Target(id="command/build", phase=pb.TARGET_PHASE_RUNNING)],
            ),
            "in_progress",
            "not_applicable",
            False,
            id="busy",
        ),
    ],
)
def test_an_object_is_as_tilts_api_has_it(
    shown: pb.Resource, update: str, runtime: str, *, ready: bool
) -> None:
    known = knowing(shown)
    told = uiresource.of(shown, known)
    status = told["status"]
    assert (told["kind"], told["metadata"]["name"]) == ("UIResource", shown.name)
    assert (status["updateStatus"], status["runtimeStatus"]) == (update, runtime)
    conditions = {c["type"]: c["status"] for c in status["conditions"]}
    assert conditions == {"Ready": str(ready), "UpToDate": str(update == "ok")}
    assert uiresource.condition("Ready", shown, known) is ready
    assert status["tiltd"] == document.resource(shown, known)
    schema.check(document.of(known, Tails()), "report-v1")


def test_a_description_tells_why_and_what_was_printed() -> None:
    printed = [line("boom", resource="web", span="pod/web-5d-x1/main/3")]
    told = list(describing.lines(WEB, knowing(WEB), printed, NOW, PLAIN))
    assert told[:3] == ["Name:         web", "Kind:         kubernetes", "Labels:       front"]
    assert "  object Deployment/web  done   -      -     found in the cluster" in told
    at = told.index("Why:")
    assert told[at + 1] == "  ✘ web: container main crashed 3 times [pod.crash-loop]"
    assert "      boom" in told[at:]
    assert told[-2:] == ["Last 1 line of the log:", "  pod/web-5d-x1/main/3 | boom"]
    rows = [text.split() for text in told]
    assert ["main", "running", "not", "ready", "3", "restarts", "shop"] in rows
    assert ["init", "setup", "terminated", "Completed", "not", "ready", "0", "restarts"] in rows


def test_a_description_tells_where_ports_lead_and_which_are_closed() -> None:
    told = list(describing.lines(API, knowing(API), [], NOW, PLAIN))
    assert "Links:        http://localhost:8080/, http://localhost:9229/" in told
    at = told.index("Port forwards:")
    assert told[at + 1 : at + 4] == [
        "  HERE            STATE   POD    PORT  NOTE",
        "  localhost:8080  open    api-1  80",
        "  localhost:9229  closed  -      -     9229 is in use by another",
    ]


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ([], []),
        (["web"], ["web"]),
        (["uiresource/web", "r/api", "x/y"], ["web", "api", "x/y"]),
        (["UIResources"], []),
        (["uiresource", "web", "api"], ["web", "api"]),
    ],
)
def test_resources_are_named_as_with_kubectl(given: list[str], names: list[str]) -> None:
    assert asking.names(given) == names


def test_what_is_not_there_is_told_with_what_is() -> None:
    with pytest.raises(Complaint, match="there is no resource 'wbe'") as caught:
        asking.chosen(knowing(WEB, API), ["web", "wbe"])
    assert caught.value.hint == "there are: web, api"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("condition=Ready", wait.Wanted("Ready")),
        ("condition=ready=TRUE", wait.Wanted("Ready")),
        ("condition=UpToDate=false", wait.Wanted("UpToDate", value=False)),
    ],
)
def test_a_condition_is_written_as_for_kubectl(text: str, wanted: wait.Wanted) -> None:
    assert wait.condition(text) == wanted
