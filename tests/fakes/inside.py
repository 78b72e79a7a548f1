"""File systems of containers that nobody runs, and what programs do there."""

import asyncio
import io
import tarfile
from collections import defaultdict
from collections.abc import Sequence

from tiltd import ports
from tiltd.model.live_update import Target


class Insides:
    """The files of containers by their ids.

    Attributes:
        files: by container: what has been put in, by path; `None` is what was removed.
        ran: the programs that were run, as `(target, text of the command)`.
        exits: the exit codes of commands; all others end well.
        prints: what commands print.
        errors: raised instead, by the text of the command, once each.
        holds: commands that wait.
    """

    def __init__(self) -> None:
        self.files: defaultdict[str, dict[str, bytes | None]] = defaultdict(dict)
        self.ran: list[tuple[str, str]] = []
        self.restarted: list[str] = []
        self.exits: defaultdict[str, int] = defaultdict(int)
        self.prints: dict[str, str] = {}
        self.errors: dict[str, Exception] = {}
        self.holds: dict[str, asyncio.Event] = {}

    def unpack(self, target: Target, packed: bytes) -> None:
        """Take in an archive."""
        if "tar" in self.errors:
            raise self.errors.pop("tar")
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            for entry in archive:
                content = archive.extractfile(entry)
                assert content is not None, entry
                self.files[target.id][f"/{entry.name}"] = content.read()

    async def execute(
        self, target: Target, argv: Sequence[str], log: ports.Log, stdin: bytes | None = None
    ) -> int:
        """Run a program: `tar` and `rm` as they are, all others by the attributes."""
        await asyncio.sleep(0.01)
        text = argv[-1] if argv[:2] == ("sh", "-c") else " ".join(argv)
        if text in self.errors:
            raise self.errors.pop(text)
        if text in self.holds:
            await self.holds[text].wait()
        if argv[0] == "tar" and stdin is not None and not self.exits["tar"]:
            self.unpack(target, stdin)
            return 0
        if argv[:2] == ("rm", "-rf"):
            self.files[target.id].update(dict.fromkeys(argv[2:]))
            return 0
        self.ran.append((str(target), text))
        log.write(self.prints.get(text, ""))
        return self.exits["tar" if argv[0] == "tar" else text]
