"""The example: green, green again without work, and red with the right sentence when broken."""

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Start, kubectl, objects, replace

pytestmark = pytest.mark.cluster

LIMIT = 40.0
"""Seconds in which each breakage must have been found."""


def test_the_shop_goes_green_and_a_second_run_finds_nothing_to_do(
    shop: Path, namespace: str, cluster_env: dict[str, str], start: Start
) -> None:
    first = start(shop, "ci", "--namespace", namespace, env=cluster_env)
    result = first.end()
    assert result.code == 0, result.out
    assert result.says("order 1 was shipped")
    assert first.stays(3) == []
    before = _versions(cluster_env, namespace)
    assert {"Deployment/api", "Job/migrate", "Secret/shop-token", "Service/web"} <= before.keys()

    again = start(shop, "ci", "--namespace", namespace, env=cluster_env).end()
    assert again.code == 0, again.out
    assert _versions(cluster_env, namespace) == before
    assert "built in" not in again.out
    assert "order 2" not in again.out, "the check has passed for these very images"
    assert again.seconds < 15


def test_a_changed_service_is_replaced_and_nothing_else(
    shop: Path, namespace: str, cluster_env: dict[str, str], start: Start
) -> None:
    assert start(shop, "ci", "--namespace", namespace, env=cluster_env).end().code == 0
    before = _versions(cluster_env, namespace)
    replace(shop / "web/index.html", "<h1>The shop</h1>", f"<h1>The shop of {namespace}</h1>")
    result = start(shop, "ci", "--namespace", namespace, env=cluster_env).end()
    assert result.code == 0, result.out
    after = _versions(cluster_env, namespace)
    changed = {name for name, seen in after.items() if seen != before[name]}
    assert changed == {"Deployment/web", "Job/check"}
    assert result.says("order 2 was shipped")
    path = f"/api/v1/namespaces/{namespace}/services/http:web:80/proxy/"
    assert f"The shop of {namespace}" in kubectl(cluster_env, "get", "--raw", path)


def test_what_somebody_else_changed_is_put_right(
    shop: Path, namespace: str, cluster_env: dict[str, str], start: Start
) -> None:
    assert start(shop, "ci", "--namespace", namespace, env=cluster_env).end().code == 0
    patch = '{"data": {"name": "somebody else\'s shop"}}'
    kubectl(
        cluster_env,
        *("patch", "configmap", "shop-config", "--namespace", namespace),
        *("--type=merge", f"--patch={patch}"),
    )
    kubectl(cluster_env, "delete", "service", "web", "--namespace", namespace)
    result = start(shop, "ci", "--namespace", namespace, env=cluster_env).end()
    assert result.code == 0, result.out
    found = objects(cluster_env, namespace)
    assert found["ConfigMap/shop-config"]["data"] == {"name": "the corner shop"}
    assert "Service/web" in found


def test_a_dockerfile_that_fails_is_shown_with_its_line(
    shop: Path, namespace: str, cluster_env: dict[str, str], start: Start
) -> None:
    replace(
        shop / "web/Dockerfile", "USER 65532\n", "RUN echo 'out of paint'; exit 3\nUSER 65532\n"
    )
    result = start(shop, "ci", "--namespace", namespace, env=cluster_env).end()
    assert result.code == 1, result.out
    sentence = result.line("✘ web: ")
    assert "web/Dockerfile:5: building shop-web failed: " in sentence
    assert "`echo 'out of paint'; exit 3` exited with code 3" in sentence
    assert result.seconds < LIMIT


def test_a_server_that_exits_is_shown_with_its_exit_code_and_last_words(
    shop: Path, namespace: str, cluster_env: dict[str, str], start: Start
) -> None:
    line = '    print("the worker is waiting for orders")\n'
    replace(shop / "worker/worker.py", line, '    sys.exit("no money")\n')
    result = start(shop, "ci", "--namespace", namespace, env=cluster_env).end()
    assert result.code == 1, result.out
    sentence = result.line("✘ worker: The container worker of pod worker-")
    assert "exit code 1" in sentence
    assert sentence.endswith("[pod.crash-loop]")
    chain = result.line("  Deployment/worker → ReplicaSet/worker-")
    assert chain.endswith("container worker")
    tail = result.out.partition("of container worker:\n")[2]
    assert tail.startswith("    no money\n  events:"), "the words of one life, not of all three"
    assert result.says("restarts 2 of 2, and down again")
    assert result.seconds < LIMIT


def test_an_image_that_does_not_exist_is_named(
    shop: Path, namespace: str, cluster_env: dict[str, str], start: Start
) -> None:
    image = "localhost:5000/no/such:image"
    replace(shop / "k8s/web.yaml", "image: shop-web", f"image: {image}")
    result = start(shop, "ci", "--namespace", namespace, env=cluster_env).end()
    assert result.code == 1, result.out
    sentence = result.line(f"✘ web: The image {image} of container web")
    assert sentence.endswith("[image.not-found]")
    assert result.seconds < LIMIT


def test_a_migration_that_fails_stops_what_depends_on_it(
    shop: Path, namespace: str, cluster_env: dict[str, str], start: Start
) -> None:
    replace(
        shop / "api/migrate.py", "    request = ", '    raise SystemExit("no disk")\n    request = '
    )
    result = start(shop, "ci", "--namespace", namespace, env=cluster_env).end()
    assert result.code == 1, result.out
    sentence = result.line("✘ migrate: Job/migrate has failed")
    assert "exit code 1" in sentence
    assert sentence.endswith("[job.failed]")
    assert result.says("no disk")
    assert "Deployment/web" not in objects(cluster_env, namespace)
    assert result.seconds < LIMIT


def test_a_check_that_fails_is_shown_with_its_last_words(
    shop: Path, namespace: str, cluster_env: dict[str, str], start: Start
) -> None:
    replace(shop / "web/check.py", "apple shipped", "apple pie")
    result = start(shop, "ci", "--namespace", namespace, env=cluster_env).end()
    assert result.code == 1, result.out
    sentence = result.line("✘ check: Job/check has failed")
    assert "exit code 1" in sentence
    assert sentence.endswith("[job.failed]")
    assert result.says("order 1 was not shipped in time")
    assert result.seconds < LIMIT


def test_a_secret_that_a_server_prints_is_shown_nowhere(
    shop: Path, namespace: str, cluster_env: dict[str, str], start: Start
) -> None:
    secret = f"hush-{namespace}"
    replace(shop / "k8s/config.yaml", "not-much-of-a-secret", secret)
    line = '    print("the worker is waiting for orders")\n'
    betrayal = '    print("my token:", os.environ["SHOP_TOKEN"], flush=True)\n    sys.exit(1)\n'
    replace(shop / "worker/worker.py", line, betrayal)
    args = ("ci", "--namespace", namespace, "--log-level", "debug")
    result = start(shop, *args, env=cluster_env).end()
    assert result.code == 1, result.out
    assert result.says("my token:")
    assert secret not in result.out
    assert base64.b64encode(secret.encode()).decode() not in result.out


def _versions(env: Mapping[str, str], namespace: str) -> dict[str, str]:
    """What tells an object from the same object written again, by `Kind/name`.

    Status changes by itself; so what counts is who the object is, what is asked of it, and when
    our manager wrote it last.
    """
    found: dict[str, str] = {}
    for name, item in objects(env, namespace).items():
        metadata: Any = item["metadata"]
        written = [m["time"] for m in metadata["managedFields"] if m["manager"] == "tiltd"]
        found[name] = json.dumps([metadata["uid"], metadata.get("generation"), written])
    return found
