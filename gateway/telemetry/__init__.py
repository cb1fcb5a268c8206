"""OpenTelemetry: the spans of ``trace`` become the SDK's, and leave over HTTP (OTLP).

Needs the extra ``otel``; without an endpoint nothing here is imported.
"""
