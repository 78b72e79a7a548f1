"""TLS, as the field's programs check it.

Python asks since 3.13 for extensions (`VERIFY_X509_STRICT`) that the certificates of many clusters'
and registries' own authorities lack.  Go never does, so that docker and kubectl work with them.
"""

import ssl


def context(cafile: str | None = None, cadata: str | None = None) -> ssl.SSLContext:
    """A client's context that verifies: by these authorities (PEM), else by the system's."""
    made = ssl.create_default_context(cafile=cafile, cadata=cadata)
    made.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return made
