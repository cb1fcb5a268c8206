"""Segment's language of triggers and mappings: read once, then pure and fast."""

from gateway.outbound.mapping.directives import Unmappable, build
from gateway.outbound.mapping.lint import Flaw, lint
from gateway.outbound.mapping.survey import doubts, reads
from gateway.outbound.mapping.trigger import Trigger, parse

__all__ = [
    "Flaw",
    "Trigger",
    "Unmappable",
    "build",
    "doubts",
    "lint",
    "parse",
    "reads",
]
