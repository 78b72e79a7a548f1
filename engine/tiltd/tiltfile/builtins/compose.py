"""Docker Compose: `docker_compose` and `dc_resource`.

Source of names, defaults and checks: the Tiltfile API reference (tilt-dev/tilt.build).
"""

import dataclasses
import difflib
import hashlib
import posixpath
from collections.abc import Sequence

from tiltd.model.desired import ComposeProject
from tiltd.starlark.values import Value
from tiltd.tiltfile import compose
from tiltd.tiltfile.arguments import Arguments
from tiltd.tiltfile.builtins.images import check_image
from tiltd.tiltfile.builtins.kubernetes import labels_of, link_list
from tiltd.tiltfile.host_values import Blob
from tiltd.tiltfile.mistakes import Mistake
from tiltd.tiltfile.reading import ComposeService, Reading
from tiltd.tiltfile.registry import Table

BUILTINS = Table()
_PROFILES_VARIABLE = "COMPOSE_PROFILES"


@BUILTINS.add("docker_compose", "configPaths env_file? project_name? profiles? wait?")
def docker_compose(reading: Reading, args: Arguments) -> Value:
    """Make a resource of each service of a Docker Compose project (reference: `docker_compose`)."""
    files, texts = _files(reading, args)
    if not files:
        raise Mistake(
            "docker_compose: configPaths= is empty",
            hint="give the path of a compose file, or a blob of YAML",
        )
    given = _project(reading, args, files, texts)
    known = reading.compose.projects.get(given.name)
    project = given if known is None else _joined(known, given)
    all_texts = {**reading.compose.texts.get(given.name, {}), **texts}
    reading.compose.texts[given.name] = all_texts
    resolved = compose.resolve(reading, project, all_texts)
    _replace_services(reading, resolved)
    return None


@BUILTINS.add(
    "dc_resource",
    "name image? trigger_mode? resource_deps? infer_links? links? labels? auto_init? "
    "project_name? new_name?",
)
def dc_resource(reading: Reading, args: Arguments) -> Value:
    """Configure the resource of a service (reference: `dc_resource`)."""
    name = args.text("name")
    if not name:
        raise Mistake("dc_resource: name= is empty", hint="give the name of a service")
    service = _find(reading, name, args.text("project_name"))
    new_name = args.name("new_name")
    if new_name and new_name != service.name:
        check_free(reading, new_name, "dc_resource")
        service.name = new_name
    if args.has("image"):
        image = args.text("image")
        service.image = args.checked("image", check_image, image).familiar()
    service.trigger_mode = args.trigger_mode("trigger_mode") or service.trigger_mode
    service.resource_deps.update(dict.fromkeys(args.text_list("resource_deps")))
    service.infer_links = args.flag("infer_links", default=service.infer_links)
    service.links += link_list(args, "links")
    service.labels.update(labels_of(args))
    service.auto_init = args.flag("auto_init", default=service.auto_init)
    return None


def check_free(reading: Reading, name: str, call: str) -> None:
    """Refuse a resource's name that another resource has.

    Raises:
        Mistake: it has one.
    """
    other = next((s for s in reading.compose.services.values() if s.name == name), None)
    place = (
        other.place
        if other is not None
        else reading.locals[name].place
        if name in reading.locals
        else reading.kubernetes.custom[name].place
        if name in reading.kubernetes.custom
        else None
    )
    if other is not None or name in reading.locals or name in reading.kubernetes.custom:
        raise Mistake(
            f"{call}: there is a resource {name!r} already",
            hint=f"it was declared at {place}; rename one of them with dc_resource(…, new_name=…)",
        )


def _files(reading: Reading, args: Arguments) -> tuple[list[str], dict[str, str]]:
    """The files in order, and the text of those that are none; by a name of its content."""
    found: list[str] = []
    texts: dict[str, str] = {}
    for item in args.items("configPaths"):
        if item is None:
            continue
        if isinstance(item, Blob):
            digest = hashlib.sha256(item.text.encode("utf-8", "surrogateescape")).hexdigest()
            found.append(f"<{digest}.yml>")
            texts[found[-1]] = item.text
        elif isinstance(item, str):
            found.append(reading.files.absolute(item))
        else:
            raise args.refuse("configPaths", "a path, a blob of YAML, or a list of these", item)
    return found, texts


def _project(
    reading: Reading, args: Arguments, files: Sequence[str], texts: dict[str, str]
) -> ComposeProject:
    first = next((path for path in files if path not in texts), "")
    folder = posixpath.dirname(first) if first else reading.files.folder
    profiles = args.texts("profiles")
    asked = reading.env.get(_PROFILES_VARIABLE, "")
    if not args.was_given("profiles") and asked:
        reading.note(f"docker_compose: {_PROFILES_VARIABLE} switches on {asked}")
        profiles = tuple(name.strip() for name in asked.split(",") if name.strip())
    env = reading.spec.env
    return ComposeProject(
        name=args.text("project_name") or compose.project_name(posixpath.basename(folder)),
        dir=folder,
        files=tuple(dict.fromkeys(files)),
        body={},
        env_file=args.path("env_file") if args.has("env_file") else "",
        profiles=profiles,
        wait=args.flag("wait"),
        env={k: v for k, v in reading.env.items() if env.get(k) != v},
    )


def _joined(known: ComposeProject, given: ComposeProject) -> ComposeProject:
    """Two calls with one project name are one project, of the files of both (as in Tilt)."""
    return dataclasses.replace(
        known,
        files=tuple(dict.fromkeys((*known.files, *given.files))),
        env_file=given.env_file or known.env_file,
        profiles=tuple(dict.fromkeys((*known.profiles, *given.profiles))),
        wait=known.wait or given.wait,
        env={**known.env, **given.env},
    )


def _replace_services(reading: Reading, resolved: compose.Resolved) -> None:
    part, project = reading.compose, resolved.project
    before = {k: s for k, s in part.services.items() if k[0] == project.name}
    part.services = {k: s for k, s in part.services.items() if k[0] != project.name}
    part.projects[project.name] = project
    for name, body in resolved.services.items():
        old = before.get((project.name, name))
        shown = old.name if old is not None else name
        check_free(reading, shown, "docker_compose")
        made = ComposeService(
            service=name,
            name=shown,
            project=project.name,
            depends_on=compose.depends_on(body),
            body=body,
            place=reading.place(),
        )
        if old is not None:
            made = dataclasses.replace(old, depends_on=made.depends_on, body=body)
        part.services[project.name, name] = made


def _find(reading: Reading, name: str, project: str) -> ComposeService:
    services = [s for s in reading.compose.services.values() if project in {"", s.project}]
    found = [s for s in services if s.name == name]
    if len(found) > 1:
        raise Mistake(
            f"dc_resource: there are several services {name!r}",
            hint=f"say which one with project_name=: {', '.join(repr(s.project) for s in found)}",
        )
    if found:
        return found[0]
    names = [s.name for s in services]
    close = difflib.get_close_matches(name, names, n=2)
    listed = ", ".join(repr(n) for n in close or names)
    of = f" in the project {project!r}" if project else ""
    hint = f"did you mean {listed}?" if close else f"the services are {listed}"
    raise Mistake(
        f"dc_resource: there is no Docker Compose service {name!r}{of}",
        hint=hint if names else "load them first, with docker_compose()",
    )
