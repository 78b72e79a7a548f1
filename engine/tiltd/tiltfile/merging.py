"""Puts what an extension declares beside what the Tiltfile does.

An extension that is registered and never loaded (`v1alpha1.extension`) is a Tiltfile of its own:
its resources, images and objects join the project, under a label that names the extension.
Settings stay the Tiltfile's.
"""

import dataclasses
import re
from collections.abc import Iterable, Sequence
from typing import Protocol

from tiltd.model.desired import KubernetesTarget, PodReadiness, Project
from tiltd.model.problems import Code, Place, Problem
from tiltd.ports import Loaded, LoadError

_ODD = re.compile(r"[^A-Za-z0-9._-]")
_LONGEST = 63


class _Placed(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def place(self) -> Place | None: ...


def merge(whole: Loaded, extension: tuple[str, Loaded]) -> Loaded:
    """The Tiltfile's result with an extension's.

    Args:
        whole: of the Tiltfile.
        extension: its name and its result.

    Raises:
        LoadError: both declare a resource or an image of the same name.
    """
    name, other = extension
    first, second = whole.project, other.project
    watched = tuple(dict.fromkeys((*first.watched, *second.watched)))
    for what, ours, theirs in (
        ("resource", first.resources, second.resources),
        ("image", first.images, second.images),
    ):
        _check_apart(name, what, ours, theirs, watched)
    label = _ODD.sub("_", f"extension.{name}")[:_LONGEST]
    added = tuple(
        dataclasses.replace(r, labels=tuple(sorted({*r.labels, label}))) for r in second.resources
    )
    known = {(o.kind, o.name) for o in first.api_objects}
    merged = dataclasses.replace(
        first,
        images=(*first.images, *second.images),
        resources=(*first.resources, *added),
        enabled=first.enabled | second.enabled,
        watched=watched,
        watch_ignores=(*first.watch_ignores, *second.watch_ignores),
        warnings=(*first.warnings, *second.warnings),
        api_objects=(
            *first.api_objects,
            *(o for o in second.api_objects if (o.kind, o.name) not in known),
        ),
    )
    secrets = tuple(dict.fromkeys((*whole.secrets, *other.secrets)))
    return Loaded(_with_one_uncategorized(merged), whole.kube_context, secrets)


def _check_apart(
    extension: str,
    what: str,
    ours: Sequence[_Placed],
    theirs: Iterable[_Placed],
    watched: tuple[str, ...],
) -> None:
    known = {one.name: one.place for one in ours}
    for one in theirs:
        if one.name in known and one.name != _UNCATEGORIZED:
            problem = Problem(
                Code.TILTFILE,
                f"the extension {extension!r} declares the {what} {one.name!r}, which is "
                "declared already",
                place=one.place,
                hint=f"it was first declared at {known[one.name]}" if known[one.name] else "",
            )
            raise LoadError(problem, watched)


_UNCATEGORIZED = "uncategorized"


def _with_one_uncategorized(project: Project) -> Project:
    """The objects that belong to nobody are one resource, whoever declares them."""
    left = [r for r in project.resources if r.name == _UNCATEGORIZED]
    if len(left) < len(("ours", "theirs")):
        return project
    manifests = tuple(
        m for r in left if isinstance(r.target, KubernetesTarget) for m in r.target.manifests
    )
    target = KubernetesTarget(manifests=manifests, pod_readiness=PodReadiness.IGNORE)
    one = dataclasses.replace(left[0], target=target)
    others = tuple(r for r in project.resources if r.name != _UNCATEGORIZED)
    return dataclasses.replace(project, resources=(*others, one))
