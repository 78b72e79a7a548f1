"""Several failures, one cause: what a person has to mend is told once, with all that it breaks.

One image that can't be pulled stops every pod that asks for it; one missing ConfigMap, one full
quota, one registry that is away do likewise.  A table of patterns reads the cause out of a
sentence; failures with an equal cause become one problem that names every resource.  What no
pattern knows is grouped where it is the same thing told twice: replicas of one container that fail
by one rule, or equal sentences.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from tiltd.core import reference
from tiltd.core.health import missing
from tiltd.model.health import Finding
from tiltd.model.names import ResourceName
from tiltd.model.problems import Code, Problem

Cause = tuple[str, ...]
"""What failures have in common: a word for its kind, then what tells it from others of its kind."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One failure, before it is known what it has in common with others.

    Args:
        problem: as it would be told alone.
        resources: whom it stops.
        rule: of the finding that tells it; for failed work, `work.` and the problem's code.
        subject: what tells it from others of its rule: owner and container.
        namespace: of the object that it is about.
    """

    problem: Problem
    resources: tuple[ResourceName, ...]
    rule: str = ""
    subject: tuple[str, ...] = ()
    namespace: str = ""


def found(finding: Finding, resource: ResourceName) -> Failure:
    """The failure that a finding about a resource tells."""
    top, last = finding.chain[0], finding.object
    problem = Problem(Code.HEALTH, finding.message, hint=finding.hint)
    subject = (resource, top.kind, top.namespace, top.name, last.container or "")
    return Failure(problem, (resource,), finding.rule, subject, last.namespace)


def grouped(failures: Iterable[Failure], order: Sequence[ResourceName] = ()) -> tuple[Problem, ...]:
    """One problem for each cause, in the order in which the causes turned up.

    Args:
        failures: all of them.
        order: the resources in the Tiltfile's order, in which a problem names them.
    """
    groups: dict[Cause, list[Failure]] = {}
    for failure in failures:
        groups.setdefault(cause(failure), []).append(failure)
    places = {name: place for place, name in enumerate(order)}
    return tuple(_together(group, places) for group in groups.values())


def cause(failure: Failure) -> Cause:
    """What must be mended; equal for failures that the same change would mend."""
    words = failure.problem.message
    for rule, pattern, make in _TABLE:
        if re.match(rule, failure.rule) and (match := pattern.search(words)):
            return make(match, failure)
    if absent := missing.reference(words, failure.namespace):
        return ("missing", absent.kind, absent.namespace, absent.name, missing.key(words))
    return (failure.rule, *failure.subject) if failure.subject else ("said", words)


def _together(group: Sequence[Failure], places: dict[ResourceName, int]) -> Problem:
    first = group[0]
    names = dict.fromkeys(name for failure in group for name in failure.resources)
    named = tuple(sorted(names, key=lambda name: places.get(name, len(places))))
    mine = set(first.resources)
    others = [name for name in named if name not in mine]
    also = f" (the same stops {_some(others)})" if others else ""
    return replace(
        first.problem,
        message=f"{first.problem.message}{also}",
        resource=named[0] if len(named) == 1 else "",
        resources=named,
        rule=first.rule,
    )


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _image(match: re.Match[str], failure: Failure) -> Cause:
    return (failure.rule, match["image"])


def _registry(match: re.Match[str], failure: Failure) -> Cause:
    return ("registry", failure.rule, _host(match["image"]))


def _named(match: re.Match[str], _: Failure) -> Cause:
    return (match.lastgroup or "", match[match.lastgroup or 0])


def _host(image: str) -> str:
    try:
        return reference.parse(image).domain
    except reference.InvalidReferenceError:
        return image


Row = tuple[str, re.Pattern[str], Callable[[re.Match[str], Failure], Cause]]

_NAMED: Final = 5
_ANY: Final = ""
_TABLE: Final[Sequence[Row]] = [
    (
        r"image\.(unreachable|throttled|tls)$",
        re.compile(r"The image (?P<image>\S+) of "),
        _registry,
    ),
    (
        r"readiness\.deadline$",
        re.compile(r"The image (?P<image>\S+) of .* (could not be pulled|may not be pulled)"),
        _registry,
    ),
    (r"image\.no-space$", re.compile(r"(?P<disk>no space left|disk quota)", re.IGNORECASE), _named),
    (r"image\.", re.compile(r"The image (?P<image>\S+) of "), _image),
    (r"work\.build$", re.compile(r"the base image (?P<base>\S+) does not exist"), _named),
    (r"work\.build$", re.compile(r"(?P<disk>the disk of the Docker Engine is full)"), _named),
    (r"work\.push$", re.compile(r"pushing \S+ to (?P<image>\S+) failed: "), _registry),
    (
        r"work\.(apply|refused|cluster-forbidden)$|workload\.create-failed$",
        re.compile(r'admission webhook "(?P<webhook>[^"]+)"'),
        _named,
    ),
    (
        r"work\.|workload\.create-failed$",
        re.compile(r'failed calling webhook "(?P<webhook>[^"]+)"'),
        _named,
    ),
    (_ANY, re.compile(r"exceeded quota: (?P<quota>[^\s,]+)"), _named),
    (_ANY, re.compile(r"namespace (?P<namespace>\S+) because it is being terminated"), _named),
    (_ANY, re.compile(r'namespaces "(?P<namespace>[^"]+)" not found'), _named),
    (
        r"work\.cluster-forbidden$",
        re.compile(r'cannot (?P<right>\w+ resource "[^"]+" in API group "[^"]*"[^:]*)'),
        _named,
    ),
    (r"work\.apply$", re.compile(r"the cluster knows no (?P<kind>\S+ in \S+)"), _named),
    (
        r"pod\.unschedulable$|readiness\.deadline$",
        re.compile(r"fits no node: (?P<node>.*)", re.DOTALL),
        _named,
    ),
    (
        r"pod\.(sandbox|mount)$|readiness\.deadline$",
        re.compile(r"(?P<node>network plugin is not ready|cni plugin not initialized)"),
        _named,
    ),
]
"""Which rules it is asked for, what to look for, and what makes it this cause and no other."""
