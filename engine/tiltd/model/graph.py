"""The dependency graph of a project as the engine reads it: mappings, made by `core.graph`."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tiltd.model.desired import ComposeTarget, Image, Manifest, Resource
from tiltd.model.names import ImageName, NodeName, ObjectId, ResourceName


@dataclass(frozen=True, slots=True)
class ImageNode:
    """Builds an image."""

    image: Image


@dataclass(frozen=True, slots=True)
class ObjectNode:
    """Applies a manifest of a resource."""

    manifest: Manifest
    resource: ResourceName


@dataclass(frozen=True, slots=True)
class DeployNode:
    """Runs the command that deploys a resource."""

    resource: Resource


@dataclass(frozen=True, slots=True)
class ServiceNode:
    """Brings a Docker Compose service up, and watches it."""

    resource: Resource
    target: ComposeTarget


@dataclass(frozen=True, slots=True)
class LiveNode:
    """Updates the containers of a resource in place."""

    resource: Resource


@dataclass(frozen=True, slots=True)
class CommandNode:
    """Runs a local resource's `cmd`."""

    resource: Resource


@dataclass(frozen=True, slots=True)
class ServeNode:
    """Keeps a local resource's `serve_cmd` running."""

    resource: Resource


@dataclass(frozen=True, slots=True)
class ResourceNode:
    """Judges a resource."""

    resource: Resource


Node = (
    ImageNode
    | ObjectNode
    | DeployNode
    | ServiceNode
    | LiveNode
    | CommandNode
    | ServeNode
    | ResourceNode
)


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes and what each waits for.

    Args:
        nodes: by name.
        dependencies: what a node waits for.
        dependents: who waits for a node.
        images, manifests, resources: the project's parts by name.
        objects_of: the objects of a Kubernetes resource.
        resource_of: the resource of an object.
    """

    nodes: Mapping[NodeName, Node] = field(default_factory=dict[NodeName, Node])
    dependencies: Mapping[NodeName, tuple[NodeName, ...]] = field(
        default_factory=dict[NodeName, tuple[NodeName, ...]]
    )
    dependents: Mapping[NodeName, tuple[NodeName, ...]] = field(
        default_factory=dict[NodeName, tuple[NodeName, ...]]
    )
    images: Mapping[ImageName, Image] = field(default_factory=dict[ImageName, Image])
    manifests: Mapping[ObjectId, Manifest] = field(default_factory=dict[ObjectId, Manifest])
    resources: Mapping[ResourceName, Resource] = field(default_factory=dict[ResourceName, Resource])
    objects_of: Mapping[ResourceName, tuple[ObjectId, ...]] = field(
        default_factory=dict[ResourceName, tuple[ObjectId, ...]]
    )
    resource_of: Mapping[ObjectId, ResourceName] = field(
        default_factory=dict[ObjectId, ResourceName]
    )
