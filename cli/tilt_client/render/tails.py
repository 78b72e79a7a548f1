"""The last lines of everything that prints, for the report of a failure.

The daemon names the source of a line by resource and span: `pod/NAME/CONTAINER`, `build/IMAGE`,
`command`, `serve`.  A container that crashes goes on under the same span in its next life, so
what is wanted, the end of the life that crashed, is the end of the span: the next life has either
not printed yet, or crashed as well.
"""

from collections import deque

from tilt_api.v1 import tilt_pb2 as pb

LINES = 20


class Tails:
    """The last lines of each span."""

    def __init__(self) -> None:
        self._lines: dict[tuple[str, str], deque[str]] = {}

    def add(self, line: pb.LogLine) -> None:
        """Remember a line, and forget the one that is too old now."""
        place = (line.resource, line.span)
        kept = self._lines.get(place)
        if kept is None:
            kept = self._lines[place] = deque(maxlen=LINES)
        kept.append(line.text)

    def of(self, resource: str, finding: pb.Finding) -> tuple[str, list[str]]:
        """What the subject of a finding is called, and its last lines."""
        if not finding.chain:
            return "", []
        subject = finding.chain[-1]
        match subject.kind:
            case "Image":
                return f"the build of {subject.name}", self._build(subject.name)
            case "Command":
                return "the command", self._span(resource, "command")
            case "Serve" | "Local":
                return "the served process", self._span(resource, "serve")
            case "Pod" if subject.container:
                span = f"pod/{subject.name}/{subject.container}"
                return f"container {subject.container}", self._span(resource, span)
            case _:
                return "", []

    def _span(self, resource: str, span: str) -> list[str]:
        return list(self._lines.get((resource, span), ()))

    def _build(self, image: str) -> list[str]:
        """A build is logged under one of the resources that use its image."""
        return [
            text
            for (_, span), kept in self._lines.items()
            if span == f"build/{image}"
            for text in kept
        ]
