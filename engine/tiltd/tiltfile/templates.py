"""What other programs make for the Tiltfile: the output of commands, of helm and of kustomize.

All of it runs in the current folder, with the environment of the session as the Tiltfile has
changed it.  helm's and kustomize's inputs are watched.
"""

import dataclasses
import posixpath
import re
import shutil
from pathlib import Path
from typing import Any, cast

from tiltd.model.desired import Command
from tiltd.tiltfile import commands, objects, paths, yaml_text
from tiltd.tiltfile.mistakes import Mistake
from tiltd.tiltfile.reading import Reading

_KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml", "Kustomization")
_KUSTOMIZE_FILES = (
    "resources",
    "bases",
    "components",
    "crds",
    "configurations",
    "generators",
    "transformers",
    "validators",
    "patchesStrategicMerge",
)
"""Fields of a kustomization that list files, folders or URLs."""
_HELM_TEST_FILE = re.compile(r"^# Source: .*/tests/", re.MULTILINE)
_DOCUMENT_END = re.compile(r"^---[ \t]*$\n?", re.MULTILINE)
_LAST_LINES = 20


@dataclasses.dataclass(frozen=True, slots=True)
class Chart:
    """What `helm()` is given."""

    folder: str
    name: str
    namespace: str
    values: tuple[str, ...]
    sets: tuple[str, ...]
    kube_version: str
    skip_crds: bool


def execute(
    reading: Reading,
    command: Command,
    *,
    echo: bool = False,
    announce: bool = True,
    stdin: str = "",
) -> str:
    """Run a command to its end and give what it printed.

    Args:
        reading: the environment, the log, the stop.
        command: what to run.
        echo: whether its output goes to the log.
        announce: whether the command itself does.
        stdin: what it reads.

    Raises:
        Mistake: it fails, or can't be started.
    """
    if announce:
        reading.log.write(f"local: {commands.text_of(command)}\n")
    output = commands.run(
        command, reading.env, reading.stop, stdin, reading.log.write if echo else None
    )
    if output.code:
        raise _failed(command, output, shown=echo)
    if echo and announce and not output.stdout and not output.stderr:
        reading.log.write(" → [no output]\n")
    return output.stdout


def helm(reading: Reading, chart: Chart) -> str:
    """`helm template`, without the chart's tests, everything in the namespace that was given.

    Raises:
        Mistake: there is no such chart, or helm fails.
    """
    _check_chart(reading, chart)
    reading.files.watch(chart.folder)
    for folder in _subcharts(chart.folder):
        reading.files.watch(folder)
    argv = ["helm", "template", chart.name, chart.folder]
    argv += ["--namespace", chart.namespace] if chart.namespace else []
    argv += ["--kube-version", chart.kube_version] if chart.kube_version else []
    argv += [] if chart.skip_crds else ["--include-crds"]
    for path in chart.values:
        argv += ["--values", path]
        reading.files.watch_file(reading.files.absolute(path))
    for setting in chart.sets:
        argv += ["--set", setting]
    text = _without_tests(execute(reading, Command(tuple(argv), reading.files.folder)))
    if not chart.namespace:
        return text
    shown = reading.files.shown(chart.folder)
    return objects.render(
        e.with_namespace(chart.namespace) for e in objects.parse(text, f"the chart {shown}")
    )


def kustomize(reading: Reading, folder: str, program: str, flags: tuple[str, ...]) -> str:
    """`kustomize build`, or `kubectl kustomize` where there is no kustomize.

    Raises:
        Mistake: it fails, or there is neither.
    """
    path = reading.env.get("PATH", "")
    build = [program or "kustomize", "build"]
    if not program and not shutil.which("kustomize", path=path):
        build = ["kubectl", "kustomize"]
    # kustomize takes no absolute paths everywhere.
    relative = posixpath.relpath(folder, reading.files.folder)
    command = Command((*build, *flags, relative), reading.files.folder)
    text = execute(reading, command)
    for used in _kustomize_inputs(folder, set()):
        reading.files.watch(used)
    return text


def _failed(command: Command, output: commands.Output, *, shown: bool) -> Mistake:
    how = f"exit code {output.code}" if output.code > 0 else f"signal {-output.code}"
    printed = (output.stderr.strip() or output.stdout.strip()).splitlines()
    last = "\n".join(printed[-_LAST_LINES:])
    whole = "" if shown else f"\nstdout:\n{output.stdout}\nstderr:\n{output.stderr}"
    return Mistake(
        f"the command {commands.text_of(command)!r} failed with {how}",
        detail=whole.strip() or last,
    )


def _check_chart(reading: Reading, chart: Chart) -> None:
    shown = reading.files.shown(chart.folder)
    if not paths.exists(chart.folder):
        raise Mistake(f"helm: there is no chart folder {shown}")
    if not paths.is_folder(chart.folder):
        raise Mistake(
            f"helm: {shown} is no folder", hint="give the folder that holds the chart's Chart.yaml"
        )


def _subcharts(folder: str) -> list[str]:
    """The folders of charts that this one takes from beside it (`repository: file://…`)."""
    found: list[str] = []
    for name in ("Chart.yaml", "requirements.yaml"):
        content = _load(posixpath.join(folder, name))
        for row in _rows(content.get("dependencies")):
            repository = row.get("repository")
            if isinstance(repository, str) and repository.startswith("file://"):
                path = repository.removeprefix("file://")
                found.append(posixpath.normpath(posixpath.join(folder, path)))
    return found


def _without_tests(text: str) -> str:
    """All but what comes from a folder `tests`; other hooks are objects like any, as in Tilt."""
    kept = [
        document
        for document in _DOCUMENT_END.split(text)
        if document.strip() and not _HELM_TEST_FILE.search(document)
    ]
    return "---\n".join(kept)


def _kustomize_inputs(folder: str, seen: set[str]) -> list[str]:
    """The kustomization of a folder and all files that it names, also through other folders."""
    if folder in seen:
        return []
    seen.add(folder)
    file = next((p for n in _KUSTOMIZATIONS if paths.is_file(p := posixpath.join(folder, n))), None)
    if file is None:
        return [folder]
    used = [file]
    for name in _named_files(_load(file)):
        path = posixpath.normpath(posixpath.join(folder, name))
        if paths.is_folder(path):
            used += _kustomize_inputs(path, seen)
        elif paths.exists(path):
            used.append(path)
    return used


def _named_files(content: dict[str, Any]) -> list[str]:
    names = [
        item
        for key in _KUSTOMIZE_FILES
        for item in _list(content.get(key))
        if isinstance(item, str) and "\n" not in item
    ]
    for key in ("patches", "patchesJson6902", "replacements"):
        names += [
            row["path"] for row in _rows(content.get(key)) if isinstance(row.get("path"), str)
        ]
    for key in ("configMapGenerator", "secretGenerator"):
        for row in _rows(content.get(key)):
            files = [*_list(row.get("files")), *_list(row.get("envs")), row.get("env")]
            names += [f.rpartition("=")[2] for f in files if isinstance(f, str)]
    return names


def _load(path: str) -> dict[str, Any]:
    try:
        text = Path(path).read_bytes().decode("utf-8", "surrogateescape")
        content = yaml_text.decode_one(text)
    except (OSError, yaml_text.YamlError):
        return {}  # whoever reads it for real will say what is wrong
    return cast("dict[str, Any]", content) if isinstance(content, dict) else {}


def _list(value: Any) -> list[Any]:
    return list(cast("list[object]", value)) if isinstance(value, list) else []


def _rows(value: Any) -> list[dict[str, Any]]:
    return [cast("dict[str, Any]", item) for item in _list(value) if isinstance(item, dict)]
