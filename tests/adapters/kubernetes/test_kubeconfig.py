"""Which cluster a session means, by its kubeconfig files."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.kubernetes.worlds import session
from tiltd import ports
from tiltd.adapters.kubernetes.kubeconfig import KubeContexts
from tiltd.model.observed import KubeContext
from tiltd.model.problems import Code, Place

ONE = """\
apiVersion: v1
kind: Config
current-context: dev
contexts:
- name: dev
  context: {cluster: kind-dev, user: me, namespace: shop}
- name: prod
  context: {cluster: gke_x, user: me}
- name: torn
  context: {cluster: missing, user: me}
clusters:
- name: kind-dev
  cluster: {server: "https://127.0.0.1:6443/"}
- name: gke_x
  cluster: {server: "https://10.0.0.1"}
users:
- name: me
  user: {}
"""
DEV = KubeContext("dev", "kind-dev", "shop", "https://127.0.0.1:6443", is_local=True)
PROD = KubeContext("prod", "gke_x", "default", "https://10.0.0.1")
NONE = KubeContext()


async def read(
    env: dict[str, str], pod: Path = Path("/nonexistent"), *, context: str = "", namespace: str = ""
) -> KubeContext:
    return await KubeContexts(pod).read(session(env, context=context, namespace=namespace))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param({}, DEV, id="current"),
        pytest.param({"context": "prod"}, PROD, id="by name"),
        pytest.param(
            {"namespace": "mine"},
            KubeContext("dev", "kind-dev", "mine", DEV.server, is_local=True),
            id="namespace",
        ),
        pytest.param({"context": "other"}, NONE, id="unknown context"),
        pytest.param(
            {"context": "other", "namespace": "mine"},
            KubeContext(namespace="mine"),
            id="unknown context keeps the namespace",
        ),
        pytest.param({"context": "torn"}, KubeContext("torn", "missing"), id="no such cluster"),
    ],
)
async def test_the_context_is_the_current_one_or_the_one_asked_for(
    tmp_path: Path, given: dict[str, Any], expected: KubeContext
) -> None:
    path = tmp_path / "config"
    path.write_text(ONE)

    assert await read({"KUBECONFIG": str(path)}, **given) == expected


async def test_without_a_variable_the_home_folder_of_the_session_counts(tmp_path: Path) -> None:
    (tmp_path / ".kube").mkdir()
    (tmp_path / ".kube" / "config").write_text(ONE)

    assert await read({"HOME": str(tmp_path)}) == DEV
    assert await read({"HOME": str(tmp_path), "KUBECONFIG": ""}) == DEV


async def test_no_file_at_all_is_an_empty_context(tmp_path: Path) -> None:
    assert await read({"HOME": str(tmp_path)}) == NONE
    assert await read({"KUBECONFIG": str(tmp_path / "none")}) == NONE


async def test_an_empty_file_is_an_empty_context(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text("")

    assert await read({"KUBECONFIG": str(path)}) == NONE


def entry(context: str, server: str = "", current: str = "") -> dict[str, Any]:
    document: dict[str, Any] = {"contexts": [{"name": context, "context": {"cluster": context}}]}
    if server:
        document["clusters"] = [{"name": context, "cluster": {"server": server}}]
    if current:
        document["current-context"] = current
    return document


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        pytest.param([entry("a", "http://1", "a"), entry("b", "http://2", "b")], "http://1"),
        pytest.param([entry("a", "http://1"), entry("b", "http://2", "b")], "http://2"),
        pytest.param([entry("a", "http://1", "a"), entry("a", "http://2")], "http://1"),
        pytest.param([entry("a", "", "b"), entry("b", "http://2")], "http://2"),
        pytest.param([entry("a", "", "a"), entry("a", "http://2")], "http://2"),
        pytest.param([None, entry("a", "http://1", "a")], "http://1"),
    ],
    ids=[
        "the first current context wins",
        "a later file may choose",
        "the first entry of a name wins",
        "a context of another file",
        "a cluster of another file",
        "missing files are skipped",
    ],
)
async def test_files_are_merged_as_kubectl_merges_them(
    tmp_path: Path, files: list[Any], expected: str
) -> None:
    paths = [tmp_path / f"config-{i}" for i in range(len(files))]
    for path, document in zip(paths, files, strict=True):
        if document is not None:
            path.write_text(json.dumps(document))

    found = await read({"KUBECONFIG": ":".join(str(path) for path in paths)})

    assert found.server == expected


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        pytest.param("a: 1\nb: [\n", 3, "not YAML", id="yaml"),
        pytest.param("a: 1\n\tb: 2\n", 2, "not YAML", id="tab"),
        pytest.param("- a\n", 1, "mapping", id="list"),
        pytest.param("kind: Config\ncontexts: 5\n", 2, "`contexts` should be a list", id="number"),
        pytest.param("users:\n- user: {}\n", 1, "each of `users`", id="no name"),
        pytest.param("clusters:\n- name: a\n  cluster: 7\n", 1, "each of `clusters`", id="no map"),
    ],
)
async def test_a_broken_file_is_named_with_its_line(
    tmp_path: Path, text: str, line: int, words: str
) -> None:
    path = tmp_path / "config"
    path.write_text(text)

    with pytest.raises(ports.PermanentError) as caught:
        await read({"KUBECONFIG": str(path)})

    problem = caught.value.problem
    assert problem.code is Code.CLUSTER_CONFIG
    assert isinstance(problem.place, Place)
    assert (problem.place.file, problem.place.line) == (str(path), line)
    assert words in problem.message
    assert problem.hint


async def test_a_folder_is_no_kubeconfig(tmp_path: Path) -> None:
    with pytest.raises(ports.PermanentError, match="can't be read"):
        await read({"KUBECONFIG": str(tmp_path)})


async def test_inside_a_pod_its_service_account_counts(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret")
    (tmp_path / "namespace").write_text("ci\n")
    env = {
        "KUBERNETES_SERVICE_HOST": "10.96.0.1",
        "KUBERNETES_SERVICE_PORT": "443",
        "HOME": str(tmp_path),
    }

    expected = KubeContext("in-cluster", "in-cluster", "ci", "https://10.96.0.1:443")
    assert await read(env, tmp_path) == expected
    assert await read(env, tmp_path, context="other") == NONE


async def test_a_kubeconfig_wins_over_a_service_account(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret")
    config = tmp_path / "config"
    config.write_text(ONE)
    env = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBECONFIG": str(config)}

    assert await read(env, tmp_path) == DEV
