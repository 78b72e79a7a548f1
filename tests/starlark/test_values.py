"""Values and operators: where they agree with Python's, and where they must not."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.starlark.evaluate import failure, run, shown
from tiltd import starlark

_INTS = st.integers(-(10**30), 10**30)
_BOUNDS = st.none() | st.integers(-12, 12)


@given(_INTS, _INTS)
def test_int_arithmetic_is_exact(x: int, y: int) -> None:
    got = shown("(x + y, x - y, x * y, x & y, x | y, x ^ y, ~x, -x)", {"x": x, "y": y})
    assert got == str((x + y, x - y, x * y, x & y, x | y, x ^ y, ~x, -x))


@given(_INTS, _INTS.filter(bool))
def test_int_division_floors(x: int, y: int) -> None:
    assert shown("(x // y, x % y)", {"x": x, "y": y}) == str((x // y, x % y))


@given(_INTS, st.integers(0, 100))
def test_shifts(x: int, y: int) -> None:
    assert shown("(x << y, x >> y)", {"x": x, "y": y}) == str((x << y, x >> y))


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_printed_float_reads_back_as_itself(x: float) -> None:
    printed = shown("x", {"x": x})
    assert float(printed) == x
    assert "." in printed or "e" in printed


@given(st.text(), _BOUNDS, _BOUNDS, st.none() | st.integers(-3, 3).filter(bool))
def test_strings_are_sliced_by_bytes(
    s: str, low: int | None, high: int | None, step: int | None
) -> None:
    program = starlark.compile("x = s[a:b:c]", "t")
    names = {"s": s, "a": low, "b": high, "c": step}
    got = starlark.execute(program, names).globals["x"]
    assert got.encode("utf-8", "surrogateescape") == s.encode()[low:high:step]


@given(st.text(), st.integers(0, 12))
def test_a_split_string_is_whole_again_when_joined(s: str, at: int) -> None:
    names = {"s": s, "at": at}
    assert run("print(s[:at] + s[at:] == s, ''.join(s.elems()) == s)", names) == ["True True"]


@given(st.lists(st.integers(-5, 5)), _BOUNDS, _BOUNDS, st.integers(-3, 3).filter(bool))
def test_lists_are_sliced_as_in_python(
    x: list[int], low: int | None, high: int | None, step: int
) -> None:
    names = {"x": starlark.List(list(x)), "a": low, "b": high, "c": step}
    assert shown("x[a:b:c]", names) == str(x[low:high:step])


@given(st.lists(st.tuples(st.integers(-3, 3), st.text(max_size=2))))
def test_sorting_is_stable_both_ways(pairs: list[tuple[int, str]]) -> None:
    names = {"x": starlark.List(list(pairs))}
    got = starlark.execute(
        starlark.compile(
            "y = sorted(x, key=lambda p: p[0])\nz = sorted(x, key=lambda p: p[0], reverse=True)\n"
            "w = sorted(x)",
            "t",
        ),
        names,
    ).globals
    assert list(got["y"]) == sorted(pairs, key=lambda p: p[0])
    assert list(got["z"]) == sorted(pairs, key=lambda p: p[0], reverse=True)
    assert list(got["w"]) == sorted(pairs)


@given(st.text())
@settings(max_examples=200)
def test_a_quoted_string_is_a_literal_of_itself(s: str) -> None:
    literal = starlark.to_repr(s)
    assert starlark.execute(starlark.compile(f"x = {literal}", "t"), {}).globals["x"] == s


_KEYS = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.floats(-2, 2) | st.text(max_size=1),
    lambda inner: st.tuples(inner, inner),
    max_leaves=4,
)


@given(st.lists(_KEYS))
def test_dict_keys_are_the_same_exactly_if_they_are_equal(keys: list[starlark.Value]) -> None:
    distinct: list[starlark.Value] = []
    for key in keys:
        if not any(starlark.equal(key, other) for other in distinct):
            distinct.append(key)
    names = {"keys": starlark.List(list(keys))}
    module = starlark.execute(
        starlark.compile("d = {k: None for k in keys}\ns = set(keys)", "t"), names
    )
    assert starlark.to_repr(starlark.List(distinct)) == starlark.to_repr(
        starlark.List(module.globals["d"].keys())
    )
    assert len(module.globals["s"]) == len(distinct)


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("True == 1", "False"),
        ("(True,) == (1,)", "False"),
        ("[True] == [1]", "False"),
        ("1 in [True]", "False"),
        ("1 == 1.0", "True"),
        ("{1: 'a'}[1.0]", '"a"'),
        ("{(1, True): 2}.get((1, 1))", "None"),
        ("{1: 'a', True: 'b', 1.0: 'c'} if 0 else {1: 'a', True: 'b'}", '{1: "a", True: "b"}'),
        ("float('nan') == float('nan')", "True"),
        ("float('nan') > float('inf')", "True"),
        ("len(set([float('nan'), float('nan')]))", "1"),
        ("'a' < 'b', (1, 2) < (1, 3), [2] > [1, 5]", "(True, True, True)"),
        ("[1, 2] * 2, 2 * (1,), 'ab' * 2, 'x' * -1", '([1, 2, 1, 2], (1, 1), "abab", "")'),
        ("set([1, 2]) | set([3]), set([1]) ^ set([1, 2])", "(set([1, 2, 3]), set([2]))"),
        ("{'a': 1} | {'a': 2, 'b': 3}", '{"a": 2, "b": 3}'),
        ("7 / 2, 7 // 2.0, -7 % 3.0", "(3.5, 3.0, 2.0)"),
        ("3 in range(0, 10, 3), range(10)[::-2]", "(True, range(9, -1, -2))"),
        ("range(3) == range(0, 3), range(0, 3, 2) == range(0, 4, 2)", "(True, True)"),
        ("b'a\\xff' + b'b', b'abc'[1:], 97 in b'a'", '(b"a\\xffb", b"bc", True)'),
        ("{} == {}, {'a': [1]} == {'a': [1]}", "(True, True)"),
        ("set([1, 2]) == set([2, 1])", "True"),
        ("struct(a=1) == struct(a=1), struct(a=1) == struct(a=True)", "(True, False)"),
        ("[].append == [].append, len == len", "(False, True)"),
        ("not [], not 0.0, not '', not None, not range(0), not set()", str((True,) * 6)),
        ("1 and 2, 0 or 'x', None and 1", '(2, "x", None)'),
        ("[x * y for x in range(3) if x for y in [x, 5]]", "[1, 5, 4, 10]"),
        ("{k: v for k, v in {'a': 1}.items()}", '{"a": 1}'),
        ("[a + b for (a, b), c in [((1, 2), 3)]]", "[3]"),
    ],
)
def test_operators(expression: str, result: str) -> None:
    assert shown(expression) == result


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("True + 1", "unknown binary op: bool + int"),
        ("1 * True", "unknown binary op: bool * int"),
        ("-True", "unknown unary op: -bool"),
        ("~True", "unknown unary op: ~bool"),
        ("+'a'", "unknown unary op: +string"),
        ("'a' * 1.5", "unknown binary op: string * float"),
        ("[1] + (2,)", "unknown binary op: list + tuple"),
        ("{} + {}", "unknown binary op: dict + dict"),
        ("set() | [1]", "unknown binary op: set | list"),
        ("1 < 'a'", "int < string not implemented"),
        ("None < None", "NoneType < NoneType not implemented"),
        ("True < 2", "bool < int not implemented"),
        ("{} < {}", "dict < dict not implemented"),
        ("1 in 'a'", "'in <string>' requires string as left operand, not int"),
        ("1 in 2", "unknown binary op: int in int"),
        ("[] in {}", "unhashable type: list"),
        ("[1][True]", "list index: got bool, want int"),
        ("[1][1]", "list index 1 out of range"),
        ("[1]['a':]", "slice index: got string, want int"),
        ("{}['a']", 'key "a" not in dict'),
        ("{'a': 1, 'a': 2}", 'duplicate key: "a"'),
        ("1 << -1", "negative shift count"),
        ("1 / 0", "division by zero"),
        ("1.0 % 0", "modulo by zero"),
        ("a, b = 1", "got int in assignment to 2 names"),
        ("a, b = 'ab'", "got string in assignment to 2 names"),
        ("a, b = [1]", "too few values"),
        ("(a, (b, c)) = (1, 'xy')", "got string in assignment to 2 names"),
        ("for a, b in [(1, 2, 3)]: pass", "too many values"),
        ("(1,)[0] = 2", "tuple value does not support item assignment"),
        ("'a'[0] = 'b'", "string value does not support item assignment"),
        ("x = [1]\nfor y in x: x[0] = 2", "during iteration"),
        ("d = {1: 1}\nfor k in d: d.pop(1)", "during iteration"),
        ("s = set([1])\nfor k in s: s.clear()", "during iteration"),
        ("x = [1]\n[x.append(y) for y in x]", "during iteration"),
        ("x = [1]\nfor y in x:\n  x += [1]", "during iteration"),
    ],
)
def test_operator_errors(source: str, message: str) -> None:
    assert message in failure(source).message


def test_a_list_may_be_changed_again_after_each_way_out_of_a_loop() -> None:
    source = """
x = [1, 2]
for y in x: pass
x.append(3)
for y in x: break
x.append(4)
def f():
    for y in x:
        for z in x: return y
f()
x.append(5)
[y for y in x if y > 100]
x.append(6)
print(x)
"""
    assert run(source) == ["[1, 2, 3, 4, 5, 6]"]


def test_assignments_to_elements() -> None:
    source = """
d = {'a': [1], 'n': 1}
d['a'][0] += 5
d['n'] *= 3
d['l'], d['m'] = [1, 2]
x = [0, 0]
for x[0] in [7, 8]: pass
calls = []
def f(): calls.append(1); return 0
x[f()] += 1
print(d, x, calls)
"""
    assert run(source) == ['{"a": [6], "n": 3, "l": 1, "m": 2} [9, 0] [1]']


def test_augmented_assignment_extends_a_list_in_place_and_rebinds_a_tuple() -> None:
    source = (
        "a = [1]; b = a; a += (2,); t = (1,); u = t; t += (2,); d = {}; e = d; d |= {1: 2}\n"
        "print(b, u, e)"
    )
    assert run(source) == ["[1, 2] (1,) {1: 2}"]


def test_a_dicts_observer_hears_changes_first_and_may_refuse() -> None:
    heard: list[tuple[str, str | None]] = []

    def observe(key: str, value: str | None) -> None:
        if key == "BAD":
            raise starlark.StarlarkError("not this one")
        heard.append((key, value))

    environ = starlark.Dict([("HOME", "/root")])
    environ.observer = observe
    error = failure("e['A'] = '1'\ne.pop('A')\ne.update(B='2')\ne['BAD'] = 'x'", {"e": environ})
    assert error.message == "not this one"
    assert heard == [("A", "1"), ("A", None), ("B", "2")]
    assert environ.keys() == ["HOME", "B"]


def test_values_go_to_python_and_back() -> None:
    data = {"a": [1, 2.5, None, True], "b": {"c": "x"}}
    value = starlark.from_python(data)
    assert starlark.to_python(value) == data
    assert starlark.to_python((1, starlark.Set([2]))) == [1, [2]]
    assert math.isnan(starlark.to_python(float("nan")))
    with pytest.raises(starlark.StarlarkError, match="struct can't be converted"):
        starlark.to_python(starlark.Struct({}))
    assert starlark.to_python(starlark.Struct({"a": 1}), lambda host: str(host.starlark_dir())) == (
        "['a']"
    )
    loop = starlark.List()
    loop.data.append(loop)
    with pytest.raises(starlark.StarlarkError, match="contains itself"):
        starlark.to_python(loop)
    with pytest.raises(TypeError):
        starlark.from_python(object())
