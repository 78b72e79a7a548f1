"""Pushes an image from the engine's store to its registry.

The engine does the work and reports layer by layer; people get one line at the end.  A registry
that is busy or away is asked again for about twenty seconds, then the caller's own, slower
backoff takes over.
"""

import asyncio
import itertools
from collections.abc import Iterator

from tiltd import ports
from tiltd.adapters.images import credentials, engine, events, failures
from tiltd.model.names import ImageName

PATIENCE = 20.0
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 8.0


async def push(
    image: ImageName,
    ref: str,
    docker: engine.Engine,
    credential: credentials.Credential | None,
    log: ports.Log,
    patience: float = PATIENCE,
) -> str:
    """Push `ref`; returns the digest that the registry gave it.

    Args:
        image: its name in the project, for messages.
        ref: repository and tag.
        docker: the engine that has it.
        credential: `None` is anonymous.
        log: gets the news.
        patience: seconds to go on trying.

    Raises:
        PermanentError: the registry refuses.
        TransientError: the registry is still not there.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience
    auth = credential.auth_config() if credential else {}
    for pause in _pauses():
        output = _Output(log)
        try:
            await docker.push(ref, auth, output.event)
        except events.EngineError as error:
            output.error = error.message
        if not output.error:
            log.write(output.summary(ref))
            return output.digest
        problem = failures.push(image, ref, output.error)
        late = loop.time() + pause > deadline
        if late or isinstance(problem, ports.PermanentError):
            raise problem
        log.write(f"push failed, again in {pause:g} s: {output.error}\n", level="warn")
        await asyncio.sleep(pause)
    raise AssertionError("pauses never end")


def _pauses() -> Iterator[float]:
    return (min(_FIRST_PAUSE * 2**number, _LONGEST_PAUSE) for number in itertools.count())


class _Output:
    """Counts layers; called in the push's thread."""

    def __init__(self, log: ports.Log) -> None:
        self._log = log
        self.error = ""
        self.digest = ""
        self._pushed: set[str] = set()
        self._there: set[str] = set()
        self._said: set[str] = set()

    def event(self, event: events.Event) -> None:
        status, layer = str(event.get("status", "")), str(event.get("id", ""))
        if "error" in event:
            self.error = events.error(event)
        elif aux := event.get("aux"):
            self.digest = str(aux.get("Digest", "")) or self.digest
        elif status == "Pushed":
            self._pushed.add(layer)
        elif status == "Layer already exists" or status.startswith("Mounted from"):
            self._there.add(layer)
        elif status.startswith("Retrying in") and layer not in self._said:
            self._said.add(layer)
            self._log.write(f"layer {layer}: the registry failed, the engine tries again\n")

    def summary(self, ref: str) -> str:
        layers = f"{len(self._pushed)} of {len(self._pushed | self._there)} layers were new"
        return f"pushed {ref} ({layers}), {self.digest}\n"
