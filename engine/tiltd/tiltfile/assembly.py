"""From what the builtins collected to a `Project`: which objects make which resource.

In Tilt's order: every workload (an object with images, or of a `k8s_kind`) becomes a resource
under the shortest name that is its own; Services join the workload whose pods they select; then
`k8s_resource` calls apply, in the order written, renaming, adding objects, and grouping others into
new resources; what is left is `uncategorized`.  Resources come in the order Kubernetes, Docker
Compose, local, `uncategorized`, whatever the order in the Tiltfile.  Nothing here runs anything,
and nothing is read but ignore files.
"""

import dataclasses
import difflib
from collections.abc import Iterable, Mapping, Sequence
from weakref import WeakValueDictionary

from tiltd.core import dockerignore, graph
from tiltd.model.desired import (
    CustomDeploy,
    DockerBuild,
    Image,
    ImagePath,
    KubernetesTarget,
    Link,
    Manifest,
    PodReadiness,
    PortForward,
    Project,
    Resource,
    TriggerMode,
)
from tiltd.model.names import ImageName, ResourceName
from tiltd.model.problems import Code, Place
from tiltd.tiltfile import (
    compose_resources,
    enabled,
    free_commands,
    images,
    live_update,
    object_selectors,
    objects,
    paths,
)
from tiltd.tiltfile.mistakes import Mistake
from tiltd.tiltfile.objects import Entity
from tiltd.tiltfile.reading import Reading, ResourceOptions

UNCATEGORIZED = ResourceName("uncategorized")


@dataclasses.dataclass(slots=True)
class _Group:
    """A Kubernetes resource in the making."""

    name: str
    grouped: bool = False
    place: Place | None = None
    entities: list[Entity] = dataclasses.field(default_factory=list[Entity])
    images: dict[ImageName, None] = dataclasses.field(default_factory=dict[ImageName, None])
    port_forwards: list[PortForward] = dataclasses.field(default_factory=list[PortForward])
    extra_pod_selectors: list[Mapping[str, str]] = dataclasses.field(
        default_factory=list[Mapping[str, str]]
    )
    trigger_mode: TriggerMode | None = None
    resource_deps: dict[str, None] = dataclasses.field(default_factory=dict[str, None])
    auto_init: bool = True
    pod_readiness: PodReadiness | None = None
    links: list[Link] = dataclasses.field(default_factory=list[Link])
    labels: set[str] = dataclasses.field(default_factory=set[str])
    discovery_strategy: str = ""
    custom: CustomDeploy | None = None


def assemble(reading: Reading) -> Project:
    """The project of a reading that has ended well.

    Raises:
        Mistake: what the builtins were told does not fit together.
    """
    return _Assembly(reading).project()


_newest: WeakValueDictionary[int, Manifest] = WeakValueDictionary()
"""The manifest that was last made of a body, by the place of that in memory, which it keeps.

Texts that have not changed give the bodies that they gave before (`kept`).
"""


def _parts(manifest: Manifest) -> tuple[object, ...]:
    """What tells it from others of the same body."""
    m = manifest
    return m.id, m.api_version, id(m.body), m.images, m.image_paths, m.source


class _Assembly:
    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._groups: dict[str, _Group] = {}
        self._order: list[_Group] = []
        self._left: dict[Entity, None] = {}
        self._images: dict[Entity, list[ImageName]] = {}
        self._places = {r.entity: r.place for r in reading.kubernetes.objects}
        self._built: dict[ImageName, Image] = {}
        self._compose: list[Resource] = []
        self._taken: set[Manifest] = set()  # the same object given twice is two
        self._fragments = object_selectors.Fragments(r.entity for r in reading.kubernetes.objects)

    def project(self) -> Project:
        reading = self._reading
        self._built = images.with_bases(reading.images, reading.env)
        self._add_custom()
        self._find_workloads()
        for options in reading.kubernetes.options:
            self._apply(options)
        for group in self._order:
            self._check_group(group)
        self._compose = compose_resources.resources(reading, self._built)
        self._warn_of_unused_images()
        self._check_context()
        kubernetes = [self._resource(group) for group in self._order]
        needed = self._needed_images()
        self._check_live_updates(needed)
        resources = _with_known_deps(
            [*kubernetes, *self._compose, *self._locals(), *self._uncategorized()], reading
        )
        chosen = enabled.choose(resources, reading.config, reading.spec.args)
        commands = free_commands.resources(reading)
        return Project(
            tiltfile=reading.spec.tiltfile,
            images=tuple(image for name, image in self._built.items() if name in needed),
            resources=(*resources, *commands),
            enabled=chosen | ({c.name for c in commands} & free_commands.enabled(reading)),
            settings=reading.settings,
            watched=self._watched(needed),
            watch_ignores=tuple(reading.watch_ignores),
            warnings=tuple(reading.warnings),
            api_objects=tuple(reading.api_objects.values()),
        )

    # -- objects into groups

    def _add_custom(self) -> None:
        for declared in self._reading.kubernetes.custom.values():
            group = self._new_group(declared.name, declared.place, "k8s_custom_deploy: it")
            for text in declared.image_deps:
                name = self._reading.images.find(text)
                if name is None:
                    raise Mistake(
                        f"k8s_custom_deploy: image_deps= names {text!r}, which nothing builds",
                        hint="declare it with docker_build() or custom_build()",
                        place=declared.place,
                    )
                group.images[name] = None
            group.custom = dataclasses.replace(declared.deploy, images=tuple(group.images))

    def _find_workloads(self) -> None:
        workloads: list[Entity] = []
        for registered in self._reading.kubernetes.objects:
            entity = registered.entity
            found, any_image = self._find_images(entity)
            self._images[entity] = found
            if any_image or self._has_kind(entity):
                workloads.append(entity)
            else:
                self._left[entity] = None
        services = objects.Services(self._left)
        for entity, name in zip(workloads, self._names(workloads), strict=True):
            group = self._new_group(name, self._places.get(entity), f"the {entity.id}")
            self._put(group, entity)
            self._join_services(group, entity, services)
        self._find_workloads_without_images()

    def _find_workloads_without_images(self) -> None:
        services = objects.Services(self._left)
        for entity in [e for e in self._left if e.pod_templates()]:
            del self._left[entity]
            group = self._groups.get(entity.name) or self._new_group(
                entity.name, self._places.get(entity), f"the {entity.id}"
            )
            self._put(group, entity)
            self._join_services(group, entity, services)

    def _find_images(self, entity: Entity) -> tuple[list[ImageName], bool]:
        try:
            return images.in_object(entity, self._image_paths(entity), self._reading.images)
        except Mistake as error:
            raise Mistake(
                error.message, hint=error.hint, place=error.place or self._places.get(entity)
            ) from error

    def _names(self, workloads: Sequence[Entity]) -> list[str]:
        function = self._reading.kubernetes.name_function
        if function is None:
            return objects.unique_names(workloads)
        names: dict[str, Entity] = {}
        for entity in workloads:
            name = function(entity)
            if name in names:
                raise Mistake(
                    f"workload_to_resource_function gives {name!r} for both {names[name].id} "
                    f"and {entity.id}",
                    hint="it must give each workload a name of its own",
                )
            names[name] = entity
        return list(names)

    def _new_group(self, name: str, place: Place | None, what: str) -> _Group:
        self._check_free(name, what, place)
        group = _Group(name, place=place)
        self._groups[name] = group
        self._order.append(group)
        return group

    def _check_free(self, name: str, what: str, place: Place | None) -> None:
        kind = (
            "Kubernetes resource"
            if name in self._groups
            else "Docker Compose service"
            if any(service.name == name for service in self._reading.compose.services.values())
            else "local_resource"
            if name in self._reading.locals
            else ""
        )
        if kind:
            raise Mistake(
                f"{what} can't be the resource {name!r}: there is a {kind} of that name already",
                hint="rename one of them (for a workload: k8s_resource(…, new_name=…))",
                place=place,
            )

    def _put(self, group: _Group, entity: Entity) -> None:
        group.entities.append(entity)
        group.images.update(dict.fromkeys(self._images[entity]))

    def _join_services(self, group: _Group, workload: Entity, services: objects.Services) -> None:
        if workload.kind == "Pod":
            return  # as in Tilt, whose rule speaks of pod templates
        for service in [s for s in services.selecting(workload) if s in self._left]:
            del self._left[service]
            self._put(group, service)

    def _has_kind(self, entity: Entity) -> bool:
        return any(pattern.matches(entity) for pattern in self._reading.kubernetes.kinds)

    def _image_paths(self, entity: Entity) -> tuple[ImagePath, ...]:
        return tuple(
            path
            for pattern, info in self._reading.kubernetes.kinds.items()
            if info.image_paths and pattern.matches(entity)
            for path in info.image_paths
        )

    # -- k8s_resource

    def _apply(self, options: ResourceOptions) -> None:
        if options.grouped:
            group = self._new_group(options.new_name, options.place, "k8s_resource: the objects")
            group.grouped = True
        else:
            group = self._group(options)
        group.port_forwards += options.port_forwards
        group.extra_pod_selectors += options.extra_pod_selectors
        group.resource_deps.update(dict.fromkeys(options.resource_deps))
        group.links += options.links
        group.labels.update(options.labels)
        if options.trigger_mode is not None:
            group.trigger_mode = options.trigger_mode
        if options.auto_init is not None:
            group.auto_init = options.auto_init
        if options.pod_readiness is not None:
            group.pod_readiness = options.pod_readiness
        group.discovery_strategy = options.discovery_strategy or group.discovery_strategy
        if options.new_name and options.new_name != group.name:
            self._rename(group, options)
        for text in options.objects:
            self._take(group, text, options.place)

    def _group(self, options: ResourceOptions) -> _Group:
        group = self._groups.get(options.workload)
        if group is None:
            raise Mistake(
                f"k8s_resource: there is no Kubernetes resource {options.workload!r}",
                hint=_near(options.workload, list(self._groups), "the Kubernetes resources are"),
                place=options.place,
            )
        return group

    def _rename(self, group: _Group, options: ResourceOptions) -> None:
        self._check_free(options.new_name, f"k8s_resource: {group.name!r}", options.place)
        del self._groups[group.name]
        group.name = options.new_name
        self._groups[group.name] = group

    def _take(self, group: _Group, text: str, place: Place | None) -> None:
        matching = self._fragments.matching(text)
        if not matching:
            shown = [r.entity.selector for r in self._reading.kubernetes.objects]
            raise Mistake(
                f"k8s_resource: no object is called {text!r}",
                hint=_near(text, shown, "the objects are"),
                place=place,
            )
        if len(matching) > 1:
            raise Mistake(
                f"k8s_resource: {text!r} could be {_listed(e.selector for e in matching)}",
                hint="add the kind and the namespace: name:kind:namespace",
                place=place,
            )
        if matching[0] not in self._left:
            raise Mistake(
                f"k8s_resource: the object {text!r} belongs to another resource already",
                hint=_left_over(list(self._left)),
                place=place,
            )
        del self._left[matching[0]]
        self._put(group, matching[0])

    def _check_group(self, group: _Group) -> None:
        if group.custom is not None:
            if group.entities:
                raise Mistake(
                    f"the resource {group.name!r} is deployed by a command, and can't take the "
                    f"object {group.entities[0].selector!r}",
                    hint="make a resource of its own of it: k8s_resource(new_name=…, objects=[…])",
                    place=self._places.get(group.entities[0]),
                )
        elif not group.entities:
            raise Mistake(
                f"the resource {group.name!r} has no objects",
                hint="give them to k8s_yaml(), and name them in objects=[…]",
                place=group.place,
            )

    # -- results

    def _resource(self, group: _Group) -> Resource:
        images.closure(group.images, self._built)
        self._check_no_restart(group)
        entities = objects.in_order(group.entities)
        return Resource(
            name=ResourceName(group.name),
            target=KubernetesTarget(
                manifests=tuple(self._manifest(entity) for entity in entities),
                pod_readiness=self._readiness(group),
                port_forwards=tuple(group.port_forwards),
                extra_pod_selectors=tuple(group.extra_pod_selectors),
                discovery_strategy=group.discovery_strategy or "default",
                custom=group.custom,
            ),
            resource_deps=tuple(ResourceName(name) for name in group.resource_deps),
            trigger_mode=group.trigger_mode or self._reading.trigger_mode,
            auto_init=group.auto_init,
            labels=tuple(sorted(group.labels)),
            links=tuple(group.links),
            place=group.place,
        )

    def _manifest(self, entity: Entity) -> Manifest:
        """The manifest of an object: that of the reading before, if it was the same."""
        made = Manifest(
            id=entity.id,
            api_version=entity.api_version,
            body=entity.body,
            images=tuple(self._images[entity]),
            image_paths=self._image_paths(entity),
            source=entity.source,
        )
        known = _newest.get(id(entity.body))
        if known is None or known in self._taken or _parts(known) != _parts(made):
            known = _newest[id(entity.body)] = made
        self._taken.add(known)
        return known

    def _readiness(self, group: _Group) -> PodReadiness:
        if group.pod_readiness is not None:
            return group.pod_readiness
        modes = {
            info.pod_readiness
            for pattern, info in self._reading.kubernetes.kinds.items()
            if info.pod_readiness and any(pattern.matches(e) for e in group.entities)
        }
        for mode in (PodReadiness.WAIT, PodReadiness.IGNORE, PodReadiness.SUCCEEDED):
            if mode in modes:
                return mode
        if group.grouped and not group.extra_pod_selectors and not group.images:
            return PodReadiness.IGNORE
        return PodReadiness.WAIT

    def _locals(self) -> list[Resource]:
        return [
            Resource(
                name=local.name,
                target=local.target,
                resource_deps=tuple(ResourceName(n) for n in dict.fromkeys(local.resource_deps)),
                trigger_mode=local.trigger_mode or self._reading.trigger_mode,
                auto_init=local.auto_init,
                labels=tuple(sorted(set(local.labels))),
                links=local.links,
                place=local.place,
            )
            for local in self._reading.locals.values()
        ]

    def _uncategorized(self) -> list[Resource]:
        if not self._left:
            return []
        manifests = tuple(self._manifest(e) for e in objects.in_order(self._left))
        target = KubernetesTarget(manifests=manifests, pod_readiness=PodReadiness.IGNORE)
        return [Resource(name=UNCATEGORIZED, target=target)]

    # -- images

    def _needed_images(self) -> frozenset[ImageName]:
        direct = [name for group in self._order for name in group.images]
        direct += [image for resource in self._compose for image in graph.used_images(resource)]
        return frozenset(images.closure(direct, self._built))

    def _warn_of_unused_images(self) -> None:
        index = self._reading.images
        suppressed = set(self._reading.settings.suppress_unused_image_warnings)
        for image in index.unused():
            if not suppressed & {"*", image.name}:
                self._reading.warnings.append((image.place, self._unused_text(image)))

    def _unused_text(self, image: Image) -> str:
        near = self._reading.images.near(image.name)
        maybe = f"Did you mean {_listed(near)}? " if near else ""
        if not self._reading.kubernetes.objects and not self._compose:
            maybe = "There are no Kubernetes objects: is a k8s_yaml() missing? "
        return (
            f"The image {image.name!r} is used by nothing and is not built. {maybe}"
            "If this is meant, say so with "
            f"update_settings(suppress_unused_image_warnings=[{image.name!r}])."
        )

    def _check_no_restart(self, group: _Group) -> None:
        for name in images.closure(group.images, self._built):
            for step in self._built[name].live_update:
                if step.kind == "restart_container":
                    raise Mistake(
                        f"restart_container() can't restart a container of the Kubernetes "
                        f"resource {group.name!r}",
                        hint="use the extension restart_process, or leave the step out",
                        place=step.place,
                    )

    def _check_live_updates(self, needed: Iterable[ImageName]) -> None:
        deployed = {name for group in self._order for name in group.images}
        deployed |= {name for resource in self._compose for name in graph.used_images(resource)}
        for name in needed:
            image = self._built[name]
            if image.live_update and name in deployed:
                tree = images.closure([name], self._built)
                watched = [path for n in tree for path in _watched_by(self._built[n])]
                live_update.check_paths(
                    image.live_update, list(dict.fromkeys(watched)), self._reading.files.shown
                )
        for group in self._order:
            if group.custom is not None:
                live_update.check_paths(
                    group.custom.live_update, group.custom.deps, self._reading.files.shown
                )
        for unused in self._reading.unused_steps.values():
            raise Mistake(
                f"the step {unused.text} is used in no live_update",
                hint="put it into the list live_update=[…] of docker_build() or custom_build()",
                place=unused.step.place,
            )

    # -- the rest

    def _check_context(self) -> None:
        part = self._reading.kubernetes
        places = [d.place for d in part.objects] + [d.place for d in part.custom.values()]
        if not (part.objects or part.custom) or self._reading.context_is_allowed:
            return
        raise not_allowed(self._reading.context.name, "nothing is deployed to it", places[0])

    def _watched(self, needed: frozenset[ImageName]) -> tuple[str, ...]:
        reading = self._reading
        for name in self._built:
            build = self._built[name].build
            if name in needed and isinstance(build, DockerBuild):
                reading.files.watch(_ignore_file(build))
        return reading.files.watched


def not_allowed(context: str, consequence: str, place: Place | None) -> Mistake:
    """The refusal to touch a cluster that might be production."""
    return Mistake(
        f"the Kubernetes context {context!r} might be production, so {consequence}",
        hint=f"if it is meant for development, put allow_k8s_contexts({context!r}) at the top of "
        "the Tiltfile; otherwise choose another one, or none: tilt-client ci --cluster embedded",
        place=place,
        code=Code.CONTEXT_NOT_ALLOWED,
    )


def _ignore_file(build: DockerBuild) -> str:
    names = dockerignore.file_names(build.context, build.dockerfile or None)
    return next((name for name in names if paths.exists(name)), names[-1])


def _watched_by(image: Image) -> tuple[str, ...]:
    build = image.build
    return (build.context,) if isinstance(build, DockerBuild) else build.deps


def _with_known_deps(resources: list[Resource], reading: Reading) -> list[Resource]:
    known = {resource.name for resource in resources}
    cleaned: list[Resource] = []
    for resource in resources:
        for name in resource.resource_deps:
            if name == resource.name:
                raise Mistake(
                    f"the resource {name!r} depends on itself",
                    hint="remove it from its resource_deps",
                    place=resource.place,
                )
            if name not in known:
                hint = _near(name, sorted(known), "the resources are")
                text = (
                    f"The resource {resource.name!r} depends on {name!r}, which does not exist; "
                    f"the dependency is ignored ({hint})."
                )
                reading.warnings.append((resource.place, text))
        kept = tuple(name for name in resource.resource_deps if name in known)
        cleaned.append(dataclasses.replace(resource, resource_deps=kept))
    _check_no_circle(cleaned)
    return cleaned


def _check_no_circle(resources: Sequence[Resource]) -> None:
    by_name = {resource.name: resource for resource in resources}
    done: set[ResourceName] = set()
    for start in resources:
        path: dict[ResourceName, None] = {}
        due: list[tuple[ResourceName, bool]] = [(start.name, False)]
        while due:
            name, leaving = due.pop()
            if leaving:
                path.pop(name)
                done.add(name)
                continue
            if name in path:
                names = list(path)
                circle = [*names[names.index(name) :], name]
                raise Mistake(
                    f"resources depend on each other in a circle: {' -> '.join(circle)}",
                    hint="remove one of these resource_deps",
                    place=by_name[name].place,
                )
            if name not in done:
                path[name] = None
                due.append((name, True))
                due += [(dep, False) for dep in reversed(by_name[name].resource_deps)]


def _near(name: str, known: Sequence[str], intro: str) -> str:
    close = difflib.get_close_matches(name, known, n=3)
    if close:
        return f"did you mean {_listed(close)}?"
    return f"{intro} {', '.join(known)}" if known else "there are none"


def _left_over(entities: Sequence[Entity]) -> str:
    if not entities:
        return "all objects belong to resources"
    return f"objects that belong to none yet: {_listed(e.selector for e in entities)}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in names)
