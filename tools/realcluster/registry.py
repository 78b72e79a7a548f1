"""The image registry at localhost:5000: the one that answers, or Debian's `docker-registry`.

Debian's own configuration asks for a password, so it gets one of ours: plain HTTP on loopback
(the engine and containerd both allow that for localhost), deletion of manifests enabled.
"""

import contextlib
import http
import http.client

from tools.realcluster import console, packages, process, settings

NAME = "registry"
_CONFIG = """\
version: 0.1
log:
  level: info
  accesslog:
    disabled: true
storage:
  filesystem:
    rootdirectory: {root}
  delete:
    enabled: true
http:
  addr: 127.0.0.1:5000
  headers:
    X-Content-Type-Options: [nosniff]
"""


def answers() -> bool:
    """Whether something speaks the registry's API at localhost:5000."""
    try:
        reply = _head("/v2/")
    except (OSError, http.client.HTTPException):
        return False
    return "registry/2.0" in reply.headers.get("Docker-Distribution-Api-Version", "")


def has(ref: str) -> bool:
    """Whether the registry has the manifest of this image.

    Args:
        ref: name and tag, with the registry's address.

    Raises:
        console.Failure: no registry answers.
    """
    name, _, tag = ref.removeprefix(f"{settings.REGISTRY}/").rpartition(":")
    try:
        reply = _head(f"/v2/{name}/manifests/{tag}")
    except (OSError, http.client.HTTPException) as error:
        raise console.Failure(
            f"no registry at {settings.REGISTRY}: {error}. `make engine` starts one."
        ) from error
    return reply.status == http.HTTPStatus.OK


def _head(path: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(settings.REGISTRY, timeout=5)
    with contextlib.closing(connection):
        connection.request(
            "HEAD", path, headers={"Accept": "application/vnd.docker.distribution.manifest.v2+json"}
        )
        return connection.getresponse()


def ensure(folders: settings.Folders) -> None:
    """Have a registry: leave one that answers alone, otherwise start Debian's.

    Raises:
        console.Failure: it can't be installed or started, for instance since the port is taken.
    """
    if answers():
        return
    packages.ensure(packages.REGISTRY)
    config = folders.state / "registry.yml"
    config.write_text(_CONFIG.format(root=folders.state / "registry"))
    process.ensure(
        folders,
        process.Service(
            NAME,
            [packages.find("docker-registry") or "docker-registry", "serve", str(config)],
            ready=answers,
        ),
    )
