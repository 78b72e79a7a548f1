"""Asking a registry, against made-up ones."""

import asyncio
import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.adapters.images import servers
from tiltd.adapters.images import credentials, registry, web
from tiltd.core import reference

KNOWN = credentials.Credential("here", "tilt", "secret")
DIGEST = "sha256:" + "a" * 64
HEAD = "/v2/app/web/manifests/v1"


async def ask(
    address: str,
    platform: str = "",
    credential: credentials.Credential | None = None,
) -> registry.Answer:
    image = reference.parse(f"{address}/app/web:v1")
    return await registry.has(image, platform, credential, {})


def has(headers: dict[str, str] | None = None) -> servers.Reply:
    return servers.Reply(200, {"Docker-Content-Digest": DIGEST, **(headers or {})})


async def test_a_tag_that_is_there_is_told_with_its_digest() -> None:
    def answer(asked: servers.Asked) -> servers.Reply:
        assert (asked.method, asked.path) == ("HEAD", HEAD)
        assert "application/vnd.oci.image.index.v1+json" in asked.headers["Accept"]
        return has()

    with servers.made_up(answer) as address:
        assert await ask(address) == registry.Present(DIGEST)


async def test_a_tag_that_is_not_there_is_absent() -> None:
    with servers.made_up(lambda _: servers.Reply(404)) as address:
        assert await ask(address) == registry.Absent()


@pytest.mark.parametrize(
    ("replies", "expected"),
    [
        pytest.param([503, 503, 200], registry.Present(DIGEST), id="two faults pass"),
        pytest.param([429, 404], registry.Absent(), id="throttled once"),
        pytest.param([500] * 3, registry.Unknown("the registry answered 500"), id="broken"),
        pytest.param([403], registry.Unknown("the registry answered 403"), id="forbidden"),
    ],
)
async def test_faults_are_tried_again_and_never_end_a_build(
    replies: list[int], expected: registry.Answer
) -> None:
    left = list(replies)

    def answer(_: servers.Asked) -> servers.Reply:
        status = left.pop(0)
        return has() if status == 200 else servers.Reply(status)

    with servers.made_up(answer) as address:
        assert await ask(address) == expected
    assert not left


async def test_where_nobody_listens_nothing_is_known() -> None:
    answer = await ask(f"localhost:{servers.free_port()}")
    assert isinstance(answer, registry.Unknown)
    assert "Connect call failed" in answer.reason


async def test_a_password_is_given_when_it_is_asked_for() -> None:
    wanted = "Basic " + base64.b64encode(b"tilt:secret").decode()

    def answer(asked: servers.Asked) -> servers.Reply:
        if asked.headers["Authorization"] == wanted:
            return has()
        return servers.Reply(401, {"WWW-Authenticate": 'Basic realm="tests"'})

    with servers.made_up(answer) as address:
        assert await ask(address, credential=KNOWN) == registry.Present(DIGEST)
        unknown = await ask(address)
        assert unknown == registry.Unknown("the registry answered 401")


@pytest.mark.parametrize("identity", ["", "refresh-me"], ids=["password", "identity token"])
async def test_a_token_service_is_asked_for_the_token(identity: str) -> None:
    seen: list[str] = []

    def answer(asked: servers.Asked) -> servers.Reply:
        if asked.path.startswith("/token"):
            seen.append(f"{asked.method} {asked.headers['Authorization']} {asked.body.decode()}")
            assert "scope=repository%3Aapp%2Fweb%3Apull" in asked.path + asked.body.decode()
            return servers.Reply(200, body=json.dumps({"token": "t1"}).encode())
        if asked.headers["Authorization"] == "Bearer t1":
            return has()
        challenge = (
            f'Bearer realm="http://{asked.headers["Host"]}/token",service="tests",'
            'scope="repository:app/web:pull"'
        )
        return servers.Reply(401, {"WWW-Authenticate": challenge})

    known = credentials.Credential("here", "tilt", "secret", identity)
    with servers.made_up(answer) as address:
        assert await ask(address, credential=known) == registry.Present(DIGEST)
    assert seen[0].startswith("POST None" if identity else "GET Basic ")
    assert ("refresh_token=refresh-me" in seen[0]) is bool(identity)


async def test_a_redirect_to_another_host_gets_no_authorization() -> None:
    def storage(asked: servers.Asked) -> servers.Reply:
        assert asked.headers["Authorization"] is None
        return servers.Reply(200, body=b'{"os": "linux", "architecture": "arm64"}')

    with servers.made_up(storage) as elsewhere:

        def answer(asked: servers.Asked) -> servers.Reply:
            if not asked.headers["Authorization"]:
                return servers.Reply(401, {"WWW-Authenticate": 'Basic realm="tests"'})
            if "/blobs/" in asked.path:
                return servers.Reply(307, {"Location": f"http://{elsewhere}/blob"})
            body = json.dumps({"config": {"digest": "sha256:c"}}).encode()
            return servers.Reply(200, {"Docker-Content-Digest": DIGEST}, body)

        with servers.made_up(answer) as address:
            found = await ask(address, "linux/arm64", KNOWN)
    assert found == registry.Present(DIGEST)


def index(*platforms: str) -> Callable[[servers.Asked], servers.Reply]:
    def entry(platform: str) -> dict[str, Any]:
        names = ("os", "architecture", "variant")
        return {"platform": dict(zip(names, platform.split("/"), strict=False))}

    body = json.dumps({"manifests": [entry(each) for each in platforms]}).encode()
    return lambda _: servers.Reply(200, {"Docker-Content-Digest": DIGEST}, body)


@pytest.mark.parametrize(
    ("platform", "there"),
    [
        ("linux/amd64", True),
        ("linux/arm64", True),
        ("linux/arm64/v8", True),
        ("arm64", True),
        ("linux/aarch64", True),
        ("linux/amd64,linux/arm64", True),
        ("linux/arm/v7", False),
        ("linux/amd64,linux/arm/v7", False),
        ("windows/amd64", False),
    ],
)
async def test_an_index_is_searched_for_the_platform(platform: str, *, there: bool) -> None:
    with servers.made_up(index("linux/amd64", "linux/arm64/v8")) as address:
        found = await ask(address, platform)
    assert found == (registry.Present(DIGEST) if there else registry.Absent())


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(servers.Reply(200, {"Content-Length": "9"}, b"{}"), id="body too short"),
        pytest.param(servers.Reply(200, body=b"no json"), id="no JSON"),
        pytest.param(servers.Reply(200, body=b"[]"), id="no object"),
        pytest.param(servers.Reply(302, {"Location": HEAD}), id="circle"),
        pytest.param(servers.Reply(200, {"Content-Length": "99999999999"}), id="endless"),
    ],
)
async def test_nonsense_is_no_answer_and_no_crash(reply: servers.Reply) -> None:
    with servers.made_up(
        lambda asked: has() if asked.method == "HEAD" and reply.status == 200 else reply
    ) as address:
        assert isinstance(await ask(address, "linux/amd64"), registry.Unknown)


async def test_a_server_without_tls_is_asked_in_the_clear_but_told_no_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def answer(asked: servers.Asked) -> servers.Reply:
        assert asked.headers["Authorization"] is None
        return servers.Reply(401, {"WWW-Authenticate": 'Basic realm="tests"'})

    def nowhere(_: str) -> bool:
        return False

    monkeypatch.setattr(web, "is_loopback", nowhere)
    with servers.made_up(answer) as address:
        found = await ask(address, credential=KNOWN)
    assert found == registry.Unknown("the registry answered 401")


async def test_a_proxy_is_asked_to_connect() -> None:
    seen: list[str] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        seen.append(head.split("\r\n", maxsplit=1)[0])
        assert "Proxy-Authorization: Basic " in head
        writer.write(b"HTTP/1.1 502 No\r\n\r\n")
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(proxy, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        env = {"HTTPS_PROXY": f"http://u:p@127.0.0.1:{port}", "NO_PROXY": "other.test,.inside.test"}
        image = reference.parse("registry.test/app/web:v1")
        answer = await registry.has(image, "", None, env)
    assert seen[0] == "CONNECT registry.test:443 HTTP/1.1"
    assert isinstance(answer, registry.Unknown)
    assert "502" in answer.reason
