"""Registries on this machine: a real one, a misbehaving one before it, and made-up ones."""

import contextlib
import dataclasses
import email.message
import http.client
import http.server
import shutil
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

USER, PASSWORD = "tilt", "secret"
_HTPASSWD = f"{USER}:$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW\n"
_CONFIG = """\
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {root}}}, delete: {{enabled: true}}}}
http: {{addr: "{address}"}}
"""
_AUTH = 'auth: {{htpasswd: {{realm: tests, path: "{path}"}}}}\n'


@contextlib.contextmanager
def docker_registry(folder: Path, *, password: bool = False) -> Generator[str]:
    """A registry of its own, with or without a password."""
    program = shutil.which("docker-registry")
    if program is None:
        pytest.skip("there is no docker-registry on the PATH to start")
    address = f"localhost:{free_port()}"
    config = _CONFIG.format(root=folder / "data", address=address.replace("localhost", "127.0.0.1"))
    if password:
        (folder / "htpasswd").write_text(_HTPASSWD)
        config += _AUTH.format(path=folder / "htpasswd")
    (folder / "config.yml").write_text(config)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [program, "serve", str(folder / "config.yml")], stdout=log, stderr=log
        )
    try:
        _wait_for(address)
        yield address
    finally:
        process.terminate()
        process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for(address: str) -> None:
    for _ in range(200):
        try:
            with urllib.request.urlopen(f"http://{address}/v2/", timeout=5):
                return
        except urllib.error.HTTPError as error:
            error.close()
            return
        except OSError:
            time.sleep(0.05)  # a process that starts gives no event to wait for
    raise AssertionError(f"no registry came up at {address}")


@dataclasses.dataclass
class Asked:
    """A request as a made-up server sees it."""

    method: str
    path: str
    headers: email.message.Message
    body: bytes


@dataclasses.dataclass
class Reply:
    status: int
    headers: dict[str, str] = dataclasses.field(default_factory=dict[str, str])
    body: bytes = b""


@contextlib.contextmanager
def made_up(answer: Callable[[Asked], Reply]) -> Generator[str]:
    """An HTTP server that answers as a function says."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if "chunked" in self.headers.get("Transfer-Encoding", ""):
                body = _unchunk(self.rfile.readline, self.rfile.read)
            reply = answer(Asked(self.command, self.path, self.headers, body))
            self.send_response_only(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            if "Content-Length" not in reply.headers:
                self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(reply.body)

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            del format, args

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"localhost:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _unchunk(line: Callable[[], bytes], read: Callable[[int], bytes]) -> bytes:
    parts: list[bytes] = []
    while size := int(line(), 16):
        parts.append(read(size))
        line()
    line()
    return b"".join(parts)


@contextlib.contextmanager
def flaky(behind: str, fails: Callable[[Asked], bool]) -> Generator[str]:
    """A registry that answers 503 as long as `fails` says so, else as the one behind it."""

    def answer(asked: Asked) -> Reply:
        if fails(asked):
            return Reply(503, {"Content-Type": "text/plain"}, b"busy")
        connection = http.client.HTTPConnection(behind, timeout=20)
        try:
            headers = {
                name: value
                for name, value in asked.headers.items()
                if name.lower() not in {"transfer-encoding", "content-length", "connection"}
            }
            connection.request(asked.method, asked.path, asked.body or None, headers)
            reply = connection.getresponse()
            kept = {
                name: value
                for name, value in reply.getheaders()
                if name.lower() not in {"transfer-encoding", "connection"}
            }
            return Reply(reply.status, kept, reply.read())
        finally:
            connection.close()

    with made_up(answer) as address:
        yield address
