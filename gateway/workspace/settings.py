"""What the configuration says of a workspace: which destination it is, and how it is.

Cheap to import: a gateway without people needs no database driver.
"""

from dataclasses import dataclass, field
from typing import Literal

from gateway.config import Config
from gateway.errors import ConfigError

TYPE = "workspace"
URLS = ("sqlite:///", "postgresql://", "postgres://")
IDENTIFIERS = ({"email", "id"}, {"id"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """``[workspace]``: people; used by a destination of type ``workspace``."""

    url: str = field(default="sqlite:///data/workspace.db", repr=False)
    identifiers: tuple[str, ...] = ("email", "id")
    reference_people_by_cio_id: bool = True
    allow_email_update_using_id: bool = False
    multi_identifier_profile_merge: bool = False
    anonymous_traits: Literal["ignore", "keep"] = "ignore"
    api_token: str | None = field(default=None, repr=False)


def name_of(config: Config) -> str | None:
    """The destination that keeps people, if there is one."""
    names = [n for n, each in config.destinations.items() if each.type == TYPE]
    return names[0] if names else None


def check(config: Config, settings: Workspace) -> None:
    """Raise ConfigError for a workspace that cannot be; opens nothing."""
    names = [n for n, each in config.destinations.items() if each.type == TYPE]
    wrong = [f"destinations.{n}: {names[0]} is a workspace already" for n in names[1:]]
    if set(settings.identifiers) not in IDENTIFIERS:  # D16
        wrong.append('workspace.identifiers: not ["email", "id"] or ["id"]')
    if not settings.url.startswith(URLS):
        text = "workspace.url: not sqlite:///FILE or postgresql://USER@HOST/NAME"
        wrong.append(text)
    if wrong:
        raise ConfigError(*wrong)
