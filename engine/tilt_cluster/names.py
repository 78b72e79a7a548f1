"""Names: making fresh ones, and the rules for given ones."""

import re
import secrets
from collections.abc import Sequence

_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_LONGEST_BASE = 58

_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?")
_OLD_LABEL = re.compile(r"[a-z](?:[-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(rf"{_LABEL.pattern}(?:\.{_LABEL.pattern})*")
_QUALIFIED = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?")
_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?)?")
_LOOSE = r"_?[a-z0-9](?:[-_a-z0-9]*[a-z0-9])?"
_LOOSE_SUBDOMAIN = re.compile(rf"{_LOOSE}(?:\.{_LOOSE})*")
_WILDCARD = re.compile(rf"\*\.{_SUBDOMAIN.pattern}")
_PORT = re.compile(r"[-a-z0-9]+")
_LETTER = re.compile(r"[a-z]")
_CONFIG_KEY = re.compile(r"[-._a-zA-Z0-9]+")

_LABEL_RULE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
    "and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', "
    "regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
_OLD_LABEL_RULE = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an "
    "alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', "
    "regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
)
_SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, "
    "'-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', "
    "regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_NAME_PART_RULE = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end "
    "with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for "
    "validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
_KEY_RULE = (
    f"a valid label key {_NAME_PART_RULE} with an optional DNS subdomain prefix and '/' "
    "(e.g. 'example.com/MyName')"
)
_LOOSE_SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, "
    "'_', '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', "
    "regex used for validation is "
    "'_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*')"
)
_WILDCARD_RULE = (
    "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which "
    "must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric "
    "character (e.g. '*.example.com', regex used for validation is "
    "'\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_CONFIG_KEY_RULE = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' "
    "(e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation "
    "is '[-._a-zA-Z0-9]+')"
)
_VALUE_RULE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', "
    "and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or "
    "'12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)

_LONGEST_LABEL = 63
_LONGEST_SUBDOMAIN = 253
_LONGEST_PORT = 15


def generated(base: str) -> str:
    """A name from a `generateName`: five letters that make no words (as Kubernetes does)."""
    return base[:_LONGEST_BASE] + "".join(secrets.choice(_LETTERS) for _ in range(5))


def label(name: str) -> Sequence[str]:
    """What is wrong with an RFC 1123 label (namespaces, containers)."""
    faults = _too_long(name, _LONGEST_LABEL)
    if not _LABEL.fullmatch(name):
        faults.append("must not contain dots" if _SUBDOMAIN.fullmatch(name) else _LABEL_RULE)
    return faults


def old_label(name: str) -> Sequence[str]:
    """What is wrong with an RFC 1035 label."""
    faults = _too_long(name, _LONGEST_LABEL)
    return faults if _OLD_LABEL.fullmatch(name) else [*faults, _OLD_LABEL_RULE]


def subdomain(name: str) -> Sequence[str]:
    """What is wrong with an RFC 1123 subdomain (most objects)."""
    faults = _too_long(name, _LONGEST_SUBDOMAIN)
    return faults if _SUBDOMAIN.fullmatch(name) else [*faults, _SUBDOMAIN_RULE]


def search_domain(name: str) -> Sequence[str]:
    """What is wrong with a domain that names are looked for in: it may have underscores."""
    faults = _too_long(name, _LONGEST_SUBDOMAIN)
    return faults if _LOOSE_SUBDOMAIN.fullmatch(name) else [*faults, _LOOSE_SUBDOMAIN_RULE]


def wildcard(name: str) -> Sequence[str]:
    """What is wrong with `*.` and a subdomain."""
    faults = _too_long(name, _LONGEST_SUBDOMAIN)
    return faults if _WILDCARD.fullmatch(name) else [*faults, _WILDCARD_RULE]


def segment(name: str) -> Sequence[str]:
    """What is wrong with a name that is any path segment (RBAC)."""
    if name in (".", ".."):
        return [f"may not be '{name}'"]
    return [f"may not contain '{one}'" for one in "/%" if one in name]


def label_key(key: str) -> Sequence[str]:
    """What is wrong with the key of a label or annotation."""
    prefix, slash, name = key.rpartition("/")
    if "/" in prefix:
        return [_KEY_RULE]
    faults: list[str] = []
    if slash and not prefix:
        faults.append("prefix part must be non-empty")
    elif slash:
        faults += [f"prefix part {fault}" for fault in subdomain(prefix)]
    if not name:
        faults.append("name part must be non-empty")
    faults += [f"name part {fault}" for fault in _too_long(name, _LONGEST_LABEL)]
    return faults if _QUALIFIED.fullmatch(name) else [*faults, f"name part {_NAME_PART_RULE}"]


def label_value(value: str) -> Sequence[str]:
    """What is wrong with a label's value."""
    faults = _too_long(value, _LONGEST_LABEL)
    return faults if _VALUE.fullmatch(value) else [*faults, _VALUE_RULE]


def port(name: str) -> Sequence[str]:
    """What is wrong with a port's name (RFC 6335)."""
    tests = (
        (len(name) > _LONGEST_PORT, f"must be no more than {_LONGEST_PORT} characters"),
        (
            not _PORT.fullmatch(name),
            "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
        ),
        (not _LETTER.search(name), "must contain at least one letter (a-z)"),
        ("--" in name, "must not contain consecutive hyphens"),
        (name[:1] == "-" or name[-1:] == "-", "must not begin or end with a hyphen"),
    )
    return [text for broken, text in tests if broken]


def config_key(key: str) -> Sequence[str]:
    """What is wrong with a key of a ConfigMap or Secret."""
    faults = _too_long(key, _LONGEST_SUBDOMAIN)
    if not _CONFIG_KEY.fullmatch(key):
        faults.append(_CONFIG_KEY_RULE)
    if key in (".", ".."):
        faults.append(f"must not be '{key}'")
    elif key.startswith(".."):
        faults.append("must not start with '..'")
    return faults


def _too_long(text: str, most: int) -> list[str]:
    return [f"must be no more than {most} bytes"] if len(text) > most else []
