"""On a real cluster: what goes from the Tiltfile goes from the cluster, and nothing else does."""

from pathlib import Path

import pytest

from tests.e2e.conftest import Start, kubectl

pytestmark = pytest.mark.cluster


def write(project: Path, *names: str, keep: str = "") -> None:
    texts = [
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n"
        f"  name: {name}\n"
        + ("  annotations: {tilt.dev/down-policy: keep}\n" if name == keep else "")
        + "data: {a: '1'}\n"
        for name in names
    ]
    (project / "app.yaml").write_text("---\n".join(texts), encoding="utf-8")
    (project / "Tiltfile").write_text("k8s_yaml('app.yaml')\n", encoding="utf-8")


def test_what_the_tiltfile_drops_is_planned_deleted_and_gone(
    project: Path, cluster_env: dict[str, str], namespace: str, start: Start
) -> None:
    there = ("--namespace", namespace)

    def names() -> set[str]:
        found = kubectl(cluster_env, "get", "configmap", *there, "--output=name").split()
        mine = {name.removeprefix("configmap/") for name in found} - {"kube-root-ca.crt"}
        return {n for n in mine if not n.startswith("tiltd-inventory-")}

    kubectl(cluster_env, "create", "configmap", "theirs", *there)
    write(project, "a", "b", "c", keep="c")
    assert start(project, "ci", *there, env=cluster_env).end().code == 0
    version = ("get", "configmap", "tiltd-inventory-project", *there)
    before = kubectl(cluster_env, *version, "--output=jsonpath={.metadata.resourceVersion}")
    assert start(project, "ci", *there, env=cluster_env).end().code == 0
    assert kubectl(cluster_env, *version, "--output=jsonpath={.metadata.resourceVersion}") == before

    write(project, "a")
    plan = start(project, "plan", "--exit-code", *there, env=cluster_env).end()
    assert plan.code == 2, plan.out
    assert plan.line("  delete").split()[1] == "ConfigMap/b"
    assert names() == {"a", "b", "c", "theirs"}
    result = start(project, "ci", *there, env=cluster_env).end()
    assert result.code == 0, result.out
    assert result.says("ConfigMap/b: deleted, because it is no longer in the Tiltfile")
    assert names() == {"a", "c", "theirs"}

    assert start(project, "down", *there, env=cluster_env).end().code == 0
    left = kubectl(cluster_env, "get", "configmap", *there, "--output=name").split()
    assert set(left) == {"configmap/kube-root-ca.crt", "configmap/theirs", "configmap/c"}


def test_what_another_namespace_needs_too_stays(
    project: Path, cluster_env: dict[str, str], namespace: str, start: Start
) -> None:
    role = f"tiltd-e2e-{namespace}"
    other = f"{namespace}-b"
    text = (
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\n"
        f"metadata: {{name: {role}}}\nrules: []\n"
    )
    kubectl(cluster_env, "create", "namespace", other)
    try:
        for where in (namespace, other):
            write(project, "a")
            with (project / "app.yaml").open("a", encoding="utf-8") as file:
                file.write(f"---\n{text}")
            done = start(project, "ci", "--namespace", where, env=cluster_env).end()
            assert done.code == 0, done.out
        write(project, "a")
        first = start(project, "ci", "--namespace", namespace, env=cluster_env).end()
        assert first.says(f"a project in namespace {other} has it, too")
        kubectl(cluster_env, "get", "clusterrole", role)
        second = start(project, "ci", "--namespace", other, env=cluster_env).end()
        assert second.says(f"ClusterRole/{role}: deleted")
    finally:
        kubectl(cluster_env, "delete", "clusterrole", role, "--ignore-not-found")
        kubectl(cluster_env, "delete", "namespace", other, "--wait=false")
