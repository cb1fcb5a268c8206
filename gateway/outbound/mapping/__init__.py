"""Segment's language of triggers and mappings: read once, then pure and fast."""

from gateway.outbound.mapping.trigger import Trigger, parse

__all__ = ["Trigger", "parse"]
