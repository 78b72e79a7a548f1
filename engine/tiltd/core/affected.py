"""What does a changed file concern?

Too much is harmless (a file that turns out not to count gives the same key, and equal keys are no
work), too little is not.  So `ignore=` and `only=` are heeded here, while `.dockerignore`, which is
itself a file that may just have changed, is left to the reading of the inputs.
"""

import posixpath
from collections.abc import Iterable
from dataclasses import dataclass

from tiltd.core import dockerignore
from tiltd.core import graph as graphs
from tiltd.model.desired import (
    ComposeBuild,
    ComposeTarget,
    CustomBuild,
    CustomDeploy,
    DockerBuild,
    Ignore,
    KubernetesTarget,
    LocalTarget,
    Project,
)
from tiltd.model.names import ImageName, ResourceName
from tiltd.model.state import Mode, State

Target = KubernetesTarget | ComposeTarget | LocalTarget


@dataclass(frozen=True, slots=True)
class Affected:
    """What has to be looked at again."""

    tiltfile: bool
    images: frozenset[ImageName]
    resources: frozenset[ResourceName]


def by(project: Project, paths: Iterable[str]) -> Affected:
    """What the change of these files (absolute paths) concerns."""
    ignored = [_filter(i) for i in project.watch_ignores]
    counted = [p for p in paths if not any(_ignores(base, f, p) for base, f in ignored)]
    return Affected(
        tiltfile=any(within(p, w) for p in counted for w in project.watched),
        images=frozenset(i.name for i in graphs.images(project) if _build_hit(i.build, counted)),
        resources=frozenset(r.name for r in project.resources if _resource_hit(r.target, counted)),
    )


def followed(s: State) -> frozenset[str]:
    """The files and folders to watch: an `up` session's, also while its Tiltfile is broken."""
    session = s.session
    if session is None or session.ended is not None or session.spec.mode is not Mode.UP:
        return frozenset()
    return frozenset(s.mending) | (watched(s.project) if s.project else frozenset[str]())


def watched(project: Project) -> frozenset[str]:
    """Every file and folder whose change concerns the project."""
    paths = set(project.watched)
    for image in project.images:
        match image.build:
            case DockerBuild(context=context, dockerfile=dockerfile):
                paths.add(context)
                if dockerfile:
                    paths |= {dockerfile, f"{dockerfile}.dockerignore"}
            case CustomBuild(deps=deps):
                paths |= set(deps)
    for resource in project.resources:
        paths |= set(_deps(resource.target)[0])
    return frozenset(paths)


def any_within(paths: Iterable[str], folders: Iterable[str]) -> bool:
    """Whether any of the paths is, or lies below, one of the folders."""
    known = tuple(folders)
    return any(within(path, folder) for path in paths for folder in known)


def within(path: str, folder: str) -> bool:
    """Whether `path` is `folder` or lies below it."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _build_hit(build: DockerBuild | CustomBuild, paths: list[str]) -> bool:
    match build:
        case DockerBuild():
            # The files of ignores count whatever they and `only` say about themselves.
            beside = {build.dockerfile, f"{build.dockerfile}.dockerignore"}
            if not (beside | {posixpath.join(build.context, ".dockerignore")}).isdisjoint(paths):
                return True
            chosen = dockerignore.context_filter(
                build.context, ignore=build.ignore, only_paths=build.only
            )
            return any(
                within(p, build.context)
                and not chosen.excludes(posixpath.relpath(p, build.context))
                for p in paths
            )
        case CustomBuild():
            return any(within(p, d) for p in paths for d in build.deps)


def _resource_hit(target: Target, paths: list[str]) -> bool:
    if isinstance(target, KubernetesTarget) and target.custom and target.custom.live_update:
        return False  # what they are says whether it is deployed anew (`core.custom`)
    deps, ignore = _deps(target)
    ignored = [_filter(i) for i in ignore]
    return any(
        within(p, d) and not any(_ignores(base, f, p) for base, f in ignored)
        for p in paths
        for d in deps
    )


def _deps(target: Target) -> tuple[tuple[str, ...], tuple[Ignore, ...]]:
    """The files and folders whose change concerns a resource itself, and what in them does not."""
    match target:
        case LocalTarget(deps=deps, ignore=ignore):
            return deps, ignore
        case KubernetesTarget(custom=CustomDeploy(deps=deps, ignore=ignore)):
            return deps, ignore
        case ComposeTarget(build=ComposeBuild() as build):
            return tuple(p for p in (build.context, build.dockerfile) if p), build.ignore
        case KubernetesTarget() | ComposeTarget():
            return (), ()


def _filter(ignore: Ignore) -> tuple[str, dockerignore.Patterns]:
    patterns = ignore.patterns or ("**",)
    return ignore.base, dockerignore.from_list(patterns, ignore.base)


def _ignores(base: str, patterns: dockerignore.Patterns, path: str) -> bool:
    return within(path, base) and patterns.matches(posixpath.relpath(path, base))
