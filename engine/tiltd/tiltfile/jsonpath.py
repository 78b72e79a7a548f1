"""JSONPaths as arguments: what is none is the user's mistake."""

from tiltd.core import jsonpath
from tiltd.tiltfile.mistakes import Mistake


def parse(text: str) -> tuple[jsonpath.Step, ...]:
    """Read a path.

    Raises:
        Mistake: it is none.
    """
    try:
        return jsonpath.parse(text)
    except jsonpath.JsonPathError as error:
        raise Mistake(str(error), hint=error.hint) from error
