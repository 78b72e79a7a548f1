"""Local commands and served processes: `ports.Processes`.

A command's `run` ends with its program.  What the program left behind in the background goes on,
as a user who writes `server &` expects: its output still reaches the log, and it is ended when
the daemon stops, unless it sent its output elsewhere, by which it has taken its leave.  A served
process is the other way round: once its program has ended, the rest of its group is ended too,
since it would hold the port that the next one needs.
"""

import asyncio
import dataclasses
import tempfile
import time
from collections.abc import Callable, Mapping

from tiltd import ports
from tiltd.adapters import probes, process_group
from tiltd.model.desired import Command, Probe
from tiltd.model.observed import ServeStatus

DRAIN = 0.25
"""Seconds that output gets to arrive after its program has ended."""


class LocalProcesses:
    """Runs commands on this machine; belongs to one loop, and must be closed."""

    def __init__(self) -> None:
        self._guardian = process_group.Guardian()
        self._prober = probes.Prober(self._guardian)
        self._background: set[process_group.Group] = set()

    async def run(self, command: Command, env: Mapping[str, str], log: ports.Log) -> int:
        """Run to the end; the exit code (negative: by that signal).

        Args:
            command: what to run.
            env: the session's environment; the command's own variables win.
            log: where both its outputs go.

        Raises:
            PermanentError: it can't be started.
            TransientError: it can't be started just now.
        """
        group = self._start(command, env, log)
        try:
            code = await group.exited()
            silent = await group.drained(DRAIN)
        except BaseException:
            await group.end()
            raise
        if silent:
            group.release()
        else:
            self._background.add(group)
            group.keep(self._background.discard)
        return code

    async def capture(
        self, command: Command, env: Mapping[str, str], log: ports.Log
    ) -> tuple[int, str]:
        """Run to the end; the exit code, and what it printed on its standard output.

        That goes into a file without a name, so it may be of any size, and nobody has to read it
        while the command runs.

        Args:
            command: what to run.
            env: the session's environment; the command's own variables win.
            log: where its standard error goes.

        Raises:
            PermanentError: it can't be started.
            TransientError: it can't be started just now.
        """
        with tempfile.TemporaryFile() as printed:
            group = process_group.start(
                command.argv,
                command.dir,
                _merged(command, env),
                log,
                self._guardian,
                printed.fileno(),
            )
            try:
                code = await group.exited()
                await group.drained(DRAIN)
            finally:
                await group.end()
            printed.seek(0)
            return code, printed.read().decode("utf-8", "replace")

    async def serve(
        self,
        command: Command,
        env: Mapping[str, str],
        probe: Probe | None,
        log: ports.Log,
        changed: Callable[[ServeStatus], None],
        key: str,
    ) -> None:
        """Run until cancelled or ended; tell each change of the status.

        A cancelled process is not told about: whoever cancels knows.

        Args:
            command: what to run.
            env: the session's environment; the command's own variables win.
            probe: what says when it is ready; without one it is as soon as it runs.
            log: where both its outputs go.
            changed: called on the loop.
            key: goes into each status.

        Raises:
            PermanentError: it can't be started.
            TransientError: it can't be started just now.
        """
        group = self._start(command, env, log)
        told = ServeStatus(key, time.time(), group.pid, ready=None if probe else True)

        def tell(ready: bool | None, message: str) -> None:  # noqa: FBT001 - as in the status
            nonlocal told
            status = dataclasses.replace(told, ready=ready, probe_message=message)
            if status != told:
                told = status
                changed(told)

        try:
            changed(told)
            if probe is None:
                code = await group.exited()
            else:
                code = await self._probed(group, probe, command, _merged(command, env), tell)
            await group.drained(DRAIN)
            changed(dataclasses.replace(told, ready=False, exit_code=code))
        finally:
            await group.end()

    async def close(self) -> None:
        """End what commands left in the background.  `run` and `serve` are over by now."""
        async with asyncio.TaskGroup() as tasks:
            for group in self._background:
                tasks.create_task(group.end(), name=f"end-{group.pid}")
        self._background.clear()
        self._prober.close()
        await self._guardian.close()

    async def _probed(
        self,
        group: process_group.Group,
        probe: Probe,
        command: Command,
        env: Mapping[str, str],
        tell: probes.Tell,
    ) -> int:
        async with asyncio.TaskGroup() as tasks:
            probing = tasks.create_task(
                self._prober.watch(probe, command.dir, env, tell), name=f"probe-{group.pid}"
            )
            code = await group.exited()
            probing.cancel()
        return code

    def _start(
        self, command: Command, env: Mapping[str, str], log: ports.Log
    ) -> process_group.Group:
        return process_group.start(
            command.argv, command.dir, _merged(command, env), log, self._guardian
        )


def _merged(command: Command, env: Mapping[str, str]) -> dict[str, str]:
    return {**env, **command.env}
