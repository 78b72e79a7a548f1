"""Run small programs in tests."""

from typing import Any

import pytest

from tiltd import starlark


def run(source: str | bytes, predeclared: dict[str, Any] | None = None) -> list[str]:
    """What the program prints, a line an element."""
    lines: list[str] = []
    program = starlark.compile(source, "t.star")
    starlark.execute(
        program, {"struct": starlark.struct, **(predeclared or {})}, on_print=lines.append
    )
    return lines


def shown(expression: str, predeclared: dict[str, Any] | None = None) -> str:
    """`repr` of an expression, as Starlark prints it."""
    return "\n".join(run(f"shown = {expression}\nprint(repr(shown))", predeclared))


def failure(
    source: str | bytes, predeclared: dict[str, Any] | None = None
) -> starlark.StarlarkError:
    """The error of a program that must fail."""
    with pytest.raises(starlark.StarlarkError) as caught:
        run(source, predeclared)
    return caught.value
