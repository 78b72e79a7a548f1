"""Which cluster a session means: kubeconfig files, merged as kubectl merges them.

`KUBECONFIG` is a list of files: of entries with one name the first wins, and so does the first
`current-context`; files that don't exist are skipped.  Without it, `~/.kube/config` counts; without
that, the service account of the pod that we run in.  All of it is read from the session's
environment, with PyYAML alone: this happens at every start and must be fast.

A context that does not exist is no error here: the Tiltfile may need no cluster.  The error comes
when something connects.

Source: "Organizing Cluster Access Using kubeconfig Files", kubernetes.io.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, cast

import yaml

from tiltd import ports
from tiltd.adapters.kubernetes import local
from tiltd.core import podspec
from tiltd.model.desired import JSON
from tiltd.model.observed import KubeContext
from tiltd.model.problems import Code, Place, Problem
from tiltd.model.state import SessionSpec

IN_CLUSTER = "in-cluster"
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_LISTS = ("clusters", "contexts", "users")
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Entry:
    """A named cluster, context or user, and the file it stands in."""

    name: str
    value: JSON = field(repr=False)
    file: str


@dataclass(frozen=True, slots=True)
class Kubeconfig:
    """All files, merged.

    Args:
        files: those that exist, in order.
        searched: where it was looked, for messages.
        in_cluster: there is no file, but a service account.
    """

    files: tuple[str, ...] = ()
    searched: tuple[str, ...] = ()
    current: str = ""
    clusters: Mapping[str, Entry] = field(default_factory=dict[str, Entry])
    contexts: Mapping[str, Entry] = field(default_factory=dict[str, Entry])
    users: Mapping[str, Entry] = field(default_factory=dict[str, Entry])
    in_cluster: bool = False


class KubeContexts:
    """`ports.Contexts` over kubeconfig files.

    Args:
        service_account: the folder of a pod's own credentials.
    """

    def __init__(self, service_account: Path = SERVICE_ACCOUNT) -> None:
        self._service_account = service_account

    async def read(self, spec: SessionSpec) -> KubeContext:
        """The session's context; an empty one where there is none of that name.

        Raises:
            PermanentError: a file is broken.
        """
        merged = read(spec, self._service_account)
        return resolve(merged, spec, self._service_account)


def read(spec: SessionSpec, service_account: Path = SERVICE_ACCOUNT) -> Kubeconfig:
    """Read and merge the session's kubeconfig files.

    Raises:
        PermanentError: a file is broken.
    """
    searched = tuple(_paths(spec))
    files = tuple(path for path in searched if os.path.exists(path))  # noqa: PTH110  any failure of stat is "not there", as for kubectl
    current = ""
    merged: dict[str, dict[str, Entry]] = {name: {} for name in _LISTS}
    for file in files:
        document = _document(file)
        current = current or str(document.get("current-context") or "")
        for name in _LISTS:
            for entry in _entries(document, name, file):
                merged[name].setdefault(entry.name, entry)
    pod = bool(spec.env.get("KUBERNETES_SERVICE_HOST")) and (service_account / "token").exists()
    return Kubeconfig(files, searched, current, **merged, in_cluster=pod and not files)


def resolve(
    merged: Kubeconfig, spec: SessionSpec, service_account: Path = SERVICE_ACCOUNT
) -> KubeContext:
    """The context that a session means, with its namespace."""
    if merged.in_cluster and spec.context in {"", IN_CLUSTER}:
        return _pod_context(spec, service_account)
    context = merged.contexts.get(spec.context or merged.current)
    if context is None:
        return KubeContext(namespace=spec.namespace or "default")
    name = str(context.value.get("cluster") or "")
    cluster = merged.clusters.get(name)
    value: JSON = cluster.value if cluster else {}
    return KubeContext(
        name=context.name,
        cluster=name,
        namespace=spec.namespace or str(context.value.get("namespace") or "") or "default",
        server=str(value.get("server") or "").rstrip("/"),
        is_local=local.product(name, value) is not local.Product.OTHER,
    )


def _pod_context(spec: SessionSpec, service_account: Path) -> KubeContext:
    host = spec.env["KUBERNETES_SERVICE_HOST"]
    port = spec.env.get("KUBERNETES_SERVICE_PORT") or "443"
    own = service_account / "namespace"
    namespace = spec.namespace or (own.read_text().strip() if own.exists() else "") or "default"
    server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    return KubeContext(IN_CLUSTER, IN_CLUSTER, namespace, server)


def _paths(spec: SessionSpec) -> Iterator[str]:
    listed = [part for part in spec.env.get("KUBECONFIG", "").split(os.pathsep) if part]
    for part in listed:
        yield str(Path(spec.cwd or "/") / part)
    if not listed:
        home = spec.env.get("HOME") or str(Path("~").expanduser())
        yield str(Path(home) / ".kube" / "config")


def _document(file: str) -> JSON:
    try:
        loaded = cast("object", yaml.load(Path(file).read_bytes(), _LOADER))  # noqa: S506  a safe loader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = Place(file, mark.line + 1, mark.column + 1) if mark else Place(file)
        _broken(place, f"is not YAML: {error.problem or error}", error)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        _broken(Place(file), f"is not YAML: {error}", error)
    except OSError as error:
        _broken(Place(file), f"can't be read: {error.strerror}", error)
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        _broken(Place(file, 1), "should be a mapping")
    return cast("JSON", loaded)


def _entries(document: JSON, name: str, file: str) -> Iterator[Entry]:
    rows: object = document.get(name) or []
    if not isinstance(rows, list):
        _broken(_key(file, name), f"`{name}` should be a list")
    single = name.removesuffix("s")
    for row in cast("list[object]", rows):
        entry: JSON = cast("JSON", row) if isinstance(row, dict) else {}
        if not entry.get("name") or not isinstance(entry.get(single) or {}, dict):
            _broken(_key(file, name), f"each of `{name}` should have a `name` and a `{single}`")
        yield Entry(str(entry["name"]), podspec.section(entry, single), file)


def _key(file: str, name: str) -> Place:
    """Where a top-level key stands; the parsed document has lost its lines."""
    lines = Path(file).read_text(errors="replace").splitlines()
    found = (number for number, line in enumerate(lines, 1) if line.startswith(f"{name}:"))
    return Place(file, next(found, 0))


def _broken(place: Place, what: str, cause: Exception | None = None) -> NoReturn:
    problem = Problem(
        Code.CLUSTER_CONFIG,
        f"kubeconfig {what}",
        place,
        "Mend the file, or name another one in KUBECONFIG.",
    )
    raise ports.PermanentError(problem) from cause
