"""The public port's paths: a path to its handler.

Paths are exact and few, so a dict decides; aiohttp's low-level server is used without
its router and middlewares, which would cost more than the handlers.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from aiohttp import web

from gateway.errors import AuthError, place_of
from gateway.event import EventType, Json
from gateway.inbound import answer
from gateway.inbound.answer import Answer
from gateway.inbound.doors import beacon
from gateway.inbound.doors.beacon import Beacon
from gateway.inbound.doors.pipelines import Endpoint, Pipelines
from gateway.inbound.doors.track.api import TrackApi
from gateway.inbound.doors.track.calls import BODIES, LABEL, PREFIXES
from gateway.inbound.receive import Whole
from gateway.inbound.serve import describe
from gateway.metrics import Metrics
from gateway.notices import Notices

SINGLE: Mapping[str, EventType] = {
    "i": "identify",
    "t": "track",
    "p": "page",
    "s": "screen",
    "g": "group",
    "a": "alias",
}
PATHS: Mapping[str, Endpoint] = {
    **{f"/v1/{short}": Endpoint(name, name) for short, name in SINGLE.items()},
    **{f"/v1/{name}": Endpoint(name, name) for name in SINGLE.values()},
    "/v1/batch": Endpoint("batch", None),
    "/v1/b": Endpoint("batch", None),
    "/v1/import": Endpoint("import", None),
}
# analytics-java puts a slash at the end of the path it is not told.
ENDPOINTS = {**PATHS, **{f"{path}/": each for path, each in PATHS.items()}}
BEACONS = frozenset({"/beacon/v1/batch", "/beacon/v1/batch/"})
SOURCE_CONFIG = frozenset({"/sourceConfig", "/sourceConfig/"})
SDK_METRICS = "/v1/m"
ALIVE = Answer(status=200, body=b'{"status": "ok"}')
GET = ("GET", "HEAD")
SETTINGS_PREFIX, SETTINGS_SUFFIX = "/v1/projects/", "/settings"
SCHEMA_PREFIX, SCHEMA_SUFFIX = "/schemas/", ".json"
READS = ("/api/", SCHEMA_PREFIX, "/healthz", "/sourceConfig")


@dataclass(slots=True, kw_only=True)
class Listener:
    """Answers the requests of the public port; ``public_url`` is where it is."""

    pipelines: Pipelines
    track: TrackApi
    schemas: Mapping[str, Json]
    metrics: Metrics
    notices: Notices
    public_url: str
    _rendered: dict[tuple[str, str], Answer] = field(default_factory=dict, init=False)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """One request; never raises for what a sender does."""
        path = request.raw_path.partition("?")[0]
        endpoint = ENDPOINTS.get(path)
        name = endpoint.name if endpoint is not None else _area(path)
        track_id = secrets.token_hex(16) if path.startswith(PREFIXES) else ""
        try:
            if endpoint is not None and request.method == "POST":
                result = await self.pipelines.accept(request, endpoint)
                result = answer.hidden_from_browsers(result, request.headers)
            elif track_id:
                name, result = await self.track.respond(request, track_id)
            elif path in BEACONS and request.method == "POST":
                result = await self._beacon(request)
            elif path in SOURCE_CONFIG and request.method in GET:
                result = self._source_config(request)
            else:
                result = self._read(path, request.method)
        except ConnectionError:
            return answer.DROPPED
        except Exception as error:  # noqa: BLE001 -- a bug costs one request, not the server
            result = self._bug(error)
            result = answer.as_track(result, track_id) if track_id else result
        self.metrics.requests[name, result.status] += 1
        return answer.reply(result, request)

    async def post(self, request: Whole, endpoint: Endpoint) -> bytes:
        """What to write for a POST that is all here; never raises."""
        try:
            result = await self.pipelines.accept(request, endpoint)
            result = answer.hidden_from_browsers(result, request.headers)
        except Exception as error:  # noqa: BLE001 -- as above
            result = self._bug(error)
        self.metrics.requests[endpoint.name, result.status] += 1
        return answer.to_whole(result, request.headers)

    async def _beacon(self, request: web.BaseRequest) -> Answer:
        door, key = self.pipelines, beacon.key_in(request.raw_path)
        one = Beacon(acceptor=door.acceptor, keys=door.keys, key=key)
        return await door.acceptor.accept(request, one, beacon.BATCH)

    def _source_config(self, request: web.BaseRequest) -> Answer:
        """What RudderStack's SDKs ask for first; they give their key twice."""
        keys, key = self.pipelines.keys, beacon.key_in(request.raw_path)
        try:
            known = self.pipelines.sender(request.headers) or keys.in_body(key)
        except AuthError as error:
            return answer.unauthorized(error)
        if known is None:
            missing = AuthError("missing_write_key", "there is no write key")
            return answer.unauthorized(missing)
        return answer.document(describe.SOURCE_CONFIG)

    def _bug(self, error: Exception) -> Answer:
        self.notices.say("bug", place=place_of(error), error=type(error).__name__)
        return answer.bug()

    def _read(self, path: str, method: str) -> Answer:
        """Everything but intake: no I/O, no body."""
        asked_by_pages = path.startswith("/v1/") or path in BEACONS | SOURCE_CONFIG
        if method == "OPTIONS" and asked_by_pages:
            return answer.preflight()
        if path in SOURCE_CONFIG:
            return answer.method_not_allowed(GET)
        if path in ENDPOINTS or path in BEACONS:
            return answer.method_not_allowed(("POST", "OPTIONS"))
        if path.rstrip("/") == SDK_METRICS:
            # The SDKs' own telemetry: taken without a key so that they are quiet.
            taken = method == "POST"
            return answer.ACCEPTED if taken else answer.method_not_allowed(("POST",))
        found = self._document(path.rstrip("/"))
        if found is None:
            return answer.not_found()
        if method not in GET:
            return answer.method_not_allowed(GET)
        return found

    def _document(self, path: str) -> Answer | None:
        if path == "/healthz":
            return ALIVE
        if path.startswith(SETTINGS_PREFIX) and path.endswith(SETTINGS_SUFFIX):
            return self._settings(path[len(SETTINGS_PREFIX) : -len(SETTINGS_SUFFIX)])
        kept = self._rendered.get((path, self.public_url))
        if kept is None and (value := self._description(path)) is not None:
            kept = self._rendered[path, self.public_url] = answer.document(value)
        return kept

    def _description(self, path: str) -> Json:
        """OpenAPI or a schema; they stay the same, so each is rendered once."""
        if path == "/openapi.json":
            return describe.openapi(self.schemas, self.public_url, BODIES)
        if path.startswith(SCHEMA_PREFIX) and path.endswith(SCHEMA_SUFFIX):
            return self.schemas.get(path[len(SCHEMA_PREFIX) : -len(SCHEMA_SUFFIX)])
        return None

    def _settings(self, quoted: str) -> Answer:
        key = unquote(quoted)
        try:
            self.pipelines.keys.find(key)
        except AuthError as error:
            return answer.not_found(str(error))
        return answer.document(describe.sdk_settings(key, self.public_url))


def _area(path: str) -> str:
    """The metric's label of a path that is no endpoint: a closed set."""
    if path.startswith(PREFIXES):
        return LABEL
    if path in BEACONS:
        return beacon.BATCH.name
    for prefix in (SETTINGS_PREFIX, SDK_METRICS, *READS):
        if path.startswith(prefix):
            return prefix.strip("/").rpartition("/")[2]
    return "other"
