"""What texts of YAML mean, kept from one reading to the next.

A changed Tiltfile, or one changed manifest among many, must not cost the parsing of all others.
What is kept is found by the whole text, so it can't be out of date, and the least recently asked
for goes first.  The values are shared: nobody changes an object once it has been read.
"""

import threading
from collections import OrderedDict

from tiltd.tiltfile import yaml_text

_LIMIT = 32 << 20
"""Characters of text."""


class _Kept:
    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[yaml_text.Document, ...]] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()

    def documents(self, text: str) -> tuple[yaml_text.Document, ...]:
        with self._lock:
            found = self._known.get(text)
            if found is not None:
                self._known.move_to_end(text)
                return found
        made = tuple(yaml_text.decode(text))
        with self._lock:
            if text not in self._known:
                self._size += len(text)
            self._known[text] = made
            while self._size > _LIMIT:
                self._size -= len(self._known.popitem(last=False)[0])
        return made


_kept = _Kept()


def documents(text: str) -> tuple[yaml_text.Document, ...]:
    """The documents of a stream; see `yaml_text.decode`.

    Raises:
        YamlError: as `yaml_text.decode`.
    """
    return _kept.documents(text)
