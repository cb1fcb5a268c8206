"""A span of ours as one of the SDK's, which its exporter takes; pure."""

from collections.abc import Mapping

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.status import Status, StatusCode

from gateway import __version__
from gateway.trace import Context, Kind, Span

SCOPE = InstrumentationScope("gateway", __version__)
KINDS: Mapping[Kind, SpanKind] = {
    "server": SpanKind.SERVER,
    "internal": SpanKind.INTERNAL,
    "producer": SpanKind.PRODUCER,
    "consumer": SpanKind.CONSUMER,
}


def resource_of(service: str) -> Resource:
    """Who speaks."""
    return Resource({"service.name": service, "service.version": __version__})


def readable(span: Span, resource: Resource) -> ReadableSpan:
    """The same, in the SDK's words."""
    parent = span.context._replace(span_id=span.parent)
    failed = Status(StatusCode.ERROR, span.failed)
    return ReadableSpan(
        name=span.name,
        context=_context(span.context),
        parent=_context(parent) if span.parent else None,
        resource=resource,
        attributes={k: v for k, v in span.attributes.items() if v is not None},
        kind=KINDS[span.kind],
        instrumentation_scope=SCOPE,
        status=failed if span.failed else Status(StatusCode.UNSET),
        start_time=span.start_ns,
        end_time=span.end_ns,
    )


def _context(context: Context) -> SpanContext:
    return SpanContext(
        context.trace_id,
        context.span_id,
        is_remote=False,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
    )
