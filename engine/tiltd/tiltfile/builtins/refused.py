"""What the reference has and this version has not: known by name, refused with one sentence."""

from tiltd.starlark import Value
from tiltd.tiltfile.arguments import Arguments
from tiltd.tiltfile.mistakes import Mistake
from tiltd.tiltfile.reading import Reading
from tiltd.tiltfile.registry import Table

BUILTINS = Table()
NAMES = (
    "dc_resource",
    "docker_compose",
)


def _refuse(reading: Reading, args: Arguments) -> Value:
    del reading
    raise Mistake(f"{args.call}() is not supported yet")


for _name in NAMES:
    BUILTINS.add(_name, "*args **kwargs")(_refuse)
