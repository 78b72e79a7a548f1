"""The catalogue: each file in `apps` is an app, and what `tilt-client ci` must say of it.

The first document of a file is the expectation, the others are the app's objects:

    verdict   healthy, failed, tiltfile (it is refused) or timeout
    rule      the id of the rule that decides (docs/health.md)
    says      what the output must contain
    never     what it must not contain
    within    seconds that the whole run may take, on a machine of its own; its daemon is there
    flags     of `tilt-client ci`
    tiltfile  in the place of `k8s_yaml('app.yaml')`

`NAMESPACE` stands for the namespace that the app gets for itself.  A comment in the first line says
what is to be seen.
"""

from pathlib import Path
from typing import Any, NamedTuple

import yaml

APPS = Path(__file__).parent / "apps"
_EXITS = {"healthy": 0, "failed": 1, "tiltfile": 2, "timeout": 3}
_MARK = "NAMESPACE"


class Case(NamedTuple):
    """One app and what is expected of it; see the module."""

    name: str
    code: int
    rule: str
    says: tuple[str, ...]
    never: tuple[str, ...]
    within: float
    flags: tuple[str, ...]
    tiltfile: str
    objects: str

    def write(self, folder: Path, namespace: str) -> None:
        """Make the project in an empty folder."""
        objects = self.objects.replace(_MARK, namespace)
        (folder / "app.yaml").write_text(objects, encoding="utf-8")
        tiltfile = self.tiltfile.replace(_MARK, namespace)
        (folder / "Tiltfile").write_text(tiltfile, encoding="utf-8")

    def wants(self, namespace: str) -> list[str]:
        """What the output must contain, in this namespace."""
        rule = [f"[{self.rule}]"] if self.rule else []
        return [text.replace(_MARK, namespace) for text in (*self.says, *rule)]


def cases() -> list[Case]:
    """All of them, by name."""
    return [_read(path) for path in sorted(APPS.glob("*.yaml"))]


def _read(path: Path) -> Case:
    head, _, objects = path.read_text(encoding="utf-8").partition("---\n")
    expected: dict[str, Any] = yaml.safe_load(head)
    case = Case(
        name=path.stem,
        code=_EXITS[expected.pop("verdict")],
        rule=expected.pop("rule", ""),
        says=tuple(expected.pop("says", ())),
        never=tuple(expected.pop("never", ())),
        within=float(expected.pop("within")),
        flags=tuple(expected.pop("flags", ())),
        tiltfile=expected.pop("tiltfile", "k8s_yaml('app.yaml')\n"),
        objects=objects,
    )
    if expected:
        raise ValueError(f"{path}: unknown {', '.join(expected)}")
    return case
