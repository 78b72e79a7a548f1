"""The keys and the names of a project's images, as far as they are known."""

from tiltd.core import graph as graphs
from tiltd.core import keys, reference, registry
from tiltd.model.actions import ImageRefs
from tiltd.model.desired import CustomBuild, Image
from tiltd.model.names import ImageName
from tiltd.model.state import State


def registry_known(s: State) -> bool:
    """Whether it is clear where images go: the Tiltfile says so, or the cluster has been asked."""
    from_cluster = any(node.startswith(("object/", "deploy/")) for node in s.wanted)
    given = s.project is not None and s.project.settings.default_registry is not None
    return given or s.cluster is not None or not from_cluster


def ready(name: ImageName, s: State) -> bool:
    """Whether the image of the newest inputs is there."""
    image = s.images.get(name)
    if image is None or image.ready is None or image.inputs_generation < image.generation:
        return False
    return image.ready.key == key(name, s)


def key(name: ImageName, s: State) -> str:
    """The key of an image whose inputs (and those of its bases) have been read."""
    image = s.graph.images[name]
    bases = {b: key(b, s) for b in image.bases}
    env = s.session.spec.env if s.session else dict[str, str]()
    known = s.images[name]
    return keys.image_key(image, known.inputs, bases, env, known.grounds)


def parts(name: ImageName, s: State) -> dict[str, object]:
    """What goes into that key, by name (`keys.image_parts`)."""
    image = s.graph.images[name]
    env = s.session.spec.env if s.session else dict[str, str]()
    bases = {b: key(b, s) for b in image.bases}
    known = s.images[name]
    return keys.image_parts(image, known.inputs, bases, env, known.grounds)


def refs(image: Image, digest: str, s: State) -> ImageRefs:
    """Where the image of that key goes, and how the cluster names it."""
    declared = reference.parse(image.name)
    given = s.project.settings.default_registry if s.project else None
    host, cluster_host, single = "", "", ""
    if given is not None:
        host, cluster_host, single = given.host, given.host_from_cluster, given.single_name
    elif s.cluster is not None:
        host, cluster_host = s.cluster.registry_host, s.cluster.registry_host_from_cluster
    names = registry.names(registry.Registry(host, cluster_host, single), declared)
    tag = keys.tag(digest)
    if single:
        # One repository for all images: the tag alone tells them apart.
        tag = f"{declared.path.replace('/', '_')[:100]}-{tag}"
    deployed = any(image.name in m.images for m in s.graph.manifests.values()) or any(
        image.name in graphs.deployed_images(r) for r in s.graph.resources.values()
    )
    shared = s.cluster is not None and s.cluster.shares_engine and given is None
    custom = image.build if isinstance(image.build, CustomBuild) else None
    return ImageRefs(
        local=names.local.with_tag(tag).familiar(),
        in_cluster=names.in_cluster.with_tag(tag).familiar(),
        push=deployed and not shared and not (custom is not None and custom.disable_push),
    )
