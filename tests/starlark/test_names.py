"""Names: what they mean before, after and without a binding, and across files."""

from collections.abc import Mapping

import pytest

from tests.starlark.evaluate import failure, run
from tiltd import starlark


def test_a_global_may_replace_the_builtin_that_makes_it() -> None:
    context = starlark.Builtin("k8s_context", lambda: "kind-x")
    source = "k8s_context = k8s_context()\ndef f(): return k8s_context\nprint(f(), k8s_context)"
    assert run(source, {"k8s_context": context}) == ["kind-x kind-x"]


def test_a_function_sees_the_files_global_even_where_it_shadows_a_builtin() -> None:
    error = failure("def f(): return len('ab')\nf()\nlen = 3")
    assert error.message == "global variable len referenced before assignment"


def test_a_comprehension_sees_the_files_global_but_its_first_list_does_not() -> None:
    assert run("x = [i for i in range(2)]\nrange = 1\nprint(x)") == ["[0, 1]"]
    assert "before assignment" in failure("x = [range for i in [1]]\nrange = 1").message


@pytest.mark.parametrize(
    ("source", "place", "hint"),
    [
        pytest.param("x = y_undefined", "t.star:1:5", "", id="top"),
        pytest.param("def f(): return zzz\nprint('ran')", "t.star:1:17", "", id="never-called"),
        pytest.param("print(q)\nq = 1", "t.star:1:7", "", id="bound-later"),
        pytest.param("x = [prnt(i) for i in []]", "t.star:1:6", "print", id="comprehension"),
        pytest.param("my_image = 1\nx = my_imgae", "t.star:2:5", "my_image", id="own-name"),
        pytest.param("x = true", "t.star:1:5", "True", id="true"),
        pytest.param("x = sum([])", "t.star:1:5", "Python's sum", id="pythons"),
        pytest.param("lambda: aa\nx = bb", "t.star:1:9", "", id="first-one"),
    ],
)
def test_undefined_names_are_found_before_anything_runs(source: str, place: str, hint: str) -> None:
    lines: list[str] = []
    program = starlark.compile(source, "t.star")
    with pytest.raises(starlark.StarlarkSyntaxError) as caught:
        starlark.execute(program, {}, on_print=lines.append)
    assert str(caught.value.position) == place
    assert caught.value.message.startswith("undefined: ")
    assert hint in caught.value.hint
    assert lines == []


def _loading(files: dict[str, str], main: str) -> tuple[starlark.Module, list[str]]:
    lines: list[str] = []
    done: dict[str, Mapping[str, starlark.Value]] = {}

    def load(name: str, _: starlark.Position) -> Mapping[str, starlark.Value]:
        if name not in done:
            program = starlark.compile(files[name], name)
            done[name] = thread.execute(program, {}).globals
        return done[name]

    thread = starlark.Thread(load=load, on_print=lines.append)
    return thread.execute(starlark.compile(main, "main"), {}), lines


def test_load_binds_names_that_are_not_exported_again() -> None:
    module, lines = _loading({"a": "x = 1\ny = 2"}, "load('a', 'x', z='y')\nw = x + z\nprint(w)")
    assert lines == ["3"]
    assert module.globals == {"w": 3}


def test_a_loaded_name_may_be_assigned_again() -> None:
    module, lines = _loading({"a": "x = 1"}, "load('a', 'x')\nx = x + 1\nprint(x)")
    assert lines == ["2"]
    assert module.globals == {}


def test_a_loaded_function_keeps_its_own_globals() -> None:
    _, lines = _loading(
        {"a": "secret = 'a'\ndef f(): return secret"},
        "load('a', 'f')\nsecret = 'main'\nprint(f())",
    )
    assert lines == ["a"]


@pytest.mark.parametrize(
    "change",
    ["x.append(1)", "x[0] = 1", "d['k'] = 1", "d['l'].append(1)", "s.add(1)", "f()", "g()"],
)
def test_values_of_a_loaded_file_are_frozen(change: str) -> None:
    library = (
        "x = [1]\nd = {'l': []}\ns = set()\ndef f(y=[]): y.append(1)\n"
        "def make():\n  z = []\n  return lambda: z.append(1)\ng = make()\n"
    )
    with pytest.raises(starlark.StarlarkError, match="frozen"):
        _loading({"a": library}, f"load('a', 'x', 'd', 's', 'f', 'g')\n{change}")


def test_a_name_that_the_module_has_not_is_an_error_with_the_nearest() -> None:
    with pytest.raises(starlark.StarlarkError, match="name helo not found in module a") as caught:
        _loading({"a": "hello = 1"}, "\nload('a', 'helo')")
    assert caught.value.hint == "did you mean hello?"
    assert str(caught.value.position) == "main:2:1"


def test_load_without_a_loader_is_an_error() -> None:
    assert "load is not available" in failure("load('a', 'b')").message


def test_scopes_are_pythons() -> None:
    source = """
x = 5
def f(a):
    fs = [lambda: a + i for i in range(3)]
    def g(): return h() + 1
    def h(): return a
    return [k() for k in fs], g()
print(f(1), [x for x in range(2)], x)
"""
    assert run(source) == ["([3, 3, 3], 2) [0, 1] 5"]


def test_arguments_of_all_kinds() -> None:
    source = """
def f(a, b=2, *args, c, d=4, **kw): return (a, b, args, c, d, kw)
print(f(1, c=3))
print(f(1, 2, 3, c=4, e=5))
print(f(*[1, 2, 3], **{'c': 4}))
g = lambda *a, b=1, **k: (a, b, k)
print(g(1, b=2, c=3))
"""
    assert run(source) == [
        "(1, 2, (), 3, 4, {})",
        '(1, 2, (3,), 4, 4, {"e": 5})',
        "(1, 2, (3,), 4, 4, {})",
        '((1,), 2, {"c": 3})',
    ]
