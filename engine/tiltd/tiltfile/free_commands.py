"""From `v1alpha1.cmd` objects to resources that run them.

A `Cmd` is a process that nothing waits for: it runs from the start (again when a file changes that
a `FileWatch` in its `restart_on` names), and neither its end nor its exit code fails anything.  It
becomes a resource called `cmd:NAME`, so that its state and its log are seen as others are.  A
`Cmd` that has buttons in `start_on` waits for a click, so it stays an object of the project and is
no resource.
"""

from collections.abc import Iterator, Mapping
from typing import Any, cast

from tiltd.model.desired import (
    ApiObject,
    Command,
    Exec,
    HttpGet,
    Ignore,
    LocalTarget,
    Probe,
    Resource,
    TcpSocket,
)
from tiltd.model.names import ResourceName
from tiltd.tiltfile.mistakes import Mistake
from tiltd.tiltfile.reading import Reading

Objects = Mapping[tuple[str, str], ApiObject]


def resources(reading: Reading) -> list[Resource]:
    """The resources of the commands that wait for no button.

    Raises:
        Mistake: a command names a file watch that nothing declares.
    """
    return [
        _resource(made, reading.api_objects)
        for made in reading.api_objects.values()
        if made.kind == "Cmd" and not _of(made.spec, "startOn").get("uiButtons")
    ]


def enabled(reading: Reading) -> frozenset[ResourceName]:
    """Those of them that no `disable_source` switches off."""
    return frozenset(
        _name(made)
        for made in reading.api_objects.values()
        if made.kind == "Cmd" and not _disabled(made.spec, reading.api_objects)
    )


def _name(made: ApiObject) -> ResourceName:
    return ResourceName(f"cmd:{made.name}")


def _resource(made: ApiObject, objects: Objects) -> Resource:
    watches = [
        _watch(name, made, objects) for name in _of(made.spec, "restartOn").get("fileWatches", ())
    ]
    live = [w for w in watches if not _disabled(w.spec, objects)]
    env = dict(str(pair).split("=", 1) for pair in made.spec.get("env", ()))
    return Resource(
        name=_name(made),
        target=LocalTarget(
            serve=Command(tuple(made.spec["args"]), str(made.spec["dir"]), env),
            deps=tuple(dict.fromkeys(p for w in live for p in w.spec["watchedPaths"])),
            ignore=tuple(ignore for w in live for ignore in _ignores(w)),
            readiness_probe=_probe(made.spec),
            allow_parallel=True,
            may_end=True,
        ),
        place=made.place,
    )


def _watch(name: str, made: ApiObject, objects: Objects) -> ApiObject:
    watch = objects.get(("FileWatch", name))
    if watch is None:
        raise Mistake(
            f"v1alpha1.cmd: {made.name!r} restarts on the file watch {name!r}, which nothing "
            "declares",
            hint=f"declare it with v1alpha1.file_watch(name={name!r}, watched_paths=[…])",
            place=made.place,
        )
    return watch


def _ignores(watch: ApiObject) -> Iterator[Ignore]:
    for given in watch.spec.get("ignores", ()):
        patterns = tuple(str(p) for p in given.get("patterns", ()))
        yield Ignore(str(given["basePath"]), patterns, f"file_watch {watch.name}")


def _disabled(spec: Mapping[str, Any], objects: Objects) -> bool:
    """Whether the config maps of `disable_source` say so; one that is not there says so too.

    As in Tilt: with `config_map` its value must not be `true`; with `every_config_map` it is off
    if all are.
    """
    source = _of(spec, "disableSource")
    if "configMap" in source:
        return _off(source["configMap"], objects)
    every = source.get("everyConfigMap", ())
    return bool(every) and all(_off(one, objects) for one in every)


def _off(reference: Mapping[str, Any], objects: Objects) -> bool:
    known = objects.get(("ConfigMap", str(reference.get("name", ""))))
    data = _of(known.spec, "data") if known is not None else dict[str, Any]()
    return str(data.get(str(reference.get("key")), "true")).lower() not in {"false", "f", "0"}


def _probe(spec: Mapping[str, Any]) -> Probe | None:
    given = _of(spec, "readinessProbe")
    handler = _of(given, "handler")
    check: HttpGet | TcpSocket | Exec
    if "exec" in handler:
        check = Exec(tuple(handler["exec"].get("command", ())))
    elif "httpGet" in handler:
        http = handler["httpGet"]
        check = HttpGet(
            port=int(http.get("port", 0)),
            host=str(http.get("host", "localhost")),
            scheme=str(http.get("scheme", "http")).lower(),
            path=str(http.get("path", "/")),
        )
    elif "tcpSocket" in handler:
        tcp = handler["tcpSocket"]
        check = TcpSocket(port=int(tcp.get("port", 0)), host=str(tcp.get("host", "localhost")))
    else:
        return None
    usual = Probe(check)
    return Probe(
        check,
        initial_delay=given.get("initialDelaySeconds", usual.initial_delay),
        timeout=given.get("timeoutSeconds", usual.timeout),
        period=given.get("periodSeconds", usual.period),
        success_threshold=given.get("successThreshold", usual.success_threshold),
        failure_threshold=given.get("failureThreshold", usual.failure_threshold),
    )


def _of(spec: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = spec.get(name)
    return cast("Mapping[str, Any]", found) if isinstance(found, Mapping) else {}
