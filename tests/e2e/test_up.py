"""`up` on the real cluster: what is edited is deployed, what breaks is told, and it goes on."""

import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.client import PATIENCE
from tests.e2e.conftest import Start, kubectl, objects, replace

pytestmark = pytest.mark.cluster


def test_edits_reach_the_cluster_and_mistakes_are_told_and_survived(
    shop: Path, namespace: str, cluster_env: dict[str, str], start: Start
) -> None:
    with (shop / "Tiltfile").open("a", encoding="utf-8") as file:
        file.write("\nk8s_resource('web', port_forwards=port_forward(0, link_path='/front'))\n")
    run = start(shop, "up", "--namespace", namespace, env=cluster_env)
    for name in ("api", "migrate", "worker", "web", "check", "unit"):
        run.until(f"{name:<7} │ ✔ healthy after")
    before = _images(cluster_env, namespace)
    told = run.until("leads to port 8000 of pod web-")
    page = f"http://{told.partition('port forward: ')[2].partition(' ')[0]}/"
    assert "<h1>The shop</h1>" in _get(page)

    replace(shop / "web/index.html", "<h1>The shop</h1>", f"<h1>The shop of {namespace}</h1>")
    run.until("web     │ ✔ healthy again")
    after = _images(cluster_env, namespace)
    assert {name for name in after if after[name] != before[name]} == {"web"}
    while f"The shop of {namespace}" not in (there := _get(page)):
        assert "The shop" in there  # as the pod that is going has it

    good = (shop / "Tiltfile").read_text(encoding="utf-8")
    (shop / "Tiltfile").write_text(f"{good}\nno_such_function()\n", encoding="utf-8")
    run.until("undefined: no_such_function [tiltfile]")
    more = f"{good}\nlocal_resource('more', 'echo more {namespace}')\n"
    (shop / "Tiltfile").write_text(more, encoding="utf-8")
    run.until("more    │ ✔ healthy after")

    kubectl(cluster_env, "delete", "service", "web", "--namespace", namespace)
    run.until("Service/web: applied")
    assert "Service/web" in objects(cluster_env, namespace)

    broken = "    sys.exit(3)\n"
    replace(shop / "worker/worker.py", '    print("the worker is waiting for orders")\n', broken)
    run.until("✘ worker: The container worker of pod worker-")
    replace(shop / "worker/worker.py", broken, '    print("the worker is back")\n')
    run.until("worker  │ ✔ healthy again")

    run.interrupt()
    result = run.end()
    assert result.code == 0, result.out
    # A server of the app prints one where a probe on a busy machine does not wait for its answer.
    assert not any(line.startswith("Traceback") for line in result.out.splitlines())


def _get(page: str) -> str:
    with urllib.request.urlopen(page, timeout=PATIENCE) as answer:  # noqa: S310 - of this machine
        return str(answer.read().decode())


def _images(env: Mapping[str, str], namespace: str) -> dict[str, str]:
    """The image of each Deployment."""
    found: dict[str, Any] = objects(env, namespace)
    return {
        body["metadata"]["name"]: body["spec"]["template"]["spec"]["containers"][0]["image"]
        for name, body in found.items()
        if name.startswith("Deployment/")
    }
