"""Run-time errors: the stack, the message, the cause."""

from collections.abc import Mapping

import pytest

from tests.starlark.evaluate import failure, run
from tiltd import starlark


def test_the_stack_has_each_call_with_file_line_and_column() -> None:
    error = failure("def f(x):\n  return [g(y) for y in x]\ndef g(y):\n  return 1 // y\n\nf([0])")
    assert [str(frame) for frame in error.frames] == [
        "t.star:6:1: in <toplevel>",
        "t.star:2:11: in f",
        "t.star:4:10: in g",
    ]
    assert error.traceback().splitlines()[0] == "Traceback (most recent call last):"
    assert error.traceback().splitlines()[-1] == "Error: floored division by zero"


def test_the_stack_goes_through_loads_and_host_functions() -> None:
    files = {"a": "load('b', 'x')", "b": "\nx = fail('no', 1)"}

    def load(name: str, position: starlark.Position) -> Mapping[str, starlark.Value]:
        seen.append(str(position))
        return thread.execute(starlark.compile(files[name], name), {}).globals

    seen: list[str] = []
    thread = starlark.Thread(load=load)
    with pytest.raises(starlark.StarlarkError) as caught:
        thread.execute(starlark.compile("\n\nload('a', 'x')", "main"), {})
    assert [str(frame.position) for frame in caught.value.frames] == ["main:3:1", "a:1:1", "b:2:5"]
    assert caught.value.message == "fail: no 1"
    assert seen == ["main:3:1", "a:1:1"]


def test_a_syntax_error_of_a_loaded_file_keeps_its_place_and_has_the_stack() -> None:
    def load(name: str, _: starlark.Position) -> Mapping[str, starlark.Value]:
        return thread.execute(starlark.compile("x = = 1", name), {}).globals

    thread = starlark.Thread(load=load)
    with pytest.raises(starlark.StarlarkSyntaxError) as caught:
        thread.execute(starlark.compile("load('a', 'x')", "main"), {})
    assert str(caught.value.position) == "a:1:5"
    assert [str(frame.position) for frame in caught.value.frames] == ["main:1:1"]
    assert "main:1:1" in caught.value.traceback()
    assert "a:1:5: invalid syntax" in caught.value.traceback()


def test_a_hosts_exception_is_the_cause() -> None:
    def boom() -> None:
        raise OSError("disk on fire")

    error = failure("def f(): boom()\nf()", {"boom": starlark.Builtin("boom", boom)})
    assert error.message == "disk on fire"
    assert isinstance(error.__cause__, OSError)
    assert [frame.function for frame in error.frames] == ["<toplevel>", "f"]


def test_a_hosts_own_starlark_error_passes_as_the_same_object_with_the_stack() -> None:
    class HelmError(starlark.StarlarkError):
        pass

    thrown = HelmError("chart is broken", hint="fix the chart")

    def helm() -> None:
        raise thrown

    error = failure("\nhelm()", {"helm": starlark.Builtin("helm", helm)})
    assert error is thrown
    assert str(error) == "t.star:2:1: chart is broken (fix the chart)"


def test_host_functions_see_where_they_were_called() -> None:
    stacks: list[list[str]] = []

    def where() -> None:
        stacks.append([str(frame) for frame in starlark.call_stack()])

    run("def f():\n  x = [where() for y in [1]]\nf()", {"where": starlark.Builtin("where", where)})
    assert stacks == [["t.star:3:1: in <toplevel>", "t.star:2:8: in f"]]
    assert starlark.call_stack() == ()


_CALLS = [
    pytest.param("def f(a, b): pass\nf(1)", "f: missing 1 argument (b)", id="missing"),
    pytest.param("def f(a, b): pass\nf()", "f: missing 2 arguments (a, b)", id="missing-2"),
    pytest.param("def f(*, b): pass\nf()", "f: missing 1 argument (b)", id="keyword-only"),
    pytest.param(
        "def f(a): pass\nf(1, 2)", "f: got 2 positional arguments, want exactly 1", id="many"
    ),
    pytest.param(
        "def f(a=1): pass\nf(1, 2)", "f: got 2 positional arguments, want at most 1", id="most"
    ),
    pytest.param("def f(): pass\nf(1)", "f: got 1 positional arguments, want none", id="none"),
    pytest.param("def f(a): pass\nf(b=1)", 'f: unexpected keyword argument "b"', id="unknown"),
    pytest.param(
        "def f(a): pass\nf(1, a=1)", 'f: got multiple values for parameter "a"', id="twice"
    ),
    pytest.param(
        "def f(**k): pass\nf(a=1, **{'a': 2})",
        'f: got multiple values for parameter "a"',
        id="twice-splat",
    ),
    pytest.param(
        "def o():\n  def f(a): pass\n  return f\no()()", "f: missing 1 argument (a)", id="nested"
    ),
    pytest.param("(lambda x: x)()", "lambda: missing 1 argument (x)", id="lambda"),
    pytest.param("[].append()", "append: missing 1 argument (value)", id="method"),
    pytest.param(
        "[].append(1, 2)", "append: got 2 positional arguments, want exactly 1", id="method-many"
    ),
    pytest.param("len(x=1)", "len: x can't be passed by name", id="positional-only"),
    pytest.param("x = 1\nx()", "int is not callable", id="int"),
    pytest.param("'a'()", "string is not callable", id="literal"),
    pytest.param("None()", "NoneType is not callable", id="none-call"),
    pytest.param("{}.get('a')()", "NoneType is not callable", id="result"),
    pytest.param("print(**{1: 2})", "keywords must be strings, not int", id="splat-key"),
    pytest.param("print(*1)", "argument after * must be iterable, not int", id="star-int"),
    pytest.param("print(*'ab')", "argument after * must be iterable, not string", id="star-str"),
    pytest.param("print(**[])", "argument after ** must be a dict, not list", id="splat-list"),
    pytest.param(
        "def f():\n  print(x)\n  x = 1\nf()",
        "local variable x referenced before assignment",
        id="local",
    ),
    pytest.param(
        "if False: x = 1\nprint(x)", "global variable x referenced before assignment", id="global"
    ),
    pytest.param(
        "def f():\n  def g(): return x\n  g()\n  x = 1\nf()",
        "local variable x referenced before assignment",
        id="free",
    ),
]


@pytest.mark.parametrize(("source", "message"), _CALLS)
def test_pythons_errors_are_said_in_starlarks_words(source: str, message: str) -> None:
    error = failure(source)
    assert error.message == message
    assert error.frames


@pytest.mark.parametrize(
    ("source", "hint"),
    [
        ("'a' + 1", "convert with str(...)"),
        ("{} + {}", "use | to join dicts"),
        ("x = {'name': 1}['nme']", "did you mean name?"),
        ("[].appendd(1)", "did you mean append?"),
        ("struct(port=1).prt", "did you mean port?"),
        (
            "for c in 'abc': pass",
            "use x.elems() for its bytes or x.codepoints() for its characters",
        ),
        ("{[1]: 2}", "use a tuple"),
    ],
)
def test_hints_say_what_to_do(source: str, hint: str) -> None:
    assert failure(source).hint == hint


def test_a_very_deep_traceback_shows_both_ends() -> None:
    lines = failure("def f(): f()\nf()").traceback().splitlines()
    assert len(lines) < 60
    assert any("more calls" in line for line in lines)


def test_a_host_may_call_functions_of_a_program() -> None:
    thread = starlark.Thread()
    module = thread.execute(starlark.compile("def f(x, y=1): return x // y", "m"), {})
    assert thread.call(module.globals["f"], 7, y=2) == 3
    with pytest.raises(starlark.StarlarkError, match="division by zero") as caught:
        thread.call(module.globals["f"], 7, y=0)
    assert [str(frame) for frame in caught.value.frames] == ["m:1:23: in f"]
    with pytest.raises(starlark.StarlarkError, match="int is not callable"):
        thread.call(3)
