"""The most used extensions, unchanged, from a checkout of tilt-dev/tilt-extensions.

The checkout is not part of this repository: `TILT_EXTENSIONS_CHECKOUT` names one.  Nothing here
needs a network or a cluster: where an extension installs something while the Tiltfile is read,
`kubectl` is a script that notes what it is asked for, and charts come from a server beside.
"""

import functools
import http.server
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from urllib import parse

import pytest

from tests.tiltfile.conftest import Workspace
from tiltd.model.desired import (
    ComposeTarget,
    DockerBuild,
    KubernetesTarget,
    LocalTarget,
    Project,
)

CHECKOUT = os.environ.get("TILT_EXTENSIONS_CHECKOUT", "")
pytestmark = pytest.mark.skipif(
    not CHECKOUT, reason="TILT_EXTENSIONS_CHECKOUT names no checkout of tilt-dev/tilt-extensions"
)
DEPLOYMENT = (
    "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec:\n"
    "  selector: {matchLabels: {a: b}}\n  template:\n    metadata: {labels: {a: b}}\n"
    "    spec: {containers: [{name: c, image: i}]}\n"
)
CHART = {
    "chart/Chart.yaml": "apiVersion: v2\nname: little\nversion: 0.1.0\n",
    "chart/values.yaml": "word: chart\n",
    "chart/crds/crd.yaml": (
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\n"
        "metadata: {name: widgets.example.com}\nspec: {group: example.com}\n"
    ),
    "chart/templates/map.yaml": (
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: '{{ .Release.Name }}'}\n"
        "data: {word: '{{ .Values.word }}'}\n"
    ),
}


def need(program: str) -> None:
    if not shutil.which(program):
        pytest.skip(f"needs {program}")


async def project(workspace: Workspace, tiltfile: str, **env: str) -> Project:
    usual = {
        "HOME": str(workspace.root.parent),
        "PATH": os.environ["PATH"],
        "TILT_EXTENSIONS_DIR": CHECKOUT,
        "XDG_CACHE_HOME": str(workspace.root.parent / "cache"),
    }
    return (await workspace.load(tiltfile, env=usual | env)).project


def named(made: Project) -> dict[str, list[str]]:
    """The objects of each Kubernetes resource, and the deps of the others."""
    found: dict[str, list[str]] = {}
    for resource in made.resources:
        match resource.target:
            case KubernetesTarget(manifests=manifests):
                found[resource.name] = [
                    f"{m.id.kind}/{m.id.namespace}/{m.id.name}" for m in manifests
                ]
            case LocalTarget() | ComposeTarget():
                found[resource.name] = list(resource.resource_deps)
    return found


async def test_restart_process(workspace: Workspace) -> None:
    workspace.write({"d.yaml": DEPLOYMENT, "src/x": ""})
    made = await project(
        workspace,
        "load('ext://restart_process', 'docker_build_with_restart', 'custom_build_with_restart')\n"
        "docker_build_with_restart('i', '.', entrypoint='/app', only=['src'],\n"
        "  dockerfile_contents='FROM scratch', live_update=[sync('src', '/src')])\n"
        "k8s_yaml('d.yaml')\n",
    )
    base, image = made.images
    assert image.bases == (base.name,)
    assert image.entrypoint is not None
    assert image.entrypoint[0] == "/tilt-restart-wrapper"
    assert image.entrypoint[-3:] == ("sh", "-c", "/app")
    assert isinstance(image.build, DockerBuild)
    assert f"FROM {base.name}" in image.build.contents
    assert [step.kind for step in image.live_update] == ["sync", "run"]


async def test_namespace(workspace: Workspace) -> None:
    workspace.write({"d.yaml": DEPLOYMENT})
    made = await project(
        workspace,
        "load('ext://namespace', 'namespace_create', 'namespace_inject')\n"
        "namespace_create('ns', labels=['a: b'])\n"
        "k8s_yaml(namespace_inject(read_file('d.yaml'), 'ns'))\n",
    )
    assert named(made) == {"d": ["Deployment/ns/d"], "uncategorized": ["Namespace//ns"]}


async def test_helm_resource(workspace: Workspace) -> None:
    made = await project(
        workspace,
        "load('ext://helm_resource', 'helm_resource', 'helm_repo')\n"
        "docker_build('i', '.', dockerfile_contents='FROM scratch')\n"
        "helm_repo('repo', 'https://charts.example.invalid', labels=['l'])\n"
        "helm_resource('app', 'repo/app', image_deps=['i'], image_keys=[('repo', 'tag')],\n"
        "  resource_deps=['repo'], flags=['--set=a=b'], port_forwards=['8080:80'])\n",
    )
    app, repo = made.resources
    assert (app.name, repo.name, app.resource_deps) == ("app", "repo", ("repo",))
    assert isinstance(app.target, KubernetesTarget)
    assert app.target.custom is not None
    assert app.target.custom.images == ("i",)
    assert app.target.custom.apply.argv[1].endswith("/helm_resource/helm-apply-helper.py")
    assert app.target.custom.apply.argv[2:] == ("--set=a=b",)
    assert app.target.custom.apply.dir == str(workspace.root)
    assert app.target.custom.apply.env["TILT_IMAGE_KEY_REPO_0_0"] == "repo"


async def test_uibutton(workspace: Workspace) -> None:
    made = await project(
        workspace,
        "load('ext://uibutton', 'cmd_button', 'location', 'text_input', 'bool_input',\n"
        "     'choice_input')\n"
        "local_resource('r', 'true')\n"
        "cmd_button('b', resource='r', argv=['echo', 'hi'], icon_name='cloud', env={'A': 'b'},\n"
        "  inputs=[text_input('T'), bool_input('B'), choice_input('C', choices=['1'])])\n"
        "cmd_button('n', argv=['echo'], location=location.NAV)\n",
    )
    objects = {(made.kind, made.name): made for made in made.api_objects}
    button = objects["UIButton", "b"]
    assert button.spec["location"] == {"componentType": "Resource", "componentID": "r"}
    assert [i["name"] for i in button.spec["inputs"]] == ["T", "B", "C"]
    assert objects["Cmd", "btn-b"].spec["startOn"] == {"uiButtons": ["b"]}
    assert objects["Cmd", "btn-b"].spec["env"] == ["A=b"]
    assert list(named(made)) == ["r"]  # a command that waits for a button is no resource


async def test_secret_configmap_and_deployment(workspace: Workspace) -> None:
    need("kubectl")
    workspace.write({"file": "content", "vars": "A=b\n"})
    made = await project(
        workspace,
        "load('ext://secret', 'secret_create_generic', 'secret_from_dict',\n"
        "     'secret_yaml_registry')\n"
        "load('ext://configmap', 'configmap_create', 'configmap_from_dict')\n"
        "load('ext://deployment', 'deployment_create', 'job_create')\n"
        "secret_create_generic('s1', 'n', from_file='key=file')\n"
        "k8s_yaml(secret_from_dict('s2', inputs={'a': 'b'}))\n"
        "k8s_yaml(secret_yaml_registry('s3', flags_dict={'docker-server': 'h',\n"
        "  'docker-username': 'u', 'docker-password': 'p', 'docker-email': 'e'}))\n"
        "configmap_create('c1', from_file=['x=file'])\n"
        "configmap_create('c2', from_env_file='vars')\n"
        "k8s_yaml(configmap_from_dict('c3', inputs={'a': 'b'}))\n"
        "deployment_create('web', 'i', ports='80', namespace='n', image_pull_policy='Never')\n"
        "job_create('once', 'i', command=['run'], resource_deps=['web'])\n",
    )
    assert named(made) == {
        "web": ["Service/n/web", "Deployment/n/web"],
        "once": ["Job//once"],
        "uncategorized": [
            *(f"ConfigMap//c{n}" for n in (1, 2, 3)),
            "Secret/n/s1",
            "Secret//s2",
            "Secret//s3",
        ],
    }
    assert {"file", "vars"} <= set(workspace.relative(made.watched))


async def test_dotenv(workspace: Workspace) -> None:
    workspace.write({".env": '# no\nA=b\nQUOTED="c d"\nLONG="e\nf"\n'})
    text = (
        "load('ext://dotenv', 'dotenv')\ndotenv()\n"
        "print([os.getenv(n) for n in 'A QUOTED LONG'.split()])\n"
    )
    made = await project(workspace, text)
    assert workspace.log.lines == ['["b", "c d", "e\\nf"]']
    assert workspace.path(".env") in made.watched


async def test_cert_manager(workspace: Workspace) -> None:
    programs = workspace.root / "bin"
    workspace.write({"bin/kubectl": '#!/bin/sh\necho "$@" >> "$CALLS"\n'})
    (programs / "kubectl").chmod(0o755)
    await project(
        workspace,
        "load('ext://cert_manager', 'deploy_cert_manager')\n"
        "deploy_cert_manager(version='v1.2.3')\n",
        PATH=f"{programs}:{os.environ['PATH']}",
        CALLS=workspace.path("calls"),
    )
    calls = (workspace.root / "calls").read_text().splitlines()
    assert "v1.2.3/cert-manager.yaml" in calls[0]
    assert any("certificate/selfsigned-cert" in call for call in calls)


@pytest.fixture
def charts(workspace: Workspace) -> Iterator[str]:
    """The address of a server of charts with one chart."""
    need("helm")
    workspace.write(CHART)
    folder = workspace.root.parent / "charts"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            pass

    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        address = f"http://127.0.0.1:{server.server_port}"
        for argv in (
            ("package", str(workspace.root / "chart"), "--destination", str(folder)),
            ("repo", "index", str(folder), "--url", address),
        ):
            subprocess.run(["helm", *argv], check=True, capture_output=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield address
        server.shutdown()
        thread.join()


async def test_helm_remote(workspace: Workspace, charts: str) -> None:
    assert parse.urlsplit(charts).hostname == "127.0.0.1"
    text = (
        "load('ext://helm_remote', 'helm_remote')\n"
        f"helm_remote('little', repo_url='{charts}', repo_name='beside', namespace='ns',\n"
        "  release_name='r', set=['word=set'], create_namespace=True)\n"
    )
    made = await project(workspace, text)
    assert named(made)["uncategorized"] == [
        "Namespace//ns",
        "CustomResourceDefinition/ns/widgets.example.com",
        "ConfigMap/ns/r",
    ]
    again = await project(workspace, text)
    assert named(again) == named(made)
