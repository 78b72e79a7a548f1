"""Verdicts and what they are made of; the rules are in `core.health`."""

from tiltd.core.health import Assessment, Finding, Limits, Memory, ObjectRef, Verdict

__all__ = ["Assessment", "Finding", "Limits", "Memory", "ObjectRef", "Verdict"]
