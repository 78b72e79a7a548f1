"""A mistake of the user's: what is said instead of a traceback.

It is a `StarlarkError`, so it passes through the interpreter as the same object and gains the
stack of the Tiltfile on its way.
"""

from tiltd.model.problems import Code, Place
from tiltd.starlark.errors import StarlarkError


class Mistake(StarlarkError):  # noqa: N818 (a word for the user's side, as in the design)
    """Something in the user's files, arguments or commands is wrong.

    Args:
        message: what is wrong, in one sentence.
        hint: what to do about it.
        place: where, if that is not the call in the Tiltfile (a line of a YAML file, say).
        code: the kind of the problem.
        detail: what belongs below the sentence: a command's own words.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        place: Place | None = None,
        code: Code = Code.TILTFILE,
        detail: str = "",
    ) -> None:
        super().__init__(message, hint=hint)
        self.place = place
        self.code = code
        self.detail = detail
