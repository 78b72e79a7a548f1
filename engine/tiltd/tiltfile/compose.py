"""Docker Compose projects: what `docker compose config` makes of the files that are given.

Docker Compose itself reads its files (merging, `extends`, `include`, `${…}`, env files), so they
mean here what they mean there.  It needs no Engine for that.  All profiles are resolved, because
what is switched off is still part of the project: else it would be taken for an orphan, and
removed.
"""

import contextlib
import dataclasses
import json
import posixpath
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import cast

from tiltd.core import composing, dockerignore, podspec
from tiltd.model.desired import JSON, Command, ComposeBuild, ComposeProject, Ignore
from tiltd.model.problems import Code
from tiltd.tiltfile import commands, paths, yaml_text
from tiltd.tiltfile.mistakes import Mistake
from tiltd.tiltfile.reading import Reading

_ODD = re.compile(r"[^-_a-z0-9]")
_WARNING = re.compile(r'level=warning msg="((?:[^"\\]|\\.)*)"')
_ENDS = "service_completed_successfully"
_SHORTEST_SECRET = 4
_OVERRIDING = frozenset({"COMPOSE_FILE", "COMPOSE_PROFILES", "COMPOSE_PROJECT_NAME"})


@dataclasses.dataclass(frozen=True, slots=True)
class Resolved:
    """A project as Docker Compose understands it; its services that are switched on, by name."""

    project: ComposeProject
    services: Mapping[str, JSON]


def project_name(folder: str) -> str:
    """The name of a project in a folder of that name (Compose specification, `name`)."""
    return _ODD.sub("", folder.lower()).lstrip("_-")


def resolve(reading: Reading, project: ComposeProject, texts: Mapping[str, str]) -> Resolved:
    """Have Docker Compose read the project.

    Args:
        reading: its environment, its log; what is read is watched.
        project: still without its body.
        texts: those of its files that are text.

    Raises:
        Mistake: there is no Docker Compose, or it refuses the files.
    """
    for path in _watched(project, texts):
        reading.files.watch_file(path)
    with tempfile.TemporaryDirectory() as folder:
        config = _Config(reading, project, texts, folder)
        body = config.resolved("*")
        for words in config.warned:
            reading.warn(f"Docker Compose says: {words}")
        services = podspec.section(body, "services")
        names = sorted(services)
        if any(podspec.section(services, name).get("profiles") for name in names):
            names = sorted(config.run(project.profiles, "--services").split())
        if not set(names) <= set(services):  # an older one that does not know every profile as `*`
            body = config.resolved(*project.profiles)
            services = podspec.section(body, "services")
    for value in _secrets(reading.env, body):
        reading.compose.secrets[value] = None
    whole = dataclasses.replace(project, body=body)
    return Resolved(whole, {name: podspec.section(services, name) for name in names})


def depends_on(service: JSON) -> tuple[str, ...]:
    """The services that one waits for; Docker Compose counts `links` and their like among them."""
    return tuple(sorted(podspec.section(service, "depends_on")))


def ends(name: str, services: Mapping[str, JSON]) -> bool:
    """Whether another service waits for this one to end well."""
    conditions = (
        podspec.section(podspec.section(s, "depends_on"), name).get("condition")
        for s in services.values()
    )
    return _ENDS in conditions


def image_names(service: JSON, name: str, project: str) -> tuple[str, ...]:
    """The image that a service runs; without one, the names that Docker Compose and Tilt give."""
    image = service.get("image")
    if isinstance(image, str) and image:
        return (image,)
    return (f"{project}-{name}", f"{project}_{name}")


def ports(service: JSON) -> tuple[int, ...]:
    """The ports of this machine that a service publishes."""
    published = (str(row.get("published") or "") for row in podspec.rows(service.get("ports")))
    return tuple(dict.fromkeys(int(p) for p in published if p.isdecimal() and int(p)))


def build(reading: Reading, service: JSON, image: str) -> ComposeBuild | None:
    """The build section of a service; changes in mounted folders start no build, as in Tilt."""
    section = podspec.section(service, "build")
    context = str(section.get("context") or "")
    if not context:
        return None
    if not posixpath.isabs(context):
        return ComposeBuild(image, "", "")
    inline = "dockerfile_inline" in section
    path = posixpath.join(context, str(section.get("dockerfile") or "Dockerfile"))
    names = dockerignore.file_names(context, path)
    found = next((name for name in names if paths.exists(name)), names[-1])
    ignore: list[Ignore] = []
    with contextlib.suppress(FileNotFoundError):
        text = reading.files.read(found, "ignore file")
        lines = (line.strip() for line in text.splitlines())
        patterns = tuple(line for line in lines if line and not line.startswith("#"))
        ignore += [Ignore(context, patterns, found)] if patterns else []
    mounts = (str(row.get("source") or "") for row in podspec.rows(service.get("volumes")))
    ignore += [Ignore(source) for source in mounts if posixpath.isabs(source)]
    return ComposeBuild(image, context, "" if inline else path, tuple(ignore))


class _Config:
    """Calls of `docker compose config` for one project."""

    def __init__(
        self, reading: Reading, project: ComposeProject, texts: Mapping[str, str], folder: str
    ) -> None:
        self._reading, self._project = reading, project
        self.warned: tuple[str, ...] = ()
        self._base: list[str] = ["--project-name", project.name, "--project-directory", project.dir]
        self._base += ["--env-file", project.env_file] if project.env_file else []
        for name in project.files:
            path = name
            if name in texts:
                path = posixpath.join(folder, name.strip("<>"))
                Path(path).write_text(texts[name], "utf-8", "surrogateescape")
            self._base += ["--file", path]

    def resolved(self, *profiles: str) -> JSON:
        """The project with these profiles switched on. Raises as `run`."""
        text = self.run(profiles, "--format", "json")
        try:
            content = cast("object", json.loads(text))
        except ValueError as error:
            raise self._odd(str(error)) from error
        if not isinstance(content, dict):
            raise self._odd("it is no object")
        return cast("JSON", content)

    def _odd(self, reason: str) -> Mistake:
        program = " ".join(composing.program(self._reading.env))
        return Mistake(
            f"docker_compose: `{program} config --format json` prints no JSON: {reason}",
            hint="Docker Compose v2 does; see what is called here",
        )

    def run(self, profiles: Iterable[str], *args: str) -> str:
        """What it prints, with these profiles switched on.

        Raises:
            Mistake: it fails, or is not there.
        """
        switched = [part for name in profiles for part in ("--profile", name)]
        argv = (*composing.program(self._reading.env), *self._base, *switched, "config", *args)
        # Its own variables would be taken for what the Tiltfile has not said.
        env = {k: v for k, v in self._reading.env.items() if k not in _OVERRIDING}
        try:
            command = Command(argv, self._reading.files.folder)
            output = commands.run(command, env, self._reading.stop)
        except Mistake as error:
            raise _no_plugin(error.message) from error
        if output.code:
            raise self._refused(output)
        warned = (match[1] for match in _WARNING.finditer(output.stderr))
        self.warned = tuple(words.replace('\\"', "'") for words in warned)
        return output.stdout

    def _refused(self, output: commands.Output) -> Mistake:
        lines = [line for line in output.stderr.splitlines() if not _WARNING.search(line)]
        text = "\n".join(lines).strip()
        if composing.is_missing(text):
            return _no_plugin(text.splitlines()[0])
        shown = ", ".join(self._reading.files.shown(path) for path in self._project.files)
        last = text.splitlines()[-1] if text else f"exit code {output.code}"
        return Mistake(
            f"docker_compose: Docker Compose can't read {shown}: {last}",
            detail=text if len(lines) > 1 else "",
        )


def _no_plugin(said: str) -> Mistake:
    return Mistake(
        f"docker_compose() needs Docker Compose v2, which is not there: {said}",
        hint=composing.INSTALL,
        code=Code.COMMAND,
    )


def _watched(project: ComposeProject, texts: Mapping[str, str]) -> Iterator[str]:
    """The files that Docker Compose reads, but for those whose names have variables in them."""
    if project.env_file:
        yield project.env_file
    elif paths.exists(beside := posixpath.join(project.dir, ".env")):
        yield beside
    seen: set[str] = set()
    for name in project.files:
        if name in texts:
            yield from _named(texts[name], project.dir, seen)
        else:
            yield from _with_named(name, project.dir, seen)


def _with_named(path: str, folder: str, seen: set[str]) -> Iterator[str]:
    if path in seen:
        return
    seen.add(path)
    yield path
    with contextlib.suppress(OSError):
        yield from _named(Path(path).read_text("utf-8", "replace"), folder, seen)


def _named(text: str, folder: str, seen: set[str]) -> Iterator[str]:
    """The files that a compose file names: `include`, `extends`, `env_file`."""
    try:
        content = cast("object", yaml_text.decode_one(text))
    except yaml_text.YamlError:
        return  # Docker Compose will say what is wrong, in its own words
    if not isinstance(content, Mapping):
        return
    whole = cast("JSON", content)
    for row in _rows(whole.get("include"), "path"):
        for path in _paths(row.get("path"), folder):
            yield from _with_named(path, posixpath.dirname(path), seen)
        yield from _paths(row.get("env_file"), folder)
    services = podspec.section(whole, "services")
    for name in services:
        service = podspec.section(services, name)
        for path in _paths(podspec.section(service, "extends").get("file"), folder):
            yield from _with_named(path, posixpath.dirname(path), seen)
        for row in _rows(service.get("env_file"), "path"):
            yield from _paths(row.get("path"), folder)


def _rows(value: object, key: str) -> list[JSON]:
    """A list of mappings, each of which may stand as its main value alone; so may the list."""
    rows = cast("list[object]", value) if isinstance(value, list) else [value]
    return [cast("JSON", row) if isinstance(row, Mapping) else {key: row} for row in rows]


def _paths(value: object, folder: str) -> Iterator[str]:
    for path in cast("list[object]", value) if isinstance(value, list) else [value]:
        if isinstance(path, str) and path and "$" not in path:
            yield posixpath.normpath(posixpath.join(folder, path))


def _secrets(env: Mapping[str, str], body: JSON) -> Iterator[str]:
    """The values of a project's secrets, whole and line by line, as logs have them."""
    declared = podspec.section(body, "secrets")
    for name in declared:
        secret = podspec.section(declared, name)
        text = env.get(str(secret.get("environment", "")), "")
        if path := secret.get("file"):
            with contextlib.suppress(OSError, UnicodeDecodeError):
                text = Path(str(path)).read_text("utf-8")
        values = (text, *(line.strip() for line in text.splitlines()))
        yield from (value for value in values if len(value) >= _SHORTEST_SECRET)
