r"""Which files of a build context are left out: `.dockerignore`, `ignore=` and `only=`.

The rules are those of moby/patternmatcher, which the Docker CLI and BuildKit share.  A pattern
speaks of a path or of any folder above it; the last pattern that speaks of a path decides; `!`
turns a pattern into one that keeps.  `*` and `?` stop at a slash, `**` does not, `[^a]` negates a
class (`[!a]` is `!` or `a`), a backslash takes the next character's meaning away.  There are two
things that surprise people: `#` begins a comment only in the first column, and a leading slash
means nothing.

Each pattern becomes one regular expression that also accepts everything below what it names, so
that no parent is ever asked for.  Neighbours of one sign are joined into one expression; a path
costs one match for each change of sign, whatever the number of patterns.

A class (`[...]`) follows the documented grammar, Go's `filepath.Match`.  moby itself hands classes
to a regular expression half translated, so that `[*]` means there what nobody can want.
"""

import dataclasses
import functools
import posixpath
import re
from collections.abc import Iterable, Sequence

from tiltd.model.desired import Ignore

# What Go's strings.TrimSpace removes; Python's strip() also takes the separators 0x1c to 0x1f.
_BLANK = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(
    map(chr, range(0x2000, 0x200B))
)
_BOM = "\ufeff"
_SPECIAL = re.compile(r"[*?\[\]\\]")
_EVERYTHING = "**"


class InvalidPatternError(ValueError):
    """A pattern that can't be read.

    Args:
        pattern: as written.
        reason: one clause.
        line: counted from 1, in the text or in the list that holds the pattern.
    """

    def __init__(self, pattern: str, reason: str, line: int) -> None:
        super().__init__(f"line {line}: invalid pattern {pattern!r}: {reason}")
        self.pattern = pattern
        self.reason = reason
        self.line = line


@dataclasses.dataclass(frozen=True, slots=True)
class Pattern:
    """One line: `text` is cleaned and without its `!`, `keeps` says that it had one."""

    text: str
    keeps: bool
    line: int
    regex: str

    def may_match_below(self, folder: str) -> bool:
        """Whether something inside `folder` could match, though `folder` itself does not.

        Compares folder by folder up to the first part of the pattern that may cross a slash;
        from there on it says yes, so it errs only by sending a walk where nothing is found.
        """
        names = folder.split("/")
        for depth, part in enumerate(self.text.split("/")):
            if depth == len(names) or _EVERYTHING in part or "[" in part or "\\" in part:
                return True
            if not _part_regex(part).fullmatch(names[depth]):
                return False
        return False


@dataclasses.dataclass(frozen=True)
class Patterns:
    """Patterns in their order, compiled on first use.  Paths are relative, with slashes."""

    items: tuple[Pattern, ...] = ()

    def matches(self, path: str) -> bool:
        """Whether the file or folder `path` is left out."""
        return self._verdict(path) is not None

    def can_skip_dir(self, path: str) -> bool:
        """Whether everything below the folder `path` is left out too, so none need look there."""
        group = self._verdict(path)
        if group is None:
            return False
        later = self._groups[group + 1 :]
        return not any(
            item.may_match_below(path) for _, items in later for item in items if item.keeps
        )

    @functools.cached_property
    def _groups(self) -> tuple[tuple[re.Pattern[str], tuple[Pattern, ...]], ...]:
        runs: list[list[Pattern]] = []
        for item in self.items:
            if runs and runs[-1][0].keeps == item.keeps:
                runs[-1].append(item)
            else:
                runs.append([item])
        return tuple(
            (re.compile(f"(?:{'|'.join(i.regex for i in run)})(?:/.*)?", re.DOTALL), tuple(run))
            for run in runs
        )

    def _verdict(self, path: str) -> int | None:
        """The index of the group that leaves `path` out, if the last one to match does."""
        for index in range(len(self._groups) - 1, -1, -1):
            regex, items = self._groups[index]
            if regex.fullmatch(path):
                return None if items[0].keeps else index
        return None


@dataclasses.dataclass(frozen=True, slots=True)
class Shifted:
    """Patterns that speak of another folder than the context.

    Args:
        patterns: relative to their own base.
        above: the context as seen from a base above it; empty for a base below.
        below: the base as seen from the context above it; empty for a base above.
    """

    patterns: Patterns
    above: str = ""
    below: str = ""

    def matches(self, path: str) -> bool:
        """As `Patterns.matches`, `path` being relative to the context."""
        shifted = self._shift(path)
        return shifted is not None and self.patterns.matches(shifted)

    def can_skip_dir(self, path: str) -> bool:
        """As `Patterns.can_skip_dir`, `path` being relative to the context."""
        shifted = self._shift(path)
        return shifted is not None and self.patterns.can_skip_dir(shifted)

    def _shift(self, path: str) -> str | None:
        if self.above:
            return f"{self.above}/{path}"
        inside = path.removeprefix(f"{self.below}/")
        return None if inside == path else inside


@dataclasses.dataclass(frozen=True, slots=True)
class ContextFilter:
    """Several sets of patterns: a path is left out when any one of them leaves it out.

    So an `!` in `.dockerignore` can't bring back what `ignore=` or `only=` left out (as in Tilt).
    """

    parts: tuple["Patterns | Shifted", ...] = ()

    def excludes(self, path: str) -> bool:
        """Whether the file or folder `path`, relative to the context, is left out."""
        return any(part.matches(path) for part in self.parts)

    def can_skip_dir(self, path: str) -> bool:
        """Whether all that lies below the folder `path` is left out."""
        return any(part.can_skip_dir(path) for part in self.parts)


def parse(text: str) -> Patterns:
    """Read a `.dockerignore` file.

    Raises:
        InvalidPatternError: with the line.
    """
    items: list[Pattern] = []
    for number, line in enumerate(text.removeprefix(_BOM).split("\n"), start=1):
        if line.startswith("#") or not (pattern := line.strip(_BLANK)):
            continue
        keeps = pattern.startswith("!")
        body = _clean(pattern[1:].strip(_BLANK) if keeps else pattern)
        if len(body) > 1:
            body = body.removeprefix("/")
        # Docker reads what it has cleaned once more: `/!a` keeps a, and `a /` means a.
        again = _clean(f"{'!' if keeps else ''}{body}".strip(_BLANK))
        keeps = again.startswith("!")
        items.append(_pattern(pattern, again[1:] if keeps else again, keeps=keeps, line=number))
    return Patterns(tuple(items))


def from_list(patterns: Sequence[str], base: str) -> Patterns:
    """Read the patterns of an `ignore=` argument.

    Args:
        patterns: relative to `base`, or absolute.  `.` is all of `base`.
        base: the absolute path of the folder that they speak of.

    Raises:
        InvalidPatternError: its line is the position in the list.
    """
    items: list[Pattern] = []
    for number, given in enumerate(patterns, start=1):
        pattern = given.strip(_BLANK)
        keeps = pattern.startswith("!")
        if not (body := pattern[1:] if keeps else pattern):
            if keeps:
                raise InvalidPatternError(given, "nothing follows the '!'", number)
            continue
        relative = _relative(_clean(body), base)
        if relative is not None:
            items.append(_pattern(given, relative, keeps=keeps, line=number))
    return Patterns(tuple(items))


def only(paths: Sequence[str], base: str) -> Patterns:
    """Leave out all but `paths` and what lies below them: the `only=` argument.

    Args:
        paths: files and folders as they are called (no globs), relative to `base` or absolute.
        base: the absolute path of the context.

    Raises:
        InvalidPatternError: a path holds a `*`; its line is the position in the list.
    """
    for number, path in enumerate(paths, start=1):
        if "*" in path:
            raise InvalidPatternError(
                path,
                "only= takes paths as they are called, no globs; use ignore= for those",
                number,
            )
    everything = _pattern(_EVERYTHING, _EVERYTHING, keeps=False, line=0)
    return Patterns((everything, *_literals(paths, base, keeps=True)))


def literal(paths: Iterable[str], base: str) -> Patterns:
    """Leave out exactly `paths`, relative to `base` or absolute, and what lies below them."""
    return Patterns(_literals(paths, base, keeps=False))


def context_filter(
    base: str,
    *,
    dockerignore: str = "",
    ignore: Sequence[str] = (),
    only_paths: Sequence[str] = (),
) -> ContextFilter:
    """The filter of one build.

    Args:
        base: the absolute path of the context.
        dockerignore: the text of the file that applies (see `file_names`), empty for none.
        ignore: the `ignore=` argument.
        only_paths: the `only=` argument; empty for all.

    Raises:
        InvalidPatternError: one of them can't be read.
    """
    parts = (
        parse(dockerignore),
        from_list(ignore, base),
        only(only_paths, base) if only_paths else Patterns(),
    )
    return ContextFilter(tuple(part for part in parts if part.items))


def from_ignores(context: str, ignores: Iterable[Ignore]) -> ContextFilter:
    """The filter that a resource's or the session's `Ignore`s make for one folder.

    Args:
        context: the folder whose paths will be asked for, absolute.
        ignores: each with a base of its own, above, below or at `context`; others have no effect.

    Raises:
        InvalidPatternError: a pattern can't be read; its line is its position in its list.
    """
    parts = (_part(_clean(context), ignore) for ignore in ignores)
    return ContextFilter(tuple(part for part in parts if part is not None))


def _part(context: str, ignore: Ignore) -> Patterns | Shifted | None:
    base = _clean(ignore.base)
    if not ignore.patterns:
        whole = literal([base], context)
        contains = _inside(context, base) is not None
        return from_list([_EVERYTHING], context) if contains else (whole if whole.items else None)
    patterns = from_list(ignore.patterns, base)
    if base == context:
        return patterns
    if (above := _inside(context, base)) is not None:
        return Shifted(patterns, above=above)
    if (below := _inside(base, context)) is not None:
        return Shifted(patterns, below=below)
    return None


def _inside(path: str, folder: str) -> str | None:
    """`path` relative to a clean `folder` that holds it; None for `folder` itself or elsewhere."""
    prefix = folder if folder == "/" else f"{folder}/"
    inside = path.removeprefix(prefix)
    return None if inside == path else inside


def file_names(context: str, dockerfile: str | None) -> tuple[str, ...]:
    """The files whose first existing one is the build's ignore file, best first.

    Args:
        context: the context's folder.
        dockerfile: the Dockerfile's path, None where its text is given inline.
    """
    default = posixpath.join(context, ".dockerignore")
    return (default,) if dockerfile is None else (f"{dockerfile}.dockerignore", default)


def _literals(paths: Iterable[str], base: str, *, keeps: bool) -> tuple[Pattern, ...]:
    """Each path as a pattern that means nothing else; those outside `base` are dropped."""
    found: list[Pattern] = []
    for number, path in enumerate(paths, start=1):
        cleaned = _clean(path)
        relative = _relative(cleaned, base)
        if relative is not None:
            text = (
                relative if cleaned in {".", _clean(base)} else _SPECIAL.sub(r"\\\g<0>", relative)
            )
            found.append(_pattern(path, text, keeps=keeps, line=number))
    return tuple(found)


def _relative(path: str, base: str) -> str | None:
    """`path` as seen from `base`; None where it cannot meet anything in it."""
    root = _clean(base)
    if path in {".", root}:
        return _EVERYTHING
    if not path.startswith("/"):
        return None if path == ".." or path.startswith("../") else path
    return _inside(path, root)


def _clean(path: str) -> str:
    """Go's `filepath.Clean`, but nothing stays nothing; normpath keeps two leading slashes."""
    cleaned = posixpath.normpath(path) if path else ""
    return cleaned[1:] if cleaned.startswith("//") else cleaned


def _pattern(written: str, text: str, *, keeps: bool, line: int) -> Pattern:
    if keeps and not text:
        raise InvalidPatternError(written, "nothing follows the '!'", line)
    blank = Pattern(written, keeps, line, "")
    return Pattern(text, keeps, line, _translate(text, blank))


@functools.lru_cache(maxsize=4096)
def _part_regex(part: str) -> re.Pattern[str]:
    """A part of a pattern that is checked already, and has neither class nor backslash."""
    return re.compile(_translate(part, Pattern(part, keeps=False, line=0, regex="")), re.DOTALL)


def _translate(text: str, whole: Pattern) -> str:
    """The regular expression of `text`; `whole` is what an error quotes."""
    rest = text.removeprefix(_EVERYTHING)
    if rest != text and not _SPECIAL.search(rest):
        # `**/a` ends in a part `a`; `**a` merely ends in `a`.
        return f"(?:.*/)?{re.escape(rest[1:])}" if rest[:1] == "/" else f".*{re.escape(rest)}"
    out: list[str] = []
    at = 0
    while at < len(text):
        piece, at = _step(text, at, whole)
        out.append(piece)
    return "".join(out)


def _step(text: str, at: int, whole: Pattern) -> tuple[str, int]:
    """The expression of what stands at `at`, and where the next thing begins."""
    match text[at]:
        case "*" if text.startswith(_EVERYTHING, at):
            after = at + 3 if text.startswith("/", at + 2) else at + 2
            return (".*" if after >= len(text) else "(?:.*/)?"), after
        case "*":
            return "[^/]*", at + 1
        case "?":
            return "[^/]", at + 1
        case "[":
            return _char_class(text, at, whole)
        case "\\" if at + 1 == len(text):
            raise InvalidPatternError(whole.text, "nothing follows the backslash", whole.line)
        case "\\":
            return re.escape(text[at + 1]), at + 2
        case other:
            return re.escape(other), at + 1


def _char_class(text: str, at: int, whole: Pattern) -> tuple[str, int]:
    """A class such as `[a-c]` or `[^x]`, which ends at its first unescaped `]`."""
    at += 1
    negated = text.startswith("^", at)
    at += negated
    ranges: list[str] = []
    while not (text.startswith("]", at) and ranges):
        low, at = _class_char(text, at, whole)
        high = low
        if text.startswith("-", at):
            high, at = _class_char(text, at + 1, whole)
        if high < low:
            raise InvalidPatternError(whole.text, f"the range {low}-{high} is empty", whole.line)
        ranges.append(f"{re.escape(low)}-{re.escape(high)}")
    return f"[{'^' if negated else ''}{''.join(ranges)}]", at + 1


def _class_char(text: str, at: int, whole: Pattern) -> tuple[str, int]:
    if text.startswith("\\", at):
        at += 1
    elif text[at : at + 1] in {"-", "]"}:
        raise InvalidPatternError(
            whole.text, f"a {text[at]!r} inside '[...]' needs a backslash", whole.line
        )
    if at >= len(text):
        raise InvalidPatternError(whole.text, "a '[' is never closed", whole.line)
    return text[at], at + 1
