"""Compiled programs are kept by content and run in any file's name."""

from collections.abc import Callable

import pytest

from tests.starlark.evaluate import run
from tiltd import starlark

_SOURCE = "k = len('é') + 1\ndef f():\n\treturn nope if 0 else 'é' + 1\nlen = 3\n"


def test_a_dumped_program_is_the_same_under_another_name() -> None:
    dumped = starlark.compile(_SOURCE, "a").dump()
    loaded = starlark.load_program(dumped, "b")
    assert loaded is not None
    assert loaded.exported == ("k", "f", "len")
    thread = starlark.Thread()
    module = thread.execute(loaded, {"nope": 1})
    assert (module.file, module.globals["k"], module.globals["len"]) == ("b", 3, 3)
    with pytest.raises(starlark.StarlarkError) as caught:
        thread.call(module.globals["f"])
    assert str(caught.value.position) == "b:3:24"
    with pytest.raises(starlark.StarlarkSyntaxError, match=r"^b:3:9: undefined: nope"):
        starlark.execute(loaded, {})


def test_compiling_twice_gives_the_same_bytes_of_names() -> None:
    first, second = starlark.compile(_SOURCE, "a"), starlark.compile(_SOURCE.encode(), "a")
    assert first.names == second.names
    assert first.code == second.code


def _cut(data: bytes) -> bytes:
    return data[:-1]


def _flipped(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def _foreign(data: bytes) -> bytes:
    return b"other version\n" + data.partition(b"\n")[2]


@pytest.mark.parametrize("damage", [_cut, _flipped, _foreign])
def test_a_damaged_or_foreign_program_is_dropped(damage: Callable[[bytes], bytes]) -> None:
    data = starlark.compile(_SOURCE, "a").dump()
    assert starlark.load_program(data, "a") is not None
    assert starlark.load_program(damage(data), "a") is None
    assert starlark.load_program(b"", "a") is None


def test_one_program_runs_many_times_and_keeps_nothing() -> None:
    program = starlark.compile("x = []\nx.append(len(x))\nprint(x)", "a")
    lines: list[str] = []
    for _ in range(2):
        starlark.execute(program, {}, on_print=lines.append)
    assert lines == ["[0]", "[0]"]


def test_predeclared_values_shadow_the_universe() -> None:
    shout = starlark.Builtin("print", lambda *_: None)
    assert run("print('quiet')", {"print": shout}) == []
