"""Text without colours, and without characters that some formats have no room for."""

import re

_COLOURS = re.compile(r"\x1b\[[0-9;:]*m")
_CONTROLS = re.compile(r"[^\t\n\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def text(raw: str) -> str:
    """All that XML 1.0 allows and a person can see, but for carriage returns.

    Source: "Extensible Markup Language (XML) 1.0", 2.2 Characters.
    """
    return _CONTROLS.sub("", _COLOURS.sub("", raw))
