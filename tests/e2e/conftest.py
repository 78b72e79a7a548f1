"""A real cluster, and for each test a namespace, a copy of the example, and its own runs.

The cluster is the one of KUBECONFIG, as `make test-all` sets it; only a local one is touched.
Images are the example's own, so that all tests after the first find them built.
"""

import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.e2e.client import Run

SHOP = Path(__file__).parents[2] / "examples" / "shop"

Start = Callable[..., Run]


@pytest.fixture(scope="session")
def cluster_env() -> dict[str, str]:
    """The environment for a client of the real cluster."""
    if not os.environ.get("KUBECONFIG"):
        pytest.skip("KUBECONFIG names no cluster: run `make test-all` or `make test-cluster`")
    answer = subprocess.run(
        ["kubectl", "get", "--raw=/readyz", "--request-timeout=10s"],
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode:
        pytest.skip(f"the cluster of KUBECONFIG does not answer: {answer.stderr.strip()}")
    return dict(os.environ)


@pytest.fixture
def namespace(cluster_env: Mapping[str, str]) -> Iterator[str]:
    """A namespace of the test's own."""
    name = f"tiltd-e2e-{uuid.uuid4().hex[:8]}"
    kubectl(cluster_env, "create", "namespace", name)
    yield name
    kubectl(cluster_env, "delete", "namespace", name, "--wait=false")


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a client; whatever is left of it after the test is ended."""
    runs: list[Run] = []

    def begin(folder: Path, *args: str, env: Mapping[str, str]) -> Run:
        run = Run(folder, *args, env=env)
        runs.append(run)
        return run

    yield begin
    for run in runs:
        run.discard()


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A copy of the example, to be edited."""
    ignored = shutil.ignore_patterns("__pycache__")
    return Path(shutil.copytree(SHOP, tmp_path / "shop", ignore=ignored))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """An empty project folder."""
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


def kubectl(env: Mapping[str, str], *args: str) -> str:
    """Run kubectl; its output."""
    done = subprocess.run(
        ["kubectl", *args], env=dict(env), capture_output=True, text=True, check=True
    )
    return done.stdout


def objects(env: Mapping[str, str], namespace: str) -> dict[str, dict[str, object]]:
    """What the example has in the cluster, by `Kind/name`; without what controllers make."""
    kinds = "configmap,secret,service,deployment,job"
    flags = ("--namespace", namespace, "--output=json", "--show-managed-fields")
    found = json.loads(kubectl(env, "get", kinds, *flags))
    return {
        f"{item['kind']}/{item['metadata']['name']}": item
        for item in found["items"]
        if item["metadata"]["name"] != "kube-root-ca.crt"
    }


def replace(path: Path, old: str, new: str) -> None:
    """Edit a file; the old text must be there, once."""
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{old!r} is in {path} {text.count(old)} times"
    path.write_text(text.replace(old, new), encoding="utf-8")
