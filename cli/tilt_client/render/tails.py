"""The last lines of everything that prints, for the report of a failure.

The daemon names the source of a line by resource and span: `pod/NAME/CONTAINER/LIFE`,
`container/NAME/ID` (Docker Compose's, all its lives), `build/IMAGE`, `command`, `serve`.  Of a
pod's container that crashed, the life that did is wanted, and the finding says which; the next one
may have begun to print by now.  If that said nothing, or its log is gone (a kubelet keeps one old
container), a later life is shown, and called so: it mostly dies of the same.  Of any other
container it is the newest life.
"""

from collections import deque

from tilt_api.v1 import tilt_pb2 as pb

LINES = 20
_LIVES = 3


class Tails:
    """The last lines of each span."""

    def __init__(self) -> None:
        self._lines: dict[tuple[str, str], deque[str]] = {}
        self._lives: dict[tuple[str, str], list[int]] = {}

    def add(self, line: pb.LogLine) -> None:
        """Remember a line, and forget the one that is too old now."""
        place = (line.resource, line.span)
        kept = self._lines.get(place)
        if kept is None:
            kept = self._lines[place] = deque(maxlen=LINES)
            self._note(*place)
        kept.append(line.text)

    def _note(self, resource: str, span: str) -> None:
        """A new life of a container: those before the one that has just ended count no more."""
        container, _, life = span.rpartition("/")
        if container.startswith("pod/") and life.isdecimal():
            lives = self._lives.setdefault((resource, container), [])
            lives.append(int(life))
            lives.sort()
            for old in lives[:-_LIVES]:
                del self._lines[resource, f"{container}/{old}"]
            del lives[:-_LIVES]

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
                title, printed = self._container(resource, finding)
                return f"container {subject.container}{title}", printed
            case "Container":
                span = f"container/{subject.name}/{subject.uid[:12]}"
                return f"container {subject.name}", self._span(resource, span)
            case _:
                return "", []

    def _span(self, resource: str, span: str) -> list[str]:
        return list(self._lines.get((resource, span), ()))

    def _container(self, resource: str, finding: pb.Finding) -> tuple[str, list[str]]:
        """What is to be said about the life that is shown, and its lines."""
        subject = finding.chain[-1]
        span = f"pod/{subject.name}/{subject.container}"
        lives = self._lives.get((resource, span), [])
        wanted = finding.life if finding.HasField("life") else max(lives, default=0)
        if wanted not in lives and (later := [life for life in lives if life > wanted]):
            return ", started again", self._span(resource, f"{span}/{later[-1]}")
        return "", self._span(resource, f"{span}/{wanted}")

    def _build(self, image: str) -> list[str]:
        """A build is logged under one of the resources that use its image."""
        return [
            text
            for (_, span), kept in self._lines.items()
            if span == f"build/{image}"
            for text in kept
        ]
