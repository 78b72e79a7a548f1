"""How a session proves who it is, and what happens when that expires."""

import asyncio
import json
import os
import ssl
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.adapters.kubernetes import servers, worlds
from tests.adapters.kubernetes.servers import CONFIG_MAPS, Server, connected
from tiltd import ports
from tiltd.adapters.kubernetes import connection, credentials, kubeconfig
from tiltd.adapters.kubernetes.cluster import KubeCluster
from tiltd.model.desired import JSON
from tiltd.model.observed import KubeContext, Scope
from tiltd.model.problems import Code
from tiltd.runtime import threads

VERSION = "client.authentication.k8s.io/v1"
SCOPES = frozenset({Scope("", "v1", "ConfigMap", "default", ours=False)})


def authorizations(server: Server) -> list[str]:
    """The different credentials that were sent, in order."""
    sent = [request.headers.get("Authorization", "") for request in server.requests]
    return list(dict.fromkeys(sent))


def plugin(folder: Path, code: str, **fields: Any) -> dict[str, Any]:
    """The `exec` of a user whose plugin is this Python program."""
    script = folder / "plugin.py"
    script.write_text(f"import json, os, pathlib, sys\n{code}\n")
    argv = {"command": sys.executable, "args": [str(script)]}
    return {"exec": {"apiVersion": VERSION, **argv, **fields}}


def answering(token: str, expires: str = "") -> str:
    status = f'"token": {token}' + (f', "expirationTimestamp": "{expires}"' if expires else "")
    return (
        f'print(json.dumps({{"kind": "ExecCredential", "apiVersion": "{VERSION}", '
        f'"status": {{{status}}}}}))'
    )


COUNTING = """
counter = pathlib.Path(sys.argv[0]).with_suffix(".count")
count = int(counter.read_text()) + 1 if counter.exists() else 1
counter.write_text(str(count))
"""


async def test_a_token_is_sent(server: Server, tmp_path: Path) -> None:
    async with connected(server, tmp_path, token="abc"):
        assert authorizations(server) == ["Bearer abc"]


async def test_a_name_and_password_are_sent(server: Server, tmp_path: Path) -> None:
    async with connected(server, tmp_path, username="me", password="secret"):
        assert authorizations(server) == ["Basic bWU6c2VjcmV0"]


async def test_a_token_file_beside_the_kubeconfig_is_read(server: Server, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-a-file\n")

    async with connected(server, tmp_path, tokenFile="token"):
        assert authorizations(server) == ["Bearer from-a-file"]


async def test_another_user_can_be_played(server: Server, tmp_path: Path) -> None:
    other: dict[str, Any] = {"as": "jane", "as-groups": ["a", "b"]}

    async with connected(server, tmp_path, token="abc", **other):
        headers = server.requests[0].headers

    assert headers["Impersonate-User"] == "jane"
    assert headers.getall("Impersonate-Group") == ["a", "b"]


async def test_a_plugin_runs_in_the_sessions_environment(server: Server, tmp_path: Path) -> None:
    code = answering('os.environ["WHO"] + "-" + os.environ["MORE"]')
    user = plugin(tmp_path, code, env=[{"name": "MORE", "value": "with-more"}])

    async with connected(server, tmp_path, **user):
        assert authorizations(server) == ["Bearer a-session-with-more"]


async def test_a_refused_token_makes_the_plugin_run_again(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_RELOAD_PAUSE", 0.0)

    async def act(request: web.Request) -> web.StreamResponse:
        if request.headers["Authorization"] == "Bearer token-1":
            return await servers.status(401, "Unauthorized")(request)
        return await servers.lists(5)(request)

    server.plays(CONFIG_MAPS, act)
    user = plugin(tmp_path, COUNTING + answering('f"token-{count}"'))

    async with connected(server, tmp_path, **user) as cluster:
        await cluster.look(SCOPES)

    assert authorizations(server) == ["Bearer token-1", "Bearer token-2"]


async def test_a_token_is_renewed_before_it_expires(server: Server, tmp_path: Path) -> None:
    soon = (datetime.now(UTC) + timedelta(seconds=30)).strftime("%Y-%m-%dT%H:%M:%SZ")
    server.plays(CONFIG_MAPS, servers.lists(5))
    user = plugin(tmp_path, COUNTING + answering('f"token-{count}"', soon))

    async with connected(server, tmp_path, **user) as cluster:
        first = authorizations(server)
        await cluster.look(SCOPES)

    assert authorizations(server)[: len(first)] == first
    assert len(authorizations(server)) > 1


async def test_a_plugin_may_give_a_certificate_in_place_of_a_token(tmp_path: Path) -> None:
    answer = {"clientCertificateData": "no certificate", "clientKeyData": "no key"}
    document = {"apiVersion": VERSION, "kind": "ExecCredential", "status": answer}
    user = plugin(tmp_path, f"print({json.dumps(document)!r})")
    path = tmp_path / "kubeconfig"
    path.write_text(worlds.kubeconfig_for("https://x.test", token="old", **user))
    spec = worlds.session({"KUBECONFIG": str(path)})
    merged = kubeconfig.read(spec)
    context = kubeconfig.resolve(merged, spec)

    with pytest.raises(ports.PermanentError) as caught:
        await credentials.Credentials(merged, context, {}, connection.refresh).load()

    assert "a certificate or key in it is broken" in caught.value.problem.message


async def test_a_pods_service_account_is_an_entry_like_others(
    tmp_path: Path, certificate: tuple[Path, Path]
) -> None:
    (tmp_path / "token").write_text("of-the-pod\n")
    certificate[0].rename(tmp_path / "ca.crt")
    env = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "6443"}
    spec = worlds.session({**env, "KUBECONFIG": str(tmp_path / "none")})
    merged = kubeconfig.read(spec, tmp_path)
    context = kubeconfig.resolve(merged, spec, tmp_path)

    access = await credentials.Credentials(
        merged, context, spec.env, connection.refresh, tmp_path
    ).load()

    assert access.server == "https://[fd00::1]:6443"
    assert access.headers == (("Authorization", "Bearer of-the-pod"),)
    assert access.tls is not None
    assert access.expires_at < time.time() + 61


@pytest.mark.parametrize(
    ("user", "words", "hint"),
    [
        pytest.param(
            {"exec": {"apiVersion": VERSION, "command": "no-such-plugin", "installHint": "Get it"}},
            "'no-such-plugin' can't be started",
            "Get it",
            id="not installed",
        ),
        pytest.param(
            {"exec": {"apiVersion": VERSION, "command": "false"}}, "exit code 1", "", id="fails"
        ),
        pytest.param(
            {"exec": {"apiVersion": VERSION, "command": "true"}}, "no ExecCredential", "", id="mute"
        ),
        pytest.param(
            {"auth-provider": {"name": "azure"}}, "'azure' is not known", "kubelogin", id="azure"
        ),
        pytest.param({"tokenFile": "missing"}, "No such file", "", id="no token file"),
        pytest.param({"client-certificate": "gone"}, "there is no file", "", id="no certificate"),
        pytest.param({"client-key-data": "%"}, "client-key-data is no base64", "", id="no base64"),
    ],
)
async def test_wrong_credentials_are_explained(
    server: Server, tmp_path: Path, user: dict[str, Any], words: str, hint: str
) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(worlds.kubeconfig_for(server.url, **user))
    cluster = KubeCluster("p")
    spec = worlds.session({"KUBECONFIG": str(path), "PATH": "/usr/bin:/bin"})

    with pytest.raises(ports.PermanentError) as caught:
        await cluster.connect(spec, KubeContext("it", "it", "default", server.url))

    problem = caught.value.problem
    assert problem.code is Code.CLUSTER_CONFIG
    assert "'it'" in problem.message
    assert words in problem.message
    assert hint in problem.hint
    assert str(problem.place) == str(path)


async def test_a_plugin_does_not_outlive_who_waits_for_it(server: Server, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    code = f"pathlib.Path({str(pipe)!r}).write_text(str(os.getpid()))\nos.read(0, 1)\n"
    hanging = code + "import time\ntime.sleep(1000)"
    path = tmp_path / "kubeconfig"
    path.write_text(worlds.kubeconfig_for(server.url, **plugin(tmp_path, hanging)))
    cluster = KubeCluster("p")
    spec = worlds.session({"KUBECONFIG": str(path)})
    context = KubeContext("it", "it", "default", server.url)

    async with asyncio.TaskGroup() as group:
        connecting = group.create_task(cluster.connect(spec, context))
        pid = int(await threads.alone("reader", pipe.read_text))
        connecting.cancel()

    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_provider_is_asked_as_its_configuration_says(server: Server) -> None:
    endpoint = {"token_endpoint": f"{server.url}/token"}
    server.plays("/idp/.well-known/openid-configuration", servers.says(endpoint))
    forms: list[dict[str, Any]] = []

    async def act(request: web.Request) -> web.StreamResponse:
        forms.append(dict(await request.post()))
        return web.json_response({"id_token": "new"})

    server.plays("/token", act)
    config = {
        "idp-issuer-url": f"{server.url}/idp/",
        "client-id": "c",
        "client-secret": "s",
        "refresh-token": "now",
    }

    answer = await connection.refresh(config, ssl.create_default_context())

    assert answer == {"id_token": "new"}
    assert forms == [{"grant_type": "refresh_token", "refresh_token": "now"}]
    assert server.requests[-1].headers["Authorization"] == "Basic Yzpz"


async def test_a_providers_token_is_refreshed(tmp_path: Path) -> None:
    asked: list[JSON] = []

    async def refresh(config: JSON, _tls: object) -> JSON:
        asked.append(dict(config))
        return {"id_token": "new-token", "refresh_token": "next"}

    config = {"client-id": "c", "client-secret": "s", "idp-issuer-url": "https://idp.test"}
    provider = {"name": "oidc", "config": {**config, "refresh-token": "now"}}
    path = tmp_path / "kubeconfig"
    path.write_text(worlds.kubeconfig_for("http://x.test", **{"auth-provider": provider}))
    spec = worlds.session({"KUBECONFIG": str(path)})
    merged = kubeconfig.read(spec)
    context = kubeconfig.resolve(merged, spec)

    access = await credentials.Credentials(merged, context, {}, refresh).load()

    assert access.headers == (("Authorization", "Bearer new-token"),)
    assert asked[0]["refresh-token"] == "now"
    assert access.expires_at < time.time() + 61


async def test_keys_in_the_kubeconfig_do_not_stay_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    document = json.loads(worlds.kubeconfig_for("https://x.test"))
    document["users"][0]["user"] = {
        "client-certificate-data": "bm8gY2VydGlmaWNhdGU=",
        "client-key-data": "bm8ga2V5",
    }
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(document))
    spec = worlds.session({"KUBECONFIG": str(path)})
    merged = kubeconfig.read(spec)
    loader = credentials.Credentials(
        merged, kubeconfig.resolve(merged, spec), {}, connection.refresh
    )

    with pytest.raises(ports.PermanentError):
        await loader.load()

    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.parametrize(
    ("server", "env", "expected"),
    [
        ("https://k.test:6443", {"HTTPS_PROXY": "http://p"}, "http://p"),
        ("https://k.test:6443", {"https_proxy": "http://p"}, "http://p"),
        ("https://k.test", {"HTTP_PROXY": "http://p"}, ""),
        ("https://k.test", {"HTTPS_PROXY": "http://p", "NO_PROXY": "x, .test"}, ""),
        ("https://k.test", {"HTTPS_PROXY": "http://p", "NO_PROXY": "est"}, "http://p"),
        ("https://k.test", {"HTTPS_PROXY": "http://p", "NO_PROXY": "*"}, ""),
        ("https://10.1.2.3", {"HTTPS_PROXY": "http://p", "NO_PROXY": "10.0.0.0/8"}, ""),
        ("https://11.1.2.3", {"HTTPS_PROXY": "http://p", "NO_PROXY": "10.0.0.0/8"}, "http://p"),
        ("https://127.0.0.1:6443", {"HTTPS_PROXY": "http://p"}, ""),
        ("https://[::1]:6443", {"HTTPS_PROXY": "http://p"}, ""),
    ],
)
async def test_the_sessions_proxy_is_used_where_it_should_be(
    tmp_path: Path, server: str, env: dict[str, str], expected: str
) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(worlds.kubeconfig_for(server))
    spec = worlds.session({"KUBECONFIG": str(path), **env})
    merged = kubeconfig.read(spec)
    context = kubeconfig.resolve(merged, spec)

    access = await credentials.Credentials(merged, context, spec.env, connection.refresh).load()

    assert access.proxy == expected
