"""Which request bodies a vendor's API allows, as its published contract says.

``specs/`` holds what was written for this project from published facts. The vendors'
own documents are no part of it: they are read from the folder that GATEWAY_SPECS names.
"""

import json
import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import jsonschema

from gateway.outbound.http import Request

OWN = Path(__file__).parent / "specs"
PUBLISHED = os.environ.get("GATEWAY_SPECS", "")


@cache
def contract(vendor: str) -> "Contract":
    own = OWN / f"{vendor}.json"
    file = own if own.exists() else Path(PUBLISHED) / f"{vendor}.json"
    return Contract(json.loads(file.read_text()))


class Contract:
    def __init__(self, document: dict[str, Any]) -> None:
        self._components = _nullable(document["components"])
        self._paths = document["paths"]

    def errors(self, request: Request) -> list[str]:
        """Why no operation on its path allows the request; empty: one does."""
        found = []
        for schema in self._schemas(request):
            whole = {"components": self._components, "allOf": [_nullable(schema)]}
            found_body = body(request) if request.body else None
            errors = list(jsonschema.Draft7Validator(whole).iter_errors(found_body))
            if not errors:
                return []
            found += [f"{list(each.absolute_path)}: {each.message}" for each in errors]
        return found or [f"{request.method} {request.url}: no such operation"]

    def _schemas(self, request: Request) -> Iterator[Any]:
        path = urlsplit(request.url).path
        kind = request.headers.get("Content-Type", "").partition(";")[0]
        for template, operations in self._paths.items():
            pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template.split("#")[0]))
            operation = operations.get(request.method.lower())
            if operation and re.fullmatch(pattern, path):
                content = operation.get("requestBody", {"content": {}})["content"]
                if kind in content:
                    yield content[kind]["schema"]
                elif not request.body and not content:
                    yield {"type": "null"}


def body(request: Request) -> Any:
    if "urlencoded" in request.headers["Content-Type"]:
        return dict(parse_qsl(request.body.decode(), strict_parsing=True))
    return json.loads(request.body, parse_constant=_no_number)


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _nullable(schema: Any) -> Any:
    """OpenAPI 3.0 as JSON Schema: what is nullable may be null.

    A schema that forbids the vendor's own example of it does not say what is forbidden.
    """
    if isinstance(schema, list):
        return [_nullable(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: _nullable(each) for name, each in schema.items()}
    more, example = made.get("additionalProperties"), made.get("example")
    if isinstance(more, dict) and isinstance(example, dict) and "$ref" not in more:
        judge = jsonschema.Draft7Validator(more)
        if not all(map(judge.is_valid, example.values())):
            del made["additionalProperties"]
    if made.get("nullable") is True and isinstance(made.get("type"), str):
        made["type"] = [made["type"], "null"]
    return made
