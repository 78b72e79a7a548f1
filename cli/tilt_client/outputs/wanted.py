"""What the user asked to have written, as paths that can be written to."""

import argparse
from collections.abc import Mapping
from typing import NamedTuple

from tilt_client.complaint import Complaint, Exit
from tilt_client.outputs import files

FORMATS = ("junit", "json")


class Report(NamedTuple):
    """A report in a format of `FORMATS`, and the absolute path of its file."""

    format: str
    path: str


class Wanted(NamedTuple):
    """Empty paths are files that were not asked for.

    Args:
        quiet: print only failures and the summary.
    """

    reports: tuple[Report, ...] = ()
    events: str = ""
    log_dir: str = ""
    snapshot: str = ""
    quiet: bool = False

    @property
    def anything(self) -> bool:
        """Whether there is anything to be written."""
        return bool(self.reports or self.events or self.log_dir or self.snapshot)


def read(found: argparse.Namespace, env: Mapping[str, str]) -> Wanted:
    """What the flags ask for; the files are claimed.

    Raises:
        Complaint: one of them can't be written, or two are the same.
    """
    reports = tuple(
        Report(how, files.claim(path, f"--report {how}", env)) for how, path in found.report
    )
    events = found.events and files.claim(found.events, "--events", env)
    flag = "--output-snapshot-on-exit"
    snapshot = found.snapshot and files.claim(found.snapshot, flag, env)
    paths = [*(report.path for report in reports), *filter(None, (events, snapshot))]
    if twice := [path for path in paths if paths.count(path) > 1 and not files.special(path)]:
        message = f"{twice[0]} would be written twice"
        raise Complaint(message, "give each report a file of its own", code=Exit.USAGE)
    log_dir = found.log_dir and files.claim_folder(found.log_dir, "--log-dir", env)
    return Wanted(reports, events, log_dir, snapshot, found.quiet)


def report(text: str) -> tuple[str, str]:
    """For `type=`: `junit=FILE`."""
    how, equals, path = text.partition("=")
    if how not in FORMATS or not equals or not path:
        formats = " or ".join(f"{name}=FILE" for name in FORMATS)
        raise argparse.ArgumentTypeError(f"{text!r} is no report: write {formats}")
    return how, path
