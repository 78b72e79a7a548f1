"""Pods on a real Docker Engine, from their first container to their last."""

import asyncio
import contextlib
import json
import socket
from pathlib import Path
from typing import Any

import pytest

from tests import needs
from tests.cluster.node import small
from tests.cluster.node.small import PYTHON, Small, status
from tilt_cluster import fields
from tilt_cluster.network import links
from tilt_cluster.objects import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    EVENTS,
    PERSISTENT_VOLUME_CLAIMS,
    PODS,
    SECRETS,
    SERVICES,
    ApiError,
    ExecOptions,
)

pytestmark = pytest.mark.docker
_SLEEP = "exec sleep 1000"


def _events(cluster: Small, name: str) -> set[str]:
    return {
        str(one["reason"])
        for one in cluster.api.list(EVENTS)
        if one["involvedObject"]["name"] == name
    }


async def test_a_container_gets_its_environment_from_everywhere(cluster: Small) -> None:
    cluster.put(CONFIG_MAPS, "settings", data={"color": "blue", "size": "9"})
    cluster.put(SECRETS, "token", stringData={"key": "s3cret"})
    env: list[dict[str, Any]] = [
        {"name": "PLAIN", "value": "a-$(color)-$$(color)-$(nothing)"},
        {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "token", "key": "key"}}},
        {"name": "MEM", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory"}}},
    ]
    cluster.pod(
        "env",
        'echo "$PLAIN|$NAME|$KEY|$MEM|$color|$KUBERNETES_SERVICE_HOST|$(hostname)|$IP"',
        env=env,
        envFrom=[{"configMapRef": {"name": "settings"}}],
        resources={"limits": {"memory": "64Mi"}},
        restartPolicy="Never",
    )
    pod = await cluster.ended("env")
    ip = pod["status"]["podIP"]
    expected = f"a-blue-$(color)-$(nothing)|env|s3cret|67108864|blue|10.97.0.1|env|{ip}\n"
    assert await cluster.logs("env") == expected
    assert pod["status"]["phase"] == "Succeeded"
    assert {"Scheduled", "Pulled", "Created", "Started"} <= _events(cluster, "env")


@needs.SERVICES
async def test_services_have_names_and_ports_of_their_own(cluster: Small) -> None:
    ports = [{"name": "http", "containerPort": 80}]
    script = "mkdir /w; hostname >/w/index.html; exec httpd -f -p 80 -h /w"
    probe = {"tcpSocket": {"port": "http"}}
    cluster.pod("web", script, ports=ports, labels={"app": "web"}, readinessProbe=probe)
    service = {"selector": {"app": "web"}, "ports": [{"port": 8080, "targetPort": "http"}]}
    node_port = {**service, "type": "NodePort"}
    cluster.put(SERVICES, "web", spec=service)
    cluster.put(SERVICES, "none", spec={**service, "clusterIP": "None"})
    made = cluster.put(SERVICES, "outside", spec=node_port)
    cluster.pod("client", _SLEEP)
    await cluster.ready("web")
    await cluster.ready("client")
    for name in ("web", "web.default", "web.default.svc", "web.default.svc.cluster.local"):
        code, text = await _fetch(cluster, f"http://{name}:8080/")
        assert (code, text) == (0, "web\n"), name
    code, text = await _fetch(cluster, "http://none:80/")
    assert (code, text) == (0, "web\n")
    code, text = await cluster.run("client", "nslookup", "nobody.default.svc.cluster.local")
    assert code != 0
    port = made["spec"]["ports"][0]["nodePort"]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.0\r\n\r\n")
    assert (await reader.read()).endswith(b"web\n")
    writer.close()


_ECHO = """
import socket
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("", 9000))
print("up", flush=True)
while True:
    data, sender = server.recvfrom(100)
    print(data.decode(), flush=True)
    server.sendto(b"again " + data, sender)
"""
_ASK = """
import socket
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.settimeout(2)
client.connect(("repeat", 5300))
client.send(b"hello")
print(client.recv(100).decode())
"""


@needs.SERVICES
async def test_a_service_of_udp_is_reached_and_who_attaches_sees_it(cluster: Small) -> None:
    port = {"port": 5300, "targetPort": 9000, "protocol": "UDP"}
    cluster.put(SERVICES, "repeat", spec={"selector": {"app": "echo"}, "ports": [port]})
    cluster.pod("echo", f"exec python3 -c '{_ECHO}'", image=small.PYTHON, labels={"app": "echo"})
    found = await cluster.ready("echo")
    seen = small.Console()

    async def answered() -> bool:
        """Datagrams get lost until the Service has its endpoints."""
        answer = await cluster.run("echo", "python3", "-c", _ASK)
        return answer == (0, "again hello\n") and b"hello\n" in seen.out

    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(cluster.runtime.attach(found, ExecOptions("main"), seen))
        await cluster.eventually(answered)
        watching.cancel()


async def _fetch(cluster: Small, url: str) -> tuple[int, str]:
    """What a client sees, as soon as packets to the Service find its endpoints."""
    found = (1, "")

    async def answers() -> bool:
        nonlocal found
        found = await cluster.run("client", "timeout", "2", "wget", "-qO-", url)
        return found[0] == 0

    with contextlib.suppress(TimeoutError):
        await cluster.eventually(answers)
    return found


async def test_a_crash_loop_waits_says_so_and_keeps_both_logs(cluster: Small) -> None:
    cluster.pod("crash", "echo try $(cat /proc/uptime); exit 3")
    found = await cluster.waits("crash", "CrashLoopBackOff")
    assert found["restartCount"] == 1
    assert found["lastState"]["terminated"]["exitCode"] == 3
    assert found["state"]["waiting"]["message"].startswith(
        "back-off 10s restarting failed container=main pod=crash_default("
    )
    log = await cluster.logs("crash")
    before = await cluster.logs("crash", previous=True)
    assert log.startswith("try ")
    assert before.startswith("try ")
    assert "BackOff" in _events(cluster, "crash")


@pytest.mark.parametrize(
    ("parts", "reason", "message"),
    [
        pytest.param(
            {"image": "localhost:5000/no/such:1"},
            "ErrImagePull",
            'failed to resolve reference "localhost:5000/no/such:1"',
            id="no-image",
        ),
        pytest.param(
            {"image": "UPPER//x"}, "InvalidImageName", "couldn't parse image name", id="bad-image"
        ),
        pytest.param(
            {"image": "localhost:5000/no/such:1", "imagePullPolicy": "Never"},
            "ErrImageNeverPull",
            "is not present with pull policy of Never",
            id="never-pull",
        ),
        pytest.param(
            {"envFrom": [{"secretRef": {"name": "nope"}}]},
            "CreateContainerConfigError",
            'secret "nope" not found',
            id="no-secret",
        ),
    ],
)
async def test_what_cannot_start_says_why(
    cluster: Small, parts: dict[str, Any], reason: str, message: str
) -> None:
    cluster.pod("bad", _SLEEP, **parts)
    found = await cluster.waits("bad", reason)
    assert message in found["state"]["waiting"]["message"]


async def test_a_missing_object_that_comes_later_lets_the_container_start(cluster: Small) -> None:
    cluster.pod("late", _SLEEP, envFrom=[{"configMapRef": {"name": "late"}}])
    await cluster.waits("late", "CreateContainerConfigError")
    cluster.put(CONFIG_MAPS, "late", data={"a": "b"})
    await cluster.ready("late")


async def test_too_much_memory_is_an_oom_kill(cluster: Small) -> None:
    script = "exec python3 -c 'x=bytearray(10**9)'"
    limits = {"limits": {"memory": "32Mi"}}
    cluster.pod("oom", script, image=PYTHON, resources=limits, restartPolicy="Never")
    pod = await cluster.ended("oom")
    found = status(pod)["state"]["terminated"]
    assert (found["reason"], found["exitCode"]) == ("OOMKilled", 137)


async def test_init_containers_come_first_and_sidecars_stay(cluster: Small) -> None:
    share = [{"name": "share", "mountPath": "/share"}]

    def one(name: str, script: str, **more: Any) -> dict[str, Any]:
        command = ["sh", "-c", script]
        shared = {"image": small.BUSYBOX, "command": command, "volumeMounts": share}
        return {"name": name, **shared, **more}

    ready = {"exec": {"command": ["true"]}, "periodSeconds": 1}
    initial = [
        one("first", "echo first >>/share/order"),
        one("side", f"echo side >>/share/order; {_SLEEP}", restartPolicy="Always"),
        one("second", "echo second >>/share/order"),
    ]
    initial[1]["startupProbe"] = ready
    cluster.pod(
        "inits",
        "echo main >>/share/order; cat /share/order",
        volumeMounts=share,
        initContainers=initial,
        volumes=[{"name": "share", "emptyDir": {}}],
        restartPolicy="Never",
    )
    pod = await cluster.ended("inits")
    assert await cluster.logs("inits") == "first\nside\nsecond\nmain\n"
    assert pod["status"]["phase"] == "Succeeded"
    assert status(pod, "side")["state"]["terminated"] is not None


async def test_volumes_show_their_objects_and_follow_them(cluster: Small) -> None:
    cluster.put(CONFIG_MAPS, "settings", data={"a.txt": "one", "b.txt": "two"})
    cluster.put(SECRETS, "token", stringData={"key": "s3cret"})
    downward = {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}
    volumes: list[dict[str, Any]] = [
        {"name": "settings", "configMap": {"name": "settings"}},
        {"name": "token", "secret": {"secretName": "token", "defaultMode": 0o400}},
        {"name": "info", "downwardAPI": downward},
    ]
    mounts = [{"name": v["name"], "mountPath": f"/{v['name']}"} for v in volumes]
    mounts.append({"name": "settings", "mountPath": "/etc/one", "subPath": "a.txt"})
    cluster.pod("vols", _SLEEP, volumes=volumes, volumeMounts=mounts, labels={"app": "x"})
    await cluster.ready("vols")
    shown = "cat /settings/a.txt /settings/b.txt /token/key /info/labels /etc/one"
    assert (await cluster.run("vols", "sh", "-c", shown))[1] == 'onetwos3cretapp="x"one'
    assert (await cluster.run("vols", "stat", "-Lc", "%a", "/token/key"))[1] == "400\n"
    changed = cluster.api.get(CONFIG_MAPS, "settings", "default")
    cluster.api.update(CONFIG_MAPS, {**changed, "data": {"a.txt": "new"}})
    async with asyncio.timeout(5):
        while (await cluster.run("vols", "cat", "/settings/a.txt"))[1] != "new":
            pass
    assert (await cluster.run("vols", "ls", "/settings"))[1] == "a.txt\n"
    assert (await cluster.run("vols", "touch", "/settings/x"))[0] != 0


async def test_a_claim_keeps_its_data_from_pod_to_pod(cluster: Small) -> None:
    resources = {"requests": {"storage": "1Mi"}}
    spec = {"accessModes": ["ReadWriteOnce"], "resources": resources}
    cluster.put(PERSISTENT_VOLUME_CLAIMS, "data", spec=spec)
    claim = {"persistentVolumeClaim": {"claimName": "data"}}
    for name in ("one", "two"):
        cluster.pod(
            name,
            f"echo {name} >>/data/log; cat /data/log",
            volumes=[{"name": "data", **claim}],
            volumeMounts=[{"name": "data", "mountPath": "/data"}],
            restartPolicy="Never",
        )
        await cluster.ended(name)
    assert await cluster.logs("two") == "one\ntwo\n"
    for name in ("one", "two"):
        cluster.api.delete(PODS, name, "default")
        await cluster.gone(PODS, name)
    folder = cluster.api.facts.folder / "volumes"
    assert len(list(folder.iterdir())) == 1
    cluster.api.delete(PERSISTENT_VOLUME_CLAIMS, "data", "default")
    await cluster.gone(PERSISTENT_VOLUME_CLAIMS, "data")

    async def empty() -> bool:
        return not list(folder.iterdir())

    await cluster.eventually(empty)


async def test_an_ephemeral_volume_is_a_claim_that_goes_with_its_pod(cluster: Small) -> None:
    requests = {"requests": {"storage": "1Mi"}}
    spec = {"accessModes": ["ReadWriteOnce"], "resources": requests}
    volume = {"name": "data", "ephemeral": {"volumeClaimTemplate": {"spec": spec}}}
    mounts = [{"name": "data", "mountPath": "/data"}]
    cluster.pod("scratch", "touch /data/x; " + _SLEEP, volumes=[volume], volumeMounts=mounts)
    await cluster.ready("scratch")
    assert cluster.api.find(PERSISTENT_VOLUME_CLAIMS, "scratch-data", "default")
    cluster.api.delete(PODS, "scratch", "default")
    await cluster.gone(PERSISTENT_VOLUME_CLAIMS, "scratch-data")


@pytest.mark.parametrize(
    ("script", "policy", "message"),
    [
        pytest.param("echo why >/dev/termination-log; exit 1", "File", "why\n", id="file"),
        pytest.param("echo last words; exit 1", "FallbackToLogsOnError", "last words\n", id="log"),
        pytest.param("echo nothing; exit 1", "File", None, id="none"),
    ],
)
async def test_a_container_says_why_it_ended(
    cluster: Small, script: str, policy: str, message: str | None
) -> None:
    cluster.pod("ends", script, terminationMessagePolicy=policy, restartPolicy="Never")
    pod = await cluster.ended("ends")
    assert status(pod)["state"]["terminated"].get("message") == message


async def test_a_pods_phase_is_final_only_after_its_container_was_seen_to_end(
    cluster: Small,
) -> None:
    cluster.pod("ends", "exit 4", restartPolicy="Never")
    pod = await cluster.until(
        PODS, "ends", lambda one: fields.get(status(one), "state", "terminated") is not None
    )
    assert pod["status"]["phase"] == "Running"
    pod = await cluster.ended("ends")
    assert pod["status"]["phase"] == "Failed"


async def test_a_log_can_be_followed_cut_and_stamped(cluster: Small) -> None:
    cluster.pod("says", "for i in 1 2 3; do echo line $i; sleep 0.3; done", restartPolicy="Never")
    await cluster.until(PODS, "says", lambda one: status(one).get("state", {}).get("running"))
    assert await cluster.logs("says", follow=True) == "line 1\nline 2\nline 3\n"
    assert await cluster.logs("says", tail=1) == "line 3\n"
    assert await cluster.logs("says", limit=4) == "line"
    stamp, _, rest = (await cluster.logs("says", timestamps=True, tail=1)).partition(" ")
    assert rest == "line 3\n"
    assert fields.parse(stamp) > 0
    assert await cluster.logs("says", since=fields.parse(stamp) + 1) == ""
    with pytest.raises(ApiError, match="previous terminated container"):
        await cluster.logs("says", previous=True)


async def test_exec_gives_output_input_and_exit_code(cluster: Small) -> None:
    cluster.pod("sh", _SLEEP)
    await cluster.ready("sh")
    assert await cluster.run("sh", "sh", "-c", "echo out; echo err >&2; exit 7") == (
        7,
        "out\nerr\n",
    )
    console = small.Console(given=[b"hello\n"])
    options = ExecOptions("main", ("cat",), stdin=True)
    assert await cluster.runtime.exec(cluster.found("sh"), options, console) == 0
    assert console.out == b"hello\n"
    with pytest.raises(ApiError, match="executable file not found"):
        await cluster.run("sh", "no-such-program")


class _Pipe:
    """The client's side of a forwarded connection."""

    def __init__(self, request: bytes) -> None:
        self._request = [request]
        self.answer = b""

    async def read(self) -> bytes:
        if self._request:
            return self._request.pop()
        await asyncio.Event().wait()
        return b""

    async def write(self, data: bytes) -> None:
        self.answer += data


async def test_a_port_on_the_pods_own_loopback_can_be_forwarded(cluster: Small) -> None:
    script = "mkdir /w; echo hi >/w/index.html; exec httpd -f -p 127.0.0.1:80 -h /w"
    probe = {"exec": {"command": ["wget", "-qO-", "http://127.0.0.1/"]}, "periodSeconds": 1}
    cluster.pod("local", script, readinessProbe=probe)
    await cluster.ready("local")
    pipe = _Pipe(b"GET / HTTP/1.0\r\n\r\n")
    await cluster.runtime.port_forward(cluster.found("local"), 80, pipe)
    assert pipe.answer.endswith(b"hi\n")
    with pytest.raises(ApiError, match="failed to connect to localhost:81"):
        await cluster.runtime.port_forward(cluster.found("local"), 81, _Pipe(b""))


async def test_a_pod_on_the_hosts_network_and_one_with_a_port_there(cluster: Small) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    script = f"mkdir /tmp/w; echo hi >/tmp/w/index.html; exec httpd -f -p {port} -h /tmp/w"
    cluster.pod("host", script, hostNetwork=True, ports=[{"containerPort": port}])
    await cluster.ready("host")
    host = cluster.found("host")["status"]
    assert host["podIP"] == host["hostIP"]
    code, text = await cluster.run("host", "wget", "-qO-", f"http://127.0.0.1:{port}/")
    assert (code, text) == (0, "hi\n")
    cluster.api.delete(PODS, "host", "default", grace_seconds=0)
    await cluster.gone(PODS, "host")
    script = "mkdir /w; echo published >/w/index.html; exec httpd -f -p 80 -h /w"
    probe = {"tcpSocket": {"port": 80}, "periodSeconds": 1}
    ports = [{"containerPort": 80, "hostPort": port}]
    cluster.pod("published", script, ports=ports, readinessProbe=probe)
    await cluster.ready("published")
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.0\r\n\r\n")
    assert (await reader.read()).endswith(b"published\n")
    writer.close()
    # The Engine gave that pod its network; the node itself (if it may) gives it to this one.
    address = cluster.found("published")["status"]["podIP"]
    cluster.pod("other", _SLEEP)
    await cluster.ready("other")
    said = await cluster.run("other", "timeout", "5", "wget", "-qO-", f"http://{address}/")
    assert said == (0, "published\n")


async def test_where_the_engines_processes_are_not_seen_it_gives_pods_their_network(
    cluster: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    def elsewhere(*_: object) -> None:
        raise links.ElsewhereError("not here")

    monkeypatch.setattr(links, "join", elsewhere)
    cluster.pod("a", _SLEEP)
    pod = await cluster.ready("a")

    code, text = await cluster.run("a", "ip", "address", "show", "eth0")
    assert code == 0
    assert f"inet {fields.get(pod, 'status', 'podIP')}/" in text


async def test_a_pod_that_is_deleted_at_once_leaves_neither_sandbox_nor_probes(
    cluster: Small,
) -> None:
    probe = {"exec": {"command": ["true"]}, "periodSeconds": 1}
    cluster.pod("forced", "sleep 1000", readinessProbe=probe, terminationGracePeriodSeconds=0)
    await cluster.ready("forced")
    cluster.api.delete(PODS, "forced", "default", grace_seconds=0)

    async def is_gone() -> bool:
        tasks = {task.get_name() for task in asyncio.all_tasks()}
        here = [one for one in await cluster.containers() if "forced" in one["Names"][0]]
        return not here and not any("of forced" in name for name in tasks)

    await cluster.eventually(is_gone)


async def test_a_user_and_group_own_what_they_may_write(cluster: Small) -> None:
    context = {"runAsUser": 1234, "runAsGroup": 2345, "fsGroup": 3456, "runAsNonRoot": True}
    cluster.put(SECRETS, "token", stringData={"key": "s3cret"})
    volumes: list[dict[str, Any]] = [
        {"name": "data", "emptyDir": {}},
        {"name": "token", "secret": {"secretName": "token", "defaultMode": 0o400}},
    ]
    mounts = [{"name": v["name"], "mountPath": f"/{v['name']}"} for v in volumes]
    cluster.pod(
        "user",
        "id -u; id -g; touch /data/x; stat -c %g /data/x; cat /token/key",
        securityContext=context,
        volumes=volumes,
        volumeMounts=mounts,
        restartPolicy="Never",
    )
    await cluster.ended("user")
    assert await cluster.logs("user") == "1234\n2345\n3456\ns3cret"


@pytest.mark.parametrize(
    ("profile", "mode"),
    [
        pytest.param(None, "0", id="no filter unless asked, as kubelets do"),
        pytest.param("Unconfined", "0", id="unconfined"),
        pytest.param("RuntimeDefault", "2", id="the engine's filter"),
    ],
)
async def test_system_calls_are_filtered_as_the_pod_says(
    cluster: Small, profile: str | None, mode: str
) -> None:
    context = {"seccompProfile": {"type": profile}} if profile else {}
    script = "sed -n 's/^Seccomp:[[:space:]]*//p' /proc/self/status"
    cluster.pod("filtered", script, securityContext=context, restartPolicy="Never")
    await cluster.ended("filtered")
    assert (await cluster.logs("filtered")).strip() == mode


async def test_a_liveness_probe_that_fails_restarts_the_container(cluster: Small) -> None:
    probe = {"exec": {"command": ["false"]}, "periodSeconds": 1}
    cluster.pod("ill", _SLEEP, livenessProbe={**probe, "failureThreshold": 2})
    pod = await cluster.until(PODS, "ill", lambda one: status(one).get("restartCount") == 1)
    assert fields.get(status(pod), "lastState", "terminated", "exitCode") == 137
    assert {"Unhealthy", "Killing"} <= _events(cluster, "ill")


async def test_a_container_that_somebody_kills_starts_again(cluster: Small) -> None:
    cluster.pod("victim", _SLEEP)
    pod = await cluster.ready("victim")
    identity = status(pod)["containerID"].removeprefix("docker://")
    await cluster.client.call("POST", f"/containers/{identity}/kill")
    pod = await cluster.until(
        PODS, "victim", lambda one: status(one).get("restartCount") == 1 and status(one)["ready"]
    )
    assert fields.get(status(pod), "lastState", "terminated", "exitCode") == 137


async def test_a_sandbox_that_somebody_kills_is_made_again(cluster: Small) -> None:
    volumes: list[dict[str, Any]] = [{"name": "x", "emptyDir": {}}]
    mounts = [{"name": "x", "mountPath": "/dev/x"}]  # so it needs a sandbox
    cluster.pod("victim", _SLEEP, volumes=volumes, volumeMounts=mounts)
    await cluster.ready("victim")
    for one in await cluster.containers():
        if not one["Labels"]["dev.tilt.container.name"]:
            await cluster.client.call("POST", f"/containers/{one['Id']}/kill")
    await cluster.until(
        PODS, "victim", lambda one: status(one).get("restartCount") == 1 and status(one)["ready"]
    )
    assert "SandboxChanged" in _events(cluster, "victim")


async def test_a_deleted_pod_runs_its_hook_and_leaves_nothing(
    cluster: Small, tmp_path: Path
) -> None:
    said = tmp_path / "said"
    said.mkdir()
    hook = {"preStop": {"exec": {"command": ["sh", "-c", "echo bye >/said/bye"]}}}
    cluster.pod(
        "bye",
        "trap 'echo term >>/said/bye; exit 0' TERM; while :; do sleep 0.1; done",
        lifecycle=hook,
        volumes=[{"name": "said", "hostPath": {"path": str(said)}}],
        volumeMounts=[{"name": "said", "mountPath": "/said"}],
        terminationGracePeriodSeconds=10,
    )
    await cluster.ready("bye")
    cluster.api.delete(PODS, "bye", "default")
    await cluster.gone(PODS, "bye")
    assert (said / "bye").read_text() == "bye\nterm\n"
    assert await cluster.containers() == []
    assert list((cluster.api.facts.folder / "pods").iterdir()) == []


async def test_a_foreign_container_with_our_name_is_not_touched(cluster: Small) -> None:
    pod = cluster.pod("clash", _SLEEP, schedulerName="nobody")
    name = f"{cluster.api.facts.name}_default_clash_main_{fields.uid(pod)[:8]}_0"
    body = {"Image": small.BUSYBOX, "Cmd": ["true"]}
    foreign = await cluster.client.call("POST", "/containers/create", body, query={"name": name})
    try:
        spec = {**pod["spec"], "nodeName": "tilt-node"}
        cluster.api.update(PODS, {**cluster.found("clash"), "spec": spec})
        await cluster.ready("clash")
        seen = await cluster.client.call("GET", f"/containers/{foreign['Id']}/json")
        assert seen["Name"] == f"/{name}"
    finally:
        await cluster.client.call("DELETE", f"/containers/{foreign['Id']}")


async def test_a_node_that_starts_again_goes_on_with_its_containers(
    docker_engine: str, tmp_path: Path
) -> None:
    del docker_engine
    made = small.new_api(tmp_path)
    try:
        async with small.running(made) as cluster:
            cluster.pod("stays", _SLEEP)
            cluster.pod("goes", _SLEEP)
            pod = await cluster.ready("stays")
            before = status(pod)["containerID"]
            address = fields.get(pod, "status", "podIP")
            await cluster.ready("goes")
        gone = made.get(PODS, "goes", "default")
        made.store.remove(PODS, dict(gone))
        async with small.running(made) as cluster:

            async def gone_too(there: Small = cluster) -> bool:
                found = await there.containers()
                return not any(one["Labels"]["dev.tilt.pod.name"] == "goes" for one in found)

            await cluster.eventually(gone_too)
            pod = await cluster.ready("stays")
            assert status(pod)["containerID"] == before
            assert status(pod)["restartCount"] == 0
            assert (await cluster.run("stays", "true"))[0] == 0
            cluster.pod("new", _SLEEP)
            new = await cluster.ready("new")
            assert fields.get(pod, "status", "podIP") == address
            assert fields.get(new, "status", "podIP") != address
    finally:
        await small.clean(made)


async def test_a_deployment_rolls_out_while_its_service_answers(cluster: Small) -> None:
    def template(text: str) -> dict[str, Any]:
        script = f"mkdir /w; echo {text} >/w/index.html; exec httpd -f -p 80 -h /w"
        probe = {"httpGet": {"path": "/", "port": 80}, "periodSeconds": 1}
        container = {
            "name": "main",
            "image": small.BUSYBOX,
            "command": ["sh", "-c", script],
            "readinessProbe": probe,
        }
        spec = {"terminationGracePeriodSeconds": 1, "containers": [container]}
        return {"metadata": {"labels": {"app": "web"}}, "spec": spec}

    selector = {"matchLabels": {"app": "web"}}
    cluster.put(DEPLOYMENTS, "web", spec={"selector": selector, "template": template("one")})
    cluster.put(SERVICES, "web", spec={"selector": {"app": "web"}, "ports": [{"port": 80}]})
    cluster.pod("client", _SLEEP)
    await cluster.ready("client")

    def rolled_out(one: Any) -> bool:
        found = one.get("status", {})
        return bool(
            found.get("observedGeneration") == one["metadata"]["generation"]
            and found.get("availableReplicas") == found.get("updatedReplicas") == 1
            and found.get("replicas") == 1
        )

    await cluster.until(DEPLOYMENTS, "web", rolled_out)
    assert (await _fetch(cluster, "http://web/"))[1] == "one\n"
    found = cluster.api.get(DEPLOYMENTS, "web", "default")
    spec = {**found["spec"], "template": template("two")}
    cluster.api.update(DEPLOYMENTS, json.loads(json.dumps({**found, "spec": spec})))
    await cluster.until(DEPLOYMENTS, "web", rolled_out)
    for _ in range(20):
        if (await _fetch(cluster, "http://web/"))[1] == "two\n":
            break
    assert (await _fetch(cluster, "http://web/"))[1] == "two\n"
