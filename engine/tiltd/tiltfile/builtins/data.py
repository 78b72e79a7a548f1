"""Text, YAML and JSON: `read_*`, `decode_*`, `encode_*`, `blob`.

Source of names, defaults and checks: the Tiltfile API reference (tilt-dev/tilt.build).
"""

from collections.abc import Callable
from typing import Any

from tiltd import starlark
from tiltd.model.problems import Place
from tiltd.starlark import Value
from tiltd.tiltfile import json_text, yaml_text
from tiltd.tiltfile.arguments import Arguments, shown
from tiltd.tiltfile.host_values import Blob
from tiltd.tiltfile.mistakes import Mistake
from tiltd.tiltfile.reading import Reading
from tiltd.tiltfile.registry import Table

BUILTINS = Table()


@BUILTINS.add("blob", "input|contents")
def blob(reading: Reading, args: Arguments) -> Value:
    """Content that is no path (reference: `blob`)."""
    del reading
    return Blob(args.text("input"), "blob()")


@BUILTINS.add("read_file", "paths|file_path default?")
def read_file(reading: Reading, args: Arguments) -> Value:
    """The content of a file (reference: `read_file`)."""
    path = args.path("paths")
    default = args.stringable("default") if args.has("default") else None
    text = _read(reading, args, path)
    source = f"file: {reading.files.shown(path)}"
    return Blob(default if text is None and default is not None else text or "", source)


@BUILTINS.add("read_json", "paths|path default?")
def read_json(reading: Reading, args: Arguments) -> Value:
    """The value in a JSON file (reference: `read_json`)."""
    path = args.path("paths")
    text = _read(reading, args, path)
    return args.value("default") if text is None else _json(args, text, reading, path)


@BUILTINS.add("read_yaml", "paths|path default?")
def read_yaml(reading: Reading, args: Arguments) -> Value:
    """The one document in a YAML file (reference: `read_yaml`)."""
    path = args.path("paths")
    text = _read(reading, args, path)
    if text is None:
        return args.value("default")
    return _yaml(args, yaml_text.decode_one, text, reading, path)


@BUILTINS.add("read_yaml_stream", "paths|path default?")
def read_yaml_stream(reading: Reading, args: Arguments) -> Value:
    """The documents in a YAML file (reference: `read_yaml_stream`)."""
    default = args.value("default")
    if default is not None and not isinstance(default, starlark.List):
        raise args.refuse("default", "a list", default)
    path = args.path("paths")
    text = _read(reading, args, path)
    return default if text is None else _yaml(args, _stream, text, reading, path)


@BUILTINS.add("decode_json", "json")
def decode_json(reading: Reading, args: Arguments) -> Value:
    """The value that a JSON text means (reference: `decode_json`)."""
    return _json(args, args.stringable("json"), reading)


@BUILTINS.add("decode_yaml", "yaml")
def decode_yaml(reading: Reading, args: Arguments) -> Value:
    """The value that a YAML text means (reference: `decode_yaml`)."""
    return _yaml(args, yaml_text.decode_one, args.stringable("yaml"), reading)


@BUILTINS.add("decode_yaml_stream", "yaml")
def decode_yaml_stream(reading: Reading, args: Arguments) -> Value:
    """The values that a YAML stream means (reference: `decode_yaml_stream`)."""
    return _yaml(args, _stream, args.stringable("yaml"), reading)


@BUILTINS.add("encode_json", "obj")
def encode_json(reading: Reading, args: Arguments) -> Value:
    """A value as JSON (reference: `encode_json`); a string, as in Tilt, not a blob."""
    del reading
    return json_text.encode(_data(args, args.value("obj")))


@BUILTINS.add("encode_yaml", "obj")
def encode_yaml(reading: Reading, args: Arguments) -> Value:
    """A value as YAML (reference: `encode_yaml`)."""
    del reading
    return Blob(yaml_text.encode(_data(args, args.value("obj"))), "encode_yaml")


@BUILTINS.add("encode_yaml_stream", "objs")
def encode_yaml_stream(reading: Reading, args: Arguments) -> Value:
    """Values as a YAML stream (reference: `encode_yaml_stream`)."""
    del reading
    values = args.value("objs")
    if not isinstance(values, starlark.List):
        raise args.refuse("objs", "a list", values)
    text = yaml_text.encode_stream([_data(args, value) for value in values])
    return Blob(text, "encode_yaml_stream")


def _read(reading: Reading, args: Arguments, path: str) -> str | None:
    """The text; `None` if the file is missing and there is a default."""
    try:
        return reading.files.read(path)
    except FileNotFoundError as error:
        if args.has("default"):
            return None
        raise reading.files.unreadable(path, "file", error) from error


def _stream(text: str) -> list[Any]:
    return [document.value for document in yaml_text.decode(text)]


def _yaml(
    args: Arguments,
    decode: Callable[[str], Any],
    text: str,
    reading: Reading,
    path: str = "",
) -> Value:
    try:
        return starlark.from_python(decode(text))
    except yaml_text.YamlError as error:
        raise _unreadable(args, "YAML", error, reading, path) from error


def _json(args: Arguments, text: str, reading: Reading, path: str = "") -> Value:
    try:
        return starlark.from_python(json_text.decode(text))
    except json_text.JsonError as error:
        raise _unreadable(args, "JSON", error, reading, path) from error


def _unreadable(
    args: Arguments,
    what: str,
    error: yaml_text.YamlError | json_text.JsonError,
    reading: Reading,
    path: str,
) -> Mistake:
    if path:
        place = Place(path, error.line, error.column)
        message = f"{args.call}: {reading.files.shown(path)} is no {what}: {error.reason}"
        return Mistake(message, place=place)
    return Mistake(f"{args.call}: the text is no {what}: {error}")


def _data(args: Arguments, value: Value) -> Any:
    """Plain data: only dicts with string keys, lists, strings, numbers, booleans and None."""
    try:
        data = starlark.to_python(value, _refuse(args))
    except Mistake:
        raise
    except starlark.StarlarkError as error:
        message = f"{args.call}: {_argument(args)} {shown(value)}: {error.message}"
        raise Mistake(message, hint=error.hint) from None
    return _checked(args, data, value)


def _refuse(args: Arguments) -> Callable[[starlark.HostValue], Any]:
    def refuse(value: starlark.HostValue) -> Any:
        raise Mistake(
            f"{args.call}: {_argument(args)} {shown(value)}, which can't be written as data",
            hint="use str() for the text of a blob",
        )

    return refuse


def _checked(args: Arguments, data: Any, value: Value) -> Any:
    """Refuse what Tilt refuses: tuples, sets, bytes, and keys that are no strings."""
    if isinstance(value, (tuple, range, bytes, starlark.Set)):
        raise Mistake(
            f"{args.call}: {_argument(args)} {shown(value)}, which can't be written as data",
            hint="use a list or a string",
        )
    if isinstance(value, starlark.Dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise Mistake(
                    f"{args.call}: {_argument(args)} the key {shown(key)}, which is no string",
                    hint="convert it with str()",
                )
            _checked(args, None, item)
    elif isinstance(value, starlark.List):
        for item in value.data:
            _checked(args, None, item)
    return data


def _argument(args: Arguments) -> str:
    return "objs= holds" if args.has("objs") else "obj= holds"
