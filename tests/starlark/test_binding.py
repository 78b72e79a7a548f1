"""Host functions: the signature is the declaration."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

import pytest

from tests.starlark.evaluate import failure, run, shown
from tiltd import starlark


class _Image(starlark.HostValue):
    type_name = "image"


def _port(value: starlark.Value) -> int:
    if type(value) is int:
        return value
    if type(value) is str and value.isdecimal():
        return int(value)
    raise starlark.MismatchError("" if type(value) is not str else f"{value!r} is no port number")


_Port = Annotated[int, starlark.Converter("port", _port)]


class _Api:
    def __init__(self) -> None:
        self.calls: list[Any] = []

    @starlark.builtin
    def docker_build(
        self,
        ref: str,
        context: str,
        build_args: dict[str, str] | None = None,
        *,
        only: str | list[str] = "",
        port: _Port = 0,
        level: Literal["a", "b"] = "a",
        ratio: float = 1.0,
        each: Sequence[tuple[int, ...]] = (),
    ) -> None:
        self.calls.append((ref, context, build_args, only, port, level, ratio, each))

    @starlark.builtin(name="os.apply")
    def apply(self, function: Callable[[int], int], *values: int, **extra: bool) -> starlark.Value:
        return starlark.List([*(function(value) for value in values), starlark.Dict(extra.items())])

    @starlark.builtin
    def image(self, inner: _Image | None = None, /) -> _Image:
        return inner or _Image()


def _api() -> tuple[_Api, dict[str, Any]]:
    api = _Api()
    return api, dict(starlark.builtins_of(api))


def test_arguments_arrive_converted_by_position_and_name() -> None:
    api, names = _api()
    run("docker_build('r', context='c', only=('x', 'y'), port='80', ratio=2)", names)
    run("docker_build('r', 'c', {'K': 'v'}, level='b', each=[(1, 2), [3]])", names)
    assert api.calls == [
        ("r", "c", None, ["x", "y"], 80, "a", 2.0, ()),
        ("r", "c", {"K": "v"}, "", 0, "b", 1.0, [(1, 2), (3,)]),
    ]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("()", "missing argument for ref"),
        ("('r')", "missing argument for context"),
        ("('r', 'c', None, 1)", "got 4 arguments, want at most 3"),
        ("('r', 'c', ref='x')", 'got multiple values for parameter "ref"'),
        ("('r', 'c', onyl='x')", 'unexpected keyword argument "onyl"'),
        ("(1, 'c')", "for parameter ref: got int, want string"),
        ("('r', 'c', 3)", "for parameter build_args: got int, want dict of string to string"),
        ("('r', 'c', {1: 'a'})", "for parameter build_args: key: got int, want string"),
        ("('r', 'c', {'a': 1})", 'for parameter build_args: value of "a": got int, want string'),
        ("('r', 'c', only=5)", "for parameter only: got int, want string or list of string"),
        ("('r', 'c', only=['a', 5])", "for parameter only: element 1: got int, want string"),
        ("('r', 'c', only={'a': 1})", "for parameter only: got dict, want string or list of"),
        ("('r', 'c', port=True)", "for parameter port: got bool, want port"),
        ("('r', 'c', port='x')", "for parameter port: 'x' is no port number"),
        ("('r', 'c', level='z')", 'for parameter level: got "z", want one of "a", "b"'),
        ("('r', 'c', level=1)", 'for parameter level: got int, want one of "a", "b"'),
        ("('r', 'c', ratio='x')", "for parameter ratio: got string, want float"),
        ("('r', 'c', each=[['x']])", "for parameter each: element 0: element 0: got string"),
    ],
)
def test_wrong_arguments(call: str, message: str) -> None:
    api, names = _api()
    error = failure(f"\n docker_build{call}".replace("\n ", "\n"), names)
    assert error.message.startswith(f"docker_build: {message}")
    assert str(error.position) == "t.star:2:1"
    assert error.__cause__ is None
    assert api.calls == []


def test_an_unknown_name_is_compared_with_the_known() -> None:
    assert failure("docker_build('r', 'c', onyl=1)", _api()[1]).hint == "did you mean only?"


def test_functions_and_the_rest_of_the_arguments() -> None:
    names = {"apply": _api()[1]["os.apply"], "image": _api()[1]["image"]}
    assert shown("apply(lambda x: x + 1, 1, 2, k=True)", names) == '[2, 3, {"k": True}]'
    assert failure("apply(1)", names).message == (
        "os.apply: for parameter function: got int, want function"
    )
    assert failure("apply(len, 'a')", names).message == (
        "os.apply: for parameter 2: got string, want int"
    )
    assert failure("apply(len, k=1)", names).message == (
        "os.apply: for parameter k: got int, want bool"
    )
    assert shown("type(image(image()))", names) == '"image"'
    assert failure("image('x')", names).message == (
        "image: for parameter inner: got string, want image"
    )
    assert "unexpected keyword" in failure("image(inner=None)", names).message


def test_how_builtins_look_and_compare() -> None:
    api, names = _api()
    assert run("print(docker_build, type(docker_build))", names) == [
        "<built-in function docker_build> builtin_function_or_method"
    ]
    assert api.docker_build == api.docker_build
    assert api.docker_build != _Api().docker_build
    assert shown("{docker_build: 1}[docker_build]", names) == "1"
    assert failure("docker_build.receiver", names).message.endswith(
        "has no .receiver field or method"
    )


def test_an_annotation_without_a_converter_is_the_hosts_bug() -> None:
    def bad(x: type[int]) -> None:
        del x

    with pytest.raises(TypeError, match="no converter for"):
        starlark.Builtin("bad", bad)(1)


def test_host_values_refuse_by_default_and_support_by_hooks() -> None:
    names = {"x": _Image()}
    for source, message in [
        ("x + 1", "unknown binary op: image + int"),
        ("1 in x", "unknown binary op: int in image"),
        ("x < x", "image < image not implemented"),
        ("x[0]", "image can't be indexed"),
        ("x[0] = 1", "image does not support item assignment"),
        ("x.a", "image has no .a field or method"),
        ("x.a = 1", "can't assign to .a field of image"),
        ("len(x)", "value of type image has no len"),
        ("for y in x: pass", "image value is not iterable"),
        ("{x: 1}", "unhashable type: image"),
        ("x()", "image is not callable"),
    ]:
        assert message in failure(source, names).message
    assert run("print(x, x == x, bool(x), type(x), dir(x))", names) == [
        "<image> True True image []"
    ]


class _Box(starlark.HostValue):
    type_name = "box"

    def __init__(self) -> None:
        self.held: dict[str, Any] = {"a": 1}

    def starlark_attr(self, name: str) -> starlark.Value:
        return self.held[name] if name in self.held else super().starlark_attr(name)

    def starlark_dir(self) -> list[str]:
        return sorted(self.held)

    def starlark_set_attr(self, name: str, value: starlark.Value) -> None:
        self.held[name] = value

    def starlark_index(self, key: starlark.Value) -> starlark.Value:
        return self.held[key]

    def starlark_set_index(self, key: starlark.Value, value: starlark.Value) -> None:
        self.held[key] = value

    def starlark_iter(self) -> Any:
        return iter(self.held)

    def starlark_len(self) -> int:
        return len(self.held)

    def starlark_binary(self, operator: str, other: Any, *, swapped: bool) -> starlark.Value:
        return f"{operator} {other} {swapped}" if operator != "in" else other in self.held


def test_all_hooks_of_a_host_value() -> None:
    source = """
x.b = 2
x.b += 1
x['c'], x.d = 4, 5
print(x.a, x.b, x['c'], len(x), [k for k in x], 'a' in x, 'z' in x)
print(x + 1, 1 - x, x < 2, 3 | x, sep='; ')
"""
    assert run(source, {"x": _Box()}) == [
        '1 3 4 4 ["a", "b", "c", "d"] True False',
        "+ 1 False; - 1 True; < 2 False; | 3 True",
    ]


def test_structs_and_modules() -> None:
    names = {"module": starlark.module, "os": starlark.Namespace("os", {"name": "posix"})}
    source = """
s = struct(b=[1], a='x')
m = module('m', a=1, name=2)
print(s, s.b, m, m.a, m.name, os, os.name, type(os))
print(dir(os), dir(s))
print(s + struct(c=1), {struct(a=1): 2}[struct(a=1)])
"""
    assert run(source, names) == [
        'struct(a = "x", b = [1]) [1] <module "m"> 1 2 [module: os] posix module',
        '["name"] ["a", "b"]',
        'struct(a = "x", b = [1], c = 1) 2',
    ]
    assert failure("os.nam", names).hint == "did you mean name?"
    assert "unhashable" in failure("{struct(a=[]): 1}").message
    assert "can't assign" in failure("os.name = 1", names).message
