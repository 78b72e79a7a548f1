"""Settings of the session: updates, ci, watches, secrets, versions, and what concerns Tilt's cloud.

What has nothing to do here (telemetry, teams, Tilt's own updates) is checked as Tilt checks it, and
a line for debugging says that it does nothing.  Source of names and defaults: the Tiltfile API
reference (tilt-dev/tilt.build).
"""

from typing import Any

from tiltd.model.desired import Ignore
from tiltd.starlark import Value
from tiltd.tiltfile import durations, versions
from tiltd.tiltfile.arguments import Arguments
from tiltd.tiltfile.mistakes import Mistake
from tiltd.tiltfile.reading import Reading
from tiltd.tiltfile.registry import Table

BUILTINS = Table()
_OBSOLETE_FEATURES = frozenset(
    {
        "bulk_disable_resources",
        "disable_resources",
        "events",
        "facets",
        "labels",
        "live_update_v2",
        "multiple_containers_per_pod",
        "offline_snapshot_creation",
        "update_history",
    }
)
_FEATURES = frozenset({"cluster_refresh", "snapshots"})


@BUILTINS.add(
    "update_settings",
    "max_parallel_updates? k8s_upsert_timeout_secs suppress_unused_image_warnings "
    "k8s_server_side_apply",
)
def update_settings(reading: Reading, args: Arguments) -> Value:
    """Set how updates run (reference: `update_settings`)."""
    changes: dict[str, Any] = {}
    if args.has("max_parallel_updates"):
        changes["max_parallel_updates"] = _positive(args, "max_parallel_updates")
    if args.has("k8s_upsert_timeout_secs"):
        changes["apply_timeout"] = float(_positive(args, "k8s_upsert_timeout_secs"))
    suppressed = args.texts("suppress_unused_image_warnings")
    known = reading.settings.suppress_unused_image_warnings
    changes["suppress_unused_image_warnings"] = (*known, *suppressed)
    reading.set(**changes)
    _check_apply(reading, args)
    return None


@BUILTINS.add("ci_settings", "k8s_grace_period? timeout? readiness_timeout?")
def ci_settings(reading: Reading, args: Arguments) -> Value:
    """Set the limits of a `ci` run (reference: `ci_settings`)."""
    fields = {
        "k8s_grace_period": "k8s_grace_period",
        "timeout": "ci_timeout",
        "readiness_timeout": "ci_readiness_timeout",
    }
    changes = {
        field: args.checked(name, durations.parse, args.text(name))
        for name, field in fields.items()
        if args.was_given(name)
    }
    reading.set(**changes)
    return None


@BUILTINS.add("watch_settings", "ignore?")
def watch_settings(reading: Reading, args: Arguments) -> Value:
    """Let changes of some files count for nothing (reference: `watch_settings`)."""
    patterns = args.patterns("ignore")
    if patterns:
        ignore = Ignore(reading.files.folder, patterns, "watch_settings()")
        reading.watch_ignores.append(ignore)
    return None


@BUILTINS.add("secret_settings", "disable_scrub")
def secret_settings(reading: Reading, args: Arguments) -> Value:
    """Set whether values of Secrets are hidden in logs (reference: `secret_settings`)."""
    reading.set(scrub_secrets=not args.flag("disable_scrub"))
    return None


@BUILTINS.add("trigger_mode", "trigger_mode")
def trigger_mode(reading: Reading, args: Arguments) -> Value:
    """Set the trigger mode of all resources that name none (reference: `trigger_mode`)."""
    mode = args.trigger_mode("trigger_mode")
    if reading.trigger_mode_place is not None:
        raise Mistake(
            "trigger_mode: it was set already",
            hint=f"it was first called at {reading.trigger_mode_place}",
        )
    if mode is not None:
        reading.trigger_mode = mode
    reading.trigger_mode_place = reading.place()
    return None


@BUILTINS.add("version_settings", "check_updates? constraint?")
def version_settings(reading: Reading, args: Arguments) -> Value:
    """Refuse other versions of Tilt (reference: `version_settings`)."""
    if args.has("check_updates"):
        args.flag("check_updates")
        reading.note("version_settings: check_updates= does nothing: there is no check for updates")
    constraint = args.text("constraint")
    if constraint and not args.checked("constraint", versions.satisfies, constraint):
        raise Mistake(
            f"version_settings: the Tiltfile wants Tilt {constraint!r}, and this is compatible "
            f"with Tilt {versions.COMPATIBLE}",
            hint="change the constraint, if this version will do",
        )
    return None


@BUILTINS.add(
    "docker_prune_settings", "disable? max_age_mins? num_builds? interval_hrs? keep_recent?"
)
def docker_prune_settings(reading: Reading, args: Arguments) -> Value:
    """Set how Tilt removes old images (reference: `docker_prune_settings`)."""
    args.flag("disable")
    for name in ("max_age_mins", "num_builds", "interval_hrs", "keep_recent"):
        args.integer(name)
    if args.integer("num_builds") and args.integer("interval_hrs"):
        raise Mistake("docker_prune_settings: give either num_builds= or interval_hrs=, not both")
    reading.note("docker_prune_settings does nothing: no image is ever removed")
    return None


@BUILTINS.add("analytics_settings", "enable")
def analytics_settings(reading: Reading, args: Arguments) -> Value:
    """Set whether Tilt reports its use (reference: `analytics_settings`)."""
    args.flag("enable")
    reading.note("analytics_settings does nothing: no use is reported to anyone")
    return None


@BUILTINS.add("set_team", "team_id")
def set_team(reading: Reading, args: Arguments) -> Value:
    """Name the team in Tilt's cloud (reference: `set_team`)."""
    team = args.text("team_id")
    if not team:
        raise Mistake("set_team: team_id= is empty")
    if reading.team:
        raise Mistake(f"set_team: the team is {reading.team!r} already, and now {team!r}")
    reading.team = team
    reading.note("set_team does nothing: there are no teams")
    return None


@BUILTINS.add("enable_feature", "msg|feature_name")
def enable_feature(reading: Reading, args: Arguments) -> Value:
    """Turn on a feature of Tilt (reference: `enable_feature`)."""
    return _feature(reading, args)


@BUILTINS.add("disable_feature", "msg")
def disable_feature(reading: Reading, args: Arguments) -> Value:
    """Turn off a feature of Tilt (Tilt 0.37's `disable_feature`)."""
    return _feature(reading, args)


@BUILTINS.add("disable_snapshots")
def disable_snapshots(reading: Reading, args: Arguments) -> Value:
    """Turn off snapshots (reference: `disable_snapshots`)."""
    del args
    reading.note("disable_snapshots does nothing: there are no snapshots")
    return None


@BUILTINS.add("experimental_analytics_report", "tags")
def experimental_analytics_report(reading: Reading, args: Arguments) -> Value:
    """Add tags to Tilt's reports (Tilt 0.37's `experimental_analytics_report`)."""
    args.string_map("tags")
    reading.note("experimental_analytics_report does nothing: no use is reported to anyone")
    return None


@BUILTINS.add("experimental_telemetry_cmd", "cmd cmd_bat? period? dir?")
def experimental_telemetry_cmd(reading: Reading, args: Arguments) -> Value:
    """Run a command on traces (Tilt 0.37's `experimental_telemetry_cmd`)."""
    args.command("cmd", dir="dir")
    args.command("cmd_bat")
    reading.note("experimental_telemetry_cmd does nothing: there are no traces")
    return None


@BUILTINS.add("experimental_metrics_settings", "*args **kwargs")
def experimental_metrics_settings(reading: Reading, args: Arguments) -> Value:
    """Nothing any more, in Tilt too (Tilt 0.37's `experimental_metrics_settings`)."""
    del args
    reading.warn("experimental_metrics_settings() does nothing: remove it")
    return None


def _feature(reading: Reading, args: Arguments) -> None:
    name = args.text("msg")
    if name in _OBSOLETE_FEATURES:
        reading.warn(f"{args.call}: the feature {name!r} is always as it is: remove this call")
    elif name not in _FEATURES:
        raise Mistake(
            f"{args.call}: there is no feature {name!r}",
            hint=f"the features are {', '.join(sorted(_FEATURES | _OBSOLETE_FEATURES))}",
        )
    else:
        reading.note(f"{args.call}({name!r}) does nothing here")


def _positive(args: Arguments, name: str) -> int:
    value = args.integer(name)
    if value < 1:
        raise Mistake(f"update_settings: {name}={value} must be at least 1")
    return value


def _check_apply(reading: Reading, args: Arguments) -> None:
    if not args.was_given("k8s_server_side_apply"):
        return
    choice = args.text("k8s_server_side_apply")
    if choice not in {"", "true", "false", "auto"}:
        raise Mistake(
            f"update_settings: k8s_server_side_apply={choice!r} is not known",
            hint="write 'true', 'false' or 'auto'",
        )
    if choice == "false":
        reading.warn(
            "update_settings: objects are always applied by the server (server-side apply)"
        )
