"""When the cluster does not do as it should: no hang, no wrong verdict, no traceback."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import proxy
from tests.e2e.client import Result
from tests.e2e.conftest import Start, kubectl

pytestmark = pytest.mark.cluster

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {{name: app}}
spec:
  selector: {{matchLabels: {{app: app}}}}
  template:
    metadata: {{labels: {{app: app}}}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
        - name: main
          image: localhost:5000/base/busybox:1
          command: [sh, -c, "{script}"]
          {extra}
"""
SLOW = "readinessProbe: {exec: {command: [test, -e, /tmp/up]}, periodSeconds: 1}"
CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: conf}\ndata: {a: '1'}\n"


def app(folder: Path, text: str, tiltfile: str = "k8s_yaml('app.yaml')\n") -> None:
    (folder / "app.yaml").write_text(text, encoding="utf-8")
    (folder / "Tiltfile").write_text(tiltfile, encoding="utf-8")


def deployment(script: str, extra: str = "") -> str:
    return DEPLOYMENT.format(script=script, extra=extra)


def clean(result: Result) -> None:
    assert "Traceback" not in result.out
    assert ".py" not in result.out


def pause(seconds: float) -> None:
    """How long a fault lasts is part of what is tested."""
    time.sleep(seconds)


def test_an_api_server_that_restarts_in_the_middle_is_waited_for(
    project: Path, tmp_path: Path, cluster_env: dict[str, str], namespace: str, start: Start
) -> None:
    app(project, deployment("sleep 8; touch /tmp/up; exec sleep 1000", SLOW))
    with proxy.between(cluster_env, tmp_path) as (server, env):
        run = start(project, "ci", "--namespace", namespace, env=env)
        run.until("Deployment/app: applied")
        server.down()
        pause(5)
        server.up()
        result = run.end()
    assert result.code == 0, result.out
    assert result.seconds < 40
    clean(result)


def test_an_api_server_that_restarts_before_the_apply_is_waited_for(
    project: Path, tmp_path: Path, cluster_env: dict[str, str], namespace: str, start: Start
) -> None:
    tiltfile = "k8s_yaml('app.yaml')\nlocal_resource('first', 'sleep 3')\n"
    app(
        project,
        CONFIG_MAP,
        f"{tiltfile}k8s_resource(new_name='conf', objects=['conf'], resource_deps=['first'])\n",
    )
    with proxy.between(cluster_env, tmp_path) as (server, env):
        run = start(project, "ci", "--namespace", namespace, env=env)
        run.until("Cluster")
        server.down()
        pause(6)
        server.up()
        result = run.end()
    assert result.code == 0, result.out
    assert result.says("it is tried again")
    clean(result)


def test_a_crash_while_the_connection_was_away_for_20_seconds_is_not_missed(
    project: Path, tmp_path: Path, cluster_env: dict[str, str], namespace: str, start: Start
) -> None:
    script = "sleep 5; test -e /data/x && exec sleep 1000; touch /data/x; echo lost; exit 7"
    text = deployment(script, "volumeMounts: [{name: data, mountPath: /data}]")
    app(project, f"{text}\n      volumes: [{{name: data, emptyDir: {{}}}}]\n")
    with proxy.between(cluster_env, tmp_path) as (server, env):
        flags = ("--namespace", namespace, "--crash-budget=0", "--stable-for=10s")
        run = start(project, "ci", *flags, env=env)
        run.until("Deployment/app: applied")
        pause(1)
        server.down()
        pause(20)
        server.up()
        result = run.end()
    assert result.code == 1, result.out
    assert result.says("exit code 7")
    assert result.says("[pod.crash-loop]")
    clean(result)


def test_a_cluster_that_falls_silent_is_a_timeout_and_never_a_success(
    project: Path, tmp_path: Path, cluster_env: dict[str, str], namespace: str, start: Start
) -> None:
    app(project, deployment("exec sleep 1000"))
    with proxy.between(cluster_env, tmp_path) as (server, env):
        run = start(project, "ci", "--namespace", namespace, "--timeout=10s", env=env)
        run.until("Deployment/app: applied")
        pause(1)
        server.swallow()
        result = run.end()
    assert result.code == 3, result.out
    assert result.says("the cluster is away")
    assert 10 <= result.seconds < 16
    clean(result)


@pytest.fixture
def poor_env(cluster_env: dict[str, str], namespace: str, tmp_path: Path) -> dict[str, str]:
    """As a service account that may apply and watch, but read neither events nor logs."""
    rules = [
        {
            "apiGroups": ["", "apps"],
            "resources": ["configmaps", "deployments", "replicasets", "pods"],
            "verbs": ["get", "list", "watch", "create", "patch", "update", "delete"],
        }
    ]
    about = {"name": "poor", "namespace": namespace}
    api = "rbac.authorization.k8s.io"
    role = {"apiVersion": f"{api}/v1", "kind": "Role", "metadata": about, "rules": rules}
    binding = {
        "apiVersion": f"{api}/v1",
        "kind": "RoleBinding",
        "metadata": about,
        "roleRef": {"apiGroup": api, "kind": "Role", "name": "poor"},
        "subjects": [{"kind": "ServiceAccount", "name": "poor", "namespace": namespace}],
    }
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": about}
    path = tmp_path / "rights.json"
    body = {"apiVersion": "v1", "kind": "List", "items": [account, role, binding]}
    path.write_text(json.dumps(body), encoding="utf-8")
    kubectl(cluster_env, "apply", "-f", str(path))
    token = kubectl(cluster_env, "create", "token", "poor", "--namespace", namespace).strip()
    text = kubectl(cluster_env, "config", "view", "--raw", "--flatten", "--minify", "-o=json")
    config = json.loads(text)
    config["users"][0]["user"] = {"token": token}
    mine = tmp_path / "poor"
    mine.write_text(json.dumps(config), encoding="utf-8")
    return {**cluster_env, "KUBECONFIG": str(mine)}


def test_health_needs_neither_events_nor_logs_and_says_what_it_could_not_read(
    project: Path, poor_env: dict[str, str], namespace: str, start: Start
) -> None:
    app(project, deployment("echo hello; exec sleep 1000"))
    result = start(project, "ci", "--namespace", namespace, env=poor_env).end()
    assert result.code == 0, result.out
    assert result.says("may not read Event")
    assert result.says("may not read Pod/log")
    clean(result)


def test_a_crash_is_seen_without_events_and_logs(
    project: Path, poor_env: dict[str, str], namespace: str, start: Start
) -> None:
    app(project, deployment("exit 5"))
    flags = ("--namespace", namespace, "--crash-budget=0")
    result = start(project, "ci", *flags, env=poor_env).end()
    assert result.code == 1, result.out
    assert result.says("exit code 5")
    assert result.says("[pod.crash-loop]")
    assert result.says("may not read")
    clean(result)


@pytest.fixture
def webhook(cluster_env: dict[str, str], namespace: str, tmp_path: Path) -> Iterator[str]:
    """A webhook that must be asked about ConfigMaps of this namespace, and that nobody serves."""
    name = f"nobody.{namespace}.test"
    nobody = {"service": {"name": "nobody", "namespace": namespace, "path": "/"}}
    rule = {
        "apiGroups": [""],
        "apiVersions": ["v1"],
        "resources": ["configmaps"],
        "operations": ["CREATE", "UPDATE"],
    }
    own = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    body = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": [
            {
                "name": name,
                "clientConfig": nobody,
                "rules": [rule],
                "namespaceSelector": own,
                "failurePolicy": "Fail",
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
            }
        ],
    }
    path = tmp_path / "webhook.json"
    path.write_text(json.dumps(body), encoding="utf-8")
    kubectl(cluster_env, "apply", "-f", str(path))
    yield name
    kubectl(cluster_env, "delete", "validatingwebhookconfiguration", name)


def test_a_webhook_that_nobody_serves_has_the_grace_and_is_named(
    project: Path, cluster_env: dict[str, str], namespace: str, webhook: str, start: Start
) -> None:
    app(project, CONFIG_MAP)
    flags = ("--namespace", namespace, "--grace=3s")
    result = start(project, "ci", *flags, env=cluster_env).end()
    assert result.code == 1, result.out
    assert result.says(webhook)
    assert result.says("[work.refused]")
    assert 3 <= result.seconds < 15
    clean(result)


@pytest.fixture
def policy(cluster_env: dict[str, str], namespace: str, tmp_path: Path) -> Iterator[str]:
    """An admission policy that refuses ConfigMaps in this namespace."""
    name = f"no.{namespace}.test"
    own = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    api = "admissionregistration.k8s.io/v1"
    rule = {
        "apiGroups": [""],
        "apiVersions": ["v1"],
        "resources": ["configmaps"],
        "operations": ["CREATE"],
    }
    refuses = {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [rule]},
        "validations": [{"expression": "false", "message": "we want no settings here"}],
    }
    binds = {
        "policyName": name,
        "validationActions": ["Deny"],
        "matchResources": {"namespaceSelector": own},
    }
    metadata = {"name": name}
    kinds = (("ValidatingAdmissionPolicy", refuses), ("ValidatingAdmissionPolicyBinding", binds))
    items = [
        {"apiVersion": api, "kind": k, "metadata": metadata, "spec": spec} for k, spec in kinds
    ]
    path = tmp_path / "policy.json"
    body = {"apiVersion": "v1", "kind": "List", "items": items}
    path.write_text(json.dumps(body), encoding="utf-8")
    kubectl(cluster_env, "apply", "-f", str(path))
    yield name
    kubectl(cluster_env, "delete", "-f", str(path))


def test_what_an_admission_policy_refuses_is_told_in_its_words(
    project: Path, cluster_env: dict[str, str], namespace: str, policy: str, start: Start
) -> None:
    app(project, CONFIG_MAP)
    _until_refused(cluster_env, namespace)
    result = start(project, "ci", "--namespace", namespace, env=cluster_env).end()
    assert result.code == 1, result.out
    assert result.says("we want no settings here")
    assert result.says(policy)
    clean(result)


def _until_refused(env: dict[str, str], namespace: str) -> None:
    """A policy takes a moment to be in force."""
    for _ in range(100):
        try:
            kubectl(env, "create", "configmap", "probe", "-n", namespace, "--dry-run=server")
        except Exception:  # noqa: BLE001 - refused, at last
            return
        pause(0.1)
    raise AssertionError("the policy never came into force")


def test_a_quota_that_refuses_an_apply_has_the_grace(
    project: Path, cluster_env: dict[str, str], namespace: str, start: Start
) -> None:
    hard = "--hard=count/configmaps=1"
    kubectl(cluster_env, "create", "quota", "few", hard, "--namespace", namespace)
    app(project, CONFIG_MAP)
    flags = ("--namespace", namespace, "--grace=3s")
    result = start(project, "ci", *flags, env=cluster_env).end()
    assert result.code == 1, result.out
    assert result.says("exceeded quota: few")
    clean(result)


def test_a_namespace_that_is_going_away_has_the_grace(
    project: Path, tmp_path: Path, cluster_env: dict[str, str], namespace: str, start: Start
) -> None:
    going = f"{namespace}-going"
    kubectl(cluster_env, "create", "namespace", going)
    held = {"name": "held", "namespace": going, "finalizers": ["tiltd.test/hold"]}
    path = tmp_path / "held.json"
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": held}
    path.write_text(json.dumps(body), encoding="utf-8")
    kubectl(cluster_env, "apply", "-f", str(path))
    kubectl(cluster_env, "delete", "namespace", going, "--wait=false")
    try:
        app(project, CONFIG_MAP)
        flags = ("--namespace", going, "--grace=3s")
        result = start(project, "ci", *flags, env=cluster_env).end()
    finally:
        patch = '--patch={"metadata":{"finalizers":null}}'
        kubectl(cluster_env, "patch", "cm", "held", "-n", going, "--type=merge", patch)
    assert result.code == 1, result.out
    assert result.says("being terminated")
    assert result.says("[work.refused]")
    assert 3 <= result.seconds < 15
    clean(result)


def test_a_definition_that_is_deleted_in_the_middle_is_missed(
    project: Path, tmp_path: Path, cluster_env: dict[str, str], namespace: str, start: Start
) -> None:
    group = f"{namespace}.tiltd.test"
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    version = {"name": "v1", "served": True, "storage": True, "schema": schema}
    names = {"kind": "Widget", "plural": "widgets", "singular": "widget"}
    spec = {"group": group, "scope": "Namespaced", "names": names, "versions": [version]}
    body = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"widgets.{group}"},
        "spec": spec,
    }
    path = tmp_path / "crd.json"
    path.write_text(json.dumps(body), encoding="utf-8")
    kubectl(cluster_env, "apply", "-f", str(path))
    kubectl(cluster_env, "wait", "--for=condition=Established", f"crd/widgets.{group}")
    text = f"apiVersion: {group}/v1\nkind: Widget\nmetadata: {{name: app}}\n"
    app(project, text, "k8s_yaml('app.yaml')\nlocal_resource('slow', 'sleep 20')\n")
    run = start(project, "ci", "--namespace", namespace, env=cluster_env)
    run.until("Widget/app: applied")
    kubectl(cluster_env, "delete", "crd", f"widgets.{group}")
    result = run.end()
    assert result.code == 1, result.out
    assert result.says("knows no Widget")
    assert result.says("CustomResourceDefinition")
    assert result.seconds < 20
    clean(result)


@pytest.mark.parametrize(
    "script",
    [
        pytest.param("head -c 100000000 /dev/zero | tr '\\\\0' x", id="100 MB without a newline"),
        pytest.param("head -c 20000000 /dev/urandom", id="20 MB of anything"),
    ],
)
def test_a_pod_that_prints_without_end_or_sense_changes_no_verdict(
    script: str, project: Path, cluster_env: dict[str, str], namespace: str, start: Start
) -> None:
    app(project, deployment(f"{script}; exec sleep 1000"))
    flags = ("--namespace", namespace, "--log-level=warn")
    result = start(project, "ci", *flags, env=cluster_env).end()
    assert result.code == 0, result.out[-2000:]
    assert result.seconds < 30
    clean(result)


def test_a_failure_stops_what_runs_within_two_seconds_and_says_what(
    project: Path, cluster_env: dict[str, str], start: Start
) -> None:
    stubborn = "trap true TERM; echo begun; while true; do sleep 1; done"
    (project / "Tiltfile").write_text(
        f"local_resource('stubborn', \"{stubborn}\", allow_parallel=True)\n"
        "local_resource('fails', 'sleep 2; exit 1', allow_parallel=True)\n",
        encoding="utf-8",
    )
    run = start(project, "ci", env=cluster_env)
    run.until("begun")
    result = run.end()
    assert result.code == 1, result.out
    assert result.says("cancelled: command stubborn")
    assert result.seconds < 2 + 2 + 2, "sleep, stop, start"
    assert run.stays(0.5) == []
