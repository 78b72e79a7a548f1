"""The account of what a project has applied, by which objects are found that it no longer has.

A label alone would not do: to find all that carries it, all kinds in all namespaces would have to
be listed.  So a ConfigMap in the default namespace lists the objects.  Folders called `deploy` are
many, so the account has a list for each project that shares the label, and the name of a list says
whose it is: its origin (`runtime.origin`), as far as that can be known, and a random part.

Of the lists of one's own origin it is the one that shares most with what the project has now, and
at least half of the smaller of the two.  A list that is surely of another origin is never taken.
Where that can't be told (a machine without the Git repository, say), the two must share more than
half of the larger one.  Namespaces and definitions don't count, as many projects name the same.
What is on another list too is never deleted: it is left to that one, and that is told.
"""

import json
from collections.abc import Iterable, Mapping
from typing import cast

from tiltd.core import keys, podspec, removing
from tiltd.model.desired import JSON
from tiltd.model.graph import Graph
from tiltd.model.observed import Scope
from tiltd.model.state import State
from tiltd.model.stock import Entry

Lists = Mapping[str, frozenset[Entry]]
_PARTS = 5
_COMMON = frozenset({"Namespace", "CustomResourceDefinition"})


def entries(graph: Graph) -> tuple[Entry, ...]:
    """What a project has now, whether it takes part in this session or not."""
    found = {
        Entry(m.id.group, m.api_version.rpartition("/")[2], m.id.kind, m.id.namespace, m.id.name)
        for m in graph.manifests.values()
        if m.id.name
    }
    return tuple(sorted(found))


def digest(graph: Graph) -> str:
    """Of what a project has now; empty if it has nothing in a cluster."""
    found = entries(graph)
    return keys.digest([_row(e) for e in found]) if found else ""


def parse(data: Mapping[str, str]) -> Lists:
    """The lists of an account; what can't be read is nobody's list."""
    found: dict[str, frozenset[Entry]] = {}
    for name, text in data.items():
        try:
            rows = cast("object", json.loads(text))
        except ValueError:
            continue
        if isinstance(rows, list):
            known = (_entry(row) for row in cast("list[object]", rows))
            found[name] = frozenset(entry for entry in known if entry is not None)
    return found


def text(found: Iterable[Entry]) -> str:
    """A list as it is written."""
    return json.dumps([_row(e) for e in sorted(found)], separators=(",", ":"))


def own(lists: Lists, now: Iterable[Entry], namespace: str, origin: str = "") -> str | None:
    """The name of the project's own list.

    Args:
        lists: of the account.
        now: what the project has.
        namespace: the default one.
        origin: the project's; empty: not known.
    """
    have = _told(now, namespace)
    found = {name: _told(known, namespace) for name, known in lists.items()}
    shared = {name: len(have & known) for name, known in found.items()}
    likely = [
        name
        for name, known in found.items()
        if shared[name] and _enough(name, origin, shared[name], len(have), len(known))
    ]
    return max(likely, key=lambda n: (_origin(n) == origin, shared[n], n), default=None)


def named(origin: str, mark: str) -> str:
    """The name of a new list.

    Args:
        origin: of its project.
        mark: tells it from others of that origin.
    """
    return f"{origin}.{mark}" if origin else mark


def of(name: str, origin: str) -> bool:
    """Whether the name of a list says that it is of that origin; an unknown one says nothing."""
    return not origin or _origin(name) == origin


def gone(lists: Lists, name: str | None, now: Iterable[Entry], namespace: str) -> tuple[Entry, ...]:
    """What the project's own list has beyond what it has now, and no other list has."""
    known = {_identity(entry, namespace) for entry in now}
    for other, found in lists.items():
        if other != name:
            known |= {_identity(entry, namespace) for entry in found}
    own_list = lists.get(name, frozenset[Entry]()) if name is not None else frozenset[Entry]()
    return tuple(sorted(e for e in own_list if _identity(e, namespace) not in known))


def shared(
    lists: Lists, name: str | None, now: Iterable[Entry], namespace: str
) -> tuple[Entry, ...]:
    """What the own list has beyond what the project has now, and another list has too."""
    known = {_identity(entry, namespace) for entry in now}
    others = {
        _identity(entry, namespace)
        for other, found in lists.items()
        for entry in found
        if other != name
    }
    own_list = lists.get(name, frozenset[Entry]()) if name is not None else frozenset[Entry]()
    return tuple(sorted(e for e in own_list if _identity(e, namespace) in others - known))


def finished(s: State) -> bool:
    """Whether nothing is left to be done about what is gone."""
    spec = s.session.spec if s.session else None
    if spec is None or spec.no_prune or not s.stock.wanted:
        return True
    if not any(node.startswith("object/") for node in s.wanted):
        return True  # nothing of it takes part, so no cluster is asked
    return s.stock.taken == s.stock.wanted and (s.stock.pruned or not s.stock.gone)


def scope(entry: Entry, namespace: str) -> Scope:
    """Where to look for it."""
    where = entry.namespace or namespace
    return Scope(entry.group, entry.version, entry.kind, where, ours=True)


def is_it(entry: Entry, body: JSON, namespace: str) -> bool:
    """Whether a live object is that of an entry."""
    metadata = podspec.section(body, "metadata")
    group = str(body.get("apiVersion") or "").rpartition("/")[0]
    there = str(metadata.get("namespace") or "")
    named = (group, body.get("kind"), metadata.get("name"))
    return named == (entry.group, entry.kind, entry.name) and there in {
        entry.namespace or namespace,
        "",
    }


def elsewhere(entry: Entry, namespace: str, others: Iterable[tuple[str, Mapping[str, str]]]) -> str:
    """The namespace in which another account has an object too; empty if none has.

    Args:
        entry: the object.
        namespace: the default one of its project.
        others: those accounts, each with its own default namespace.
    """
    wanted = _identity(entry, namespace)
    for where, data in others:
        found = parse(data).values()
        if any(wanted == _identity(e, where) or _bare(e, entry) for known in found for e in known):
            return where
    return ""


def kept(body: JSON) -> str:
    """Why an object stays although its project no longer has it; empty: it goes."""
    if removing.keeps(body):
        return f"its annotation {removing.POLICY_ANNOTATION} says keep"
    if body.get("kind") == "Namespace":
        return "a Namespace may hold what is others'"
    return ""


def defines(body: JSON) -> Scope | None:
    """The objects of a CustomResourceDefinition: while there are any, it stays."""
    if body.get("kind") != "CustomResourceDefinition":
        return None
    spec = podspec.section(body, "spec")
    versions = [v for v in podspec.rows(spec.get("versions")) if v.get("served")]
    version = str(versions[0].get("name")) if versions else ""
    kind = str(podspec.section(spec, "names").get("kind"))
    return Scope(str(spec.get("group")), version, kind, "", ours=False)


def _origin(name: str) -> str:
    return name.rpartition(".")[0]


def _enough(name: str, origin: str, count: int, have: int, listed: int) -> bool:
    """Whether a list that shares so many objects with a project may be its own."""
    theirs = _origin(name)
    if not theirs or not origin or theirs == origin:
        return 2 * count >= min(have, listed)
    place, _, _ = theirs.rpartition("-")  # a repository is known by one number, a folder by two
    if place == origin.rpartition("-")[0]:
        return False
    return 2 * count > max(have, listed)


def _told(entries: Iterable[Entry], namespace: str) -> set[tuple[str, str, str, str]]:
    """What tells projects from each other."""
    return {_identity(e, namespace) for e in entries if e.kind not in _COMMON}


def _bare(one: Entry, other: Entry) -> bool:
    """Whether they may be one object outside of all namespaces: neither names one."""
    if one.namespace or other.namespace:
        return False
    return (one.group, one.kind, one.name) == (other.group, other.kind, other.name)


def _identity(entry: Entry, namespace: str) -> tuple[str, str, str, str]:
    return entry.group, entry.kind, entry.namespace or namespace, entry.name


def _row(entry: Entry) -> list[str]:
    return [entry.group, entry.version, entry.kind, entry.namespace, entry.name]


def _entry(row: object) -> Entry | None:
    if not isinstance(row, list):
        return None
    parts = cast("list[object]", row)
    texts = [part for part in parts if isinstance(part, str)]
    return Entry(*texts) if len(parts) == len(texts) == _PARTS else None
