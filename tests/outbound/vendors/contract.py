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
            errors = list(jsonschema.Draft7Validator(whole).iter_errors(body(request)))
            if not errors:
                return []
            found += [f"{list(each.absolute_path)}: {each.message}" for each in errors]
        return found or [f"{request.method} {request.url}: no such operation"]

    def _schemas(self, request: Request) -> Iterator[Any]:
        path = urlsplit(request.url).path
        kind = request.headers["Content-Type"].partition(";")[0]
        for template, operations in self._paths.items():
            pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template.split("#")[0]))
            operation = operations.get(request.method.lower())
            if operation and re.fullmatch(pattern, path):
                content = operation["requestBody"]["content"]
                if kind in content:
                    yield content[kind]["schema"]


def body(request: Request) -> Any:
    if "urlencoded" in request.headers["Content-Type"]:
        return dict(parse_qsl(request.body.decode(), strict_parsing=True))
    return json.loads(request.body, parse_constant=_no_number)


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _nullable(schema: Any) -> Any:
    """OpenAPI 3.0 as JSON Schema: what is nullable may be null."""
    if isinstance(schema, list):
        return [_nullable(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: _nullable(each) for name, each in schema.items()}
    if made.get("nullable") is True and isinstance(made.get("type"), str):
        made["type"] = [made["type"], "null"]
    return made
