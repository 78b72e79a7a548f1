"""Garbage collection: what is owned goes with its last owner.

`Background`: an object whose owners are all gone is deleted.  `Foreground`: an object with the
finalizer `foregroundDeletion` waits until everything that blocks it is gone.  `Orphan`: what it
owns loses the reference first.  Owners are known by uid; `Owned` is the index of who names whom.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tilt_cluster import fields
from tilt_cluster.controllers.plan import Delete, Steps, Update, View
from tilt_cluster.objects import Object, Resource

if TYPE_CHECKING:
    from collections.abc import Sequence

_FOREGROUND = "foregroundDeletion"
_ORPHAN = "orphan"


@dataclass(frozen=True, slots=True)
class Place:
    """Where an object is."""

    resource: Resource
    namespace: str
    name: str


@dataclass(slots=True)
class Owned:
    """Every object by uid, and by its owners' uids; the controllers' loop keeps it up to date."""

    places: dict[str, Place] = field(default_factory=dict[str, Place])
    owners: dict[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    dependents: dict[str, set[str]] = field(default_factory=dict[str, set[str]])

    def put(self, resource: Resource, obj: Object) -> None:
        """Note an object and its owners."""
        me = fields.uid(obj)
        self.places[me] = Place(resource, fields.namespace(obj), fields.name(obj))
        new = frozenset(
            str(one["uid"]) for one in fields.get(obj, "metadata", "ownerReferences", default=())
        )
        for gone in self.owners.get(me, frozenset()) - new:
            self.dependents.get(gone, set()).discard(me)
        for one in new:
            self.dependents.setdefault(one, set()).add(me)
        self.owners[me] = new

    def drop(self, uid: str) -> frozenset[str]:
        """Forget a deleted object; the uids that have to be looked at again because of it."""
        self.places.pop(uid, None)
        owners = self.owners.pop(uid, frozenset[str]())
        for one in owners:
            self.dependents.get(one, set()).discard(uid)
        return owners | frozenset(self.dependents.get(uid, ()))


def sync(view: View, index: Owned, uid: str) -> Steps:
    """Judge one object by its uid."""
    place = index.places.get(uid)
    obj = _at(view, place)
    if place is None or obj is None or fields.uid(obj) != uid:
        return None
    if fields.deleting(obj):
        finalizers = fields.get(obj, "metadata", "finalizers", default=())
        if _ORPHAN in finalizers:
            yield from _orphan(view, index, obj)
            yield from _without(view, place, uid, _ORPHAN)
        elif _FOREGROUND in finalizers:
            yield from _foreground(view, index, place, obj)
        return None
    references = fields.get(obj, "metadata", "ownerReferences", default=())
    if not references:
        return None
    states = [_owner(view, obj, one) for one in references]
    living = [
        reference
        for reference, owner in zip(references, states, strict=True)
        if owner is not None and not _foreground_deletion(owner)
    ]
    if living:
        gone = [r for r, owner in zip(references, states, strict=True) if owner is None]
        if gone:
            kept = [one for one in references if one not in gone]
            yield Update(place.resource, fields.with_metadata(obj, ownerReferences=kept))
        return None
    waiting = any(owner is not None for owner in states)
    blocks = waiting and index.dependents.get(uid)
    yield Delete(place.resource, obj, "Foreground" if blocks else "Background")
    return None


def _at(view: View, place: Place | None) -> Object | None:
    return view.find(place.resource, place.name, place.namespace) if place else None


def _owner(view: View, obj: Object, reference: Object) -> Object | None:
    """The owner, if it still exists with that uid."""
    resource = view.resource_of(str(reference["apiVersion"]), str(reference["kind"]))
    if resource is None:
        return obj  # of a kind that is not served: nobody may conclude that it is gone
    namespace = fields.namespace(obj) if view.namespaced(resource) else ""
    found = view.find(resource, str(reference["name"]), namespace)
    return found if found is not None and fields.uid(found) == reference.get("uid") else None


def _foreground_deletion(owner: Object) -> bool:
    finalizers = fields.get(owner, "metadata", "finalizers", default=())
    return fields.deleting(owner) and _FOREGROUND in finalizers


def _orphan(view: View, index: Owned, owner: Object) -> Steps:
    for one in sorted(index.dependents.get(fields.uid(owner), ())):
        place = index.places.get(one)
        obj = _at(view, place)
        if place is None or obj is None:
            continue
        references = fields.get(obj, "metadata", "ownerReferences", default=())
        kept = [ref for ref in references if ref.get("uid") != fields.uid(owner)]
        if len(kept) != len(references):
            yield Update(place.resource, fields.with_metadata(obj, ownerReferences=kept))
    return None


def _foreground(view: View, index: Owned, place: Place, owner: Object) -> Steps:
    uid = fields.uid(owner)
    blocking = False
    for one in sorted(index.dependents.get(uid, ())):
        there = index.places.get(one)
        obj = _at(view, there)
        if there is None or obj is None:
            continue
        references: Sequence[Object] = fields.get(obj, "metadata", "ownerReferences", default=())
        blocking = blocking or any(
            ref.get("blockOwnerDeletion") for ref in references if ref.get("uid") == uid
        )
        if not fields.deleting(obj):
            yield from sync(view, index, one)
    if not blocking:
        yield from _without(view, place, uid, _FOREGROUND)
    return None


def _without(view: View, place: Place, uid: str, finalizer: str) -> Steps:
    obj = _at(view, place)
    if obj is not None and fields.uid(obj) == uid:
        kept = [f for f in fields.get(obj, "metadata", "finalizers", default=()) if f != finalizer]
        yield Update(place.resource, fields.with_metadata(obj, finalizers=kept))
    return None
