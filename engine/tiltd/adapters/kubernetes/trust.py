"""Importing aiohttp without what it loads for everybody who names no TLS context.

It makes two such contexts as it is imported, and each reads all certificates that this machine
trusts: 20 ms and a MiB or more for each.  Every request here names its own (`credentials`), so
those two are left empty: who used one after all would be refused, not let through.
"""

import ssl
import threading
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def none_loaded() -> Generator[None]:
    """Contexts that this thread makes meanwhile trust nobody; those of other threads are whole."""
    here = threading.get_ident()

    def load(context: ssl.SSLContext) -> None:
        if threading.get_ident() != here:
            super(ssl.SSLContext, context).set_default_verify_paths()

    ssl.SSLContext.set_default_verify_paths = load  # type: ignore[assignment, method-assign] # taken back
    try:
        yield
    finally:
        del ssl.SSLContext.set_default_verify_paths
