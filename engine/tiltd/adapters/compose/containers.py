"""The containers of a service, as the Docker Engine describes them.

Docker Compose marks what it makes with labels (`com.docker.compose.project`, `…service`,
`…oneoff`); by these they are found, whoever brought them up.
"""

import datetime as dt
import json
import re
from collections.abc import Mapping
from typing import Any, cast

from tiltd.adapters.compose.engine import NOT_FOUND, Engine, RefusedError
from tiltd.model.observed import ServiceContainer

_LABEL = "com.docker.compose."
_FRACTION = re.compile(r"\.(\d+)")
_LONGEST = 300
_CHANGES = (
    *("create", "start", "die", "stop", "destroy", "pause", "unpause", "restart", "rename"),
    *("oom", "health_status"),
)
"""Events that say that a container is another now; the rest (`exec_start` …) comes in floods."""


def labels(project: str, service: str) -> list[str]:
    """The labels by which a service's containers are known."""
    return [
        f"{_LABEL}project={project}",
        f"{_LABEL}service={service}",
        f"{_LABEL}oneoff=False",
    ]


def changes(project: str, service: str) -> dict[str, str]:
    """The query for events about a service's containers."""
    wanted = {"type": ["container"], "label": labels(project, service), "event": list(_CHANGES)}
    return {"filters": json.dumps(wanted)}


async def listed(engine: Engine, project: str, service: str) -> tuple[dict[str, Any], ...]:
    """All containers of a service that there are, whole, in the order of their names.

    Raises:
        RefusedError: the Engine's refusal.
        TransientError: the Engine does not answer.
    """
    filters = json.dumps({"label": labels(project, service)})
    rows = await engine.get("/containers/json", {"all": "1", "filters": filters})
    found: list[dict[str, Any]] = []
    for row in rows:
        try:
            found.append(await engine.get(f"/containers/{row['Id']}/json"))
        except RefusedError as error:
            if error.status != NOT_FOUND:  # it has gone since
                raise
    return tuple(sorted(found, key=lambda body: str(body.get("Name"))))


async def services(engine: Engine, project: str) -> frozenset[str]:
    """The services of a project that have a container. Raises as `listed`."""
    filters = json.dumps({"label": [f"{_LABEL}project={project}"]})
    rows = await engine.get("/containers/json", {"all": "1", "filters": filters})
    return frozenset(str(_section(row, "Labels").get(f"{_LABEL}service", "")) for row in rows)


def read(body: Mapping[str, Any]) -> ServiceContainer:
    """A container out of its description."""
    state = _section(body, "State")
    health = _section(state, "Health")
    policy = _section(_section(body, "HostConfig"), "RestartPolicy")
    status = str(state.get("Status", ""))
    return ServiceContainer(
        id=str(body.get("Id", "")),
        name=str(body.get("Name", "")).removeprefix("/"),
        status=status,
        started_at=seconds(str(state.get("StartedAt", ""))),
        finished_at=seconds(str(state.get("FinishedAt", ""))),
        exit_code=int(state.get("ExitCode") or 0),
        error=str(state.get("Error") or ""),
        oom_killed=bool(state.get("OOMKilled")),
        restarts=int(body.get("RestartCount") or 0),
        policy=str(policy.get("Name") or "no"),
        health=_health(health),
        health_said=_said(health),
    )


def created(body: Mapping[str, Any]) -> float:
    """When it was made."""
    return seconds(str(body.get("Created", "")))


def has_tty(body: Mapping[str, Any]) -> bool:
    """Whether its output is one raw stream."""
    return bool(_section(body, "Config").get("Tty"))


def seconds(text: str) -> float:
    """The Engine's time in seconds since the epoch; 0 for its "never" (`0001-01-01…`)."""
    if not text or text.startswith("0001-"):
        return 0.0
    # Up to nine digits of a second's fraction, of which Python reads six.
    cut = _FRACTION.sub(lambda match: f".{match[1][:6]:0<6}", text)
    try:
        return dt.datetime.fromisoformat(cut).timestamp()
    except ValueError:
        return 0.0


def _health(health: Mapping[str, Any]) -> str:
    status = str(health.get("Status") or "")
    return "" if status == "none" else status


def _said(health: Mapping[str, Any]) -> str:
    rows = health.get("Log")
    log = cast("list[Mapping[str, Any]]", rows) if isinstance(rows, list) else []
    if not log or not log[-1].get("ExitCode"):
        return ""
    lines = [line.strip() for line in str(log[-1].get("Output") or "").splitlines()]
    said = [line for line in lines if line]
    return said[-1][:_LONGEST] if said else f"exit code {log[-1].get('ExitCode')}"


def _section(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = body.get(name)
    return cast("Mapping[str, Any]", found) if isinstance(found, Mapping) else {}
