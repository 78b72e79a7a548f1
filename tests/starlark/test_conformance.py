"""What go.starlark.net with Tilt's options says of each program, we say too.

`data/starlark.jsonl` holds programs of ours and its answers: `ok`, and what was printed.
"""

import json
import pathlib
from typing import Any

import pytest

from tiltd import starlark

_CASES: list[dict[str, Any]] = [
    json.loads(line)
    for line in (pathlib.Path(__file__).parent / "data/starlark.jsonl").read_text().splitlines()
]


class Blob(starlark.HostValue):
    """Text of a file, as Tilt has it: equal by content, but not hashable and not a string."""

    type_name = "blob"

    def __init__(self, text: str) -> None:
        self.text = text

    def starlark_repr(self) -> str:
        return self.text

    def __bool__(self) -> bool:
        return bool(self.text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Blob) and self.text == other.text

    def __hash__(self) -> int:
        return super().__hash__()


def _predeclared(out: list[str]) -> dict[str, starlark.Value]:
    @starlark.builtin
    def p(s: str) -> None:
        out.append(s)

    @starlark.builtin
    def blob(s: str) -> Blob:
        return Blob(s)

    @starlark.builtin
    def boom() -> None:
        raise OSError("boom from host")

    return {
        "p": p,
        "blob": blob,
        "boom": boom,
        "struct": starlark.struct,
        "module": starlark.module,
        "host": starlark.Namespace("host", {"blob": blob}),
        "__file__": "/x/Tiltfile",
        "__name__": "__main__",
    }


def _evaluate(source: str) -> tuple[bool, str]:
    out: list[str] = []
    try:
        program = starlark.compile(source, "t.star")
        starlark.execute(program, _predeclared(out), on_print=out.append)
    except starlark.StarlarkError:
        return False, "".join(f"{line}\n" for line in out)
    return True, "".join(f"{line}\n" for line in out)


def test_no_case_is_missing() -> None:
    assert len(_CASES) == 294


@pytest.mark.parametrize("case", _CASES, ids=[f"{i}" for i in range(len(_CASES))])
def test_agrees_with_go_starlark(case: dict[str, Any]) -> None:
    assert _evaluate(case["src"]) == (case["ok"], case["out"])
