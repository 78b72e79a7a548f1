"""Programs that never end, nest without end or want all memory are stopped, not survived."""

import threading

import pytest

from tests.starlark.evaluate import failure, run
from tiltd import starlark


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("def f(): f()\nf()", id="function"),
        pytest.param("def f(*a, **k): f(*a, **k)\nf(1, b=2)", id="splat"),
        pytest.param("f = lambda **k: f(**k)\nf(a=1)", id="lambda"),
        pytest.param("def f(x): return [f(y) for y in [x]]\nf(1)", id="comprehension"),
        pytest.param("def f(x): return sorted([x], key=lambda y: f(y))\nf(1)", id="sort-key"),
        pytest.param("def f(x):\n  for a, b in [(1, 2)]: f(a)\nf(1)", id="loop"),
        pytest.param("s = 1\nfor i in range(30000): s = struct(a=s)\nprint(s)", id="print"),
        pytest.param(
            "s = 1\nt = 1\nfor i in range(30000):\n  s = struct(a=s)\n  t = struct(a=t)\ns == t",
            id="compare",
        ),
        pytest.param("s = 1\nfor i in range(30000): s = struct(a=s)\n{s: 1}", id="hash"),
    ],
)
def test_endless_recursion_is_an_error_in_a_threads_stack_too(source: str) -> None:
    caught: list[starlark.StarlarkError] = []
    thread = threading.Thread(target=lambda: caught.append(failure(source)))
    thread.start()
    thread.join()
    assert "stack overflow" in caught[0].message


@pytest.mark.parametrize(
    "source",
    [
        "'a' * 1000000000000",
        "b'a' * 1000000000000",
        "[1] * 1000000000000",
        "(1,) * 1000000000000",
        "1 << 10000000000",
        "list(range(1000000000000))",
        "[1] + [2] * (1 << 24)",
        "sorted(range(1 << 60))",
        "('a' * 100000).replace('a', 'b' * 100000)",
        "('a' * 100000).join(['b'] * 100000)",
        "x = 3\nfor i in range(100): x = x * x",
        "x = 'ab'\nfor i in range(100): x += x",
        "x = [1]\nfor i in range(100): x += x",
        "x = []\nfor i in range(60): x = [x, x]\nstr(x)",
        "int('9' * 100000)",
        "'%s%s' % ('a' * (1 << 25), 'b' * ((1 << 25) + 1))",
    ],
)
def test_huge_results_are_refused(source: str) -> None:
    message = failure(source).message
    assert "too large" in message


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("x = []\nfor i in range(100000): x = [x]\nstr(x)", "nested too deeply"),
        ("x = ()\nfor i in range(100000): x = (x,)\n{x: 1}", "nested too deeply"),
        ("x = ()\nfor i in range(60): x = (x, x)\nset([x])", "too many parts"),
        ("x = []\nx.append(x)\ny = []\ny.append(y)\nx == y", "nested too deeply"),
        ("x = []\nx.append(x)\ny = []\ny.append(y)\nx < y", "nested too deeply"),
        ("range(1 << 100)", "out of range"),
        ("1e308 * 10 // 1e-308 % 0", "modulo by zero"),
        ("(1 << 500) * (1 << 500) * (1 << 100) * 1.0", "out of range"),
    ],
)
def test_deep_and_extreme_data_are_errors(source: str, message: str) -> None:
    assert message in failure(source).message


@pytest.mark.parametrize(
    ("source", "out"),
    [
        ("x = [1]\nx.append(x)\nprint(x, str([x]))", "[1, [...]] [[1, [...]]]"),
        ("d = {}\nd['d'] = d\nprint(d)", '{"d": {...}}'),
        ("x = []\nx.append(x)\nprint(x == x)", "True"),
        ("print(len('' * 1000000000000000000000000))", "0"),
        ("print('a,b'.split(',', 1 << 100), 1 >> (1 << 100))", '["a", "b"] 0'),
        ("x = 1\nfor i in range(1, 500): x *= i\nprint(len(str(x)))", "1132"),
    ],
)
def test_extreme_but_harmless(source: str, out: str) -> None:
    assert run(source) == [out]


_ENDLESS = [
    pytest.param("while True: tick()", id="while"),
    pytest.param("for i in range(1 << 60): tick()", id="for"),
    pytest.param("def f():\n  while True:\n    tick()\nf()", id="function"),
    pytest.param("x = [tick() for i in range(1 << 60)]", id="comprehension"),
    pytest.param("def f(n): return f(n-1) + f(n-1) if n else tick() or 0\nf(200)", id="calls"),
    pytest.param("f = lambda n: f(n-1) + f(n-1) if n else tick() or 0\nf(200)", id="lambdas"),
]


@pytest.mark.parametrize("source", _ENDLESS)
def test_an_endless_program_stops_when_another_thread_says_so(source: str) -> None:
    runs = threading.Event()
    program = starlark.compile(source, "t.star")
    thread = starlark.Thread()
    raised: list[starlark.StarlarkError] = []

    def target() -> None:
        try:
            thread.execute(program, {"tick": starlark.Builtin("tick", runs.set)})
        except starlark.StarlarkError as error:
            raised.append(error)

    runner = threading.Thread(target=target)
    runner.start()
    assert runs.wait(30)
    thread.cancel("a newer change came")
    runner.join(30)
    assert not runner.is_alive()
    assert isinstance(raised[0], starlark.StarlarkCancelled)
    assert raised[0].message == "a newer change came"
    assert raised[0].frames


def test_two_programs_run_at_once_and_share_nothing() -> None:
    source = "def f(n):\n  l = []\n  for i in range(n): l.append(i * k)\n  return l\nx = f(20000)"
    program = starlark.compile(source, "t.star")
    sums: dict[int, int] = {}

    def target(k: int) -> None:
        module = starlark.execute(program, {"k": k})
        sums[k] = sum(module.globals["x"])

    threads = [threading.Thread(target=target, args=(k,)) for k in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sums == {k: k * sum(range(20000)) for k in range(1, 5)}
