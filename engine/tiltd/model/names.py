"""What things are called.

Every node of the graph has one `NodeName`, a string that a person can read and a queue can hold:
`tiltfile`, `cluster`, `session`, `image/shop-api`, `object/apps/Deployment/default/web`,
`deploy/redis`, `live/web`, `service/db`, `command/migrate`, `serve/docs`, `resource/web`.  The
prefix is the node's kind, so a name alone says which reconciler it has.
"""

from typing import NamedTuple, NewType

NodeName = NewType("NodeName", str)
ResourceName = NewType("ResourceName", str)
ImageName = NewType("ImageName", str)
"""An image as the Tiltfile declares it, in familiar form (`shop/api`, `gcr.io/x/y:v1`)."""
SessionId = NewType("SessionId", str)

TILTFILE = NodeName("tiltfile")
CLUSTER = NodeName("cluster")
SESSION = NodeName("session")
STOCK = NodeName("stock")


class ObjectId(NamedTuple):
    """A Kubernetes object without its version: versions of one object are one object.

    `namespace` is empty for a cluster-scoped object, and for one whose manifest names none (the
    default namespace is then known once the cluster is).  A tuple, because nothing else is looked
    up as often.
    """

    group: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        """`Deployment/web`, with its namespace where the manifest gives one."""
        where = f" ({self.namespace})" if self.namespace else ""
        return f"{self.kind}/{self.name}{where}"


def image_node(name: ImageName) -> NodeName:
    """The node that builds an image."""
    return NodeName(f"image/{name}")


def object_node(name: ObjectId) -> NodeName:
    """The node that applies one manifest."""
    return NodeName(f"object/{name.group}/{name.kind}/{name.namespace}/{name.name}")


def command_node(name: ResourceName) -> NodeName:
    """The node that runs a local resource's `cmd`."""
    return NodeName(f"command/{name}")


def deploy_node(name: ResourceName) -> NodeName:
    """The node that runs the command which deploys a resource (`k8s_custom_deploy`)."""
    return NodeName(f"deploy/{name}")


def service_node(name: ResourceName) -> NodeName:
    """The node that keeps a Docker Compose service as it should be."""
    return NodeName(f"service/{name}")


def live_node(name: ResourceName) -> NodeName:
    """The node that updates a resource's containers in place (`live_update`)."""
    return NodeName(f"live/{name}")


def serve_node(name: ResourceName) -> NodeName:
    """The node that keeps a local resource's `serve_cmd` running."""
    return NodeName(f"serve/{name}")


def resource_node(name: ResourceName) -> NodeName:
    """The node that judges a resource."""
    return NodeName(f"resource/{name}")
