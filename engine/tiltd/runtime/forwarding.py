"""Has the cluster forward what the state wants forwarded, and tells what comes of it.

A line in the resource's log for each change that people want to know of: that a port is open and
where it leads to, that it is not and why, that connections come to nothing.  None of that is a
failure of the run.
"""

from collections.abc import Mapping

from tiltd.model.events import ForwardChanged
from tiltd.model.observed import Forward, ForwardStatus, PodPort
from tiltd.ports import Cluster
from tiltd.runtime.logs import LogStore
from tiltd.runtime.store import Store

_SPAN = "port-forward"


class Forwarding:
    """See the module."""

    def __init__(self, store: Store, logs: LogStore) -> None:
        self._store, self._logs = store, logs
        self._cluster: Cluster | None = None
        self._wanted: Mapping[Forward, PodPort | None] = {}
        self._told: dict[Forward, str] = {}

    def follow(self, cluster: Cluster | None, wanted: Mapping[Forward, PodPort | None]) -> None:
        """Exactly these, from now on; asks only for what is news."""
        if cluster is self._cluster and wanted == self._wanted:
            return
        moved = {f: to for f, to in wanted.items() if to and to != self._wanted.get(f)}
        self._cluster, self._wanted = cluster, wanted
        if cluster is not None:
            cluster.forward(wanted, self._changed)
        for forward in moved.keys() & self._store.state.forwards.keys():
            self._tell(forward, self._store.state.forwards[forward])

    def _changed(self, forward: Forward, status: ForwardStatus | None) -> None:
        self._store.dispatch(ForwardChanged(forward, status))
        if status is None:
            self._told.pop(forward, None)
        else:
            self._tell(forward, status)

    def _tell(self, forward: Forward, status: ForwardStatus) -> None:
        """Say it once: what fails is tried again and again."""
        to = self._wanted.get(forward)
        where = f"{forward.host}:{status.local_port}"
        level, text = "warn", f"port forward: {status.problem}"
        if status.local_port and status.problem:
            level, text = "info", f"port forward: {where}: {status.problem}"
        elif not status.problem and to is not None:
            level, text = "info", f"port forward: {where} leads to port {to.port} of pod {to.pod}"
        elif not status.problem:
            return
        if self._told.get(forward) != text:
            self._told[forward] = text
            self._logs.writer(forward.resource, _SPAN).write(f"{text}\n", level=level)
