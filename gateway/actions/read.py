"""The configuration of an action destination, read against its definition.

No Node is needed: what each destination is was written down at the install
(definitions.py). Everything that is wrong is noted, each with its place.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from gateway.actions.choose import Choosing
from gateway.actions.definitions import Definition, Field, Installed
from gateway.actions.known import known
from gateway.actions.secrets import forms
from gateway.actions.settings import OWN, Settings
from gateway.errors import ConfigError
from gateway.event import Json
from gateway.mistakes import Mistakes, meant, unknown
from gateway.outbound.kind import Tables

OAUTH = ("access_token", "refresh_token", "client_id", "client_secret")
HOST = re.compile(
    r"(?:https?://)?([a-z0-9.-]+\.[a-z0-9-]+)(?::\d+)?(?:[/?].*)?", re.IGNORECASE
)
SECRET = re.compile(r"key|token|secret|passw|credential|auth", re.IGNORECASE)
DECORATION = re.compile(r"[^\w .,()/&+:-]+")
"""What is more than a word in a choice: flags."""

TYPES: Mapping[str, tuple[type, ...]] = {
    "boolean": (bool,),
    "number": (int, float),
    "integer": (int,),
    "object": (dict,),
}
WORDS: Mapping[str, str] = {
    "boolean": "true or false",
    "number": "a number",
    "integer": "a whole number",
    "object": "a table",
}


def settings_of(
    definition: Definition,
    installed: Installed,
    raw: Mapping[str, Any],
    place: str,
    mistakes: Mistakes,
) -> Settings | None:
    """The settings alone; its tables are read by ``with_tables``."""
    known = definition.settings
    found: dict[str, Json] = {}
    for key in raw:
        if key not in known:
            mistakes.add(ConfigError(unknown(place, key, list(known))))
    for key, each in known.items():
        where = f"{place}.{key}"
        if key not in raw:
            if each.default is not None:
                found[key] = each.default
            elif each.required is True:
                label = f" ({each.label})" if each.label else ""
                mistakes.add(ConfigError(f"{where}: missing{label}"))
            continue
        with mistakes.catching():
            found[key] = _value(raw[key], each, where)
    return Settings(
        directory=definition.directory,
        installation=installed.folder,
        names=_names(definition),
        settings=found,
        actions=(),
        refreshes=definition.refreshes,
        secrets=forms(_secrets(definition, found)),
        hosts=_known_hosts(definition.directory) | _hosts(found),
    )


def _value(value: Any, declared: Field, place: str) -> Json:
    """A setting as the definition wants it; a choice may be without its decoration."""
    if declared.multiple:
        if not isinstance(value, list):
            raise ConfigError(f"{place}: is not a list")
        items = list(enumerate(value))
        return [_one(each, declared, f"{place}[{n}]") for n, each in items]
    return _one(value, declared, place)


def _one(value: Any, declared: Field, place: str) -> Json:
    if declared.choices:
        return _choice(value, declared, place)
    if not _is_a(value, TYPES.get(declared.type, (str,))):
        raise ConfigError(f"{place}: is not {WORDS.get(declared.type, 'a text')}")
    if value == "" and declared.required is True:
        raise ConfigError(f"{place}: is empty")
    return value


def _is_a(value: Any, wanted: tuple[type, ...]) -> bool:
    """Python has true and false as numbers, and some that JSON has not."""
    if isinstance(value, bool):
        return bool in wanted
    if isinstance(value, float) and not math.isfinite(value):
        return False
    return isinstance(value, wanted)


def _choice(value: Any, declared: Field, place: str) -> Json:
    choices, said = declared.choices, _plain(value).casefold()
    for found in (
        [each for each in choices if each.value == value],
        [each for each in choices if _plain(each.value).casefold() == said],
        [each for each in choices if _plain(each.label).casefold() == said],
    ):
        if found:
            return found[0].value
    known = [_plain(each.value) for each in declared.choices]
    nearest = meant(_plain(value), known)
    raise ConfigError(f"{place}: is none of {', '.join(known)}{nearest}")


def _plain(value: Json) -> str:
    return DECORATION.sub("", str(value)).strip()


def _names(definition: Definition) -> tuple[str, ...]:
    """What ``integrations`` may call it, as Segment and its mappings spell it."""
    names = (definition.name, definition.slug, *definition.integrations)
    return tuple(dict.fromkeys((*names, definition.directory)))


def _secrets(definition: Definition, found: Mapping[str, Json]) -> Iterator[str]:
    for key, value in found.items():
        secret = definition.settings[key].secret or SECRET.search(key)
        if secret and isinstance(value, str):
            yield value


def _known_hosts(directory: str) -> frozenset[str]:
    found = known().get(directory)
    return frozenset() if found is None else frozenset(found.hosts)


def _addresses(given: Iterable[str]) -> set[str]:
    """Those of the values that say where to send: a host is no secret."""
    return {each for each in given if HOST.fullmatch(each.strip())}


def _hosts(found: Mapping[str, Json]) -> frozenset[str]:
    """Hosts that stand in the settings: the operator's own."""
    texts = [each for each in found.values() if isinstance(each, str)]
    matches = [HOST.fullmatch(each.strip()) for each in texts]
    return frozenset(f"{OWN}{each[1].lower()}" for each in matches if each)


def with_tables(
    definition: Definition,
    settings: Settings,
    tables: Tables,
    place: str,
    mistakes: Mistakes,
) -> Settings | None:
    """The settings with the actions, tokens and variables that stand beside them."""
    oauth = _oauth(definition, tables.oauth, f"{place}.oauth", mistakes)
    env = _environment(definition, tables.env, f"{place}.env", mistakes)
    choosing = Choosing(definition, f"{place}.actions", mistakes)
    actions = choosing.all(tables.actions)
    given = mistakes.text.given_within(place)
    more = [*oauth.values(), *env.values(), *given.difference(_addresses(given))]
    secrets = (*settings.secrets, *forms(more))
    hosts = settings.hosts.union(*(_hosts(_flat(each.mapping)) for each in actions))
    return replace(
        settings,
        actions=tuple(actions),
        oauth=oauth,
        environment=env,
        secrets=tuple(sorted(set(secrets), key=len, reverse=True)),
        hosts=hosts,
    )


def _flat(mapping: Mapping[str, Json]) -> Mapping[str, Json]:
    """The texts that a mapping always writes, whatever the event."""
    return {key: each for key, each in mapping.items() if isinstance(each, str)}


def _oauth(
    definition: Definition, given: Mapping[str, Any], place: str, mistakes: Mistakes
) -> dict[str, str]:
    texts = _texts(given, OAUTH, place, mistakes)
    needs = definition.scheme in ("oauth2", "oauth-managed")
    if given and not needs:
        mistakes.add(
            ConfigError(f"{place}: actions:{definition.directory} has no OAuth")
        )
    elif needs and not _is_enough(texts, definition):
        text = 'missing; for example { access_token = "${TOKEN}" }, or refresh_token'
        mistakes.add(ConfigError(f"{place}: {text} with client_id and client_secret"))
    return texts


def _is_enough(texts: Mapping[str, str], definition: Definition) -> bool:
    """A token; or what it can get one with."""
    if "access_token" in texts or "refresh_token" in texts:
        return True
    app = {"client_id", "client_secret"} <= texts.keys()
    return (app and definition.refreshes) or _by_itself(definition)


def _by_itself(definition: Definition) -> bool:
    """Whether its settings hold its credentials: it needs nobody's consent."""
    found = known().get(definition.directory)
    if found is not None:
        return "settings" in found.oauth
    keys = {key.casefold().replace("_", "") for key in definition.settings}
    return definition.refreshes and bool({"clientsecret", "password"} & keys)


def _environment(
    definition: Definition, given: Mapping[str, Any], place: str, mistakes: Mistakes
) -> dict[str, str]:
    found = known().get(definition.directory)
    names = () if found is None else found.env
    texts = _texts(given, names, place, mistakes)
    for name in names:
        if name not in given:
            mistakes.doubt(f"{place}: {name} is not given; its code reads it")
    return texts


def _texts(
    given: Mapping[str, Any], known: tuple[str, ...], place: str, mistakes: Mistakes
) -> dict[str, str]:
    for key in given:
        if key not in known:
            mistakes.add(ConfigError(unknown(place, key, known)))
        elif not isinstance(given[key], str) or not given[key]:
            mistakes.add(ConfigError(f"{place}.{key}: is not a text"))
    return {k: v for k, v in given.items() if k in known and isinstance(v, str) and v}
