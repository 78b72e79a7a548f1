"""Where the Docker Engine is, by the rules of the `docker` command line.

`DOCKER_HOST` wins over `DOCKER_CONTEXT`, which wins over the current context of the Docker
configuration; without any of them it is the socket in /var/run.  A context's endpoint stands in
`contexts/meta/<sha256 of its name>/meta.json` beside the configuration, its certificates in
`contexts/tls/<the same>/docker`.  Everything is read from the session's environment, since the
client's shell decides where its images go, not the shell that once started the daemon.
"""

import dataclasses
import errno
import hashlib
import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tiltd import ports
from tiltd.adapters.images import dockerconfig
from tiltd.model.problems import Code, Problem

_DEFAULT = "unix:///var/run/docker.sock"
_DEFAULT_CONTEXT = "default"
_PEMS = ("ca.pem", "cert.pem", "key.pem")
_CONNECT_SECONDS = 5.0


@dataclasses.dataclass(frozen=True, slots=True)
class Tls:
    """How to speak TLS with an engine; an empty path is "none"."""

    ca: str
    cert: str
    key: str
    verify: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Endpoint:
    """A Docker Engine's address.

    Args:
        url: `unix://…`, `tcp://…` or `ssh://…`.
        source: what named it, for messages.
    """

    url: str
    source: str
    tls: Tls | None = None


def resolve(env: Mapping[str, str], config: dockerconfig.Config) -> Endpoint:
    """The engine that `docker` would talk to in this environment.

    Raises:
        PermanentError: the context that is asked for does not exist or can't be read.
    """
    if host := env.get("DOCKER_HOST"):
        return Endpoint(host, "DOCKER_HOST", _environment_tls(env, config))
    asked = env.get("DOCKER_CONTEXT", "")
    name = asked or config.current_context
    if not name or name == _DEFAULT_CONTEXT:
        return Endpoint(_DEFAULT, "the default", _environment_tls(env, config))
    source = f"DOCKER_CONTEXT={name}" if asked else f"the current Docker context {name!r}"
    return _context(config.folder, name, source)


def _environment_tls(env: Mapping[str, str], config: dockerconfig.Config) -> Tls | None:
    verify = bool(env.get("DOCKER_TLS_VERIFY"))
    if not verify and not env.get("DOCKER_TLS"):
        return None
    return _tls(Path(env.get("DOCKER_CERT_PATH") or config.folder), verify=verify)


def _context(folder: Path, name: str, source: str) -> Endpoint:
    directory = hashlib.sha256(name.encode()).hexdigest()
    meta = folder / "contexts" / "meta" / directory / "meta.json"
    try:
        document: Any = json.loads(meta.read_text())
        docker = document["Endpoints"]["docker"]
        host = str(docker["Host"])
    except FileNotFoundError as error:
        raise _no_context(name, source, f"no Docker context is called {name!r}") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _no_context(name, source, f"{meta} can't be read: {error}") from error
    certificates = folder / "contexts" / "tls" / directory / "docker"
    verify = not docker.get("SkipTLSVerify", False)
    tls = _tls(certificates, verify=verify) if certificates.is_dir() else None
    return Endpoint(host, source, tls)


def _no_context(name: str, source: str, reason: str) -> ports.PermanentError:
    return ports.PermanentError(
        Problem(
            Code.ENGINE_UNREACHABLE,
            f"the Docker context of this session is unknown ({source}): {reason}",
            hint=f"see `docker context ls`, or unset what names {name!r}",
        )
    )


def _tls(folder: Path, *, verify: bool) -> Tls:
    ca, cert, key = (str(folder / name) if (folder / name).is_file() else "" for name in _PEMS)
    return Tls(ca, cert, key, verify)


def probe(endpoint: Endpoint) -> None:
    """Whether someone listens there; says it better than an HTTP library could.

    Only for sockets of this machine: a remote engine's own errors are as good.

    Raises:
        PermanentError: no engine, or no permission to talk to it.
    """
    scheme, _, path = endpoint.url.partition("://")
    if scheme != "unix":
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_CONNECT_SECONDS)
        try:
            connection.connect(path)
        except OSError as error:
            raise unreachable(endpoint, error) from error


def unreachable(endpoint: Endpoint, error: OSError | str) -> ports.PermanentError:
    """The sentence for an engine that can't be talked to."""
    number = error.errno if isinstance(error, OSError) else None
    where = f"{endpoint.url} ({endpoint.source})"
    if number in {errno.EACCES, errno.EPERM}:
        message = f"no permission to use the Docker Engine at {where}"
        hint = "add your user to the group that owns the socket (often `docker`), or run as root"
    elif number == errno.ENOENT:
        message = f"there is no Docker Engine at {where}: no such socket"
        hint = "start Docker, or set DOCKER_HOST or DOCKER_CONTEXT to where it runs"
    elif number == errno.ECONNREFUSED:
        message = f"no Docker Engine answers at {where}: connection refused"
        hint = "start Docker, or set DOCKER_HOST or DOCKER_CONTEXT to where it runs"
    else:
        text = os.strerror(number) if number else str(error)
        message = f"the Docker Engine at {where} can't be reached: {text}"
        hint = "check that `docker version` works in this environment"
    if endpoint.url.startswith("ssh:"):
        hint = (
            "forward its socket: `ssh -nNT -L /tmp/engine.sock:/var/run/docker.sock HOST`, "
            "then set DOCKER_HOST=unix:///tmp/engine.sock"
        )
    return ports.PermanentError(Problem(Code.ENGINE_UNREACHABLE, message, hint=hint))


def broken(endpoint: Endpoint, error: Exception) -> ports.TransientError:
    """The sentence for a connection that was there, and is no more."""
    return ports.TransientError(
        Problem(
            Code.ENGINE_UNREACHABLE,
            f"the connection to the Docker Engine at {endpoint.url} broke: {error}",
        )
    )
