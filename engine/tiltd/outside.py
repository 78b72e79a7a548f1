"""Everything that stands behind the ports, in one place.

Imported by `app` in a thread once calls are answered: these modules and what they need are half of
the daemon's start, and nobody needs them before a session begins.
"""

import os
from collections.abc import Mapping

from tiltd.adapters import compose
from tiltd.adapters.files import Watcher
from tiltd.adapters.images import DockerImages, dockerconfig, endpoint
from tiltd.adapters.inputs import LocalInputs
from tiltd.adapters.kubernetes.cluster import KubeCluster
from tiltd.adapters.kubernetes.kubeconfig import KubeContexts
from tiltd.adapters.processes import LocalProcesses
from tiltd.runtime import places
from tiltd.runtime.cache import FileCache
from tiltd.runtime.logs import LogStore
from tiltd.runtime.threads import Pool
from tiltd.runtime.worker import Outside
from tiltd.tiltfile import printed
from tiltd.tiltfile.loader import TiltfileLoader

HEAVY = ("tiltd.core.slim", "tiltd.adapters.kubernetes.connection")
"""What every session needs: early is better, and nobody has to wait for it.

What only some need (the Docker SDK, deepdiff, the official Kubernetes client) is imported by the
first who does.
"""


class LocalOutside:
    """What this machine has and can reach; must be closed.

    Args:
        logs: where the watcher's warnings go.
    """

    def __init__(self, logs: LogStore) -> None:
        self._reading = Pool("reading", 1)
        self._processes = LocalProcesses()
        kept = places.state(os.environ)
        self._images = DockerImages(self._processes, state=kept)
        self._inputs = LocalInputs(FileCache(kept and kept / "files.sqlite"))
        self.files = Watcher(lambda text: logs.writer("", "files").write(f"{text}\n", level="warn"))
        self.ports = Outside(
            tiltfiles=TiltfileLoader(self._reading, kept and kept / "programs"),
            contexts=KubeContexts(),
            inputs=self._inputs,
            images=self._images,
            processes=self._processes,
            printed=printed.read,
            clusters=KubeCluster,
            composes=compose.DockerCompose(self._processes, _engine),
        )

    async def close(self) -> None:
        """End all that is under way."""
        await self.files.close()
        await self._images.close()
        await self._processes.close()
        self._inputs.close()
        self._reading.close()


def _engine(env: Mapping[str, str]) -> compose.Address:
    """The Docker Engine of an environment, by the same rules for images and services."""
    found = endpoint.resolve(env, dockerconfig.read(env))
    if found.tls is None:
        return compose.Address(found.url)
    return compose.Address(
        found.url,
        found.tls.ca,
        found.tls.cert,
        found.tls.key,
        tls=True,
        verify=found.tls.verify,
    )
