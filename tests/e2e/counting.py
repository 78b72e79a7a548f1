"""Counts requests where they arrive: in front of the Docker Engine, a registry and the API server.

What a program says of its own work may be wrong in the way in which the work is.  So these stand
in the way of all that it sends: bytes go through as they are, each request line is noted.  For the
API server `kubectl proxy` stands behind, as nobody can read what is encrypted.
"""

import contextlib
import http.server
import json
import re
import selectors
import socket
import socketserver
import subprocess
import threading
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import ClassVar, NamedTuple

from tests.e2e.client import PATIENCE
from tests.e2e.conftest import kubectl

_LINE = re.compile(rb"^(GET|HEAD|POST|PUT|PATCH|DELETE) (\S+) HTTP/1\.1\r$", re.MULTILINE)
_READS = frozenset({"GET", "HEAD"})


class Request(NamedTuple):
    """What somebody asked a server for."""

    method: str
    path: str


class Counter:
    """Forwards connections of one listening socket, each in a thread, and notes their requests."""

    def __init__(self, listener: socket.socket, connect: Callable[[], socket.socket]) -> None:
        self._listener, self._connect = listener, connect
        self._news = threading.Condition()
        self._seen: list[Request] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._ends, self._end = socket.socketpair()
        self._threads[0].start()

    def taken(self) -> list[Request]:
        """What came since this was asked last."""
        with self._news:
            seen, self._seen = self._seen, []
        return seen

    def until_written(self) -> None:
        """Wait for the first request that asks for a change."""
        with self._news:
            assert self._news.wait_for(lambda: writes(self._seen), PATIENCE), "nobody wrote"

    def close(self) -> None:
        """End all connections."""
        self._end.close()
        for thread in self._threads:  # the first adds no others once it has seen the end
            thread.join()
        self._listener.close()
        self._ends.close()

    def _accept(self) -> None:
        with selectors.DefaultSelector() as ready:
            ready.register(self._listener, selectors.EVENT_READ)
            ready.register(self._ends, selectors.EVENT_READ)
            while not any(key.fileobj is self._ends for key, _ in ready.select()):
                client, _ = self._listener.accept()
                thread = threading.Thread(target=self._serve, args=(client,))
                self._threads.append(thread)
                thread.start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError), self._connect() as server:
            others: dict[object, socket.socket] = {client: server, server: client}
            with selectors.DefaultSelector() as ready:
                for one in (client, server, self._ends):
                    ready.register(one, selectors.EVENT_READ)
                while True:
                    for key, _ in ready.select():
                        other = others.get(key.fileobj)
                        if other is None:
                            return
                        one = others[other]
                        data = one.recv(1 << 16)
                        if one is client:
                            self._note(data)
                        if not data:
                            other.shutdown(socket.SHUT_WR)
                            ready.unregister(one)
                            if len(ready.get_map()) == 1:
                                return
                        other.sendall(data)

    def _note(self, data: bytes) -> None:
        found = [Request(m[1].decode(), m[2].decode()) for m in _LINE.finditer(data)]
        with self._news:
            self._seen += found
            self._news.notify_all()


def writes(seen: list[Request]) -> list[Request]:
    """Those that ask for a change."""
    return [request for request in seen if request.method not in _READS]


@contextlib.contextmanager
def engine(folder: Path, env: Mapping[str, str]) -> Generator[tuple[Counter, str]]:
    """In front of the Docker Engine; and its DOCKER_HOST."""
    path = env.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://")

    def connect() -> socket.socket:
        one = socket.socket(socket.AF_UNIX)
        one.connect(path)
        return one

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "engine.sock"))
        listener.listen()
        with contextlib.closing(Counter(listener, connect)) as counter:
            yield counter, f"unix://{folder / 'engine.sock'}"


class _Empty(http.server.BaseHTTPRequestHandler):
    """An engine of the real one's platform, without a single image."""

    seen: ClassVar[list[Request]]
    version: ClassVar[bytes]

    def handle_any(self) -> None:
        self.seen.append(Request(self.command, self.path))
        there = self.path.partition("?")[0].endswith("/version")
        body = self.version if there else b'{"message": "no such image"}'
        self.send_response_only(200 if there else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle_any  # noqa: N815 - their names there


@contextlib.contextmanager
def empty_engine(folder: Path, env: Mapping[str, str]) -> Generator[tuple[list[Request], str]]:
    """A new machine's: what it is asked for, and its DOCKER_HOST."""
    asked = ["docker", "version", "--format={{json .Server}}"]
    version = subprocess.run(asked, env=dict(env), capture_output=True, check=True).stdout
    seen: list[Request] = []
    handler = type("Handler", (_Empty,), {"seen": seen, "version": version})
    path = folder / "empty.sock"
    with socketserver.ThreadingUnixStreamServer(str(path), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield seen, f"unix://{path}"
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def registry(address: str) -> Generator[tuple[Counter, str]]:
    """In front of a registry; and the address by which it is asked through this."""
    with in_front_of(address) as (counter, port):
        yield counter, f"localhost:{port}"


def forget(address: str) -> None:
    """Remove from the Docker Engine what it has of a registry."""
    asked = ["docker", "image", "ls", "--format={{.Repository}}:{{.Tag}}"]
    listed = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split()
    if mine := [name for name in listed if name.startswith(f"{address}/")]:
        subprocess.run(["docker", "image", "rm", *mine], capture_output=True, check=True)


@contextlib.contextmanager
def cluster(folder: Path, env: Mapping[str, str]) -> Generator[tuple[Counter, str]]:
    """In front of the API server; and a KUBECONFIG that leads there."""
    text = kubectl(env, "config", "view", "--raw", "--flatten", "--minify", "--output=json")
    with (
        subprocess.Popen(
            ["kubectl", "proxy", "--port=0"], env=dict(env), stdout=subprocess.PIPE, text=True
        ) as proxy,
    ):
        try:
            assert proxy.stdout is not None
            address = proxy.stdout.readline().split()[-1]
            with in_front_of(address) as (counter, port):
                config = json.loads(text)
                config["clusters"][0]["cluster"] = {"server": f"http://127.0.0.1:{port}"}
                config["users"][0]["user"] = {}
                path = folder / "counted"
                path.write_text(json.dumps(config), encoding="utf-8")
                yield counter, str(path)
        finally:
            proxy.terminate()


@contextlib.contextmanager
def in_front_of(address: str) -> Generator[tuple[Counter, int]]:
    """In front of a server at `HOST:PORT`; and the port of this."""
    host, _, port = address.rpartition(":")
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def connect() -> socket.socket:
            return socket.create_connection((host, int(port)))

        with contextlib.closing(Counter(listener, connect)) as counter:
            yield counter, listener.getsockname()[1]
