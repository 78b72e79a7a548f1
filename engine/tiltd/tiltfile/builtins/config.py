"""`config.*`: a project's own settings, and which resources take part.

Source of names, defaults and checks: the Tiltfile API reference (tilt-dev/tilt.build).
"""

import posixpath

from tiltd import starlark
from tiltd.starlark import Value
from tiltd.tiltfile import config_flags
from tiltd.tiltfile.arguments import Arguments
from tiltd.tiltfile.config_flags import Definition, Kind
from tiltd.tiltfile.mistakes import Mistake
from tiltd.tiltfile.reading import Reading
from tiltd.tiltfile.registry import Table

BUILTINS = Table()
_DEFINE = "name args? usage?"


@BUILTINS.add("config.define_string", _DEFINE)
def define_string(reading: Reading, args: Arguments) -> Value:
    """Define a setting that is a string (reference: `config.define_string`)."""
    return _define(reading, args, Kind.STRING)


@BUILTINS.add("config.define_bool", _DEFINE)
def define_bool(reading: Reading, args: Arguments) -> Value:
    """Define a setting that is true or false (reference: `config.define_bool`)."""
    return _define(reading, args, Kind.BOOL)


@BUILTINS.add("config.define_string_list", _DEFINE)
def define_string_list(reading: Reading, args: Arguments) -> Value:
    """Define a setting that is a list of strings (reference: `config.define_string_list`)."""
    return _define(reading, args, Kind.STRING_LIST)


@BUILTINS.add("config.define_object", _DEFINE)
def define_object(reading: Reading, args: Arguments) -> Value:
    """Define a setting that is any JSON (Tilt 0.37's `config.define_object`)."""
    return _define(reading, args, Kind.OBJECT)


@BUILTINS.add("config.parse")
def parse(reading: Reading, args: Arguments) -> Value:
    """The settings that are given (reference: `config.parse`)."""
    folder = reading.files.folder
    if reading.config.parsed_in not in {"", folder}:
        raise Mistake(
            f"{args.call}: it was called already, in the folder "
            f"{reading.files.shown(reading.config.parsed_in)}",
            hint="call config.parse() in the Tiltfiles of one folder only",
        )
    reading.config.parsed_in = folder
    definitions = reading.config.definitions
    path = posixpath.join(folder, config_flags.FILE)
    try:
        text = reading.files.read(path)
    except FileNotFoundError:
        given = {}
    else:
        given = config_flags.read_file(text, reading.files.shown(path), definitions)
    return starlark.from_python(config_flags.parse(definitions, reading.spec.args, given))


@BUILTINS.add("config.set_enabled_resources", "resources")
def set_enabled_resources(reading: Reading, args: Arguments) -> Value:
    """Choose the resources that take part (reference: `config.set_enabled_resources`)."""
    names = args.value("resources")
    if names is None or isinstance(names, str):
        raise args.refuse("resources", "a list of names", names)
    reading.config.enabled = args.text_list("resources")
    reading.config.chosen_at = reading.place()
    reading.config.all_disabled = False
    return None


@BUILTINS.add("config.clear_enabled_resources")
def clear_enabled_resources(reading: Reading, args: Arguments) -> Value:
    """Let no resource take part (reference: `config.clear_enabled_resources`)."""
    del args
    reading.config.enabled = None
    reading.config.all_disabled = True
    return None


def _define(reading: Reading, args: Arguments, kind: Kind) -> None:
    config = reading.config
    name = args.text("name")
    if not name:
        raise Mistake(f"{args.call}: name= is empty")
    if config.parsed_in:
        raise Mistake(f"{args.call}: {name!r} is defined after config.parse() was called")
    if name in config.definitions:
        raise Mistake(f"{args.call}: the setting {name!r} is defined already")
    positional = args.flag("args")
    other = next((d.name for d in config.definitions.values() if d.positional), None)
    if positional and other:
        raise Mistake(
            f"{args.call}: both {other!r} and {name!r} take the positional arguments",
            hint="only one setting may have args=True",
        )
    config.definitions[name] = Definition(name, kind, positional, args.text("usage"))
