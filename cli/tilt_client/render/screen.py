"""Everything that a session prints, in the order of what is fed in.

Lines come in two kinds: what programs printed (filtered by the user's `--log-…` flags) and what
the session does (never filtered).  Only the latter count against silence: a chatty pod must not
hide for minutes what the run is waiting for.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from tilt_api.v1 import tilt_pb2 as pb
from tilt_client.render import report, style, times, waiting
from tilt_client.render.known import Known
from tilt_client.render.news import Item, News
from tilt_client.render.style import Style, Tone
from tilt_client.render.tails import Tails

SILENCE = 10.0
"""Seconds without news after which a line says what is waiting."""

_TONES = {
    pb.LOG_LEVEL_DEBUG: Tone.QUIET,
    pb.LOG_LEVEL_WARN: Tone.WARN,
    pb.LOG_LEVEL_ERROR: Tone.BAD,
}


class Source(Enum):
    """Which logs to show."""

    ALL = "all"
    BUILD = "build"
    RUNTIME = "runtime"


@dataclass(frozen=True)
class Filter:
    """The user's choice among log lines.

    Args:
        resources: only theirs; none is all.
        level: this one and worse.
    """

    source: Source = Source.ALL
    resources: frozenset[str] = frozenset()
    level: "pb.LogLevel.ValueType" = pb.LOG_LEVEL_INFO

    def shows(self, line: pb.LogLine) -> bool:
        """Whether to print a line."""
        if line.level < self.level or (self.resources and line.resource not in self.resources):
            return False
        runtime = line.span.startswith(("pod/", "container/")) or line.span == "serve"
        return self.source is Source.ALL or (self.source is Source.RUNTIME) == runtime


class Screen:
    """See the module.

    Args:
        follow: nobody waits for an end: tell each failure when it happens (`up`).
        now: the session's start, seconds since the epoch.
        quiet: print only failures and the summary.
    """

    def __init__(
        self,
        look: Style,
        shown: Filter,
        now: float,
        *,
        follow: bool = False,
        quiet: bool = False,
    ) -> None:
        self._look, self._filter, self._follow, self._quiet = look, shown, follow, quiet
        self.known, self.tails = Known(), Tails()
        self._news = News()
        self._spoke = now
        self._failed: dict[str, str] = {}
        self._broken: dict[str, bytes] = {}
        self._width = 0
        self._unknown = shown.resources

    def watched(self, answer: pb.WatchResponse, now: float) -> list[str]:
        """What an answer of Watch says that is new."""
        self.known.learn(answer)
        self._width = style.width(r.name for r in self.known.resources)
        out = [self._item(item) for item in self._news.items(answer, self.known, now)]
        out = [] if self._quiet else out
        out += self._misspelt()
        if self._follow:
            out += self._sources()
            for resource in answer.resources:
                out += self._failure(resource)
        if out:
            self._spoke = now
        return out

    def logged(self, lines: Iterable[pb.LogLine], dropped: int = 0) -> list[str]:
        """Log lines as they are shown."""
        lost = f"({style.count(dropped, 'log line')} dropped: they came too fast)"
        out = [lost] if dropped and not self._quiet else []
        for line in lines:
            self.tails.add(line)
            if self._filter.shows(line) and not self._quiet:
                text = self._look.log_text(line.text)
                tone = _TONES.get(line.level, Tone.PLAIN)
                out.append(self._prefixed(speaker(line), self._look.paint(tone, text)))
        return out

    def silence(self, now: float) -> float:
        """Seconds from now at which `waited` has to be called; infinite after the end."""
        return (
            math.inf if self.known.ended or self._quiet else max(self._spoke + SILENCE - now, 0.0)
        )

    def waited(self, now: float) -> list[str]:
        """What the session is waiting for, if it has been silent for so long."""
        if self.silence(now) > 0:
            return []
        self._spoke = now
        text = waiting.line(self.known, now)
        return [self._look.paint(Tone.QUIET, text)] if text else []

    def report(self) -> list[str]:
        """How it ended: the times of the resources, the failures, the summary."""
        took: list[str] = []
        if not self._quiet and not self._follow and self.known.session.mode != pb.MODE_DOWN:
            table = times.table(self.known.counted, self.known.session.started_at)
            took = [self._look.paint(Tone.QUIET, text) for text in table]
        return took + report.lines(self.known, self.tails, self._look)

    def _misspelt(self) -> list[str]:
        """Names in the filter that no resource has, once the Tiltfile has told which there are."""
        if self.known.session.tiltfile.phase != pb.TARGET_PHASE_DONE:
            return []
        unknown, self._unknown = self._unknown - self.known.names, frozenset[str]()
        text = "warning: --log-resource: there is no resource"
        return [self._look.paint(Tone.WARN, f"{text} {name}") for name in sorted(unknown)]

    def _prefixed(self, name: str, text: str) -> str:
        return self._look.prefix(name, self._width) + text

    def _item(self, item: Item) -> str:
        text = self._look.paint(item.tone, item.text)
        return self._prefixed(item.resource, text) if item.resource else text

    def _sources(self) -> list[str]:
        """The blocks of a Tiltfile that can't be read and of a cluster that is not found."""
        out: list[str] = []
        session = self.known.session
        for source, target in (("tiltfile", session.tiltfile), ("cluster", session.cluster)):
            failed = target.phase == pb.TARGET_PHASE_FAILED and not self.known.ended
            why = target.attempt.problem.SerializeToString() if failed else b""
            if why and self._broken.get(source) != why:
                out += report.problem(target.attempt.problem, self._look)
            self._broken[source] = why
        return out

    def _failure(self, resource: pb.Resource) -> list[str]:
        """The block of a resource that has failed; again only after it failed in another way."""
        if resource.verdict != pb.VERDICT_FAILED or not resource.enabled:
            self._failed.pop(resource.name, None)
            return []
        why = "\n".join(f.message for f in resource.findings) or resource.status
        if self._failed.get(resource.name) == why:
            return []
        self._failed[resource.name] = why
        return report.failure(resource, self.tails, self._look)


def speaker(line: pb.LogLine) -> str:
    """Whose line it is; the session's own are named by what printed them."""
    if line.resource:
        return line.resource
    return "Tiltfile" if line.span == "tiltfile" else line.span.rpartition("/")[2] or "tiltd"
