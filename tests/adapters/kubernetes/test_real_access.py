"""Ways to be let in by a real cluster, or not."""

import base64
import copy
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from tests.adapters.kubernetes.worlds import World, need_a_cluster, session, somebody_else
from tiltd import ports
from tiltd.adapters.kubernetes import connection, credentials, kubeconfig, wire
from tiltd.adapters.kubernetes.cluster import KubeCluster
from tiltd.model.problems import Code

pytestmark = pytest.mark.cluster

Change = Callable[[dict[str, Any], dict[str, Any]], object]


def changed(folder: Path, change: Change) -> dict[str, str]:
    """The environment of a session whose kubeconfig is the real one, changed."""
    need_a_cluster()
    merged = kubeconfig.read(session(os.environ))
    context = kubeconfig.resolve(merged, session(os.environ))
    cluster = copy.deepcopy(dict(merged.clusters[context.cluster].value))
    about = merged.contexts[context.name].value
    user = copy.deepcopy(dict(merged.users[about["user"]].value))
    change(cluster, user)
    document = {
        "current-context": "it",
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "me"}}],
        "clusters": [{"name": "it", "cluster": cluster}],
        "users": [{"name": "me", "user": user}],
    }
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(document))
    return {"KUBECONFIG": str(path)}


async def connect(env: dict[str, str]) -> str:
    spec = session(env)
    cluster = KubeCluster("p")
    try:
        context = await kubeconfig.KubeContexts().read(spec)
        return (await cluster.connect(spec, context)).version
    finally:
        await cluster.close()


def without_authority(cluster: dict[str, Any], _user: dict[str, Any]) -> None:
    for key in [key for key in cluster if key.startswith("certificate-authority")]:
        del cluster[key]


def nothing(_cluster: dict[str, Any], _user: dict[str, Any]) -> None:
    """The kubeconfig stays as it is."""


def by_its_name(cluster: dict[str, Any], _user: dict[str, Any]) -> None:
    cluster["tls-server-name"] = "kubernetes"


def by_another_name(cluster: dict[str, Any], _user: dict[str, Any]) -> None:
    cluster["tls-server-name"] = "other.test"


def plainly(cluster: dict[str, Any], _user: dict[str, Any]) -> None:
    cluster["server"] = cluster["server"].replace("https:", "http:")


def by_plugin(_cluster: dict[str, Any], user: dict[str, Any]) -> None:
    """A credential plugin gives the certificate that stood in the kubeconfig."""
    pem = {
        "clientCertificateData": base64.b64decode(user["client-certificate-data"]).decode(),
        "clientKeyData": base64.b64decode(user["client-key-data"]).decode(),
    }
    version = "client.authentication.k8s.io/v1"
    answer = {"kind": "ExecCredential", "apiVersion": version, "status": pem}
    program = f"print({json.dumps(answer)!r})"
    user.clear()
    user["exec"] = {"apiVersion": version, "command": sys.executable, "args": ["-c", program]}


def unverified(cluster: dict[str, Any], user: dict[str, Any]) -> None:
    without_authority(cluster, user)
    cluster["insecure-skip-tls-verify"] = True


def nobody(_cluster: dict[str, Any], user: dict[str, Any]) -> None:
    user.clear()


def stranger(_cluster: dict[str, Any], user: dict[str, Any]) -> None:
    user.clear()
    user["token"] = "made-up"


def broken(_cluster: dict[str, Any], user: dict[str, Any]) -> None:
    user.clear()
    user |= {"client-certificate-data": "bm9uZQ==", "client-key-data": "bm9uZQ=="}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(nothing, id="as it is"),
        pytest.param(unverified, id="without verifying"),
        pytest.param(by_its_name, id="by its name"),
        pytest.param(by_plugin, id="by a plugin's certificate"),
    ],
)
async def test_we_are_let_in(tmp_path: Path, change: Change) -> None:
    assert (await connect(changed(tmp_path, change))).startswith("v1.")


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        pytest.param(without_authority, Code.CLUSTER_CONFIG, "certificate verify failed", id="ca"),
        pytest.param(nobody, Code.CLUSTER_FORBIDDEN, "refuses these credentials", id="nobody"),
        pytest.param(stranger, Code.CLUSTER_FORBIDDEN, "refuses these credentials", id="stranger"),
        pytest.param(broken, Code.CLUSTER_CONFIG, "certificate or key in it is broken", id="key"),
        pytest.param(
            by_another_name,
            Code.CLUSTER_CONFIG,
            "other.test",
            id="another's certificate",
        ),
        pytest.param(
            plainly,
            Code.CLUSTER_CONFIG,
            "no Kubernetes API server",
            id="plain http",
        ),
    ],
)
async def test_we_are_told_why_not(tmp_path: Path, change: Change, code: Code, words: str) -> None:
    with pytest.raises(ports.PermanentError) as caught:
        await connect(changed(tmp_path, change))

    assert caught.value.problem.code is code
    assert words in caught.value.problem.message
    assert caught.value.problem.hint


async def test_a_pods_service_account_is_used(real: World, tmp_path: Path) -> None:
    await real.apply(real.body("v1", "ServiceAccount", "ci"))
    async with somebody_else() as other:
        path = f"/api/v1/namespaces/{real.namespace}/serviceaccounts/ci/token"
        api = "authentication.k8s.io/v1"
        body: dict[str, Any] = {"apiVersion": api, "kind": "TokenRequest", "spec": {}}
        reply = await other.ask(wire.Request("POST", path, {}, body))
    (tmp_path / "token").write_text(json.loads(reply.body)["status"]["token"])
    merged = kubeconfig.read(session(os.environ))
    outside = kubeconfig.resolve(merged, session(os.environ))
    authority = merged.clusters[outside.cluster].value["certificate-authority-data"]
    (tmp_path / "ca.crt").write_bytes(base64.b64decode(authority))
    url = urlsplit(outside.server)
    env = {
        "KUBERNETES_SERVICE_HOST": str(url.hostname),
        "KUBERNETES_SERVICE_PORT": str(url.port),
        "HOME": str(tmp_path),
    }
    spec = session(env)
    inside = kubeconfig.read(spec, tmp_path)
    context = kubeconfig.resolve(inside, spec, tmp_path)

    loader = credentials.Credentials(inside, context, env, connection.refresh, tmp_path)
    way = connection.Connection(loader)
    reply = await way.ask(wire.Request("GET", "/api"))
    forbidden = await way.ask(wire.Request("GET", "/api/v1/secrets"))
    await way.close()

    assert reply.ok
    assert forbidden.status == 403
    assert f"system:serviceaccount:{real.namespace}:ci" in forbidden.json()["message"]
