"""Is a live object still what was applied?

Its annotation tells which key was applied last, but anybody may have changed it since.  Server-side
apply keeps account of who set what (`metadata.managedFields`, KEP-555): when another manager
changes a field, ours loses it.  So an object is untouched exactly when our manager still holds
every field that we sent; the values need not be looked at, and nothing has to be normalised.

Paths in managedFields are trees of `f:name` (a field), `k:{…}` (a list item by its keys),
`v:…` (a set's value) and `.` (the thing itself); what has no tree below it is held as a whole.
"""

import json
from collections.abc import Mapping, Sequence
from typing import cast

from tiltd.core import podspec
from tiltd.model.desired import JSON

MANAGER = "tiltd"
# The API server takes these from the sent object before it notes who set what.
_NOT_MANAGED = frozenset({"apiVersion", "kind", "status"})
_NOT_MANAGED_METADATA = frozenset(
    {
        *("name", "namespace", "creationTimestamp", "selfLink", "uid", "resourceVersion"),
        *("generation", "managedFields", "clusterName", "generateName", "deletionTimestamp"),
    }
)


def untouched(sent: JSON, live: JSON) -> bool:
    """Whether our manager holds every field of `sent` on `live`.

    When in doubt it says no: an apply too many is only a little slow.
    """
    entries = podspec.rows(podspec.section(live, "metadata").get("managedFields"))
    ours = [
        podspec.section(e, "fieldsV1")
        for e in entries
        if e.get("manager") == MANAGER
        and e.get("operation") == "Apply"
        and not e.get("subresource")
    ]
    if len(ours) != 1:
        return False
    fields = {k: v for k, v in sent.items() if k not in _NOT_MANAGED and k != "metadata"}
    metadata = podspec.section(sent, "metadata")
    fields["metadata"] = {k: v for k, v in metadata.items() if k not in _NOT_MANAGED_METADATA}
    return _holds_map(ours[0], fields)


def _holds_map(held: JSON, fields: JSON) -> bool:
    return all(
        _holds(held.get(f"f:{name}"), value) for name, value in fields.items() if value is not None
    )


def _holds(held: object, value: object) -> bool:
    if not isinstance(held, Mapping):
        return False
    tree = cast("JSON", held)
    if set(tree) <= {"."}:
        return True  # a scalar, or a map or list that is held as a whole
    if isinstance(value, Mapping):
        return _holds_map(tree, cast("JSON", value))
    if isinstance(value, list):
        return _holds_list(tree, cast("list[object]", value))
    return False


def _holds_list(held: JSON, values: Sequence[object]) -> bool:
    items = {k: v for k, v in held.items() if k.startswith("k:")}
    if items:
        found = [_item(items, value) for value in values]
        return len(items) == len(values) and all(found)
    members = {k[2:] for k in held if k.startswith("v:")}
    return members == {json.dumps(v, separators=(",", ":")) for v in values}


def _item(items: JSON, value: object) -> bool:
    """Whether the item of an associative list is held: the entry whose keys it has."""
    if not isinstance(value, Mapping):
        return False
    row = cast("JSON", value)
    for name, tree in items.items():
        keys = cast("JSON", json.loads(name[2:]))
        # A key that was not sent was defaulted by the server (a port's protocol).
        if all(row.get(k, default) == default for k, default in keys.items()):
            return _holds(tree, row)
    return False
