"""The small projects of the conformance data, against Tilt 0.37.6's own results."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests import composing
from tests.tiltfile.conftest import Workspace
from tests.tiltfile.normalise import comparable, normalise
from tiltd.model.names import SessionId
from tiltd.model.observed import KubeContext
from tiltd.model.state import Mode, SessionSpec
from tiltd.ports import LoadError

DATA = Path(__file__).parent / "data"
EXTENSIONS = Path(__file__).parent / "extensions"
CHECKOUT = "TILT_EXTENSIONS_CHECKOUT"
"""Names a checkout of tilt-dev/tilt-extensions, to be used instead of extensions of our own."""

PROGRAMS = {
    "m-compose": ("docker compose",),
    "m-compose-blob": ("docker compose",),
    "m-compose-same-service": ("docker compose",),
    "m-compose-two": ("docker compose",),
    "m-helm": ("helm",),
    "m-kustomize": ("kustomize", "kubectl"),
    "m-kustomize-missing": ("kustomize", "kubectl"),
}
"""Cases that need one of these programs, or a plugin of docker."""
SAID = {
    "m-arg-missing": ("Tiltfile:1", "missing argument for name"),
    "m-arg-type": ("Tiltfile:1", "deps"),
    "m-attr-error": ("Tiltfile:2", "int has no .nope"),
    "m-compose-same-service": ("Tiltfile:2", "there is a resource 's' already"),
    "m-config-badtype": ("Tiltfile:6", "'flag' must be a bool, not a string"),
    "m-config-file-bad": ("Tiltfile:6", "unknown setting 'nope'"),
    "m-dep-self": ("Tiltfile:1", "'a' depends on itself"),
    "m-dockerfile-missing": ("Tiltfile:1", "Dockerfile ctx/Dockerfile"),
    "m-duplicate-yaml": ("Tiltfile:1", "Deployment/a is given twice"),
    "m-fail": ("Tiltfile:2", "a"),
    "m-fail-args": ("Tiltfile:1", "got 2 arguments"),
    "m-flag-unknown": ("Tiltfile:2", "unknown flag --y"),
    "m-image-cycle": ("Tiltfile:1", "a -> b -> a"),
    "m-include-not-shared": ("Tiltfile:2", "undefined: z"),
    "m-invalid-yaml": ("a.yaml:3", "mapping values are not allowed"),
    "m-kustomize-missing": ("Tiltfile:1", "nope"),
    "m-labels-bad": ("Tiltfile:1", "'bad label' is no label"),
    "m-live-update-errors": ("Tiltfile:1", "sync() names other"),
    "m-live-update-order": ("Tiltfile:1", "sync() steps must come before all run() steps"),
    "m-live-update-unused": ("Tiltfile:1", "sync() is used in no live_update"),
    "m-load-ext-missing": ("Tiltfile:1", "has no extension 'no_such_extension'"),
    "m-load-missing-symbol": ("Tiltfile:1", "nope not found in module b.star"),
    "m-local-fail": ("Tiltfile:1", "failed with exit code 3"),
    "m-local-shadow-k8s": ("Tiltfile:1", "there is a local_resource of that name already"),
    "m-name-slash": ("Tiltfile:1", "'a/b' may not contain '/'"),
    "m-no-fstring": ("Tiltfile:2", "f"),
    "m-no-import": ("Tiltfile:1", "import"),
    "m-no-is": ("Tiltfile:1", "is"),
    "m-no-try": ("Tiltfile:1", "try"),
    "m-objects-none": ("Tiltfile:2", "no object is called 'nope'"),
    "m-objects-taken": ("Tiltfile:3", "'x:configmap:ns1' belongs to another resource"),
    "m-pod-readiness-grouped": ("Tiltfile:3", "'w:Widget' belongs to another resource"),
    "m-port-forward-bad": ("Tiltfile:16", "the port 'x'"),
    "m-probe-two": ("Tiltfile:1", "exactly one of"),
    "m-prod-k8s": ("Tiltfile:1", "'prod' might be production"),
    "m-prod-local": ("Tiltfile:2", "'prod' might be production"),
    "m-registry-bad": ("Tiltfile:1", "localhost:5000/x y"),
    "m-registry-twice": ("Tiltfile:2", "already"),
    "m-starlark-errors": ("Tiltfile:3", "cannot append to list during iteration"),
    "m-syntax": ("Tiltfile:1", "("),
    "m-undefined": ("Tiltfile:2", "undefined: nope"),
    "m-unknown-arg": ("", "no resource is called 'xx'"),
    "m-version-too-new": ("Tiltfile:1", ">=99.0.0"),
    "m-yaml-bool-name": ("a.yaml:1", "metadata.name of a ConfigMap is the boolean false"),
    "m-yaml-missing": ("Tiltfile:1", "nope.yaml"),
}
"""Where each wrong project is wrong, and a part of what is said of it."""

CASES = sorted(path.name for path in DATA.iterdir() if path.is_dir())


def read(case: str, name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((DATA / case / name).read_text("utf-8"))
    return content


def of(status: str) -> list[str]:
    return [case for case in CASES if read(case, "case.json")["status"] == status]


def is_there(program: str) -> bool:
    if program == "docker compose":
        return composing.has_plugin()
    return shutil.which(program) is not None


def prepare(case: str, workspace: Workspace) -> tuple[SessionSpec, KubeContext]:
    needed = PROGRAMS.get(case, ())
    if needed and not any(is_there(program) for program in needed):
        pytest.skip(f"needs {' or '.join(needed)}")
    given = read(case, "case.json")
    shutil.copytree(DATA / case / "overlay", workspace.root, dirs_exist_ok=True)
    (workspace.root / ".git").mkdir()
    spec = SessionSpec(
        SessionId(case),
        Mode.CI,
        workspace.path(given["path"]),
        tuple(given["args"]),
        env={
            **os.environ,
            "TILT_EXTENSIONS_DIR": os.environ.get(CHECKOUT, str(EXTENSIONS)),
            "XDG_CACHE_HOME": str(workspace.root.parent / "extensions"),
            **given["env"],
        },
        cwd=str(workspace.root),
    )
    name = given["kube_context"]
    return spec, KubeContext(name, name, is_local=name.startswith("kind-"))


@pytest.mark.parametrize("case", of("ok"))
async def test_a_project_is_what_tilt_makes_of_it(case: str, workspace: Workspace) -> None:
    spec, context = prepare(case, workspace)
    loaded = await workspace.loader.load(spec, context, workspace.log)
    in_ci = (DATA / case / "expected.ci.json").exists()
    expected = read(case, "expected.ci.json" if in_ci else "expected.json")
    assert normalise(loaded, str(workspace.root)) == comparable(expected)


@pytest.mark.parametrize("case", of("error"))
async def test_a_wrong_project_is_refused_at_the_right_place(
    case: str, workspace: Workspace
) -> None:
    spec, context = prepare(case, workspace)
    with pytest.raises(LoadError) as caught:
        await workspace.loader.load(spec, context, workspace.log)
    problem = caught.value.problem
    place, said = SAID[case]
    assert str(problem).startswith(f"{place}:" if place else said)
    assert said in problem.message
    assert spec.tiltfile in caught.value.watched


def test_every_wrong_case_has_its_place() -> None:
    assert SAID.keys() == set(of("error"))
