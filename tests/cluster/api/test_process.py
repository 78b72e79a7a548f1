"""The embedded cluster as a process: restarts, tokens, clients that misbehave."""

import json
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from tests.cluster.api.client import Client

MAPS = "/api/v1/namespaces/default/configmaps"


@contextmanager
def cluster(folder: Path, *, kill: bool = False) -> Generator[Client]:
    command = [sys.executable, "-m", "tilt_cluster", "--no-node", "--data", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            lines = process.stdout or iter(())
            said = [next(lines), next(lines)]
            client = Client(Path(said[1].strip().partition("=")[2]), folder)
            with client.session:
                yield client
        finally:
            if kill:
                process.kill()
            else:
                process.terminate()
            process.wait(timeout=20)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with cluster(tmp_path_factory.mktemp("data")) as client:
        yield client


def test_objects_survive_a_kill(tmp_path: Path) -> None:
    with cluster(tmp_path, kill=True) as api:
        made = api.create(MAPS, {"metadata": {"name": "a"}, "data": {"k": "v"}})
        api.create(MAPS, {"metadata": {"name": "b"}})
        api.call("DELETE", f"{MAPS}/b")
    with (tmp_path / "objects.jsonl").open("ab") as journal:
        journal.write(b'{"g":"","r":"configmaps","n":"default","m":"c","v":99,"o":{"cut')

    with cluster(tmp_path) as api:
        assert api.get(f"{MAPS}/a") == made
        assert api.call("GET", f"{MAPS}/b").code == 404
        assert api.call("GET", f"{MAPS}/c").code == 404
        newer = api.create(MAPS, {"metadata": {"name": "d"}})
        version = made["metadata"]["resourceVersion"]
        assert int(newer["metadata"]["resourceVersion"]) > int(version)
        watch = api.session.get(
            api.server + MAPS,
            params={"watch": "true", "resourceVersion": version, "timeoutSeconds": "2"},
            timeout=10,
        )
        assert json.loads(watch.text.splitlines()[0])["object"]["code"] == 410


def test_keys_are_the_owners_only(running: Client) -> None:
    folder = running.kubeconfig.parent
    for name in ("kubeconfig", "access.json", "server.pem", "objects.jsonl"):
        assert (folder / name).stat().st_mode & 0o077 == 0, name


def test_it_listens_on_loopback_only(running: Client) -> None:
    port = urlsplit(running.server).port
    assert port is not None
    listening = Path("/proc/net/tcp").read_text().splitlines()[1:]
    own = [line.split()[1] for line in listening if line.split()[3] == "0A"]
    assert [one for one in own if one.endswith(f":{port:04X}")] == [f"0100007F:{port:04X}"]


def test_a_service_accounts_token_opens_the_door(running: Client) -> None:
    accounts = "/api/v1/namespaces/default/serviceaccounts"
    running.create(accounts, {"metadata": {"name": "me"}})
    issued = running.create(f"{accounts}/me/token", {"spec": {"expirationSeconds": 600}})
    token = issued["status"]["token"]
    assert token.count(".") == 2

    with requests.Session() as session:
        session.trust_env = False
        session.verify = running.session.verify

        def code(text: str) -> int:
            headers = {"Authorization": f"Bearer {text}"}
            return session.get(running.server + MAPS, headers=headers, timeout=10).status_code

        assert code(token) == 200
        head, body, _ = token.split(".")
        for wrong in ("", "x", "a.b.c", f"{head}.{body}.", token[:-2], f"{token}x"):
            assert code(wrong) == 401, wrong


def test_another_clusters_certificate_is_refused(running: Client, tmp_path: Path) -> None:
    errors = (requests.exceptions.SSLError, requests.exceptions.ConnectionError)
    with cluster(tmp_path) as other, pytest.raises(errors):
        requests.get(
            running.server + MAPS,
            cert=other.session.cert,
            verify=str(running.session.verify),
            timeout=10,
        )


def test_watchers_that_never_read_cost_nothing(running: Client) -> None:
    context = ssl.create_default_context(cafile=str(running.session.verify))
    folder = running.kubeconfig.parent
    context.load_cert_chain(folder / "certificate", folder / "key")
    place = urlsplit(running.server)
    request = f"GET {MAPS}?watch=true HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    sockets: list[ssl.SSLSocket] = []
    try:
        for _ in range(200):
            plain = socket.create_connection((place.hostname, place.port), timeout=10)
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            encrypted = context.wrap_socket(plain, server_hostname="localhost")
            encrypted.sendall(request)
            sockets.append(encrypted)
        began = time.monotonic()
        for number in range(100):
            body = {"metadata": {"name": f"w{number}"}, "data": {"k": "x" * 20_000}}
            running.create(MAPS, body)

        assert len(running.get(MAPS)["items"]) >= 100
        assert time.monotonic() - began < 20
    finally:
        for one in sockets:
            one.close()
    running.call("DELETE", MAPS)


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        pytest.param("GET", "/api/v1/namespaces/default/pods/none/log", 404, id="log of none"),
        pytest.param("GET", "/apis/none.example.com/v1/things", 404, id="unknown group"),
        pytest.param("GET", "/api/v1/nodes/x/proxy", 405, id="proxy"),
        pytest.param("PATCH", MAPS, 405, id="patch of a collection"),
        pytest.param("DELETE", "/api/v1/namespaces", 405, id="all namespaces"),
        pytest.param("PUT", "/version", 405, id="write of a document"),
        pytest.param("GET", "/api/v1/%00", 404, id="a zero byte"),
        pytest.param("GET", f"{MAPS}?limit=x", 400, id="a limit that is no number"),
        pytest.param("GET", f"{MAPS}?resourceVersion=x", 400, id="a version that is no number"),
        pytest.param("GET", f"{MAPS}?continue=eyJ4IjoxfQ", 400, id="a made-up token"),
        pytest.param("DELETE", f"{MAPS}/x?propagationPolicy=No", 422, id="a policy that isn't"),
    ],
)
def test_what_is_not_served_is_a_clear_status(
    running: Client, method: str, path: str, code: int
) -> None:
    answer = running.call(method, path)

    assert answer.code == code, answer
    assert answer.body["kind"] == "Status"
    assert answer.body["message"]


def test_a_taken_port_is_one_line(running: Client, tmp_path: Path) -> None:
    port = str(urlsplit(running.server).port)
    command = [sys.executable, "-m", "tilt_cluster", "--no-node", "--port", port]

    ended = subprocess.run(
        [*command, "--data", str(tmp_path)], capture_output=True, text=True, check=False, timeout=20
    )

    assert ended.returncode == 1
    assert ended.stderr.startswith("tilt-cluster: ")
    assert ended.stderr.count("\n") == 1


def test_openapi_2_in_protobuf_is_not_acceptable(running: Client) -> None:
    media = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"

    answer = running.call("GET", "/openapi/v2", accept=media)

    assert (answer.code, answer.body["reason"]) == (406, "NotAcceptable")
