"""Host functions: a typed Python function becomes a built-in with checked arguments.

The signature is the declaration.  `@builtin` on

    def docker_build(self, ref: str, context: str, *, only: str | list[str] = "") -> None: ...

makes a value that programs call with positional or named arguments; missing, unknown, doubled
or ill-typed ones are errors in Starlark's words.  Annotations choose converters: `str`, `int`,
`bool`, `float` (an int will do), `bytes`, `None`, unions, `Literal`, `List`, `Dict`, `Set`, host
classes, `Callable` (any function) and `Any` check; `list[T]`, `tuple[T, ...]`, `Sequence[T]` and
`dict[K, V]` convert to plain Python; `Annotated[T, Converter(...)]` does what the host says.
Annotations are read at the first call, so that declaring many costs nothing at start.
"""

import collections.abc
import dataclasses
import functools
import inspect
import types
import typing
from collections.abc import Callable
from typing import Any, overload

from tiltd.starlark import text
from tiltd.starlark.errors import StarlarkError, did_you_mean
from tiltd.starlark.values import (
    Dict,
    HostValue,
    List,
    Set,
    Value,
    elements,
    is_function,
    is_iterable,
    type_name,
)


class MismatchError(Exception):
    """A converter's refusal.

    Args:
        detail: what is wrong, if "got X, want Y" is not enough.
    """

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail)
        self.detail = detail


@dataclasses.dataclass(frozen=True, slots=True)
class Converter:
    """How a parameter takes a value.

    `want` says in messages what it takes; `convert` gives what the function shall get, or
    raises MismatchError.
    """

    want: str
    convert: Callable[[Value], Any]


@dataclasses.dataclass(frozen=True, slots=True)
class _Signature:
    """A function's parameters, without the receiver."""

    positional: tuple[str, ...]
    positional_only: int
    required: frozenset[str]
    converters: dict[str, Converter]
    rest: Converter | None
    keywords: Converter | None


class Builtin(HostValue):
    """A function of the host.

    Args:
        name: what messages and `str()` show.
        function: the typed Python function.
    """

    __slots__ = ("_signature", "function", "name", "receiver")
    type_name = "builtin_function_or_method"

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self.name = name
        self.function = function
        self.receiver: object | None = None
        self._signature: _Signature | None = None

    def starlark_repr(self) -> str:
        """As a built-in function of the language."""
        return f"<built-in function {self.name}>"

    def __get__(self, instance: object | None, owner: type | None = None) -> "Builtin":
        """The function of one instance, if it was declared in a class."""
        if instance is None:
            return self
        self._signature = self._signature or _signature(self.function, is_method=True)
        bound = Builtin(self.name, self.function)
        bound.receiver, bound._signature = instance, self._signature
        return bound

    def __call__(self, /, *args: Value, **kwargs: Value) -> Value:
        """Check and convert the arguments, and call the function."""
        signature = self._signature
        if signature is None:
            signature = self._signature = _signature(self.function, is_method=False)
        call_args, call_kwargs = self._bind(signature, args, kwargs)
        if self.receiver is not None:
            return self.function(self.receiver, *call_args, **call_kwargs)
        return self.function(*call_args, **call_kwargs)

    def _bind(
        self, signature: _Signature, args: tuple[Value, ...], kwargs: dict[str, Value]
    ) -> tuple[list[Any], dict[str, Any]]:
        names = signature.positional
        if len(args) > len(names) and signature.rest is None:
            raise StarlarkError(
                f"{self.name}: got {len(args)} arguments, want at most {len(names)}"
            )
        given = dict(zip(names, args, strict=False))
        positional = [
            self._convert(name, value, signature.converters[name]) for name, value in given.items()
        ]
        if rest := signature.rest:
            extra = args[len(names) :]
            first = len(names) + 1
            positional += [self._convert(str(first + i), v, rest) for i, v in enumerate(extra)]
        named = {
            name: self._convert(name, value, self._keyword(signature, name, given))
            for name, value in kwargs.items()
        }
        missing = [n for n in signature.converters if n in signature.required
                   and n not in given and n not in named]  # fmt: skip
        if missing:
            raise StarlarkError(f"{self.name}: missing argument for {missing[0]}")
        return positional, named

    def _keyword(self, signature: _Signature, name: str, given: dict[str, Value]) -> Converter:
        only = signature.positional[: signature.positional_only]
        converter = None if name in only else signature.converters.get(name)
        if converter is None:
            if signature.keywords:
                return signature.keywords
            known = [known for known in signature.converters if known not in only]
            raise StarlarkError(
                f'{self.name}: unexpected keyword argument "{name}"',
                hint=did_you_mean(name, known),
            )
        if name in given:
            raise StarlarkError(f'{self.name}: got multiple values for parameter "{name}"')
        return converter

    def _convert(self, name: str, value: Value, converter: Converter) -> Any:
        try:
            return converter.convert(value)
        except MismatchError as error:
            detail = error.detail or f"got {type_name(value)}, want {converter.want}"
            raise StarlarkError(f"{self.name}: for parameter {name}: {detail}") from None

    def __hash__(self) -> int:
        return hash((id(self.function), id(self.receiver)))

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Builtin)
            and self.function is other.function
            and self.receiver is other.receiver
        )


@overload
def builtin(function: Callable[..., Any], /) -> Builtin: ...
@overload
def builtin(*, name: str) -> Callable[[Callable[..., Any]], Builtin]: ...
def builtin(
    function: Callable[..., Any] | None = None, /, *, name: str = ""
) -> Builtin | Callable[[Callable[..., Any]], Builtin]:
    """Declare a host function; `name` if it isn't the Python function's."""
    if function is None:
        return functools.partial(Builtin, name)
    return Builtin(name or function.__name__, function)


def builtins_of(instance: object) -> dict[str, Builtin]:
    """All built-ins that an instance's class declares, bound to it, by their names."""
    found: dict[str, Builtin] = {}
    for owner in reversed(type(instance).__mro__):
        for value in vars(owner).values():
            if isinstance(value, Builtin):
                found[value.name] = value.__get__(instance, owner)
    return found


def _signature(function: Callable[..., Any], *, is_method: bool) -> _Signature:
    hints = typing.get_type_hints(function, include_extras=True)
    parameters = list(inspect.signature(function).parameters.values())[int(is_method) :]
    converters: dict[str, Converter] = {}
    positional: list[str] = []
    rest = keywords = None
    for parameter in parameters:
        converter = converter_of(hints.get(parameter.name, Any))
        match parameter.kind:
            case parameter.VAR_POSITIONAL:
                rest = converter
                continue
            case parameter.VAR_KEYWORD:
                keywords = converter
                continue
            case parameter.KEYWORD_ONLY:
                pass
            case _:
                positional.append(parameter.name)
        converters[parameter.name] = converter
    required = frozenset(
        p.name for p in parameters if p.default is p.empty and p.name in converters
    )
    only = sum(parameter.kind is parameter.POSITIONAL_ONLY for parameter in parameters)
    return _Signature(tuple(positional), only, required, converters, rest, keywords)


def _exactly(kind: type, want: str) -> Converter:
    def convert(value: Value) -> Any:
        if type(value) is not kind:
            raise MismatchError
        return value

    return Converter(want, convert)


def _float(value: Value) -> float:
    if type(value) not in (int, float):
        raise MismatchError
    return float(value)


def _function(value: Value) -> Callable[..., Any]:
    if not (is_function(value) or isinstance(value, Builtin)):
        raise MismatchError
    return typing.cast("Callable[..., Any]", value)


_CALLABLE: Any = Callable
_SIMPLE: dict[object, Converter] = {
    Any: Converter("any value", lambda value: value),
    object: Converter("any value", lambda value: value),
    str: _exactly(str, "string"),
    int: _exactly(int, "int"),
    bool: _exactly(bool, "bool"),
    bytes: _exactly(bytes, "bytes"),
    float: Converter("float", _float),
    None: _exactly(type(None), "None"),
    type(None): _exactly(type(None), "None"),
    _CALLABLE: Converter("function", _function),
}


@functools.cache
def converter_of(annotation: Any) -> Converter:
    """The converter for a parameter's annotation.

    Raises:
        TypeError: the annotation is not among those that this module knows.
    """
    if annotation in _SIMPLE:
        return _SIMPLE[annotation]
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        custom = [extra for extra in arguments[1:] if isinstance(extra, Converter)]
        return custom[0] if custom else converter_of(arguments[0])
    if origin in (typing.Union, types.UnionType):
        return _union([converter_of(argument) for argument in arguments])
    if origin is typing.Literal:
        return _literal(arguments)
    if origin in (list, tuple, collections.abc.Sequence, collections.abc.Iterable):
        build = tuple if origin is tuple else list
        return _sequence(converter_of(arguments[0]), build)
    if origin in (dict, collections.abc.Mapping):
        return _mapping(converter_of(arguments[0]), converter_of(arguments[1]))
    if origin is _CALLABLE:
        return _SIMPLE[_CALLABLE]
    if isinstance(annotation, type):
        return _instance(annotation)
    raise TypeError(f"no converter for {annotation}")


def _union(options: list[Converter]) -> Converter:
    def convert(value: Value) -> Any:
        detail = ""
        for option in options:
            try:
                return option.convert(value)
            except MismatchError as error:
                detail = detail or error.detail
        raise MismatchError(detail)

    wants = list(dict.fromkeys(option.want for option in options))
    # None is how a program leaves an argument out; nobody needs to be told.
    shown = [want for want in wants if want != "None"] or wants
    return Converter(" or ".join(shown), convert)


def _literal(choices: tuple[Any, ...]) -> Converter:
    shown = ", ".join(text.to_repr(choice) for choice in choices)

    def convert(value: Value) -> Any:
        for choice in choices:
            if type(choice) is type(value) and choice == value:
                return value
        if type(value) in {type(choice) for choice in choices}:
            raise MismatchError(f"got {text.to_repr(value)}, want one of {shown}")
        raise MismatchError

    return Converter(f"one of {shown}", convert)


def _sequence(element: Converter, build: Callable[[list[Any]], Any]) -> Converter:
    def convert(value: Value) -> Any:
        if not is_iterable(value) or isinstance(value, Dict):
            raise MismatchError
        return build([_element(f"element {i}", v, element) for i, v in enumerate(elements(value))])

    return Converter(f"list of {element.want}", convert)


def _mapping(key: Converter, value_converter: Converter) -> Converter:
    def convert(value: Value) -> Any:
        if not isinstance(value, Dict):
            raise MismatchError
        return {
            _element("key", k, key): _element(f"value of {text.to_repr(k)}", v, value_converter)
            for k, v in value.items()
        }

    return Converter(f"dict of {key.want} to {value_converter.want}", convert)


def _element(place: str, value: Value, converter: Converter) -> Any:
    try:
        return converter.convert(value)
    except MismatchError as error:
        detail = error.detail or f"got {type_name(value)}, want {converter.want}"
        raise MismatchError(f"{place}: {detail}") from None


def _instance(kind: type) -> Converter:
    names: dict[type, str] = {List: "list", Dict: "dict", Set: "set", list: "list", tuple: "tuple"}

    def convert(value: Value) -> Any:
        if not isinstance(value, kind):
            raise MismatchError
        return value

    if kind in (list, dict):
        raise TypeError(f"say what the {kind.__name__} contains")
    name = getattr(kind, "type_name", kind.__name__)
    return Converter(names.get(kind, str(name)), convert)
