"""Which line of a Dockerfile a builder is at, from what it prints about its step."""

from contextlib import suppress

from tiltd.core import dockerfile_syntax as syntax
from tiltd.core import reference


def by_number(text: str, number: int, instruction: str) -> int:
    """The line of the classic builder's step `number`, counted from 1 over the whole file."""
    found = _instructions(text)
    if number <= len(found) and found[number - 1].keyword == _keyword(instruction):
        return found[number - 1].line
    return by_text(text, instruction)


def by_text(text: str, instruction: str) -> int:
    """The line of an instruction as BuildKit prints it: on one line, variables expanded.

    0 if none is alike, or several are equally so.
    """
    keyword, wanted = _keyword(instruction), _flat(instruction)
    same = [i for i in _instructions(text) if i.keyword == keyword]
    exact = [i for i in same if _flat(_text(i)) == wanted]
    candidates = exact or same
    return candidates[0].line if len(candidates) == 1 or exact else 0


def by_base(text: str, image: str) -> int:
    """The line of the FROM that builds on `image`, as BuildKit prints it (its canonical name)."""
    for instruction in _instructions(text):
        if instruction.keyword == "FROM" and instruction.arguments:
            with suppress(reference.InvalidReferenceError):
                named = reference.parse(instruction.arguments[0].text)
                wanted = reference.parse(image)
                if (named.repository, named.tag or "latest") == (wanted.repository, wanted.tag):
                    return instruction.line
    return 0


def copied_from(text: str, line: int) -> str:
    """What the `COPY --from=` at a line names; empty if there is none."""
    for instruction in _instructions(text):
        if instruction.line == line:
            for flag in instruction.flags:
                name, _, value = flag.text.partition("=")
                if name == "--from":
                    return value
    return ""


def _instructions(text: str) -> tuple[syntax.Instruction, ...]:
    try:
        return syntax.parse(text).instructions
    except syntax.DockerfileError:
        return ()


def _keyword(instruction: str) -> str:
    return instruction.partition(" ")[0].upper()


def _text(instruction: syntax.Instruction) -> str:
    words = (*instruction.flags, *instruction.arguments)
    return " ".join([instruction.keyword, *(word.text for word in words)])


def _flat(text: str) -> str:
    keyword, _, rest = " ".join(text.split()).partition(" ")
    return f"{keyword.upper()} {rest}"
