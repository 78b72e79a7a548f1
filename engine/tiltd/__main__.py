"""`tiltd`: the daemon of one project folder, in the foreground.

`tilt-client` starts it in the background with `--ready-fd`; by hand it is started to see its log.

Most of a start is imports, and what they make stays: to look for garbage among it again and again
takes a tenth of the time.  So that is put off until all is imported (`app`), the imports too.
"""

import argparse
import gc
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tilt_api.version import VERSION

if TYPE_CHECKING:
    from tiltd.app import Config
    from tiltd.server.listening import Claim

_IDLE = 3 * 60 * 60.0


def main(argv: Sequence[str] | None = None) -> int:
    """Run until a signal, a client's `Shutdown`, or idleness; the exit code."""
    options = _parser().parse_args(argv)
    logging.basicConfig(
        level=logging.DEBUG if options.debug else logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    os.umask(0o077)
    if not Path(options.project_dir).is_dir():
        _complain(f"no such folder: {options.project_dir}")
        return 2
    gc.disable()
    return _claimed(options)


def _claimed(options: argparse.Namespace) -> int:
    import asyncio  # noqa: PLC0415 - see the module

    from tilt_api.address import AddressError  # noqa: PLC0415
    from tiltd.app import Config  # noqa: PLC0415
    from tiltd.server.listening import Claim, TakenError  # noqa: PLC0415

    with Claim(options.project_dir, options.ready_fd) as claim:
        try:
            address = claim.take()
        except TakenError:
            _complain(f"another daemon serves {claim.project_dir}")
            return 0 if options.ready_fd is not None else 1
        except AddressError as error:
            _complain(f"{error}\n  {error.hint}")
            return 1
        config = Config(
            project_dir=claim.project_dir,
            address=address,
            log_folder=claim.folder,
            idle_timeout=None if options.idle_timeout < 0 else options.idle_timeout,
            one_session=options.started_by in {"ci", "down", "plan"},
        )
        try:
            return asyncio.run(_serve(config, claim, foreground=options.ready_fd is None))
        finally:
            gc.freeze()  # else the interpreter's end looks for circles in all of it: 0.2 s


async def _serve(config: "Config", claim: "Claim", *, foreground: bool) -> int:
    import asyncio  # noqa: PLC0415 - see the module

    from tiltd.app import App  # noqa: PLC0415

    app = App(config)
    loop = asyncio.get_running_loop()
    for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(sig, app.stop)

    def ready() -> None:
        claim.ready()
        if foreground:
            where = f"{config.project_dir} at {config.address}"
            sys.stdout.write(f"tiltd {VERSION} serves {where}\n")
            sys.stdout.flush()

    try:
        await app.run(ready)
    except BaseException as error:
        claim.failed(f"tiltd can't start: {error}")
        raise
    return 0


def _complain(sentence: str) -> None:
    sys.stderr.write(f"tiltd: {sentence}\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tiltd", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--version", action="version", version=f"tiltd {VERSION}")
    parser.add_argument(
        "--project-dir", default=".", metavar="DIR", help="the folder to serve (default: here)"
    )
    parser.add_argument(
        "--idle-timeout",
        type=float,
        default=_IDLE,
        metavar="SECONDS",
        help="stop after so long without session and client; negative: never (default: 3 h)",
    )
    parser.add_argument(
        "--started-by",
        choices=("user", "up", "ci", "down", "plan"),
        default="user",
        help="ci, down, plan: stop as soon as the session has ended",
    )
    parser.add_argument("--ready-fd", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--debug", action="store_true", help="log what is done, in detail")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
