"""Where images go: the names under which a project's images are pushed and pulled.

`default_registry()` (or the registry that a cluster announces) moves every image that the
project builds into one registry.  The old name, with its slashes, colons and at-signs turned
into underscores, becomes the last part of the new one: `gcr.io/foo/bar` pushed to
`localhost:5000` is `localhost:5000/gcr.io_foo_bar`.  A registry may have a second name inside
the cluster, and may hold a single repository in which only tags tell images apart (ECR).
A name that is in the registry already stays as it is, each side for itself, as in Tilt.
"""

import dataclasses
import re

from tiltd.core import reference

_SEPARATORS = re.compile(r"[/:@]")


class InvalidRegistryError(ValueError):
    """A registry that no image can be named in.

    Args:
        reason: one sentence without a full stop.
        hint: what to write instead.
    """

    def __init__(self, reason: str, hint: str) -> None:
        super().__init__(f"{reason}; {hint}")
        self.reason = reason
        self.hint = hint


@dataclasses.dataclass(frozen=True, slots=True)
class Registry:
    """A registry for the images of a project.

    Args:
        host: as this machine reaches it, with an optional path (`gcr.io/team`); empty for none,
            which leaves all names alone.
        host_from_cluster: as the cluster's nodes reach it; empty where that is `host` too.
        single_name: the one repository that holds all images; empty for one each.

    Raises:
        InvalidRegistryError: a host or the single name cannot be part of an image's name.
    """

    host: str = ""
    host_from_cluster: str = ""
    single_name: str = ""

    def __post_init__(self) -> None:
        if not self.host:
            if self.host_from_cluster:
                raise InvalidRegistryError(
                    f"host_from_cluster={self.host_from_cluster!r} is given without host",
                    "give the registry's name as this machine reaches it as host",
                )
            return
        for host in (self.host, self.host_from_cluster or self.host):
            _place(host, self.single_name or "image")


@dataclasses.dataclass(frozen=True, slots=True)
class Names:
    """An image's repository as it is pushed (`local`) and as pods pull it (`in_cluster`)."""

    local: reference.Reference
    in_cluster: reference.Reference


def names(registry: Registry, declared: reference.Reference) -> Names:
    """The two names of an image in `registry`, without tag.

    Args:
        registry: where images go.
        declared: the reference that the Tiltfile builds; its tag and digest play no part.

    Raises:
        InvalidRegistryError: the name that results is none (it is too long, say).
    """
    cluster = registry.host_from_cluster or registry.host
    return Names(
        _rename(registry.host, registry.single_name, declared),
        _rename(cluster, registry.single_name, declared),
    )


def _rename(host: str, single_name: str, declared: reference.Reference) -> reference.Reference:
    familiar = declared.familiar_repository
    if not host or familiar.startswith(f"{host}/"):
        return declared.without_tag()
    return _place(host, single_name or _SEPARATORS.sub("_", familiar))


def _place(host: str, name: str) -> reference.Reference:
    text = f"{host}/{name}"
    try:
        placed = reference.parse(text)
    except reference.InvalidReferenceError as error:
        raise InvalidRegistryError(
            f"no image can be named {text!r} in the registry {host!r}: {error.reason}", error.hint
        ) from error
    if placed.tag or placed.digest:
        raise InvalidRegistryError(
            f"{text!r} carries a tag", "name the registry and the repository only"
        )
    if str(placed) != text:
        # `team/web` would silently mean docker.io/team/web.
        raise InvalidRegistryError(
            f"{host!r} is no registry: {text!r} means {str(placed)!r}",
            f"write {reference.HUB}/{host} for Docker Hub, or the registry's host with its port",
        )
    return placed
