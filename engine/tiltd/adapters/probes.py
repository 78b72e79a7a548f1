"""Readiness probes of served processes, by the rules of Kubernetes' kubelet.

The first probe comes after `initial_delay`, the others every `period`, counted from start to
start; one that takes longer delays the next.  `success_threshold` passes in a row make ready,
`failure_threshold` failures in a row make unready; before either, nothing is decided.

HTTP: 200 to 399 pass; a redirect to the same host is followed, up to ten of them, and one to
another host passes; certificates are not verified.  TCP: a connection passes.  Exec: exit code 0
passes; the command runs in the served process's folder and environment, in a group of its own.

Sources: the Kubernetes documentation of probes and the published behaviour of the kubelet.
"""

import asyncio
import dataclasses
import ipaddress
import os
import socket
import ssl
import urllib.parse
from collections.abc import Callable, Mapping
from typing import NoReturn, assert_never

from tiltd import ports
from tiltd.adapters import process_group
from tiltd.model.desired import Exec, HttpGet, Probe, TcpSocket
from tiltd.runtime import threads

Tell = Callable[[bool | None, str], None]
"""Called after each probe with: ready or not (`None`: undecided), and why the probe failed."""

_REDIRECTS = 10
_FOLLOWED = frozenset({301, 302, 303, 307, 308})
_MOST_HEADERS = 200
_PASSES_FROM, _PASSES_TO = 200, 399
_INTERIM = 200
_EXCERPT = 4096
_DRAIN = 0.1


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """What one probe saw; `message` says why it failed."""

    passed: bool
    message: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Readiness:
    """What a row of outcomes comes to.

    Args:
        ready: `None` until a threshold was reached.
        passing: the newest outcome.
        count: how many in a row were like it.
    """

    ready: bool | None = None
    passing: bool | None = None
    count: int = 0

    def after(self, probe: Probe, *, passed: bool) -> "Readiness":
        """After one outcome more."""
        count = self.count + 1 if passed is self.passing else 1
        limit = probe.success_threshold if passed else probe.failure_threshold
        return Readiness(passed if count >= limit else self.ready, passed, count)


class Prober:
    """Makes probes.

    Args:
        guardian: watches over the processes of exec probes.
    """

    def __init__(self, guardian: process_group.Guardian) -> None:
        self._guardian = guardian
        # A name server that does not answer must hold up neither the loop nor the exit.
        self._resolver = threads.Pool("resolve", 4)

    async def watch(self, probe: Probe, cwd: str, env: Mapping[str, str], tell: Tell) -> NoReturn:
        """Probe until cancelled.

        Args:
            probe: what and when.
            cwd: where an exec probe runs.
            env: its whole environment.
            tell: called after each probe.
        """
        loop = asyncio.get_running_loop()
        readiness = Readiness()
        due = loop.time() + probe.initial_delay
        while True:
            await asyncio.sleep(due - loop.time())
            outcome = await self.check(probe, cwd, env)
            readiness = readiness.after(probe, passed=outcome.passed)
            tell(readiness.ready, outcome.message)
            due = max(due + probe.period, loop.time())

    async def check(self, probe: Probe, cwd: str, env: Mapping[str, str]) -> Outcome:
        """Probe once; takes no longer than the probe's timeout, and fails with it."""
        try:
            async with asyncio.timeout(probe.timeout):
                match probe.check:
                    case HttpGet():
                        return await self._http(probe.check)
                    case TcpSocket(port=port, host=host):
                        _, writer = await self._connect(host, port, None)
                        writer.transport.abort()
                        return Outcome(passed=True)
                    case Exec(argv=argv):
                        return await self._exec(argv, cwd, env)
                    case _:
                        assert_never(probe.check)
        except TimeoutError:
            return _failed(f"no answer within {probe.timeout:g} s")
        except socket.gaierror as error:
            return _failed(f"the host can't be found: {error.strerror}")
        except ssl.SSLError as error:
            return _failed(f"TLS: {error.reason or error}")
        except OSError as error:
            return _failed(os.strerror(error.errno).lower() if error.errno else str(error))

    def close(self) -> None:
        """Abandon what still waits for a name server."""
        self._resolver.close()

    async def _http(self, check: HttpGet) -> Outcome:
        host = check.host or "localhost"
        path = check.path if check.path.startswith("/") else f"/{check.path}"
        url = f"{check.scheme.lower()}://{_authority(host, check.port)}{path}"
        for _ in range(_REDIRECTS + 1):
            try:
                status, location = await self._get(url)
                target = urllib.parse.urljoin(url, location)
                local = urllib.parse.urlsplit(target).hostname == host.lower()
            except (ValueError, EOFError) as error:
                return _failed(f"no HTTP answer from {url}: {error}")
            if status in _FOLLOWED and location and local:
                url = target
                continue
            passed = _PASSES_FROM <= status <= _PASSES_TO
            return Outcome(passed=True) if passed else _failed(f"HTTP {status} from {url}")
        return _failed(f"more than {_REDIRECTS} redirects, the last one to {url}")

    async def _get(self, url: str) -> tuple[int, str]:
        """Status code and `Location` (may be empty) of one request."""
        parts = urllib.parse.urlsplit(url)
        tls = _unverified() if parts.scheme == "https" else None
        host, port = parts.hostname or "localhost", parts.port or (443 if tls else 80)
        reader, writer = await self._connect(host, port, tls)
        target = urllib.parse.quote(
            urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, "")),
            safe="/%?&=:@!$'()*+,;~[]",
        )
        try:
            writer.write(
                f"GET {target} HTTP/1.1\r\nHost: {_authority(host, port)}\r\n"
                "User-Agent: tiltd-probe\r\nAccept: */*\r\nConnection: close\r\n\r\n".encode()
            )
            status, location = await _head(reader)
            while status < _INTERIM and status != 101:  # noqa: PLR2004 - switching protocols
                status, location = await _head(reader)
            return status, location
        finally:
            writer.transport.abort()

    async def _connect(
        self, host: str, port: int, tls: ssl.SSLContext | None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        refused: OSError | None = None
        for address in await self._addresses(host or "localhost", port):
            try:
                return await asyncio.open_connection(
                    address, port, ssl=tls, server_hostname=host if tls else None
                )
            except OSError as error:
                refused = refused or error
        raise refused or OSError(f"{host} has no address")

    async def _addresses(self, host: str, port: int) -> list[str]:
        try:
            return [str(ipaddress.ip_address(host))]
        except ValueError:
            found = await self._resolver.run(
                socket.getaddrinfo, host, port, type=socket.SOCK_STREAM
            )
        return list(dict.fromkeys(str(item[4][0]) for item in found))

    async def _exec(self, argv: tuple[str, ...], cwd: str, env: Mapping[str, str]) -> Outcome:
        said = _Excerpt()
        try:
            group = process_group.start(argv, cwd, env, said, self._guardian)
        except (ports.PermanentError, ports.TransientError) as error:
            return _failed(str(error))
        try:
            code = await group.exited()
            await group.drained(_DRAIN)
        finally:
            await group.end(grace=0)
        if code == 0:
            return Outcome(passed=True)
        how = f"exited with code {code}" if code > 0 else f"was ended by signal {-code}"
        return _failed(f"{argv[0]} {how}: {said.last_line}".removesuffix(": "))


class _Excerpt:
    """The end of what an exec probe printed."""

    def __init__(self) -> None:
        self._text = ""

    def write(self, text: str, *, level: str = "info") -> None:
        # One program has one level; it is named only because a `Log` takes it.
        del level
        self._text = (self._text + text)[-_EXCERPT:]

    @property
    def last_line(self) -> str:
        return self._text.rstrip().rpartition("\n")[2].strip()


async def _head(reader: asyncio.StreamReader) -> tuple[int, str]:
    """Read a status line and its headers.

    Raises:
        ValueError: this is not HTTP.
        EOFError: it ended too soon.
    """
    line = await reader.readline()
    words = line.split(maxsplit=2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():  # noqa: PLR2004
        if not line.endswith(b"\n"):
            raise EOFError("the connection was closed")
        raise ValueError("the status line is missing")
    location = ""
    for _ in range(_MOST_HEADERS):
        line = await reader.readline()
        if not line.strip():
            return int(words[1]), location
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"location":
            location = value.strip().decode("latin-1")
    raise ValueError("too many headers")


def _unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _failed(message: str) -> Outcome:
    return Outcome(passed=False, message=message)
