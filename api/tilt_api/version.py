"""The version that daemon and clients compare.

A constant, because asking the installed distribution for it costs more time (30 ms) than
everything else that a client does before its first byte; a test holds it against pyproject.toml.
"""

VERSION = "0.1.0"
