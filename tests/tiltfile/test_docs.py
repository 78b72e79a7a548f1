"""`docs/tiltfile.md` lists what there is, and nothing else."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tiltfile.conftest import Workspace
from tests.tiltfile.test_reference import REFERENCE
from tiltd.tiltfile.builtins import predeclared
from tiltd.tiltfile.registry import Declared

_PAGE = Path(__file__).parents[2] / "docs" / "tiltfile.md"
_ROW = re.compile(r"^\| `([\w.]+)` \| (?:`([^`]*)`)? *\| (.*)\|$", re.MULTILINE)
_MODULES = ("config", "os", "os.path", "shlex", "sys", "v1alpha1")
_EVERY_FILES_OWN = {"__file__", "__name__"}


def rows() -> dict[str, tuple[str, str]]:
    """Arguments and what is different, by name."""
    found = _ROW.findall(_PAGE.read_text("utf-8"))
    assert len({name for name, _, _ in found}) == len(found)
    return {name: (arguments, note.strip()) for name, arguments, note in found}


def written(declared: Declared) -> str:
    return " ".join(_words(declared))


def _words(declared: Declared) -> Iterator[str]:
    named = False
    for parameter in declared.signature.parameters.values():
        others = [a for a, own in declared.aliases.items() if own == parameter.name]
        name = "/".join([parameter.name, *others])
        match parameter.kind:
            case parameter.VAR_POSITIONAL:
                yield f"*{name}"
                continue
            case parameter.VAR_KEYWORD:
                yield f"**{name}"
                continue
            case parameter.KEYWORD_ONLY if not named:
                named = True
                yield "*"
            case _:
                pass
        yield name if parameter.default is parameter.empty else f"{name}?"


@pytest.mark.parametrize(
    "declared", list(predeclared.declared()), ids=lambda declared: declared.name
)
def test_a_builtin_is_listed_with_its_arguments(declared: Declared) -> None:
    arguments, note = rows()[declared.name]
    if written(declared) == "*args **kwargs":
        assert note
    else:
        assert arguments == written(declared)


async def test_every_name_that_is_listed_is_there_and_the_other_way_round(
    workspace: Workspace,
) -> None:
    listed = set(rows())
    assert set(REFERENCE) - _EVERY_FILES_OWN <= listed
    members = "".join(f"print(' '.join(['{m}.' + n for n in dir({m})]))\n" for m in _MODULES)
    printed = await workspace.printed("".join(f"x = [{n}]\n" for n in sorted(listed)) + members)
    there = {name for line in printed for name in line.split()} - {*_MODULES}
    assert there == {name for name in listed if "." in name}


def test_what_is_refused_says_so() -> None:
    for name in ("v1alpha1.kubernetes_apply", "v1alpha1.kubernetes_discovery"):
        assert rows()[name][1].startswith("Refused")
