"""Commands on this machine: `local`, `local_resource`, `helm`, `kustomize`, probes.

Source of names, defaults and checks: the Tiltfile API reference (tilt-dev/tilt.build).
"""

import posixpath
from collections.abc import Iterator

from tiltd.model.desired import (
    Command,
    Exec,
    HttpGet,
    Ignore,
    LocalTarget,
    Probe,
    TcpSocket,
)
from tiltd.model.names import ResourceName
from tiltd.starlark import Value
from tiltd.tiltfile import commands, paths, templates
from tiltd.tiltfile.arguments import Arguments
from tiltd.tiltfile.builtins.kubernetes import labels_of, link_list
from tiltd.tiltfile.host_values import Blob, Wrapped
from tiltd.tiltfile.mistakes import Mistake
from tiltd.tiltfile.reading import LocalResource, Reading
from tiltd.tiltfile.registry import Table

BUILTINS = Table()
_PROBE, _HTTP, _TCP, _EXEC = "Probe", "HTTPGetAction", "TCPSocketAction", "ExecAction"
_MOST_INT = 2**31
_LOCAL_RESOURCE = (
    "name cmd? deps trigger_mode resource_deps ignore auto_init serve_cmd cmd_bat serve_cmd_bat "
    "allow_parallel links labels env serve_env readiness_probe dir serve_dir"
)


@BUILTINS.add("local", "command quiet? command_bat echo_off env dir stdin", unsafe=True)
def local(reading: Reading, args: Arguments) -> Value:
    """Run a command now and give what it prints (reference: `local`)."""
    args.command("command_bat")  # for Windows; checked here, and not used
    command = args.command("command", dir="dir", env="env")
    if command is None:
        raise Mistake("local: command= is empty", hint="give the command to run")
    quiet = args.flag("quiet")
    stdin = args.stringable("stdin") if args.has("stdin") else ""
    output = templates.execute(
        reading, command, echo=not quiet, announce=not args.flag("echo_off"), stdin=stdin
    )
    return Blob(output, f"local: {commands.text_of(command)}")


@BUILTINS.add("local_resource", _LOCAL_RESOURCE)
def local_resource(reading: Reading, args: Arguments) -> Value:
    """A resource that is a command, a served process, or both (reference: `local_resource`)."""
    return _declare(reading, args, parallel=False)


@BUILTINS.add("test", _LOCAL_RESOURCE)
def test(reading: Reading, args: Arguments) -> Value:
    """The old name of `local_resource`, run in parallel (Tilt 0.37's `test`)."""
    reading.warn("test() is an old name: use local_resource(…, allow_parallel=True)")
    return _declare(reading, args, parallel=True)


@BUILTINS.add(
    "probe",
    "initial_delay_secs? timeout_secs period_secs success_threshold failure_threshold exec "
    "http_get tcp_socket",
)
def probe(reading: Reading, args: Arguments) -> Value:
    """A readiness probe (reference: `probe`)."""
    del reading
    checks = [
        check
        for check in (
            args.wrapped("exec", _EXEC, Exec, "an exec_action()"),
            args.wrapped("http_get", _HTTP, HttpGet, "an http_get_action()"),
            args.wrapped("tcp_socket", _TCP, TcpSocket, "a tcp_socket_action()"),
        )
        if check is not None
    ]
    if len(checks) != 1:
        raise Mistake("probe: exactly one of exec=, http_get= and tcp_socket= is needed")
    # Zero means "the default", as it does for Kubernetes' own probes.
    defaults = Probe(checks[0])
    made = Probe(
        check=checks[0],
        initial_delay=_seconds(args, "initial_delay_secs"),
        timeout=_seconds(args, "timeout_secs") or defaults.timeout,
        period=_seconds(args, "period_secs") or defaults.period,
        success_threshold=_seconds(args, "success_threshold") or defaults.success_threshold,
        failure_threshold=_seconds(args, "failure_threshold") or defaults.failure_threshold,
    )
    names = ("initial_delay_secs", "timeout_secs", "period_secs", "success_threshold")
    numbers = {name: args.integer(name) for name in (*names, "failure_threshold")}
    actions = {name: args.value(name) for name in ("exec", "http_get", "tcp_socket")}
    return Wrapped(_PROBE, made, {**numbers, **actions})


@BUILTINS.add("exec_action", "command")
def exec_action(reading: Reading, args: Arguments) -> Value:
    """Probe by a command (reference: `exec_action`)."""
    del reading
    argv = args.text_list("command")
    if not argv:
        raise Mistake("exec_action: command= is empty", hint="give program and arguments as a list")
    return Wrapped(_EXEC, Exec(argv), {"command": args.value("command")})


@BUILTINS.add("http_get_action", "port host? scheme? path?")
def http_get_action(reading: Reading, args: Arguments) -> Value:
    """Probe by an HTTP request (reference: `http_get_action`)."""
    del reading
    scheme = args.text("scheme") or "http"
    if scheme.lower() not in {"http", "https"}:
        raise Mistake(f"http_get_action: scheme={scheme!r} is neither 'http' nor 'https'")
    action = HttpGet(
        port=_port(args),
        host=args.text("host") or "localhost",
        scheme=scheme.lower(),
        path=args.text("path") or "/",
    )
    fields = {name: args.text(name) for name in ("host", "scheme", "path")}
    return Wrapped(_HTTP, action, {**fields, "port": action.port})


@BUILTINS.add("tcp_socket_action", "port host?")
def tcp_socket_action(reading: Reading, args: Arguments) -> Value:
    """Probe by a TCP connection (reference: `tcp_socket_action`)."""
    del reading
    action = TcpSocket(port=_port(args), host=args.text("host") or "localhost")
    return Wrapped(_TCP, action, {"host": args.text("host"), "port": action.port})


@BUILTINS.add("kustomize", "paths|pathToDir kustomize_bin? flags?")
def kustomize(reading: Reading, args: Arguments) -> Value:
    """The YAML that kustomize makes of a folder (reference: `kustomize`)."""
    program = args.path("kustomize_bin") if args.has("kustomize_bin") else ""
    folder = args.path("paths")
    text = templates.kustomize(reading, folder, program, args.text_list("flags"))
    return Blob(text, f"kustomize: {reading.files.shown(folder)}")


@BUILTINS.add("helm", "paths|pathToChartDir name? namespace? values? set? kube_version? skip_crds?")
def helm(reading: Reading, args: Arguments) -> Value:
    """The YAML that helm makes of a chart (reference: `helm`)."""
    chart = templates.Chart(
        folder=args.path("paths"),
        name=args.text("name") or "chart",
        namespace=args.text("namespace"),
        values=args.texts("values"),
        sets=args.texts("set"),
        kube_version=args.text("kube_version"),
        skip_crds=args.flag("skip_crds"),
    )
    return Blob(templates.helm(reading, chart), f"helm: {reading.files.shown(chart.folder)}")


def _declare(reading: Reading, args: Arguments, *, parallel: bool) -> None:
    name = ResourceName(args.name("name"))
    if not name:
        raise Mistake(f"{args.call}: name= is empty", hint="give the resource a name")
    for windows in ("cmd_bat", "serve_cmd_bat"):
        args.command(windows)  # for Windows; checked here, and not used
    cmd = args.command("cmd", dir="dir", env="env")
    serve = args.command("serve_cmd", dir="serve_dir", env="serve_env")
    _check_commands(args, name, cmd, serve)
    if name in reading.locals:
        raise Mistake(
            f"{args.call}: there is a local_resource {name!r} already",
            hint=f"it was declared at {reading.locals[name].place}",
        )
    deps = args.paths("deps")
    target = LocalTarget(
        cmd=cmd,
        serve=serve,
        deps=deps,
        ignore=tuple(_ignores(reading, args, deps)),
        readiness_probe=_readiness(reading, args, name, serve),
        allow_parallel=args.flag("allow_parallel", default=parallel) or cmd is None,
    )
    reading.locals[name] = LocalResource(
        name=name,
        target=target,
        place=reading.place(),
        resource_deps=args.text_list("resource_deps"),
        trigger_mode=args.trigger_mode("trigger_mode"),
        auto_init=args.flag("auto_init", default=True),
        links=link_list(args, "links"),
        labels=labels_of(args),
    )


def _ignores(reading: Reading, args: Arguments, deps: tuple[str, ...]) -> Iterator[Ignore]:
    for folder in dict.fromkeys((*deps, reading.files.folder)):
        repository = posixpath.join(folder, ".git")
        if paths.is_folder(repository):
            yield Ignore(repository, source="git")
    if patterns := args.patterns("ignore"):
        yield Ignore(reading.files.folder, patterns, args.call)


def _check_commands(args: Arguments, name: str, cmd: Command | None, serve: Command | None) -> None:
    if cmd is None and serve is None:
        raise Mistake(
            f"{args.call}: {name!r} has neither a cmd nor a serve_cmd",
            hint="give the command to run with cmd=, or a server to keep running with serve_cmd=",
        )
    if cmd is None and args.has("dir"):
        raise Mistake(
            f"{args.call}: {name!r} has dir= but no cmd",
            hint="the folder of serve_cmd= is serve_dir=",
        )
    if serve is None and args.has("serve_dir"):
        raise Mistake(
            f"{args.call}: {name!r} has serve_dir= but no serve_cmd",
            hint="the folder of cmd= is dir=",
        )


def _readiness(reading: Reading, args: Arguments, name: str, serve: Command | None) -> Probe | None:
    made = args.wrapped("readiness_probe", _PROBE, Probe, "a probe()")
    if made is not None and serve is None:
        reading.warn(
            f"The readiness_probe of {name!r} does nothing: there is no serve_cmd to probe"
        )
        return None
    return made


def _seconds(args: Arguments, name: str) -> int:
    value = args.integer(name)
    if not 0 <= value < _MOST_INT:
        raise Mistake(f"probe: {name}={value} must not be negative")
    return value


def _port(args: Arguments) -> int:
    value = args.integer("port")
    most = 65535
    if not 0 < value <= most:
        raise Mistake(f"{args.call}: port={value} is not a number from 1 to {most}")
    return value
