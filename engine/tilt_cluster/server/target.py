"""What a URL means: `/apis/GROUP/VERSION/namespaces/NAMESPACE/RESOURCE/NAME/SUBRESOURCE`."""

from dataclasses import dataclass

from tilt_cluster import catalog, refusals
from tilt_cluster.objects import NAMESPACES, Resource

_OF_NAMESPACE = ("status", "finalize")


@dataclass(frozen=True, slots=True)
class Target:
    """A collection, an object or a part of one.

    Args:
        kind: of the objects.
        version: that the client speaks.
        namespace: empty for all, or for a kind that has none.
        name: empty for the collection.
        subresource: empty for the object itself.
        rest: the path behind the subresource (proxy).
    """

    kind: catalog.Kind
    version: str
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    rest: str = ""

    @property
    def resource(self) -> Resource:
        """Its collection."""
        return self.kind.resource


def _in_namespace(group: str, rest: list[str]) -> bool:
    """Whether a path goes into a namespace, rather than to it or to a part of it."""
    of_it = not group and len(rest) == 3 and rest[2] in _OF_NAMESPACE  # noqa: PLR2004 - a part
    return rest[0] == "namespaces" and len(rest) > 2 and not of_it  # noqa: PLR2004 - inside


def parse(path: str, known: catalog.Catalog) -> Target:
    """The target of a path below `/api/v1` or `/apis`.

    Raises:
        NotFoundError: there is no such group, version or resource.
    """
    parts = [part for part in path.split("/") if part]
    if parts[:1] == ["api"] and len(parts) > 2:  # noqa: PLR2004 - /api/v1/X
        group, version, rest = "", parts[1], parts[2:]
    elif parts[:1] == ["apis"] and len(parts) > 3:  # noqa: PLR2004 - /apis/G/V/X
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        raise refusals.no_such_path()
    namespace = ""
    if _in_namespace(group, rest):
        namespace, rest = rest[1], rest[2:]
    kind = known.find(Resource(group, rest[0]))
    if kind is None or version not in kind.versions:
        raise refusals.no_such_path()
    if namespace and not kind.namespaced and kind.resource != NAMESPACES:
        raise refusals.no_such_path()
    name = rest[1] if len(rest) > 1 else ""
    if name and kind.namespaced and not namespace:
        raise refusals.no_such_path()
    subresource = rest[2] if len(rest) > 2 else ""  # noqa: PLR2004 - resource, name, part
    if subresource and subresource not in kind.versions[version].subresources:
        raise refusals.no_such_path()
    return Target(kind, version, namespace, name, subresource, "/".join(rest[3:]))
