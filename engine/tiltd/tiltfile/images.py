"""The images that a Tiltfile declares, and which of them an object or a Dockerfile means.

An image is meant by its repository; by repository and tag where it is declared with one, or where
another declaration has the same repository (Tilt's rule).  An image that is used by nothing is
told as a warning, with the near misses.
"""

import contextlib
import dataclasses
import difflib
from collections.abc import Iterable, Iterator, Mapping

from tiltd.core import dockerfile, dockerfile_syntax, jsonpath, podspec, reference
from tiltd.model.desired import JSON, CustomBuild, DockerBuild, Image, ImagePath
from tiltd.model.names import ImageName
from tiltd.model.problems import Place
from tiltd.tiltfile.mistakes import Mistake
from tiltd.tiltfile.objects import Entity


@dataclasses.dataclass(slots=True)
class ImageIndex:
    """The declared images, in order, and what was found to use them.

    Args:
        image_deps: what `image_deps=` names, by image.
        used: images that something else needs.
        asked: repositories that were looked for, in familiar form.
    """

    images: dict[ImageName, Image] = dataclasses.field(default_factory=dict[ImageName, Image])
    image_deps: dict[ImageName, tuple[str, ...]] = dataclasses.field(
        default_factory=dict[ImageName, tuple[str, ...]]
    )
    used: set[ImageName] = dataclasses.field(default_factory=set[ImageName])
    asked: dict[str, None] = dataclasses.field(default_factory=dict[str, None])
    _by_repository: dict[str, dict[ImageName, reference.Reference]] = dataclasses.field(
        default_factory=dict[str, dict[ImageName, reference.Reference]]
    )

    def add(self, image: Image, image_deps: tuple[str, ...] = ()) -> None:
        """Declare an image.

        Raises:
            Mistake: it is declared already.
        """
        if image.name in self.images:
            first = self.images[image.name].place
            raise Mistake(
                f"the image {image.name!r} is declared twice",
                hint=f"it was first declared at {first}" if first else "",
            )
        self.images[image.name] = image
        self.image_deps[image.name] = image_deps
        declared = reference.parse(image.name)
        self._by_repository.setdefault(declared.repository, {})[image.name] = declared

    def find(self, text: str) -> ImageName | None:
        """The image that a reference means, which counts as its use.

        Raises:
            reference.InvalidReferenceError: `text` is no reference.
        """
        image = reference.parse(text)
        self.asked[image.familiar_repository] = None
        name = self._match(image)
        if name is not None:
            self.used.add(name)
        return name

    def find_in_env(self, text: str) -> ImageName | None:
        """The image with `match_in_env_vars` that an environment variable's value means."""
        try:
            image = reference.parse(text)
        except reference.InvalidReferenceError:
            return None
        name = self._match(image)
        if name is None or not self.images[name].match_in_env_vars:
            return None
        self.used.add(name)
        return name

    def unused(self) -> list[Image]:
        """What nothing asked for."""
        return [image for name, image in self.images.items() if name not in self.used]

    def near(self, name: ImageName) -> list[str]:
        """Repositories that were asked for and are spelled like `name`."""
        wanted = reference.parse(name).familiar_repository
        return difflib.get_close_matches(wanted, list(self.asked), n=3, cutoff=0.5)

    def _match(self, image: reference.Reference) -> ImageName | None:
        candidates = self._by_repository.get(image.repository, {})
        exact = len(candidates) > 1
        for name, declared in candidates.items():
            if declared == image or (not exact and reference.matches(declared, image)):
                return name
        return None


def with_bases(index: ImageIndex, env: Mapping[str, str]) -> dict[ImageName, Image]:
    """The declared images, each with the images of this project that its build uses.

    Args:
        index: the declared images.
        env: the session's environment, for build arguments without a value.

    Raises:
        Mistake: a Dockerfile can't be read, or an `image_deps` names no image.
    """
    return {
        name: dataclasses.replace(image, bases=tuple(dict.fromkeys(_bases(index, image, env))))
        for name, image in index.images.items()
    }


def closure(names: Iterable[ImageName], images: Mapping[ImageName, Image]) -> list[ImageName]:
    """The images and all that they are built on, bases first.

    Raises:
        Mistake: an image is built on itself.
    """
    done: dict[ImageName, None] = {}
    for name in names:
        _visit(name, images, done, ())
    return list(done)


def in_object(
    entity: Entity, paths: Iterable[ImagePath], index: ImageIndex
) -> tuple[list[ImageName], bool]:
    """The project's images in an object, and whether it names any image at all.

    Raises:
        Mistake: a container's image is no reference.
    """
    found: dict[ImageName, None] = {}
    any_image = False
    templates = entity.pod_templates()
    for text in _texts(entity, templates, paths):
        any_image = True
        try:
            name = index.find(text)
        except reference.InvalidReferenceError as error:
            raise Mistake(
                f"{entity.id}: {text!r} is no image: {error.reason}", hint=error.hint
            ) from error
        if name is not None:
            found[name] = None
    for template in templates:
        for value in _env_values(podspec.section(template, "spec")):
            name = index.find_in_env(value)
            if name is not None:
                any_image = True
                found[name] = None
    return list(found), any_image


def _bases(index: ImageIndex, image: Image, env: Mapping[str, str]) -> Iterator[ImageName]:
    match image.build:
        case DockerBuild() as build:
            for text in _from(build, image.place, env):
                if name := _found(index, text):
                    yield name
        case CustomBuild():
            pass
    for text in index.image_deps[image.name]:
        name = _found(index, text)
        if name is None:
            raise Mistake(
                f"the image {image.name!r} has the image_deps {text!r}, which nothing builds",
                hint="declare it with docker_build() or custom_build()",
                place=image.place,
            )
        yield name


def _found(index: ImageIndex, text: str) -> ImageName | None:
    try:
        return index.find(text)
    except reference.InvalidReferenceError:
        return None  # the builder will say so, in its own words


def _from(build: DockerBuild, place: Place | None, env: Mapping[str, str]) -> list[str]:
    args = {
        key: env[key] if value is None else value
        for key, value in build.build_args.items()
        if value is not None or key in env
    }
    try:
        bases = set(dockerfile.base_images(build.contents, args, build.target, build.platform))
        instructions = dockerfile_syntax.parse(build.contents).instructions
    except dockerfile.DockerfileError as error:
        raise _unreadable(error, build, place) from error
    # As in Tilt, the images of all stages count, whichever stage is the target; what is wrong in
    # a stage that is not built is no concern.
    stages = sum(i.keyword == "FROM" and not i.onbuild for i in instructions)
    for stage in range(stages if stages > 1 else 0):
        with contextlib.suppress(dockerfile.DockerfileError):
            bases |= set(dockerfile.base_images(build.contents, args, str(stage), build.platform))
    return [base.reference for base in sorted(bases, key=lambda base: base.line)]


def _unreadable(
    error: dockerfile.DockerfileError, build: DockerBuild, place: Place | None
) -> Mistake:
    if build.inline:
        return Mistake(
            f"dockerfile_contents, line {error.line}: {error.reason}", hint=error.hint, place=place
        )
    return Mistake(
        f"the Dockerfile can't be read: {error.reason}",
        hint=error.hint,
        place=Place(build.dockerfile, error.line),
    )


def _visit(
    name: ImageName,
    images: Mapping[ImageName, Image],
    done: dict[ImageName, None],
    path: tuple[ImageName, ...],
) -> None:
    if name in done:
        return
    if name in path:
        circle = " -> ".join((*path[path.index(name) :], name))
        raise Mistake(
            f"images are built on each other in a circle: {circle}", place=images[name].place
        )
    for base in images[name].bases:
        _visit(base, images, done, (*path, name))
    done[name] = None


def _texts(entity: Entity, templates: Iterable[JSON], paths: Iterable[ImagePath]) -> Iterator[str]:
    for template in templates:
        spec = podspec.section(template, "spec")
        for container in podspec.containers(spec):
            # A container without an image is the API server's to refuse.
            if text := container.get("image"):
                yield str(text)
        for volume in podspec.rows(spec.get("volumes")):
            if text := podspec.section(volume, "image").get("reference"):
                yield str(text)
    for path in paths:
        for value in jsonpath.find(entity.body, jsonpath.parse(path.path)):
            if text := _text_at(value, path):
                yield text


def _text_at(value: object, path: ImagePath) -> str:
    if not path.repo_field:
        return value if isinstance(value, str) else ""
    if not isinstance(value, Mapping):
        return ""
    fields: Mapping[str, object] = value  # pyright: ignore[reportUnknownVariableType] (JSON)
    repository = fields.get(path.repo_field)
    tag = fields.get(path.tag_field)
    if not isinstance(repository, str):
        return ""
    return f"{repository}:{tag}" if isinstance(tag, str) and tag else repository


def _env_values(spec: Mapping[str, object]) -> Iterator[str]:
    for container in podspec.containers(spec):
        for row in podspec.rows(container.get("env")):
            value = row.get("value")
            if isinstance(value, str) and value:
                yield value
