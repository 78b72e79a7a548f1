"""From the services that `docker_compose` found to resources: names, images, dependencies."""

from collections.abc import Iterable, Mapping

from tiltd.core import reference
from tiltd.model.desired import ComposeTarget, Image, Resource
from tiltd.model.names import ImageName, ResourceName
from tiltd.tiltfile import compose, images
from tiltd.tiltfile.mistakes import Mistake
from tiltd.tiltfile.reading import ComposeService, Reading


def resources(reading: Reading, built: Mapping[ImageName, Image]) -> list[Resource]:
    """The resources, by project and service.

    Args:
        reading: the services, and the declared images, which are used here.
        built: the images with all that they are built on.

    Raises:
        Mistake: two resources have one name, or something can't be done for Docker Compose.
    """
    services = reading.compose.services.values()
    if services and reading.settings.default_registry is not None:
        raise Mistake(
            "default_registry() does not go with docker_compose(): its services run in the "
            "Docker Engine that builds the images",
            hint="call one of them only, for example by config.tilt_subcommand or an argument",
            place=next(iter(services)).place,
        )
    for service in services:
        for name, local in reading.locals.items():
            if name == service.name:
                raise Mistake(
                    f"there is a Docker Compose service and a local_resource {name!r}",
                    hint="rename the service with dc_resource(…, new_name=…)",
                    place=local.place,
                )
    return [_resource(reading, service, built) for service in services]


def _resource(
    reading: Reading, service: ComposeService, built: Mapping[ImageName, Image]
) -> Resource:
    names = compose.image_names(service.body, service.service, service.project)
    asked = (service.image,) if service.image else names
    image = next(filter(None, (_image(reading, name) for name in asked)), None)
    _check_entrypoint(service, image, built)
    siblings = {
        s.service: s for s in reading.compose.services.values() if s.project == service.project
    }
    waits = (siblings[name].name for name in service.depends_on if name in siblings)
    bodies = {name: s.body for name, s in siblings.items()}
    build = compose.build(reading, service.body, asked[0]) if image is None else None
    target = ComposeTarget(
        project=reading.compose.projects[service.project],
        service=service.service,
        image=image,
        build=build,
        ports=compose.ports(service.body),
        ends=compose.ends(service.service, bodies),
        infer_links=service.infer_links,
    )
    return Resource(
        name=ResourceName(service.name),
        target=target,
        resource_deps=tuple(
            ResourceName(name) for name in dict.fromkeys((*waits, *service.resource_deps))
        ),
        trigger_mode=service.trigger_mode or reading.trigger_mode,
        auto_init=service.auto_init,
        labels=tuple(sorted(service.labels)),
        links=tuple(service.links),
        place=service.place,
    )


def _image(reading: Reading, text: str) -> ImageName | None:
    """The image of this project's that a service means."""
    try:
        return reading.images.find(text)
    except reference.InvalidReferenceError:
        return None  # Docker Compose will say so


def _check_entrypoint(
    service: ComposeService, image: ImageName | None, built: Mapping[ImageName, Image]
) -> None:
    needed: Iterable[ImageName] = images.closure([image], built) if image is not None else ()
    for name in needed:
        if built[name].entrypoint is not None:
            raise Mistake(
                f"the image {name!r} has an entrypoint=, which does not reach the Docker Compose "
                f"service {service.service!r}",
                hint="say it in the compose file: entrypoint:",
                place=built[name].place,
            )
