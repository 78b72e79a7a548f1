"""What every pod on the node shares: the Engine, the cluster's objects, the network, the tasks."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tilt_cluster import engine, fields, recorder
from tilt_cluster.network.joining import Joining
from tilt_cluster.node import environment, images
from tilt_cluster.objects import PODS, SERVICES, Cluster, Object

NODE = "tilt-node"


@dataclass(frozen=True, slots=True)
class Network:
    """The network that pods join.

    Args:
        name: in the Engine.
        gateway: the host's address in it, where the cluster's DNS listens; also the node's.
        domain: of the cluster's names.
        dns: the address that pods ask; None if nobody answers there (no right to port 53).
        joining: puts pods on it; None: the Engine does.
    """

    name: str
    gateway: str
    domain: str = "cluster.local"
    dns: str | None = None
    joining: Joining | None = None

    def release(self, address: str) -> None:
        """A pod's network is gone."""
        if self.joining is not None:
            self.joining.release(address)


@dataclass(frozen=True, slots=True)
class World:
    """The surroundings of a pod.

    Args:
        cluster: objects.
        engine: runs containers.
        images: of the Engine.
        events: writes events as `kubelet`.
        network: that pods join.
        tasks: owns probes, pulls and stops.
        folder: of all pods.
        cpus: of the node.
        memory: of the node, in bytes.
    """

    cluster: Cluster
    engine: engine.Engine
    images: images.Images
    events: recorder.Recorder
    network: Network
    tasks: asyncio.TaskGroup
    folder: Path
    cpus: float
    memory: float

    def tell(
        self, pod: Object, kind: Literal["Normal", "Warning"], reason: str, message: str, field: str
    ) -> None:
        """Write an event about a pod or one of its containers (`field`)."""
        self.events.tell(PODS, pod, kind, reason, message, field=field)

    def services(self, pod: Object) -> Mapping[str, str]:
        """The variables of the Services that the pod sees."""
        links = fields.get(pod, "spec", "enableServiceLinks", default=True)
        return environment.of_services(
            fields.namespace(pod), self.cluster.list(SERVICES), links=bool(links)
        )
