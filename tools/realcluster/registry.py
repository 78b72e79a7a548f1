"""The image registry at localhost:5000: the one that answers, or Debian's `docker-registry`.

Debian's own configuration asks for a password, so it gets one of ours: plain HTTP on loopback
(the engine and containerd both allow that for localhost), deletion of manifests enabled.
"""

import urllib.request

from tools.realcluster import packages, process, settings

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
        with urllib.request.urlopen(f"http://{settings.REGISTRY}/v2/", timeout=2) as reply:
            return "registry/2.0" in reply.headers.get("Docker-Distribution-Api-Version", "")
    except OSError:
        return False


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
