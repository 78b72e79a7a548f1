"""A program reaches what it was given, and nothing of Python."""

import pytest

from tests.starlark.evaluate import failure, run

_DUNDERS = ["__class__", "__dict__", "__globals__", "__self__", "__code__", "__init__", "data"]
_VALUES = {
    "None": "None", "bool": "True", "int": "(1)", "float": "1.5", "string": "'a'", "bytes": "b'a'",
    "list": "[]", "dict": "{}", "set": "set()", "tuple": "()", "range": "range(3)",
    "function": "(lambda: 1)", "builtin": "len", "method": "[].append", "host": "host",
    "struct": "struct(a=1)", "elems": "'a'.elems()",
}  # fmt: skip


@pytest.mark.parametrize("name", _DUNDERS)
@pytest.mark.parametrize("value", _VALUES.values(), ids=_VALUES)
def test_no_value_has_pythons_attributes(value: str, name: str) -> None:
    message = failure(f"x = {value}.{name}", {"host": len}).message
    assert f"has no .{name}" in message


@pytest.mark.parametrize("value", _VALUES.values(), ids=_VALUES)
def test_getattr_and_dir_go_the_same_way(value: str) -> None:
    source = f"v = {value}\nprint(getattr(v, '__class__', 'none'), hasattr(v, '__class__'))"
    assert run(source, {"host": len}) == ["none False"]
    assert all("__" not in line for line in run(f"print(dir({value}))", {"host": len}))


@pytest.mark.parametrize(
    "source",
    [
        "'{0.__class__}'.format(1)",
        "'{0[a]}'.format({})",
        "'{a.b}'.format(a=1)",
        "'{:{}}'.format(1, 2)",
        "'{!a}'.format(1)",
        "'%(a)s' % struct(a=1)",
        "__builtins__",
        "__import__('os')",
        "eval('1')",
        "exec('1')",
        "open('x')",
        "globals()",
        "locals()",
        "vars()",
        "super()",
        "object",
        "Exception",
        "[].append.__func__",
        "def f(): pass\nf.__defaults__ = (1,)",
        "x = [1]\nx.frozen = True",
        "x, [1].data = 1, 2",
        "for [].data in [1]: pass",
        "[0 for [].data in [1]]",
        "[].data += [1]",
        "def f(**k): pass\nf(**{'<flag>': 1})\n[].stop",
    ],
)
def test_escapes_fail(source: str) -> None:
    assert failure(source).message


def test_internal_names_are_not_reachable_by_name() -> None:
    assert "has no .<thread>" in failure("x = getattr(struct(a=1), '<thread>')").message
    assert run("print(dir(struct(a=1)))") == ['["a"]']


def test_a_program_may_use_odd_names_without_touching_ours() -> None:
    assert run("__name__ = 'x'\n__file__ = 'y'\n__doc__ = 'z'\nprint(__name__ + __doc__)") == ["xz"]
