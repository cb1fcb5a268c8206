"""What a destination of the package would send, with settings that we make up.

Nothing is sent: the gateway's own dry run answers each request itself.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import orjson

from gateway.actions.definitions import Definition, Field, Installed
from gateway.actions.kind import kind
from gateway.actions.known import known
from gateway.actions.node import Node
from gateway.config import DestinationConfig
from gateway.errors import ConfigError
from gateway.notices import Notice
from gateway.outbound.contract import Delivery
from gateway.outbound.gate import Gate
from gateway.outbound.http import NoResponse, Request
from gateway.outbound.kind import Configured, Context, Shown, Tables
from gateway.outbound.suppressed import Suppressed

PARTICULAR: Mapping[str, Mapping[str, str]] = {
    "google-analytics-4": {"measurementId": "G-1234567"},
    "kevel-audience": {"audienceDomain": "cdp.vendor.example.com"},
    "ortto": {"api_key": "pus-secret-api_key"},
    "salesforce": {"instanceUrl": "https://vendor.my.salesforce.com"},
    "singlestore": {"host": "vendor.example.com"},
    "snap-conversions-api": {"pixel_id": "7a3cbea0-12ab-4c1e-8d6f-0a1b2c3d4e5f"},
}
"""What the code wants and the definition does not say."""
URLS = ("url", "host", "endpoint")
NUMBER = 1234567


class Dry(NamedTuple):
    """One destination at all events: what each becomes, and what was said aside."""

    shown: Mapping[str, Shown | None]
    """None: the destination takes no such event."""
    needs: tuple[str, ...]
    """What of its defaults cannot run without a mapping of somebody's own."""
    notices: tuple[Notice, ...]

    @property
    def hosts(self) -> list[str]:
        """Whom it would ask."""
        requests = [each for shown in self.shown.values() if shown for each in shown[0]]
        return sorted({urlsplit(str(each["url"])).hostname or "" for each in requests})


async def dry(
    definition: Definition,
    installed: Installed,
    node: Node,
    events: Mapping[str, Mapping[str, Any]],
) -> Dry:
    """Its default actions at each of these events."""
    made, needs = configured(definition, installed, node)
    if made is None:
        return Dry(dict.fromkeys(events), needs, ())
    notices: list[Notice] = []
    context = Context(made.name, made.folder, _nobody, notices.append)
    config = DestinationConfig(name=made.name, type=f"actions:{made.name}")
    gate = Gate(config, made.takes, source_kinds={}, suppressed=Suppressed())
    shown: dict[str, Shown | None] = {}
    assert made.kind.shows is not None
    async with made.kind.shows(made.settings, context) as show:
        for name, event in events.items():
            shown[name] = None
            if event["type"] in made.takes.types:
                delivery = gate.prepare(orjson.dumps(event))
                assert isinstance(delivery, Delivery), delivery
                shown[name] = await show(delivery)
    return Dry(shown, needs, tuple(notices))


async def _nobody(request: Request) -> NoResponse:
    raise AssertionError(f"it was sent: {request.method}")


def configured(
    definition: Definition, installed: Installed, node: Node
) -> tuple[Configured[Any] | None, tuple[str, ...]]:
    """A destination as whoever has only credentials has it, and what it lacks.

    Its automatic presets; where it has none, each action that has a trigger.
    """
    made = kind(definition, installed, node)
    raw = settings(definition)

    def attempt(actions: list[dict[str, str]]) -> Configured[Any]:
        tables = Tables(actions, _oauth(definition), _environment(definition))
        name, folder = definition.directory, Path("/srv/gateway")
        return made.configured(raw, name=name, folder=folder, tables=tables)

    able: list[dict[str, str]] = []
    needs: list[str] = []
    for each in _defaults(definition):
        try:
            attempt([each])
        except ConfigError as error:
            needs.append(
                str(error).removeprefix(f"destinations.{definition.directory}.")
            )
        else:
            able.append(each)
    return (attempt(able) if able else None), tuple(needs)


def _defaults(definition: Definition) -> list[dict[str, str]]:
    if definition.automatic:
        return [{"preset": each.name} for each in definition.automatic]
    actions = definition.actions.values()
    return [{"action": each.slug} for each in actions if each.trigger is not None]


def _oauth(definition: Definition) -> Mapping[str, str]:
    by_oauth = definition.scheme in ("oauth2", "oauth-managed")
    return {"access_token": "secret-access-token"} if by_oauth else {}


def _environment(definition: Definition) -> Mapping[str, str]:
    names = known()[definition.directory].env
    return {name: f"secret-{name}" for name in names}


def settings(definition: Definition) -> Mapping[str, Any]:
    """Plausible ones: the first of the choices, and texts that look like their keys."""
    made = {
        key: _value(each)
        for key, each in definition.settings.items()
        if each.required and each.default is None
    }
    return {**made, **PARTICULAR.get(definition.directory, {})}


def _value(field: Field) -> Any:
    if field.choices:
        value = field.choices[0].value
    else:
        value = {
            "boolean": True,
            "number": NUMBER,
            "integer": NUMBER,
            "object": {},
        }.get(field.type, _text(field))
    return [value] if field.multiple else value


def _text(field: Field) -> str:
    key = field.key.casefold()
    if field.format == "uuid":
        return "7a3cbea0-12ab-4c1e-8d6f-0a1b2c3d4e5f"
    if field.format == "uri" or key.endswith(URLS):
        return "https://vendor.example.com/v1"
    if "email" in key:
        return "someone@example.com"
    if key.endswith(("domain", "deployment", "stack")):
        return "vendor"
    if key.endswith(("id", "number")) and not field.secret:
        return str(NUMBER)
    return f"secret-{field.key}"
