"""Sends spans on, some at a time, on a thread of its own; nobody waits for it.

What cannot be sent is gone, and told: a trace is worth no event.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from gateway.config import Config
from gateway.notices import Notice, Notices
from gateway.telemetry.settings import Telemetry, telemetry_of
from gateway.trace import Span, Tracer

GROUP_SPANS = 512
EVERY_S = 1.0
END_S = 3.0  # for what waits when the gateway stops


@asynccontextmanager
async def tracing(config: Config, notices: Notices) -> AsyncIterator[Tracer | None]:
    """What makes spans, while they are sent on; None while it is switched off."""
    settings = telemetry_of(config)
    if not settings.endpoint:
        yield None
        return
    tracer = Tracer(one_in=settings.sample, follows=settings.follow)
    exporter = Exporter(settings, tracer, notices)
    sending = asyncio.create_task(exporter.run(), name="telemetry")
    try:
        yield tracer
    finally:
        sending.cancel()
        await asyncio.wait([sending])
        await exporter.close()


class Exporter:
    """The one task and the one thread that send."""

    def __init__(self, settings: Telemetry, tracer: Tracer, notices: Notices) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415 -- costs start-up time, and may not be installed
            OTLPSpanExporter,
        )
        from requests import Session  # noqa: PLC0415 -- as above

        from gateway.telemetry.spans import resource_of  # noqa: PLC0415 -- as above

        # It says with its own logger what is a notice here.
        logging.getLogger("opentelemetry").addHandler(logging.NullHandler())
        logging.getLogger("opentelemetry").propagate = False
        session = Session()
        session.trust_env = False  # no proxy of the environment is believed
        self._exporter = OTLPSpanExporter(
            endpoint=settings.endpoint,
            headers=dict(settings.headers),
            timeout=settings.timeout_s,
            session=session,
        )
        self._resource = resource_of(settings.service)
        self._tracer, self._notices = tracer, notices
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="telemetry")
        self._lost = 0

    async def run(self) -> None:
        """Send what waits, again and again, until cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)
            while await self._send_some():
                pass

    async def close(self) -> None:
        """Send what waits, in bounded time, then let go of the thread."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_S):
                while await self._send_some():
                    pass
        self._exporter.shutdown()  # type: ignore[no-untyped-call]  # it has no types
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _send_some(self) -> bool:
        """One group; whether there was any."""
        lost, self._lost = self._tracer.lost - self._lost, self._tracer.lost
        if lost:
            self._notices.post("telemetry", Notice("telemetry_failed", "full"), lost)
        spans = self._tracer.take(GROUP_SPANS)
        if not spans:
            return False
        loop = asyncio.get_running_loop()
        sent = await loop.run_in_executor(self._thread, self._export, spans)
        if not sent:
            notice = Notice("telemetry_failed", "export")
            self._notices.post("telemetry", notice, len(spans))
        return sent

    def _export(self, spans: Sequence[Span]) -> bool:
        """On the thread; False when they are gone."""
        from opentelemetry.sdk.trace.export import SpanExportResult  # noqa: PLC0415 -- see above

        from gateway.telemetry.spans import readable  # noqa: PLC0415 -- see above

        made = [readable(each, self._resource) for each in spans]
        return self._exporter.export(made) is SpanExportResult.SUCCESS
