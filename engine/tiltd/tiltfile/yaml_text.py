"""YAML as Tiltfiles and Kubernetes manifests mean it: YAML 1.1 as Go's parser reads it.

Tilt reads YAML by way of JSON, so a document is plain data with string keys.  What a plain scalar
means differs from PyYAML's idea of YAML 1.1: `n` and `y` are booleans, `1e3` is a number, `1:30`
and `2001-01-01` are strings, `010` is 8, and a number without a fraction is an integer however it
was written.  The rules stand in `_SCALARS`, for reading and writing alike: a string that would
read as something else is quoted.  libyaml does the parsing; it reports an error's line and column
in the whole text, not in the document.
"""

import base64
import functools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import yaml

_INT64 = range(-(2**63), 2**63)
_DEEP = 200
"""Nesting beyond this is an error; Python's stack would end at about five times as much."""
_NODES = 5_000_000
"""Values that aliases may expand to (a few lines can otherwise stand for billions)."""

_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "on", "On", "ON"), True),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "off", "Off", "OFF"), False),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
}
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INTEGER = re.compile(r"([-+]?)(0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]+|0|[1-9][0-9]*)")
_SPECIAL = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_PLAIN = "tag:yaml.org,2002:"


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a stream; `line` (from 1) is where it begins."""

    value: Any
    line: int


class YamlError(ValueError):
    """Text that is no YAML, or more than one document where one is wanted.

    Args:
        reason: what is wrong, one clause.
        line: where, from 1; 0 is "not known".
        column: likewise.
    """

    def __init__(self, reason: str, line: int = 0, column: int = 0) -> None:
        super().__init__(f"line {line}: {reason}" if line else reason)
        self.reason = reason
        self.line = line
        self.column = column


def decode(text: str) -> list[Document]:
    """Read a stream of documents; empty ones are left out.

    Raises:
        YamlError: with line and column.
    """
    try:
        _check_depth(text)
        return [d for d in _documents(text) if d.value is not None]
    except yaml.MarkedYAMLError as error:
        raise _located(error) from error
    except UnicodeEncodeError as error:
        raise _not_text(text, error.start) from error
    except yaml.YAMLError as error:
        raise YamlError(str(error).splitlines()[0]) from error
    except (RecursionError, UnboundLocalError) as error:
        # libyaml's binding reports a stack that is used up as an unbound variable of its own.
        raise YamlError("it is nested too deeply") from error


def decode_one(text: str) -> Any:
    """Read a stream that holds one document at most; none is `None`.

    Raises:
        YamlError: there are several, or as `decode`.
    """
    documents = decode(text)
    if len(documents) > 1:
        raise YamlError(
            "expected one YAML document but found a stream of several, separated by ---",
            documents[1].line,
            1,
        )
    return documents[0].value if documents else None


def encode(value: Any) -> str:
    """Write plain data as one document, keys sorted."""
    text: str = yaml.dump(
        value,
        Dumper=_Dumper,
        default_flow_style=False,
        allow_unicode=True,
        sort_keys=True,
        width=2**20,
    )
    return text.removesuffix("...\n")


def encode_stream(values: list[Any]) -> str:
    """Write documents with `---` between them."""
    return "---\n".join(encode(value) for value in values)


def _documents(text: str) -> Iterator[Document]:
    loader = _Loader(text)
    try:
        while loader.check_node():
            # PyYAML's stubs leave the nodes' types open.
            node = cast("Any", loader).get_node()
            yield Document(_Values().of(node), node.start_mark.line + 1)
    finally:
        loader.dispose()


def _located(error: yaml.MarkedYAMLError) -> YamlError:
    mark = error.problem_mark or error.context_mark
    parts = [p for p in (error.context, error.problem) if p]
    reason = ": ".join(parts) or "it is no YAML"
    return YamlError(reason, mark.line + 1, mark.column + 1) if mark else YamlError(reason)


def _not_text(text: str, at: int) -> YamlError:
    """Bytes that are no UTF-8 come in as lone surrogates (`files.read`)."""
    before = text[:at]
    column = at - (before.rfind("\n") + 1) + 1
    what = f"the byte 0x{ord(text[at]) & 0xFF:02x} is no UTF-8"
    return YamlError(what, before.count("\n") + 1, column)


def _check_depth(text: str) -> None:
    # Only a text that could be nested this deeply is walked for it.
    openers = text.count("[") + text.count("{")
    if openers <= _DEEP and "- " * _DEEP not in text and " " * _DEEP not in text:
        return
    depth = 0
    try:
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
                if depth > _DEEP:
                    raise _too_deep(event.start_mark)
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
    except yaml.MarkedYAMLError as error:
        raise _located(error) from error


def _too_deep(mark: Any) -> YamlError:
    reason = f"it is nested more than {_DEEP} levels deep"
    return YamlError(reason, mark.line + 1, mark.column + 1)


class _Values:
    """Makes plain data of a document's nodes.

    PyYAML's own constructor does that too, in three times the time: it keeps identities, which
    plain data have not.  Here an alias is a value of its own, so their size is limited.
    """

    def __init__(self) -> None:
        self._left = _NODES

    def of(self, node: Any, depth: int = 0) -> Any:
        """The value of a node.

        Raises:
            YamlError: it has no end.
            yaml.MarkedYAMLError: it is nothing that JSON can hold.
        """
        self._left -= 1
        if self._left < 0 or depth > _DEEP:
            raise _without_bound(node)
        if isinstance(node, yaml.ScalarNode):
            tag = node.tag
            return node.value if tag == _TEXT else _SCALAR_VALUES.get(tag, _plain)(node)
        if isinstance(node, yaml.SequenceNode):
            return [self.of(item, depth + 1) for item in node.value]
        return {
            _key(self.of(key, depth + 1), key): self.of(value, depth + 1)
            for key, value in self._pairs(node, depth)
        }

    def _pairs(self, node: Any, depth: int) -> list[tuple[Any, Any]]:
        """The pairs of a mapping; those that `<<` merges in come first, so that its own win."""
        pairs: list[tuple[Any, Any]] = node.value
        if not any(key.tag == _MERGE for key, _ in pairs):
            return pairs
        if depth > _DEEP:
            raise _without_bound(node)
        merged: list[tuple[Any, Any]] = []
        own: list[tuple[Any, Any]] = []
        for key, value in pairs:
            if key.tag == _MERGE:
                for source in _merged(value):
                    merged += self._pairs(source, depth + 1)
            else:
                own.append((key, value))
        return merged + own


def _without_bound(node: Any) -> YamlError:
    mark = node.start_mark
    return YamlError("its aliases expand without bound", mark.line + 1, mark.column + 1)


def _merged(node: Any) -> list[Any]:
    """What `<<` stands for: a mapping, or several of which the first one wins."""
    sources = list(reversed(node.value)) if isinstance(node, yaml.SequenceNode) else [node]
    for source in sources:
        if not isinstance(source, yaml.MappingNode):
            raise yaml.constructor.ConstructorError(
                None, None, "<< merges a mapping, or a list of mappings", source.start_mark
            )
    return sources


def _plain(node: yaml.ScalarNode) -> str:
    # A tag that nobody knows means nothing, as in Go: the value stands for itself.
    return str(node.value)


class _Loader(yaml.CSafeLoader):
    """libyaml's loader with Go's rules for plain scalars, tags and keys."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 (PyYAML's own protocol)

    def resolve(self, kind: Any, value: Any, implicit: Any) -> str:
        """The tag of a node without one; the same few words come again and again."""
        if kind is yaml.ScalarNode and implicit[0]:
            return _tag_of(value)
        return str(cast("Any", super()).resolve(kind, value, implicit))


class _Dumper(yaml.CSafeDumper):
    """libyaml's dumper that quotes what `_Loader` would not read as a string."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 (PyYAML's own protocol)

    def ignore_aliases(self, data: Any) -> bool:
        del data
        return True


def number(text: str) -> int | float | None:
    """The number that a plain scalar stands for, or `None`."""
    plain = text.replace("_", "")
    if match := _INTEGER.fullmatch(plain):
        value = int(match[1] + _python_octal(match[2]), 0)
        return value if value in _INT64 else float(value)
    if not _NUMBER.fullmatch(plain):
        return None
    fraction = float(plain)
    whole = fraction.is_integer() and int(fraction) in _INT64
    return int(fraction) if whole else fraction


def _python_octal(digits: str) -> str:
    old_style = len(digits) > 1 and digits[0] == "0" and digits[1].isdigit()
    return f"0o{digits[1:]}" if old_style else digits


def _number(node: yaml.ScalarNode) -> Any:
    value = number(node.value)
    return node.value if value is None else value


def _word(node: yaml.ScalarNode) -> Any:
    return _WORDS.get(node.value, node.value)


def _special(node: yaml.ScalarNode) -> Any:
    raise yaml.constructor.ConstructorError(
        None, None, f"{node.value} is no number that JSON can hold", node.start_mark
    )


def _key(key: Any, node: yaml.Node) -> str:
    match key:
        case str():
            return key
        case bool():
            return "true" if key else "false"
        case int():
            return str(key)
        case float():
            return f"{key:g}"
        case None:
            return "null"
        case _:
            raise yaml.constructor.ConstructorError(
                None, None, "a key must be a scalar, not a list or a mapping", node.start_mark
            )


def _binary(node: yaml.ScalarNode) -> str:
    try:
        return base64.b64decode(node.value).decode()
    except ValueError as error:
        raise yaml.constructor.ConstructorError(
            None, None, f"!!binary holds no base64 of UTF-8 text: {error}", node.start_mark
        ) from error


def _represent_text(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value.strip("\n") else None
    return _scalar(dumper, "str", value, style)


def _represent_float(dumper: _Dumper, value: float) -> yaml.ScalarNode:
    # As in Go, which writes it by way of JSON: without a fraction it is an integer.
    if value.is_integer() and abs(value) < 10**21:
        return _scalar(dumper, "int", str(int(value)))
    return _scalar(dumper, "float", repr(value))


def _scalar(dumper: Any, kind: str, text: str, style: str | None = None) -> yaml.ScalarNode:
    node: yaml.ScalarNode = dumper.represent_scalar(f"{_PLAIN}{kind}", text, style=style)
    return node


_SCALARS: tuple[tuple[str, str, str | None], ...] = (
    ("bool", "|".join(w for w, v in _WORDS.items() if v is not None), "yYnNtTfFoO"),
    ("null", "~|null|Null|NULL|", None),
    ("int", _INTEGER.pattern, "-+0123456789"),
    ("float", _NUMBER.pattern, "-+.0123456789"),
    ("special", _SPECIAL.pattern, "-+."),
    ("merge", "<<", "<"),
)
"""Tag, pattern, first characters: what a plain scalar may be besides a string."""
_TEXT, _MERGE = f"{_PLAIN}str", f"{_PLAIN}merge"
_SCALAR_VALUES: dict[str, Callable[[yaml.ScalarNode], Any]] = {
    f"{_PLAIN}bool": _word,
    f"{_PLAIN}null": _word,
    f"{_PLAIN}int": _number,
    f"{_PLAIN}float": _number,
    f"{_PLAIN}special": _special,
    f"{_PLAIN}binary": _binary,
}


def _underscored(pattern: str) -> str:
    return pattern.replace("0-9]", "0-9_]").replace("0-7]", "0-7_]").replace("A-F]", "A-F_]")


@functools.lru_cache(maxsize=16384)
def _tag_of(text: str) -> str:
    resolvers = cast("Any", _Loader).yaml_implicit_resolvers
    for tag, regexp in (*resolvers.get(text[:1], ()), *resolvers.get(None, ())):
        if regexp.match(text):
            return str(tag)
    return _TEXT


def _teach() -> None:
    for name, pattern, first in _SCALARS:
        regexp = re.compile(rf"^(?:{_underscored(pattern)})$")
        kinds: tuple[Any, Any] = (_Loader, _Dumper)
        for kind in kinds:
            kind.add_implicit_resolver(f"{_PLAIN}{name}", regexp, list(first) if first else None)
    _Dumper.add_representer(str, _represent_text)
    _Dumper.add_representer(float, _represent_float)


_teach()
