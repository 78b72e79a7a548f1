"""What a controller wants written, and the view of the world from which it concludes that.

A controller is a generator: it gets a read-only view, the object and the time, yields its writes
one by one, and is sent what became of each (the stored object, or the `ApiError` with which the API
refused it).  It returns after how many seconds it wants to be called again without a change, or
None.  So it does no I/O, reads no clock, and can be tested as a table: run the generator against a
list of objects and look at what it yields.  Being called again must be harmless, since it is called
after every change of something that it looks at.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from tilt_cluster.objects import ApiError, Facts, Object, Propagation, Resource


@dataclass(frozen=True, slots=True)
class Create:
    """Create an object; its metadata names the namespace."""

    resource: Resource
    object: Object


@dataclass(frozen=True, slots=True)
class Update:
    """Replace an object, except for its status."""

    resource: Resource
    object: Object


@dataclass(frozen=True, slots=True)
class Status:
    """Replace an object's status; not written if nothing differs."""

    resource: Resource
    object: Object


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete this very object (its uid is the precondition)."""

    resource: Resource
    object: Object
    propagation: Propagation | None = None


@dataclass(frozen=True, slots=True)
class Tell:
    """An event about an object."""

    resource: Resource
    object: Object
    kind: Literal["Normal", "Warning"]
    reason: str
    message: str


Write = Create | Update | Status | Delete | Tell
Steps = Generator[Write, Object | ApiError | None, float | None]
"""Writes out, outcomes in; returns the seconds until it wants to look again."""


class View(Protocol):
    """The reading half of `tilt_cluster.objects.Cluster`."""

    @property
    def facts(self) -> Facts:
        """Name, folder, addresses."""
        ...

    def find(self, resource: Resource, name: str, namespace: str = "") -> Object | None:
        """The object, or None."""
        ...

    def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        labels: Object | None = None,
        owner: str | None = None,
    ) -> Sequence[Object]:
        """The objects of a collection."""
        ...

    def resource_of(self, api_version: str, kind: str) -> Resource | None:
        """The resource of an `apiVersion` and `kind`."""
        ...

    def resources(self) -> Sequence[Resource]:
        """Every collection."""
        ...

    def namespaced(self, resource: Resource) -> bool:
        """Whether its objects live in namespaces."""
        ...


@dataclass(frozen=True, slots=True)
class JobEnd:
    """How a Job ends: `Complete` or `Failed`, and the words of its condition."""

    kind: Literal["Complete", "Failed"]
    reason: str
    message: str


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """The name of what a controller looks after."""

    namespace: str
    name: str
