"""`helm()` and `kustomize()`: what is called, what is watched, what is told when it fails."""

import os
import shutil
from collections.abc import Mapping

import pytest

from tests.tiltfile.conftest import Workspace
from tiltd.model.desired import KubernetesTarget
from tiltd.model.problems import Problem
from tiltd.ports import LoadError

OBJECT = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
NOTES = '#!/bin/sh\necho "$(basename "$0")" "$@" >> "$CALLS"\ncat <<END\n' + OBJECT + "END\n"


@pytest.fixture
def calls(workspace: Workspace) -> Workspace:
    """Nothing is on PATH but what a test puts into `bin`; a call is noted in `calls`."""
    workspace.write({"bin/sh": ""})
    for program in ("sh", "cat", "basename"):
        where = shutil.which(program)
        assert where
        target = workspace.root / "bin" / program
        target.unlink(missing_ok=True)
        target.symlink_to(where)
    return workspace


def install(workspace: Workspace, *programs: str, script: str = NOTES) -> None:
    for program in programs:
        workspace.write({f"bin/{program}": script})
        (workspace.root / "bin" / program).chmod(0o755)


def env(workspace: Workspace) -> dict[str, str]:
    return {"PATH": workspace.path("bin"), "CALLS": workspace.path("calls")}


async def called(workspace: Workspace, tiltfile: str) -> list[str]:
    await workspace.load(f"k8s_yaml({tiltfile})", env=env(workspace))
    return (workspace.root / "calls").read_text().splitlines()


async def problem(workspace: Workspace, tiltfile: str) -> Problem:
    with pytest.raises(LoadError) as caught:
        await workspace.load(tiltfile, env=env(workspace))
    return caught.value.problem


KUSTOMIZED: Mapping[str, str] = {
    "over/kustomization.yaml": (
        "resources: [../base, extra.yaml, 'https://example.invalid/x.yaml']\n"
        "components: [../part]\n"
        "patches: [{path: patch.yaml}, {patch: 'inline: 1'}]\n"
        "configMapGenerator: [{name: g, files: [k=file.txt], envs: [vars.env]}]\n"
        "secretGenerator: [{name: s, env: secret.env}]\n"
        "helmCharts: []\n"
    ),
    "base/Kustomization": "resources: [d.yaml]\ntransformers: [t.yaml]\n",
    "part/kustomization.yml": "kind: Component\n",
    **dict.fromkeys(
        ("base/d.yaml", "base/t.yaml", "over/extra.yaml", "over/patch.yaml", "over/file.txt"), ""
    ),
    **dict.fromkeys(("over/vars.env", "over/secret.env"), ""),
}


@pytest.mark.parametrize(
    ("programs", "arguments", "expected"),
    [
        pytest.param(["kustomize", "kubectl"], "", "kustomize build over", id="kustomize"),
        pytest.param(["kubectl"], "", "kubectl kustomize over", id="kubectl"),
        pytest.param(
            ["kustomize"], ", flags=['--enable-helm']", "kustomize build --enable-helm over",
            id="flags",
        ),
        pytest.param(
            ["kubectl"], ", flags=['--x']", "kubectl kustomize --x over", id="flags of kubectl"
        ),
        pytest.param(
            ["kustomize", "mine"], ", kustomize_bin='bin/mine'", "mine build over", id="own program"
        ),
    ],
)  # fmt: skip
async def test_kustomize_is_called_as_tilt_calls_it(
    programs: list[str], arguments: str, expected: str, calls: Workspace
) -> None:
    calls.write(KUSTOMIZED)
    install(calls, *programs)
    assert await called(calls, f"kustomize('over'{arguments})") == [expected]


async def test_all_that_a_kustomization_names_is_watched(calls: Workspace) -> None:
    calls.write(KUSTOMIZED)
    install(calls, "kustomize")
    loaded = await calls.load("k8s_yaml(kustomize('over'))", env=env(calls))
    assert set(KUSTOMIZED) <= set(calls.relative(loaded.project.watched))


@pytest.mark.parametrize(
    ("programs", "tiltfile", "said", "hint"),
    [
        pytest.param([], "helm('c')", "helm", "PATH", id="no helm"),
        pytest.param([], "kustomize('.')", "kubectl", "PATH", id="no kustomize"),
        pytest.param(["helm"], "helm('nope')", "no chart folder nope", "", id="no chart"),
        pytest.param(["helm"], "helm('file')", "file is no folder", "Chart.yaml", id="a file"),
    ],
)
async def test_what_is_missing_is_told(
    programs: list[str], tiltfile: str, said: str, hint: str, calls: Workspace
) -> None:
    calls.write({"c/Chart.yaml": "", "file": ""})
    install(calls, *programs)
    found = await problem(calls, tiltfile)
    assert said in found.message
    assert hint in found.hint
    assert str(found.place) == "Tiltfile:1:1"


async def test_the_words_of_a_program_that_fails_are_shown(calls: Workspace) -> None:
    calls.write({"c/Chart.yaml": ""})
    install(calls, "helm", script="#!/bin/sh\necho 'Error: values are wrong' >&2\nexit 3\n")
    found = await problem(calls, "helm('c', set='a=b')")
    assert "helm template" in found.message
    assert "exit code 3" in found.message
    assert "Error: values are wrong" in found.detail


CHART = {
    "c/Chart.yaml": (
        "apiVersion: v2\nname: c\nversion: 0.1.0\n"
        "dependencies: [{name: sub, version: 0.1.0, repository: 'file://../sub'}]\n"
    ),
    "c/values.yaml": "word: default\n",
    "c/crds/crd.yaml": (
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\n"
        "metadata: {name: widgets.example.com}\nspec: {group: example.com}\n"
    ),
    "c/templates/map.yaml": (
        "apiVersion: v1\nkind: ConfigMap\n"
        "metadata: {name: '{{ .Release.Name }}', namespace: '{{ .Release.Namespace }}'}\n"
        "data: {word: '{{ .Values.word }}', kube: '{{ .Capabilities.KubeVersion }}'}\n"
    ),
    "c/templates/tests/pod.yaml": (
        "apiVersion: v1\nkind: Pod\nmetadata: {name: test, annotations: {helm.sh/hook: test}}\n"
        "spec: {containers: []}\n"
    ),
    "c/templates/job.yaml": (
        "apiVersion: batch/v1\nkind: Job\n"
        "metadata: {name: before, annotations: {helm.sh/hook: pre-install}}\n"
        "spec: {template: {spec: {containers: [{name: c, image: busybox}]}}}\n"
    ),
    "c/charts/sub/Chart.yaml": "apiVersion: v2\nname: sub\nversion: 0.1.0\n",
    "c/charts/sub/templates/map.yaml": (
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: of-sub}\n"
    ),
    "sub/Chart.yaml": "",
    "v.yaml": "word: of-file\n",
}


@pytest.mark.skipif(not shutil.which("helm"), reason="needs helm (3 or 4)")
@pytest.mark.parametrize(
    ("arguments", "word", "namespace", "kinds"),
    [
        pytest.param(
            "", "default", "default", {"ConfigMap", "CustomResourceDefinition", "Job"}, id="least"
        ),
        pytest.param(
            ", name='r', namespace='ns', values='v.yaml', kube_version='1.30.1', skip_crds=True",
            "of-file",
            "ns",
            {"ConfigMap", "Job"},
            id="all",
        ),
        pytest.param(
            ", values=['v.yaml'], set=['word=set']",
            "set",
            "default",
            {"ConfigMap", "CustomResourceDefinition", "Job"},
            id="set beats values",
        ),
    ],
)
async def test_helm_itself(
    arguments: str, word: str, namespace: str, kinds: set[str], workspace: Workspace
) -> None:
    workspace.write(CHART)
    loaded = await workspace.load(
        f"k8s_yaml(helm('c'{arguments}))", env={"HOME": os.environ["HOME"]}
    )
    targets = [r.target for r in loaded.project.resources]
    manifests = [m for t in targets if isinstance(t, KubernetesTarget) for m in t.manifests]
    assert {m.id.kind for m in manifests} == kinds  # a chart's tests are no part of it
    (own,) = [m for m in manifests if m.id.kind == "ConfigMap" and m.id.name != "of-sub"]
    assert own.id.name == ("r" if "'r'" in arguments else "chart")
    assert own.body["metadata"]["namespace"] == namespace
    assert own.body["data"]["word"] == word
    if "kube_version" in arguments:
        assert own.body["data"]["kube"] == "v1.30.1"
    watched = set(workspace.relative(loaded.project.watched))
    assert {"c", "sub"} <= watched
    assert ("v.yaml" in watched) == ("values" in arguments)
