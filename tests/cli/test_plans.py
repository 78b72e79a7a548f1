"""`plan`, `diff`, `keys`, `why` and `graph`: what they print, and how they end."""

import json

import pytest

from tests.cli.conftest import Place, tiltfile
from tilt_api.v1 import tilt_pb2 as pb
from tilt_client import plans
from tilt_client.complaint import Complaint
from tilt_client.render import graph, keys, plan
from tilt_client.render.style import Style

PLAIN = Style(color=False)
WEB = "object/apps/Deployment//web"


def node(name: str, step: "pb.PlannedStep.ValueType", **fields: object) -> pb.PlannedNode:
    shown = name.rpartition("/")[2] if not name.startswith("object/") else "Deployment/web"
    return pb.PlannedNode(id=name, name=shown, step=step, wanted=True, **fields)  # type: ignore[arg-type]


def answer() -> pb.PlanResponse:
    return pb.PlanResponse(
        context="kind-test",
        namespace="shop",
        nodes=[
            node(
                "image/web",
                pb.PLANNED_STEP_BUILD,
                resource="web",
                reason="changed: files (~ a)",
                key="ab" * 32,
                parts=[
                    pb.KeyPart(name="files", value="2", before="1", changed=True, detail="~ a"),
                    pb.KeyPart(name="builder", value="docker", before="docker"),
                ],
            ),
            node(
                WEB,
                pb.PLANNED_STEP_CHANGE,
                resource="web",
                reason="changed: image web",
                key="cd" * 32,
                changes=[
                    pb.FieldChange(path="spec.replicas", old="1", new="2"),
                    pb.FieldChange(path="spec.paused", new="true"),
                ],
                notes=["takes over .spec.replicas (kubectl) from another manager"],
                after=["image/web", "resource/db"],
            ),
            node("resource/web", pb.PLANNED_STEP_NOTHING, resource="web", after=[WEB]),
            node("command/check", pb.PLANNED_STEP_RUN, resource="check", reason="always"),
            node("resource/check", pb.PLANNED_STEP_NOTHING, resource="check"),
        ],
    )


def test_a_plan_is_a_tree_in_the_order_of_work() -> None:
    assert plan.lines(answer(), PLAIN) == [
        "Plan for kind-test, namespace shop",
        "web (after db)",
        "  build     image web       changed: files (~ a)",
        "  change    Deployment/web  changed: image web",
        "      spec.replicas: 1 → 2",
        "      spec.paused: (none) → true",
        "      ! takes over .spec.replicas (kubectl) from another manager",
        "check",
        "  run       check           always",
        "To do: 1 image to build, 1 object to change, 1 command to run; 0 unchanged.",
    ]


def test_nothing_to_do_is_said_so() -> None:
    quiet = pb.PlanResponse(nodes=[node("image/web", pb.PLANNED_STEP_NOTHING)])
    assert plan.lines(quiet, PLAIN)[-1] == "Nothing to do; 1 unchanged."
    assert not plan.changes(quiet)


def test_a_diff_has_each_value_whole() -> None:
    assert plan.fields(answer(), PLAIN) == [
        "change Deployment/web: changed: image web",
        "  spec.replicas",
        "  - 1",
        "  + 2",
        "  spec.paused",
        "  + true",
        "  ! takes over .spec.replicas (kubectl) from another manager",
    ]


def test_data_keeps_values_and_leaves_out_what_is_not_known() -> None:
    found = plan.data(answer())
    assert found["changes"] is True
    assert found["summary"] == {"build": 1, "change": 1, "run": 1}
    web = next(n for n in found["nodes"] if n["id"] == WEB)
    assert web["changes"] == [
        {"path": "spec.replicas", "old": 1, "new": 2},
        {"path": "spec.paused", "new": True},
    ]
    assert "problem" not in web
    json.dumps(found)


def test_a_plan_is_kept_as_what_it_promises() -> None:
    kept = plan.essence(answer())
    assert kept.keys() == {"image/web", WEB}
    assert json.loads(json.dumps(kept)) == kept
    assert plan.moved(kept, kept) == []


def test_what_moved_since_a_plan_is_told_by_node() -> None:
    kept, now = plan.essence(answer()), plan.essence(answer())
    now[WEB] = {**now[WEB], "changes": []}
    now["object//ConfigMap//new"] = {"step": "create", "key": "", "changes": []}
    del now["image/web"]
    assert plan.moved(kept, now) == [
        "image/web: build was planned, now it would be nothing",
        f"{WEB}: change, but not as planned",
        "object//ConfigMap//new: nothing was planned, now it would be create",
    ]


def test_reasons_tell_old_and_new() -> None:
    assert keys.reasons(answer().nodes[:1]) == [
        "image/web: build: changed: files (~ a)",
        "  files: 1 → 2  ~ a",
    ]
    assert keys.explained(answer().nodes[:1])[:2] == [
        f"image/web: key {'ab' * 32}",
        f"  tag: tilt-{'ab' * 8}",
    ]
    assert keys.table(answer().nodes) == [
        "image/web                    abababababababab",
        f"{WEB}  cdcdcdcdcdcdcdcd",
    ]


def test_a_graph_has_its_edges_in_every_format() -> None:
    nodes = graph.below(answer().nodes, "web")
    assert [n.id for n in nodes] == ["image/web", WEB, "resource/web"]
    assert graph.data(nodes)["edges"] == [
        {"from": "image/web", "to": WEB},
        {"from": WEB, "to": "resource/web"},
    ]
    assert f'"image/web" -> "{WEB}";' in graph.dot(nodes)
    assert "n0 --> n1" in graph.mermaid(nodes)
    assert "  after image/web" in graph.text(nodes)
    assert graph.below(answer().nodes, "none") == []


@pytest.mark.parametrize("text", ["image/web", "Deployment/web", "web", WEB])
def test_a_node_is_found_by_id_name_or_resource(text: str) -> None:
    assert plans.matching(answer(), text)


def test_a_node_that_is_not_there_is_told_with_similar_ones() -> None:
    with pytest.raises(Complaint, match="there is no node 'Deployment/wbe'") as caught:
        plans.matching(answer(), "Deployment/wbe")
    assert "Deployment/web" in caught.value.hint


IMAGE = """
docker_build('img', '.', dockerfile_contents='FROM scratch', only=['a'])
k8s_yaml(encode_yaml({'apiVersion': 'v1', 'kind': 'Pod', 'metadata': {'name': 'web'},
  'spec': {'containers': [{'name': 'c', 'image': 'img'}]}}))
print('hello')
"""


def test_a_plan_without_cluster_leaves_no_daemon(real: Place) -> None:
    tiltfile(real, "local_resource('a', 'echo hello')")
    done = real.run("plan", "--exit-code")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "Nothing to do, 1 command to run; 0 unchanged."
    assert real.run("daemon", "status").returncode == 1


def test_offline_keys_and_reasons_need_no_cluster(real: Place) -> None:
    tiltfile(real, IMAGE)
    (real.project / "a").write_text("1")
    first = json.loads(real.run("keys", "img", "-o", "json").stdout)
    (real.project / "b").write_text("does not count")
    assert json.loads(real.run("keys", "img", "-o", "json").stdout) == first
    (real.project / "a").write_text("2")
    other = json.loads(real.run("keys", "img", "-o", "json").stdout)
    assert other[0]["key"] != first[0]["key"]
    done = real.run("why", "Pod/web", "--offline")
    assert done.returncode == 0
    assert done.stdout.startswith("object//Pod//web: unknown: never applied from here")
    assert done.stderr == "hello\n"
    assert real.run("plan", "--offline", "--exit-code").returncode == 2


def test_ci_does_what_was_planned_or_nothing(real: Place) -> None:
    tiltfile(real, "local_resource('a', 'touch done')")
    assert real.run("plan", "--out", "p.json").returncode == 0
    done = real.run("ci", "--plan", "p.json")
    assert done.returncode == 0, done.stdout + done.stderr
    kept = json.loads((real.project / "p.json").read_text())
    (real.project / "p.json").write_text(
        json.dumps({**kept, "nodes": {"image/gone": {"step": "build", "key": "", "changes": []}}})
    )
    (real.project / "done").unlink()
    refused = real.run("ci", "--plan", "p.json")
    assert refused.returncode == 1
    assert "something has moved since p.json was made" in refused.stderr
    assert "image/gone: build was planned, now it would be nothing" in refused.stderr
    assert not (real.project / "done").exists()


@pytest.mark.parametrize("text", ["", "{}", "[1]", "nonsense"])
def test_what_is_no_plan_is_refused(real: Place, text: str) -> None:
    (real.project / "p.json").write_text(text)
    done = real.run("ci", "--plan", "p.json")
    assert done.returncode == 2
    assert "p.json holds no plan" in done.stderr
    assert real.run("ci", "--plan", "none.json").returncode == 2
    assert real.run("ci", "--plan", "p.json", "--rebuild", "a").returncode == 2


def test_without_a_cluster_a_plan_that_needs_one_says_so(real: Place) -> None:
    tiltfile(real, IMAGE)
    done = real.run("plan")
    assert done.returncode == 1
    assert "tilt-client: there is no kubeconfig" in done.stderr or "none" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_error_in_the_tiltfile_has_its_place_and_exit_code(real: Place) -> None:
    tiltfile(real, "\nnonsense()\n")
    done = real.run("plan")
    assert done.returncode == 2
    assert "Tiltfile:2:1: " in done.stderr
    assert real.run("plan", "--exit-code").returncode == 1
    assert done.stdout == ""


def test_a_circle_is_a_users_error_with_its_path(real: Place) -> None:
    tiltfile(
        real,
        "local_resource('a', 'true', resource_deps=['b'])\n"
        "local_resource('b', 'true', resource_deps=['a'])\n",
    )
    done = real.run("graph", "--offline")
    assert done.returncode != 0
    assert "a" in done.stderr
    assert "→" in done.stderr or "circle" in done.stderr


def test_a_graph_of_a_resource_that_is_not_there(real: Place) -> None:
    tiltfile(real, "local_resource('a', 'true')")
    done = real.run("graph", "--resource", "b")
    assert done.returncode == 2
    assert "there is no resource 'b'" in done.stderr
    assert "digraph" in real.run("graph", "-o", "dot").stdout
