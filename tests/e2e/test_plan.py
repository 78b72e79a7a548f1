"""A plan on a real cluster says beforehand what `ci` does, and changes nothing itself."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Start, objects, replace

pytestmark = pytest.mark.cluster


def test_plan_then_ci_then_plan_shows_nothing(
    shop: Path, namespace: str, cluster_env: dict[str, str], start: Start, tmp_path: Path
) -> None:
    env = {**cluster_env, "XDG_STATE_HOME": str(tmp_path / "state")}
    where = ("--namespace", namespace)
    first = start(shop, "plan", "--exit-code", *where, env=env)
    planned = first.end()
    assert planned.code == 2, planned.out
    assert planned.says("9 objects to create")
    assert objects(env, namespace) == {}
    assert first.stays(3) == []

    assert start(shop, "ci", *where, env=env).end().code == 0
    before = objects(env, namespace)
    again = start(shop, "plan", "--exit-code", *where, env=env).end()
    assert again.code == 0, again.out
    assert again.says("Nothing to do")

    replace(shop / "web/index.html", "<h1>The shop</h1>", f"<h1>The shop of {namespace}</h1>")
    replace(shop / "k8s/config.yaml", "the corner shop", "the other shop")
    replace(shop / "k8s/config.yaml", "not-much-of-a-secret", "hush-hush-hush")
    result = start(shop, "plan", "-o", "json", *where, env=env).end()
    assert result.code == 0, result.out
    steps = {n["id"]: n for n in json.loads(result.out)["nodes"] if n["step"] != "nothing"}
    assert {name: node["step"] for name, node in steps.items()} == {
        "image/shop-web": "build",
        "object/apps/Deployment//web": "change",
        "object//ConfigMap//shop-config": "change",
        "object//Secret//shop-token": "change",
        "object/batch/Job//check": "recreate",
        "command/unit": "run",
    }
    assert steps["image/shop-web"]["reason"] == "changed: files (~ index.html)"
    assert _paths(steps["object/apps/Deployment//web"]) == [
        "spec.template.spec.containers.web.image"
    ]
    assert _paths(steps["object//ConfigMap//shop-config"]) == ["data.name"]
    assert "hush" not in result.out
    assert objects(env, namespace).keys() == before.keys()
    assert _tokens(objects(env, namespace)) == _tokens(before)

    reasons = start(shop, "why", "shop-web", "--offline", *where, env=env).end()
    assert reasons.says("~ index.html")
    kept = str(tmp_path / "kept.json")
    assert start(shop, "plan", "--out", kept, *where, env=env).end().code == 0
    replace(shop / "k8s/config.yaml", "the other shop", "the third shop")
    refused = start(shop, "ci", "--plan", kept, *where, env=env).end()
    assert refused.code == 1, refused.out
    assert refused.says("object//ConfigMap//shop-config: change, but not as planned")
    # No pod is restarted for a changed Secret, so those that run have the old token.
    replace(shop / "k8s/config.yaml", "hush-hush-hush", "not-much-of-a-secret")
    assert start(shop, "plan", "--out", kept, *where, env=env).end().code == 0
    assert start(shop, "ci", "--plan", kept, *where, env=env).end().code == 0
    done = start(shop, "plan", "--exit-code", *where, env=env).end()
    assert done.code == 0, done.out


def test_a_fixed_field_is_told_as_a_recreation_and_an_invalid_one_is_refused(
    project: Path, namespace: str, cluster_env: dict[str, str], start: Start
) -> None:
    manifest = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "fixed"},
        "data": {"a": "1"},
        "immutable": True,
    }
    (project / "Tiltfile").write_text("k8s_yaml('c.yaml')", encoding="utf-8")
    (project / "c.yaml").write_text(json.dumps(manifest), encoding="utf-8")
    where = ("--namespace", namespace)
    assert start(project, "ci", *where, env=cluster_env).end().code == 0
    (project / "c.yaml").write_text(json.dumps({**manifest, "data": {"a": "2"}}), encoding="utf-8")
    result = start(project, "plan", *where, env=cluster_env).end()
    assert result.code == 0, result.out
    assert result.line("  recreate").split()[1] == "ConfigMap/fixed"
    assert result.says('data.a: "1" → "2"')

    (project / "c.yaml").write_text(json.dumps({**manifest, "dat": {}}), encoding="utf-8")
    refused = start(project, "plan", *where, env=cluster_env).end()
    assert refused.code == 1, refused.out
    assert refused.says("refused")
    assert refused.says("dat")


def _paths(node: Any) -> list[str]:
    return [change["path"] for change in node["changes"]]


def _tokens(found: dict[str, dict[str, Any]]) -> Any:
    return found["Secret/shop-token"]["data"]
