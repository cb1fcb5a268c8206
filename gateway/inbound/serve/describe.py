"""What the gateway tells about itself: SDK settings, the schemas, OpenAPI 3.1.

All of it is made from the same schemas that decide (P010-P083), so the description
cannot drift from the behaviour.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from gateway import __version__
from gateway.event import PIPELINE_TYPES, Json


def sdk_settings(write_key: str, public_url: str) -> dict[str, Json]:
    """The document the browser and mobile SDKs ask for first (CLIENTS §4.13).

    Both integration keys are needed, ``apiHost`` has no scheme, and nothing here may
    make an SDK send to its vendor: no ``type``, no ``versionSettings``, a sample rate
    of 0.
    """
    url = urlsplit(public_url)
    integration = {
        "apiKey": write_key,
        "apiHost": f"{url.netloc}{url.path.rstrip('/')}/v1",
        "protocol": url.scheme,
    }
    return {
        "integrations": {
            "Customer.io Data Pipelines": integration,
            "Segment.io": integration,
        },
        "plan": {},
        "edgeFunction": {},
        "middlewareSettings": {},
        "enabledMiddleware": {},
        "metrics": {"sampleRate": 0},
        "legacyVideoPluginsEnabled": False,
        "remotePlugins": [],
    }


# What RudderStack's SDKs ask for first: without it they never send anything. No
# destinations, so that they load nothing from their vendor, and no reports to it; no
# data planes, so that they send where their own settings say.
SOURCE_CONFIG: Mapping[str, Json] = {
    "source": {
        "id": "gateway",
        "name": "gateway",
        "workspaceId": "gateway",
        "enabled": True,
        "config": {
            "statsCollection": {
                "errors": {"enabled": False},
                "metrics": {"enabled": False},
            }
        },
        "destinations": [],
    }
}


def openapi(
    schemas: Mapping[str, Json],
    public_url: str,
    track: Mapping[str, Mapping[str, str]],
) -> dict[str, Json]:
    """OpenAPI 3.1 of the public port; ``schemas`` are the files by name.

    ``track``: path -> method -> definition of the body, of the Track API.
    """
    paths = {f"/v1/{name}": {"post": _operation(name)} for name in PIPELINE_TYPES}
    paths["/v1/batch"] = {"post": _operation("batch")}
    paths["/v1/import"] = {"post": _operation("batch", "import")}
    paths |= {
        "/beacon/v1/batch": {"post": _keyed(_operation("batch", "beacon"))},
        "/sourceConfig": {"get": _source_config_operation()},
        "/v1/projects/{writeKey}/settings": {"get": _settings_operation()},
        "/healthz": {"get": _read("Alive: the process answers")},
        "/openapi.json": {"get": _read("This document")},
        "/schemas/{name}.json": {"get": _schema_operation(sorted(schemas))},
    }
    paths |= {
        path: {
            method.lower(): _track_operation(method, path, body)
            for method, body in methods.items()
        }
        for path, methods in track.items()
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Gateway",
            "version": __version__,
            "description": "A 200 means that every accepted message is durable.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": public_url}],
        "security": [{"writeKey": []}, {"bearer": []}, {}],
        "paths": paths,
        "components": {
            "schemas": {"Success": _SUCCESS, "Error": _ERROR, "Taken": _TAKEN},
            "securitySchemes": {
                "writeKey": {
                    "type": "http",
                    "scheme": "basic",
                    "description": "The write key as user, no password",
                },
                "bearer": {"type": "http", "scheme": "bearer"},
                "siteId": {
                    "type": "http",
                    "scheme": "basic",
                    "description": "The site id as user, the API key as password",
                },
            },
        },
    }


def _operation(schema: str, name: str = "") -> dict[str, Any]:
    return {
        "operationId": name or schema,
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": {"$ref": f"/schemas/{schema}.json"}}
            },
        },
        "responses": {
            "200": _response("Every accepted message is durable", "Success"),
            "400": _response("Refused for good; resending does not help", "Error"),
            "401": _response("No key, or one that no source has", "Error"),
            "429": _later("The source sends more than its rate"),
            "503": _later("Not kept: resend; nothing is delivered twice"),
        },
    }


def _track_operation(method: str, path: str, body: str) -> dict[str, Any]:
    names = [part[1:-1] for part in path.split("/") if part[:1] == "{"]
    operation: dict[str, Any] = {
        "operationId": f"{method.lower()}{path.translate(_ID)}",
        "security": [{"siteId": []}],
        "parameters": [_parameter(name, {"type": "string"}) for name in names],
        "responses": {
            "200": _response("Durable; the header X-Message-Id names it", "Taken"),
            "400": _response("Refused for good; resending does not help", "Error"),
            "401": _response("No source has this site id and API key", "Error"),
            "429": _later("The source sends more than its rate"),
            "503": _later("Not kept: resend"),
        },
    }
    if path.endswith("/batch"):
        text = "Some entities are refused, by batch_index; the others are durable"
        operation["responses"]["207"] = _response(text, "Taken")
        reference = f"/schemas/track-api.json#/$defs/{body}"
        entities = {"type": "array", "minItems": 1, "items": {"$ref": reference}}
        schema: dict[str, Any] = {"type": "object", "required": ["batch"]}
        schema["properties"] = {"batch": entities}
    else:
        schema = {"$ref": f"/schemas/track-api.json#/$defs/{body}"}
    if method != "GET":
        content = {"application/json": {"schema": schema}}
        operation["requestBody"] = {"required": body != "nothing", "content": content}
    return operation


def _response(text: str, schema: str) -> dict[str, Any]:
    reference = {"$ref": f"#/components/schemas/{schema}"}
    return {"description": text, "content": {"application/json": {"schema": reference}}}


def _later(text: str) -> dict[str, Any]:
    header = {"schema": {"type": "integer"}, "description": "Seconds"}
    return {**_response(text, "Error"), "headers": {"Retry-After": header}}


def _read(text: str) -> dict[str, Any]:
    return {
        "security": [],
        "responses": {
            "200": {"description": text, "content": {"application/json": {}}}
        },
    }


def _found(text: str, missing: str) -> dict[str, Any]:
    operation = _read(text)
    operation["responses"]["404"] = _response(missing, "Error")
    return operation


def _parameter(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _keyed(operation: dict[str, Any]) -> dict[str, Any]:
    """The same, with the write key in the query, where a page can have no header."""
    key = {"name": "writeKey", "in": "query", "schema": {"type": "string"}}
    return {**operation, "parameters": [key]}


def _source_config_operation() -> dict[str, Any]:
    read = _read("What RudderStack's SDKs ask for before they send")
    read["responses"]["401"] = _response("No key, or one that no source has", "Error")
    return {**_keyed(read), "security": [{"writeKey": []}, {}]}


def _settings_operation() -> dict[str, Any]:
    return {
        **_found("What the browser and mobile SDKs need to know", "No source has it"),
        "parameters": [_parameter("writeKey", {"type": "string"})],
    }


def _schema_operation(names: list[str]) -> dict[str, Any]:
    return {
        **_found("A JSON Schema 2020-12 that decides", "There is no such schema"),
        "parameters": [_parameter("name", {"type": "string", "enum": names})],
    }


_ID = str.maketrans({"/": "_", "{": None, "}": None})
_TAKEN = {"type": "object"}
_SUCCESS = {
    "type": "object",
    "required": ["success"],
    "properties": {
        "success": {"const": True},
        "accepted": {"type": "integer"},
        "rejected": {"type": "array", "items": {"type": "object"}},
    },
}
_ERROR = {
    "type": "object",
    "required": ["success", "code", "message", "error", "meta", "errors"],
    "properties": {
        "success": {"const": False},
        "code": {
            "enum": [
                "invalid_json",
                "invalid_message",
                "too_large",
                "too_many_messages",
                "unknown_write_key",
                "missing_write_key",
                "rate_limited",
                "overloaded",
                "log_unavailable",
                "not_found",
                "method_not_allowed",
                "not_implemented",
            ]
        },
        "message": {"type": "string"},
        "error": {"type": "string"},
        "meta": {"type": "object", "properties": {"error": {"type": "string"}}},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "message", "code"],
                "properties": {
                    "pointer": {"type": "string", "format": "json-pointer"},
                    "message": {"type": "string"},
                    "code": {"type": "string"},
                },
            },
        },
    },
}
