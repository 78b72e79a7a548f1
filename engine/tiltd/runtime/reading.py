"""Reads all that an image's key is made of: files, secrets, and what engines and registries say.

Side by side, so that a question to a registry costs no time while files are being digested.
"""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from typing import Protocol

from tiltd.model.desired import Image, LocalTarget
from tiltd.model.events import InputsRead
from tiltd.model.observed import Grounds
from tiltd.model.state import SessionSpec
from tiltd.ports import Images, Inputs, Log, PermanentError, TransientError


class Sources(Protocol):
    """Who is asked."""

    @property
    def inputs(self) -> Inputs:
        """Files and secrets."""
        ...

    @property
    def images(self) -> Images:
        """Engine and registries."""
        ...


async def read(
    sources: Sources,
    image: Image,
    generation: int,
    spec: SessionSpec,
    log: Log,
    remembered: Grounds | None = None,
) -> InputsRead:
    """The fact that an image's inputs have been read.

    Args:
        sources: who is asked.
        image: whose.
        generation: of its files.
        spec: of the session.
        log: told what can't be found out.
        remembered: taken in the place of what engine and registries say: they are not asked.

    Raises:
        PermanentError: a file can't be read.
        TransientError: files changed while they were read.
    """
    with unwrapped():
        async with asyncio.TaskGroup() as group:
            files = group.create_task(sources.inputs.digest(image.build), name="digest")
            hidden = group.create_task(sources.inputs.secrets(image.build, spec), name="secrets")
            asked = (
                group.create_task(sources.images.grounds(image, spec, log), name="grounds")
                if remembered is None
                else None
            )
    found = asked.result() if asked is not None else remembered or Grounds()
    grounds = replace(found, secrets=hidden.result())
    return InputsRead(image.name, generation, files.result(), grounds=grounds)


async def deps(inputs: Inputs, target: LocalTarget) -> str | None:
    """The digest of a local resource's `deps`: empty if there are none, `None` if unreadable.

    That is no reason to fail: its command knows better what it needs of them.
    """
    if not target.deps:
        return ""
    try:
        return await inputs.digest(target)
    except (PermanentError, TransientError):
        return None


@contextmanager
def unwrapped() -> Generator[None]:
    """One error is enough for people."""
    try:
        yield
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from errors
