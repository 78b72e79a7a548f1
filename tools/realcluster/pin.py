"""Write the go.mod and go.sum of the folders in `gomod/` from the versions in `settings.py`.

Run by hand when a version changes: `python3 -m tools.realcluster.pin`; needs the Go module proxy.

`k8s.io/kubernetes` replaces its staging modules by folders of its own repository, which a module
that requires it does not inherit; each is published as a module too, v1.X.Y as v0.X.Y, so the
pins replace them by those.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from tools.realcluster import binaries, console, process, settings, toolchain

_ENV = {**toolchain.GO_ENV, "GOFLAGS": "-mod=mod"}
_MODULES = (binaries.KUBERNETES, binaries.COREDNS, binaries.BUILDX, binaries.COMPOSE)
_VERSIONS = {
    binaries.KUBERNETES.name: ("k8s.io/kubernetes", settings.KUBERNETES),
    binaries.COREDNS.name: ("github.com/coredns/coredns", settings.COREDNS),
    binaries.BUILDX.name: ("github.com/docker/buildx", settings.BUILDX),
    binaries.COMPOSE.name: ("github.com/docker/compose/v2", settings.COMPOSE),
}


def pin(go: str, module: binaries.Module) -> None:
    """Write one module's go.mod and go.sum."""
    source, number = _VERSIONS[module.name]
    version = f"v{number}"
    folder = settings.GO_MODULES / module.name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "go.sum").unlink(missing_ok=True)
    # Outside of any module: a half-written go.mod would stop go from answering.
    answer = process.run(go, "mod", "download", "-json", f"{source}@{version}", cwd=Path("/"),
                         env=_ENV)  # fmt: skip
    theirs = json.loads(process.run(go, "mod", "edit", "-json", json.loads(answer)["GoMod"]))
    staged = [
        f"\t{entry['Old']['Path']} => {entry['Old']['Path']} v0.{number.partition('.')[2]}"
        for entry in theirs.get("Replace") or ()
        if entry["New"]["Path"].startswith("./staging/")
    ]
    lines = [
        f"module tiltd.local/realcluster/{module.name}",
        f"go {theirs['Go']}",
        *(f"godebug {entry['Key']}={entry['Value']}" for entry in theirs.get("GoDebug") or ()),
        _block("tool", [f"\t{package}" for package in module.programs.values()]),
        f"require {source} {version}",
        *([_block("replace", staged)] if staged else []),
    ]
    (folder / "go.mod").write_text("\n\n".join(lines) + "\n")
    process.run(go, "mod", "tidy", cwd=folder, env=_ENV)


def main() -> int:
    """Pin all of them; returns the exit code."""
    return console.exit_code(_pin_all)


def _pin_all() -> None:
    go = toolchain.go(settings.folders())
    for module in _MODULES:
        with console.step(f"pin {module.name}"):
            pin(go, module)


def _block(word: str, lines: Sequence[str]) -> str:
    return "\n".join([f"{word} (", *lines, ")"])


if __name__ == "__main__":
    sys.exit(main())
