"""A TCP proxy in front of the API server that lets bytes through, or not.

The real server is everybody's, so it is never harmed: what a client sees of a server that restarts,
of a cable that is pulled or of a firewall that swallows packets is done to its connections here.
"""

import contextlib
import json
import selectors
import socket
import threading
from collections.abc import Generator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from tests.e2e.conftest import kubectl


class Proxy:
    """Forwards to one address, on a port of its own."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener: socket.socket | None = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._lock = threading.Lock()
        self._passing, self._over = True, False
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def down(self) -> None:
        """Break all connections and refuse new ones, as a server does that is not there."""
        with self._lock:
            for one in tuple(self._pairs):
                self._end(one)
            if self._listener is not None:
                self._selector.unregister(self._listener)
                self._listener.close()
                self._listener = None

    def up(self) -> None:
        """Be there again, at the same address."""
        with self._lock:
            self._listener = socket.create_server(("127.0.0.1", self.port))
            self._selector.register(self._listener, selectors.EVENT_READ)

    def swallow(self) -> None:
        """From now on nothing arrives, and no connection ends."""
        with self._lock:
            self._passing = False

    def close(self) -> None:
        """End everything."""
        self._over = True
        self.down()
        self._thread.join()
        self._selector.close()

    def _run(self) -> None:
        while not self._over:
            for key, _ in self._selector.select(0.05):
                with self._lock, contextlib.suppress(OSError, KeyError):
                    if key.fileobj is self._listener:
                        self._accept()
                    elif isinstance(key.fileobj, socket.socket):
                        self._forward(key.fileobj)

    def _accept(self) -> None:
        assert self._listener is not None
        client, _ = self._listener.accept()
        server = socket.create_connection(self._target)
        for one, other in ((client, server), (server, client)):
            self._pairs[one] = other
            self._selector.register(one, selectors.EVENT_READ)

    def _forward(self, one: socket.socket) -> None:
        other = self._pairs[one]
        try:
            data = one.recv(1 << 16)
            if data and self._passing:
                other.sendall(data)
        except OSError:
            data = b""
        if not data:
            self._end(one)

    def _end(self, one: socket.socket) -> None:
        other = self._pairs.pop(one, None)
        for side in (one, other) if other is not None else ():
            self._pairs.pop(side, None)
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(side)
            side.close()


@contextlib.contextmanager
def between(env: Mapping[str, str], folder: Path) -> Generator[tuple[Proxy, dict[str, str]]]:
    """A proxy, and an environment whose kubeconfig leads through it."""
    text = kubectl(env, "config", "view", "--raw", "--flatten", "--minify", "--output=json")
    config = json.loads(text)
    cluster = config["clusters"][0]["cluster"]
    url = urlsplit(str(cluster["server"]))
    proxy = Proxy(url.hostname or "127.0.0.1", url.port or 443)
    try:
        cluster["server"] = f"https://127.0.0.1:{proxy.port}"
        cluster.setdefault("tls-server-name", url.hostname)
        path = folder / "through-proxy"
        path.write_text(json.dumps(config), encoding="utf-8")
        yield proxy, {**env, "KUBECONFIG": str(path)}
    finally:
        proxy.close()
