"""What goes wrong while connecting and applying becomes one clear problem."""

import asyncio
import contextlib
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.kubernetes import servers, worlds
from tests.adapters.kubernetes.servers import CONFIG_MAPS, Server, config_map, connected
from tiltd import ports
from tiltd.adapters.kubernetes.cluster import KubeCluster, skew
from tiltd.model.observed import KubeContext, Scope
from tiltd.model.problems import Code

ONE = f"{CONFIG_MAPS}/one"
BODY: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "one"},
    "data": {"color": "red"},
}


async def _connect(server: str, folder: Path) -> ports.PermanentError | ports.TransientError:
    """Connect in vain; what is said about it."""
    path = folder / "kubeconfig"
    path.write_text(worlds.kubeconfig_for(server))
    cluster = KubeCluster("p")
    context = KubeContext("it", "it", "default", server)
    try:
        await cluster.connect(worlds.session({"KUBECONFIG": str(path)}), context)
    except (ports.PermanentError, ports.TransientError) as error:
        return error
    finally:
        await cluster.close()
    raise AssertionError("it did connect")


async def test_nobody_listening_is_said_within_seconds(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        async with asyncio.timeout(60):
            error = await _connect(url, tmp_path)

    assert isinstance(error, ports.PermanentError)
    assert error.problem.code is Code.CLUSTER_UNREACHABLE
    assert "'it'" in error.problem.message
    assert url in error.problem.message
    assert "running?" in error.problem.hint
    assert "--cluster embedded" in error.problem.hint


@pytest.mark.skipif(not hasattr(socket, "TCP_SYNCNT"), reason="the kernel has no such setting")
async def test_a_host_that_swallows_everything_is_given_up_by_the_kernel(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        deaf = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        # Nobody takes these: the queue is full, and the kernel drops what else comes.
        for _ in range(4):
            one = stack.enter_context(socket.socket())
            one.setblocking(False)  # noqa: FBT003 - the standard library's own
            one.connect_ex(deaf.getsockname())
        error = await _connect(f"http://127.0.0.1:{deaf.getsockname()[1]}", tmp_path)

    assert isinstance(error, ports.PermanentError)
    assert error.problem.code is Code.CLUSTER_UNREACHABLE
    assert "can't be reached: nothing comes back from there" in error.problem.message


@pytest.mark.parametrize(
    ("act", "kind", "code", "words"),
    [
        pytest.param(
            servers.status(401, "Unauthorized"),
            ports.PermanentError,
            Code.CLUSTER_FORBIDDEN,
            "refuses these credentials",
            id="unauthorized",
        ),
        pytest.param(
            servers.status(403, "nothing for anonymous"),
            ports.PermanentError,
            Code.CLUSTER_FORBIDDEN,
            "nothing for anonymous",
            id="forbidden",
        ),
        pytest.param(
            servers.text("<html>hello", code=404),
            ports.PermanentError,
            Code.CLUSTER_CONFIG,
            "no Kubernetes API server",
            id="a web server",
        ),
        pytest.param(
            servers.status(503, "starting"),
            ports.TransientError,
            Code.CLUSTER_UNREACHABLE,
            "starting",
            id="starting",
        ),
    ],
)
async def test_a_cluster_that_will_not_have_us_is_explained(
    server: Server, tmp_path: Path, act: servers.Act, kind: type, code: Code, words: str
) -> None:
    server.plays("/version", act)

    error = await _connect(server.url, tmp_path)

    assert type(error) is kind
    assert error.problem.code is code
    assert words in error.problem.message


async def test_a_cluster_that_comes_up_meanwhile_is_found(server: Server, tmp_path: Path) -> None:
    server.plays("/apis", servers.status(503, "starting"), servers.hangs_up, servers.says({}))

    async with connected(server, tmp_path) as cluster:
        assert await cluster.look(frozenset()) == ()


async def test_the_context_must_exist(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(worlds.kubeconfig_for("http://nowhere.test"))
    cluster = KubeCluster("p")
    spec = worlds.session({"KUBECONFIG": str(path)}, context="other")

    with pytest.raises(ports.PermanentError, match="no context 'other'") as caught:
        await cluster.connect(spec, KubeContext())

    assert "it" in caught.value.problem.hint


async def test_a_connection_that_closes_once_is_no_trouble(server: Server, tmp_path: Path) -> None:
    server.plays(ONE, servers.hangs_up, servers.says(config_map("one", 1)))

    async with connected(server, tmp_path) as cluster:
        answer = await cluster.apply(BODY, 5)

    assert answer.body["metadata"]["uid"] == "uid-one"
    assert server.asked(ONE)[0]["fieldValidation"] == "Strict"


@pytest.mark.parametrize(
    ("act", "kind", "words"),
    [
        pytest.param(servers.hangs_up, ports.TransientError, "went away", id="hangs up"),
        pytest.param(servers.is_silent, ports.TransientError, "within 0.5 s", id="silence"),
        pytest.param(servers.status(429, "busy"), ports.TransientError, "busy", id="busy"),
        pytest.param(servers.status(500, "oh no"), ports.TransientError, "oh no", id="error"),
        pytest.param(
            servers.text("<html>", code=502), ports.TransientError, "<html>", id="a proxy's page"
        ),
        pytest.param(
            servers.status(500, 'failed calling webhook "x": connection refused'),
            ports.TransientError,
            "webhook",
            id="webhook not ready",
        ),
        pytest.param(
            servers.status(400, 'admission webhook "x" denied the request: no'),
            ports.PermanentError,
            "denied",
            id="webhook says no",
        ),
        pytest.param(servers.status(413, "too large"), ports.PermanentError, "large", id="size"),
        pytest.param(servers.status(403, "not you"), ports.PermanentError, "may not", id="rbac"),
    ],
)
async def test_a_failed_apply_says_whether_it_may_heal(
    server: Server, tmp_path: Path, act: servers.Act, kind: type, words: str
) -> None:
    server.plays(ONE, act)

    async with connected(server, tmp_path) as cluster:
        with pytest.raises((ports.TransientError, ports.PermanentError)) as caught:
            await cluster.apply(BODY, 0.5)

    assert type(caught.value) is kind
    assert "ConfigMap/one" in str(caught.value)
    assert words in str(caught.value)


async def test_an_object_on_its_way_out_is_waited_for(server: Server, tmp_path: Path) -> None:
    going = config_map("one", 1)
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    fresh = config_map("one", 3)
    fresh["metadata"]["uid"] = "another"
    server.plays(
        ONE,
        servers.says(going),
        servers.says(going),
        servers.status(404, "gone"),
        servers.says(fresh),
    )

    async with connected(server, tmp_path) as cluster:
        answer = await cluster.apply(BODY, 5)

    assert answer.recreated
    assert answer.body["metadata"]["uid"] == "another"
    assert [request.method for request in server.requests if request.path == ONE] == [
        "PATCH",
        "GET",
        "GET",
        "PATCH",
    ]


async def test_what_never_goes_is_said_in_time(server: Server, tmp_path: Path) -> None:
    server.plays(ONE, servers.says(config_map("one", 1)))

    async with connected(server, tmp_path) as cluster:
        with pytest.raises(ports.TransientError, match=r"ConfigMap/one.*within 0.3 s"):
            await cluster.delete([BODY], 0.3)


async def test_a_server_without_aggregated_discovery_is_asked_group_by_group(
    server: Server, tmp_path: Path
) -> None:
    server.plays("/api", servers.says({"kind": "APIVersions", "versions": ["v1"]}))
    server.plays("/apis", servers.says({"kind": "APIGroupList", "groups": []}))
    rows = [
        {"name": "configmaps", "kind": "ConfigMap", "namespaced": True},
        {"name": "configmaps/status", "kind": "ConfigMap", "namespaced": True},
    ]
    server.plays("/api/v1", servers.says({"kind": "APIResourceList", "resources": rows}))
    server.plays(ONE, servers.says(config_map("one", 1)))

    async with connected(server, tmp_path) as cluster:
        await cluster.apply(BODY, 5)
        await cluster.apply(BODY, 5)

    assert len(server.asked("/api/v1")) == 1


async def test_a_long_list_comes_in_pages_and_survives_their_expiry(
    server: Server, tmp_path: Path
) -> None:
    first = {"metadata": {"continue": "next"}, "items": [config_map("one", 1)]}
    all_of_them = servers.lists(5, config_map("one", 1), config_map("two", 2))
    server.plays(CONFIG_MAPS, servers.says(first), servers.status(410, "expired"), all_of_them)
    scope = Scope("", "v1", "ConfigMap", "default", ours=True)

    async with connected(server, tmp_path) as cluster:
        found = await cluster.look(frozenset({scope}))

    assert [item.id.name for item in found] == ["one", "two"]
    asked = server.asked(CONFIG_MAPS)
    assert [query.get("continue") for query in asked] == [None, "next", None]
    assert {query["labelSelector"] for query in asked} == {"tilt.dev/project=a-project"}


async def test_closing_ends_everything_at_once(server: Server, tmp_path: Path) -> None:
    server.plays(CONFIG_MAPS, servers.lists(5, config_map("one", 1)))
    server.plays(f"{CONFIG_MAPS}?watch", servers.streams())
    seen = worlds.Seen()

    async with connected(server, tmp_path) as cluster:
        scope = Scope("", "v1", "ConfigMap", "default", ours=False)
        cluster.follow(frozenset({scope}), seen)
        await seen.until(lambda s: s.named("one"))
        async with asyncio.timeout(1):
            await cluster.close()


@pytest.mark.parametrize(
    ("date", "ours", "expected"),
    [
        pytest.param("Mon, 23 Nov 2026 08:00:00 GMT", 1795420800.9, 0.0, id="rounding"),
        pytest.param("Mon, 23 Nov 2026 08:00:00 GMT", 1795420790.5, 10.0, id="ahead"),
        pytest.param("Mon, 23 Nov 2026 08:00:00 GMT", 1795420810.5, -10.0, id="behind"),
        pytest.param("", 1795420810.5, 0.0, id="no date"),
    ],
)
def test_the_clocks_are_compared_by_the_answers_date(
    date: str, ours: float, expected: float
) -> None:
    assert skew(date, ours) == expected


async def test_the_announced_registry_is_read(server: Server, tmp_path: Path) -> None:
    hosting = 'host: "localhost:5000"\nhostFromContainerRuntime: "registry:5000"\n'
    announced = {"data": {"localRegistryHosting.v1": hosting}}
    path = "/api/v1/namespaces/kube-public/configmaps/local-registry-hosting"
    server.plays(path, servers.says(announced))
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(worlds.kubeconfig_for(server.url))
    cluster = KubeCluster("p")
    context = KubeContext("it", "it", "default", server.url)

    info = await cluster.connect(worlds.session({"KUBECONFIG": str(kubeconfig)}), context)
    await cluster.close()

    assert info.registry_host == "localhost:5000"
    assert info.registry_host_from_cluster == "registry:5000"
    assert info.version == "v1.36.0"
    assert not info.shares_engine
