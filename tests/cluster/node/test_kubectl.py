"""The whole cluster as its users meet it: kubectl against the API, containers behind it."""

import asyncio
import contextlib
import json
import shutil
import sys
import uuid
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.node.small import BUSYBOX
from tilt_cluster import cluster, engine, removal

pytestmark = pytest.mark.docker
_PATIENCE = 40.0

_SCRIPT = "mkdir /w; echo hello >/w/index.html; echo up; exec httpd -f -p 80 -h /w"
_WEB: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web"},
    "spec": {
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {
                "terminationGracePeriodSeconds": 1,
                "containers": [
                    {
                        "name": "web",
                        "image": BUSYBOX,
                        "command": ["sh", "-c", _SCRIPT],
                        "ports": [{"name": "http", "containerPort": 80}],
                        "readinessProbe": {
                            "httpGet": {"path": "/", "port": "http"},
                            "periodSeconds": 1,
                        },
                    }
                ],
            },
        },
    },
}
_SERVICE: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web"},
    "spec": {"selector": {"app": "web"}, "ports": [{"port": 8080, "targetPort": "http"}]},
}


_PYTHON = """
import sys
from kubernetes import client, config
from kubernetes.stream import stream
with config.new_client_from_config(sys.argv[1]) as api:
    core = client.CoreV1Api(api)
    def run(**more):
        return stream(core.connect_get_namespaced_pod_exec, "sh", "default", stderr=True,
                      stdout=True, tty=False, **more)
    print(run(command=["sh", "-c", "echo out"], stdin=False), end="")
    shell = run(command=["sh"], stdin=True, _preload_content=False)
    shell.write_stdin("echo $((1+2)); exit 3\\n")
    shell.run_forever(timeout=30)
    print(shell.read_stdout(), shell.returncode)
"""
"""exec as the official Python client does it: its WebSockets are not kubectl's."""


@dataclass
class Kubectl:
    """kubectl with a cluster's kubeconfig."""

    program: str
    kubeconfig: Path

    async def __call__(self, *arguments: str, stdin: str = "") -> str:
        """Run it; its output. A failure is an AssertionError with what it said."""
        process = await asyncio.create_subprocess_exec(
            self.program,
            f"--kubeconfig={self.kubeconfig}",
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(_PATIENCE):
            out, err = await process.communicate(stdin.encode())
        assert process.returncode == 0, err.decode()
        return out.decode()


@pytest.fixture
async def kubectl(docker_engine: str, tmp_path: Path) -> AsyncGenerator[Kubectl]:
    del docker_engine
    program = shutil.which("kubectl")
    if program is None:
        pytest.skip("no kubectl on PATH")
    name = f"test-{uuid.uuid4().hex[:8]}"
    try:
        async with cluster.run(cluster.Settings(name, tmp_path)) as running:
            yield Kubectl(program, running.kubeconfig)
    finally:
        async with engine.Engine("/var/run/docker.sock") as client:
            await removal.remove(name, client)


async def test_what_people_do_with_a_deployment(kubectl: Kubectl) -> None:
    await kubectl("apply", "-f", "-", stdin=json.dumps(_WEB))
    await kubectl("apply", "-f", "-", stdin=json.dumps(_SERVICE))
    await kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    assert "1/1" in await kubectl("get", "deployment", "web")
    assert await kubectl("logs", "deployment/web") == "up\n"
    assert await kubectl("exec", "deployment/web", "--", "cat", "/w/index.html") == "hello\n"
    path = "/api/v1/namespaces/default/services/http:web:8080/proxy/index.html"
    assert await kubectl("get", "--raw", path) == "hello\n"
    await kubectl("scale", "deployment/web", "--replicas=2")
    await kubectl("wait", "--for=jsonpath={.status.availableReplicas}=2", "deployment/web")
    await kubectl("rollout", "restart", "deployment/web")
    await kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    assert "REVISION" in await kubectl("rollout", "history", "deployment/web")
    await kubectl("rollout", "undo", "deployment/web")
    await kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    await kubectl("delete", "deployment/web", "--cascade=foreground", "--timeout=30s")
    assert await kubectl("get", "pods", "-o", "name") == ""


async def test_pods_call_the_api_with_their_token(kubectl: Kubectl) -> None:
    folder = "/var/run/secrets/kubernetes.io/serviceaccount"
    await kubectl("run", "sh", f"--image={BUSYBOX}", "--command", "--", "sleep", "1000")
    await kubectl("wait", "--for=condition=Ready", "pod/sh", "--timeout=30s")
    listed = await kubectl("exec", "sh", "--", "ls", folder)
    assert listed.split() == ["ca.crt", "namespace", "token"]
    where = "echo $KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT"
    assert await kubectl("exec", "sh", "--", "sh", "-c", where) == "10.96.0.1:443\n"
    reach = "nc -w 2 $KUBERNETES_SERVICE_HOST 443 </dev/null && echo reached"
    assert await kubectl("exec", "sh", "--", "sh", "-c", reach) == "reached\n"
    look = "read line; echo got $line; tr '\\0' ' ' </proc/1/cmdline"
    debug = ("debug", "sh", "-i", f"--image={BUSYBOX}", "--target=sh", "--container=look")
    said = await kubectl(*debug, "--quiet", "--", "sh", "-c", look, stdin="hello\n")
    assert said == "got hello\nsleep 1000 "
    state = "{.status.ephemeralContainerStatuses[0].state.terminated.exitCode}"
    await kubectl("wait", f"--for=jsonpath={state}=0", "pod/sh", "--timeout=30s")
    assert await kubectl("logs", "sh", "--container=look") == said
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _PYTHON, str(kubectl.kubeconfig)), stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(_PATIENCE):
        assert (await process.communicate())[0] == b"out\n3\n 3\n"
    await kubectl("delete", "pod", "sh", "--grace-period=0", "--force")


async def test_a_port_is_forwarded(kubectl: Kubectl) -> None:
    await kubectl("apply", "-f", "-", stdin=json.dumps(_WEB))
    await kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    process = await asyncio.create_subprocess_exec(
        kubectl.program,
        f"--kubeconfig={kubectl.kubeconfig}",
        "port-forward",
        "deployment/web",
        ":80",
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(_PATIENCE):
            line = (await process.stdout.readline()).decode()
            port = int(line.split(":")[1].split()[0])
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET / HTTP/1.0\r\n\r\n")
            assert (await reader.read()).endswith(b"hello\n")
            writer.close()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
