"""What went into each key when it was last used, kept from one daemon to the next.

A key tells that something has changed; only its former parts tell what.  So when a session ends,
the parts of what was built, found or applied are written to a file of the project's in the user's
state folder (`places`), with the listings of the files of its builds: what is known of a cluster is
a file of its own, by context and namespace.  Values that may be secret are digests in there
(`core.parts`), and the file is its owner's alone.

It decides nothing: whoever has no memory, or a damaged one, is told less about the reasons.
"""

import hashlib
import json
import logging
import os
import tempfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tiltd.core import plan
from tiltd.core.parts import FILES, Listing, Past, Used
from tiltd.model.names import NodeName
from tiltd.model.state import State

_log = logging.getLogger(__name__)
_FORMAT = 1
_SUFFIX = ".keys"


class Memory:
    """See the module; blocks: call it in a thread.

    Args:
        folder: the user's state folder; `None`: nothing is remembered.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = None if folder is None else folder / "projects"

    def past(self, s: State) -> Past:
        """What is remembered of the project in its cluster."""
        if self._folder is None:
            return Past()
        path = self._folder / _name(s)
        try:
            return _unpacked(path.read_bytes())
        except FileNotFoundError:
            return Past()
        except (OSError, ValueError, KeyError, TypeError, AttributeError, zlib.error) as error:
            _log.debug("what was remembered in %s can't be used: %s", path, error)
            return Past()

    def note(self, s: State, listing: Callable[[str], Listing]) -> None:
        """Remember what a session has used.

        Args:
            s: the state at its end.
            listing: the files behind a digest.
        """
        used = plan.used(s)
        if self._folder is None or not used:
            return
        before = self.past(s)
        kept = {name: known for name, known in before.nodes.items() if name in s.graph.nodes}
        nodes = {**kept, **used}
        if nodes == before.nodes:
            return
        wanted = {u.parts[FILES] for u in nodes.values() if FILES in u.parts}
        listings = {d: before.listings.get(d) or listing(d) for d in sorted(wanted)}
        self._write(_name(s), Past(nodes, {d: found for d, found in listings.items() if found}))

    def _write(self, name: str, past: Past) -> None:
        folder = self._folder
        if folder is None:
            return
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            handle, path = tempfile.mkstemp(dir=folder, suffix=".tmp")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(_packed(past))
                Path(path).replace(folder / name)
            except BaseException:
                Path(path).unlink(missing_ok=True)
                raise
        except OSError as error:
            _log.debug("what was used can't be remembered: %s", error)


def _name(s: State) -> str:
    """The file of a project in a namespace of a cluster."""
    where = s.session.spec.tiltfile if s.session else ""
    text = f"{where}\0{s.kube_context.name}\0{s.kube_context.namespace}"
    return f"{hashlib.sha256(os.fsencode(text)).hexdigest()[:16]}{_SUFFIX}"


def _packed(past: Past) -> bytes:
    nodes = {name: {"key": u.key, "parts": dict(u.parts)} for name, u in past.nodes.items()}
    whole = {"format": _FORMAT, "nodes": nodes, "listings": past.listings}
    return zlib.compress(json.dumps(whole).encode(), 1)


def _unpacked(data: bytes) -> Past:
    whole: Mapping[str, Any] = json.loads(zlib.decompress(data))
    if whole["format"] != _FORMAT:
        raise ValueError("it is of another format")
    return Past(
        {NodeName(n): Used(str(u["key"]), _texts(u["parts"])) for n, u in whole["nodes"].items()},
        {str(d): _texts(files) for d, files in whole["listings"].items()},
    )


def _texts(given: Mapping[str, Any]) -> dict[str, str]:
    return {str(k): str(v) for k, v in given.items()}
