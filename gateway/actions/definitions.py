"""What each destination of the installed package is: no Node is needed to know.

``find(root)`` is the installation below ``actions.path``; the install wrote
``definitions.json`` there. It is read when somebody asks first; a definition is made of
it when it is asked for. Names are those of the package, texts too.
"""

import functools
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from gateway.errors import ConfigError
from gateway.event import Json
from gateway.mistakes import meant

HERE = Path(__file__).parent
DEFINITIONS, READY = "definitions.json", "ready"
MADE_OF = (
    "package-lock.json",
    "tree.sha256",
    "describe.js",
    "absent/package.json",
    "absent/index.js",
)
"""What an installation is made of: it is named after these."""
INSTALL = "gateway actions install"
ROOT = Path(
    "data/actions"
)  # below the configuration's folder, unless it says otherwise


@dataclass(frozen=True, slots=True)
class Choice:
    """A value that a field may have, and what people call it."""

    value: Json
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A setting of a destination, or a field of an action's mapping."""

    key: str
    label: str
    description: str
    type: str
    """string | text | password | number | integer | boolean | datetime | object."""
    required: bool | Mapping[str, Any] = False
    """True, or the conditions ``{match, conditions}`` under which it is."""
    multiple: bool = False
    allow_null: bool = False
    default: Json = None
    choices: tuple[Choice, ...] = ()
    properties: Mapping[str, "Field"]
    additional: bool = False
    """Whether an object may have other properties than ``properties``."""
    format: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    depends_on: Mapping[str, Any] | None = None
    dynamic: bool = False
    """The vendor is asked for its choices while somebody configures."""
    hidden: bool = False
    read_only: bool = False

    @property
    def secret(self) -> bool:
        """Whether nobody but its owner may see the value."""
        return self.type == "password"


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One thing that a destination can do with an event."""

    slug: str
    title: str
    description: str
    trigger: str | None
    """FQL: for which events, unless the configuration says."""
    fields: Mapping[str, Field]
    batch: bool
    platform: str
    hidden: bool
    sync_mode: Field | None
    hooks: tuple[str, ...]

    @property
    def defaults(self) -> Mapping[str, Json]:
        """The mapping that a configuration starts from."""
        fields = self.fields.values()
        return {each.key: each.default for each in fields if each.default is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """An action with its trigger and mapping; automatic ones run unless others do."""

    name: str
    trigger: str | None
    action: str
    mapping: Mapping[str, Json]
    automatic: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """One destination of the package."""

    directory: str
    id: str
    """Of Segment's catalogue: what an exported workspace names."""
    name: str
    slug: str
    description: str
    scheme: str
    settings: Mapping[str, Field]
    refreshes: bool
    """Whether it gets itself a new access token."""
    tests: bool
    """Whether it can tell that credentials work."""
    audience: bool
    actions: Mapping[str, Action]
    presets: tuple[Preset, ...]
    integrations: tuple[str, ...]
    """Names in ``integrations`` under which its defaults look for options."""
    fails: str | None
    """Why its code does not load here; it has no actions then."""

    @property
    def automatic(self) -> tuple[Preset, ...]:
        """The presets that run when nothing is configured; those of browsers do not."""
        return tuple(
            each
            for each in self.presets
            if each.automatic and each.action in self.actions
        )


class Installed:
    """The installed package: where it is, and what is in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @functools.cached_property
    def definitions(self) -> Mapping[str, Mapping[str, Any]]:
        """Directory -> what the install wrote of it."""
        found: Mapping[str, Mapping[str, Any]] = self._written["definitions"]
        return found

    @property
    def version(self) -> str:
        """The package's."""
        return str(self._written["package"])

    @functools.cached_property
    def _written(self) -> Mapping[str, Any]:
        try:
            written: Mapping[str, Any] = orjson.loads(
                (self.folder / DEFINITIONS).read_bytes()
            )
        except (OSError, orjson.JSONDecodeError) as error:
            remedy = f"rm -r {self.folder}, then {INSTALL}"
            raise ConfigError(
                f"{self.folder / DEFINITIONS}: {error}: {remedy}"
            ) from error
        return written

    @functools.cached_property
    def _directories(self) -> Mapping[str, str]:
        """What a destination is called, case folded -> directory; the first wins."""
        found: dict[str, str] = {}
        for key in (None, "slug", "id", "name"):
            for directory, raw in self.definitions.items():
                called = directory if key is None else raw.get(key)
                if called is not None:
                    found.setdefault(str(called).casefold(), directory)
        return found

    def directory(self, name: str) -> str | None:
        """The directory of what is called so: directory, slug, catalogue id or name."""
        return self._directories.get(name.casefold())

    def get(self, name: str) -> Definition | None:
        """The definition of what is called so, or nothing."""
        directory = self.directory(name)
        return None if directory is None else self._made(directory)

    def look_up(self, name: str) -> Definition:
        """The definition; ConfigError with the nearest name when there is none."""
        found = self.get(name)
        if found is None:
            nearest = meant(name.casefold(), [*self.definitions, *self._directories])
            text = f"actions:{name}: no such destination in {self.version}"
            raise ConfigError(f"{text}{nearest}; gateway destinations lists them")
        return found

    def __iter__(self) -> Iterator[Definition]:
        """Every definition, by directory."""
        return map(self._made, sorted(self.definitions))

    @functools.cached_property
    def _definitions(self) -> dict[str, Definition]:
        return {}

    def _made(self, directory: str) -> Definition:
        made = self._definitions.get(directory)
        if made is None:
            made = definition(directory, self.definitions[directory])
            self._definitions[directory] = made
        return made


def find(root: Path) -> Installed | None:
    """The installation below ``root``, if it is complete."""
    at = place(root)
    try:
        return Installed(at) if (at / READY).exists() else None
    except OSError as error:
        raise ConfigError(f"{at}: cannot be read: {error.strerror}") from error


def needed(root: Path) -> Installed:
    """The installation; ConfigError says how to get one."""
    found = find(root)
    if found is None:
        raise ConfigError(f"{root}: action destinations are not installed: {INSTALL}")
    return found


def place(root: Path) -> Path:
    """Where this version of the gateway has its installation."""
    return root / _key()


@functools.cache
def _key() -> str:
    whole = hashlib.sha256()
    for name in MADE_OF:
        whole.update((HERE / name).read_bytes())
    return whole.hexdigest()[:16]


def definition(directory: str, raw: Mapping[str, Any]) -> Definition:
    """Of what the install wrote; one that did not load has little but its reason."""
    actions = raw.get("actions", {})
    return Definition(
        directory=directory,
        id=raw["id"],
        name=raw.get("name", directory),
        slug=raw.get("slug", directory),
        description=raw.get("description", ""),
        scheme=raw.get("scheme", "none"),
        settings=_settings(raw.get("settings", {})),
        refreshes=raw.get("refreshes", False),
        tests=raw.get("tests", False),
        audience=raw.get("audience", False),
        actions={slug: _action(slug, each) for slug, each in actions.items()},
        presets=tuple(Preset(**each) for each in raw.get("presets", ())),
        integrations=tuple(raw.get("integrations", ())),
        fails=raw["fails"],
    )


def _action(slug: str, raw: Mapping[str, Any]) -> Action:
    mode = raw["sync_mode"]
    return Action(
        slug=slug,
        title=raw["title"],
        description=raw["description"],
        trigger=raw["trigger"],
        fields=_fields(raw["fields"]),
        batch=raw["batch"],
        platform=raw["platform"],
        hidden=raw["hidden"],
        sync_mode=None if mode is None else _field("sync_mode", mode),
        hooks=tuple(raw["hooks"]),
    )


def _settings(raw: Mapping[str, Any]) -> Mapping[str, Field]:
    """A default that is none of the choices would be refused: it is no default."""
    return {key: _choosing(each) for key, each in _fields(raw).items()}


def _choosing(field: Field) -> Field:
    known = [each.value for each in field.choices]
    is_refused = bool(known) and field.default not in known
    return replace(field, default=None) if is_refused else field


def _fields(raw: Mapping[str, Any]) -> Mapping[str, Field]:
    return {key: _field(key, each) for key, each in raw.items()}


def _field(key: str, raw: Mapping[str, Any]) -> Field:
    return Field(
        key=key,
        label=raw.get("label", key),
        description=raw.get("description", ""),
        type=raw.get("type", "string"),
        required=raw.get("required") or False,
        multiple=raw.get("multiple", False),
        allow_null=raw.get("allowNull", False),
        default=raw.get("default"),
        choices=tuple(map(_choice, raw.get("choices") or ())),
        properties=_fields(raw.get("properties", {})),
        additional=raw.get("additionalProperties", False),
        format=raw.get("format"),
        minimum=raw.get("minimum"),
        maximum=raw.get("maximum"),
        depends_on=raw.get("depends_on"),
        dynamic=raw.get("dynamic", False),
        hidden=raw.get("unsafe_hidden", False),
        read_only=raw.get("readOnly", False),
    )


def _choice(raw: Any) -> Choice:
    if isinstance(raw, Mapping):
        return Choice(raw["value"], str(raw["label"]))
    return Choice(raw, str(raw))
