"""Is a live object still what was applied?

Its annotation tells which key was applied last, but anybody may have changed it since.  Server-side
apply keeps account of who set what (`metadata.managedFields`, KEP-555): when another manager
changes a field, ours loses it.  So an object is untouched exactly when our manager still holds
every field that we sent; the values need not be looked at, and nothing has to be normalised.

Paths in managedFields are trees of `f:name` (a field), `k:{…}` (a list item by its keys),
`v:…` (a set's value) and `.` (the thing itself); what has no tree below it is held as a whole.

An empty list that is merged by keys leaves no trace there, since it holds nothing; one that is
replaced as a whole does.  So an empty list that we don't hold counts as untouched unless somebody
else holds it as a whole.  A `null` asks for nothing, as in every apply.

Of some kinds the API server keeps no account of the spec (a CertificateSigningRequest's): a part of
which nobody holds anything is compared by its values.
"""

import json
from collections.abc import Mapping, Sequence
from typing import cast

from tiltd.core import normalise, podspec
from tiltd.model.desired import JSON

MANAGER = "tiltd"


def untouched(sent: JSON, live: JSON) -> bool:
    """Whether our manager holds every field of `sent` on `live`.

    When in doubt it says no: an apply too many is only a little slow.
    """
    entries = [
        e
        for e in podspec.rows(podspec.section(live, "metadata").get("managedFields"))
        if not e.get("subresource") or e.get("subresource") == "scale"
    ]
    ours = [e for e in entries if e.get("manager") == MANAGER and e.get("operation") == "Apply"]
    if len(ours) != 1 or "stringData" in sent:
        return False  # the account of `stringData` says nothing about `data`
    others = [podspec.section(e, "fieldsV1") for e in entries if e is not ours[0]]
    held, fields = podspec.section(ours[0], "fieldsV1"), normalise.owned(sent)
    unaccounted: JSON = {
        name: value
        for name, value in fields.items()
        if isinstance(value, podspec.MAPPINGS) and not _anywhere(f"f:{name}", held, others)
    }
    if unaccounted and any(normalise.pair(live, unaccounted)):
        return False
    return _holds_map(held, {k: v for k, v in fields.items() if k not in unaccounted}, others)


def moved(sent: JSON, answered: JSON, live: JSON) -> bool:
    """Whether what we sent reads otherwise on the live object than in the answer to the apply.

    For objects as a watch tells them, without an account of who set what: so values are compared,
    and what differed right after the apply (a webhook's doing) is no difference.
    """
    if live is answered or _bare(live) == _bare(answered):
        return False
    return normalise.pair(live, sent) != normalise.pair(answered, sent)


def _bare(body: JSON) -> JSON:
    """What a change of the status leaves alone."""
    metadata = podspec.section(body, "metadata")
    named = {k: metadata.get(k) for k in ("labels", "annotations")}
    return {**{k: v for k, v in body.items() if k not in {"status", "metadata"}}, **named}


def _anywhere(step: str, held: JSON, others: Sequence[JSON]) -> bool:
    return step in held or any(step in tree for tree in others)


def _holds_map(held: JSON, fields: JSON, others: Sequence[JSON]) -> bool:
    for name, value in fields.items():  # not `all`: a generator for each map takes half the time
        step = f"f:{name}"
        if value is not None and not _holds(held.get(step), value, _below(others, step)):
            return False
    return True


def _below(others: Sequence[JSON], step: str) -> Sequence[JSON]:
    if not others:  # nearly always: most fields are nobody's but ours
        return others
    return [cast("JSON", o[step]) for o in others if isinstance(o.get(step), Mapping)]


def _holds(held: object, value: object, others: Sequence[JSON]) -> bool:
    if not isinstance(held, podspec.MAPPINGS):
        return value == [] and all(set(tree) > {"."} for tree in others)
    tree = cast("JSON", held)
    if not tree:
        return True  # a scalar, or a map or list that is held as a whole
    if isinstance(value, podspec.MAPPINGS):
        return _holds_map(tree, cast("JSON", value), others)
    if isinstance(value, list):
        return _holds_list(tree, cast("list[object]", value), others)
    return False


def _holds_list(held: JSON, values: Sequence[object], others: Sequence[JSON]) -> bool:
    items = {k: v for k, v in held.items() if k.startswith("k:")}
    if items:
        found = [_item(items, value, others) for value in values]
        return len(items) == len(values) and all(found)
    members = {k[2:] for k in held if k.startswith("v:")}
    wanted = {json.dumps(v, separators=(",", ":"), ensure_ascii=False) for v in values}
    return members == wanted


def _item(items: JSON, value: object, others: Sequence[JSON]) -> bool:
    """Whether the item of an associative list is held: the entry whose keys it has."""
    if not isinstance(value, Mapping):
        return False
    row = cast("JSON", value)
    for name, tree in items.items():
        keys = cast("JSON", json.loads(name[2:]))
        # A key that was not sent was defaulted by the server (a port's protocol).
        if all(row.get(k, default) == default for k, default in keys.items()):
            return _holds(tree, row, _below(others, name))
    return False
