"""What the configuration says of a workspace: which destination it is, and how it is.

Cheap to import: a gateway without people needs no database driver.
"""

from gateway.config import Config, Workspace
from gateway.errors import ConfigError

TYPE = "workspace"
URLS = ("sqlite:///", "postgresql://", "postgres://")
IDENTIFIERS = ({"email", "id"}, {"id"})


def name_of(config: Config) -> str | None:
    """The destination that keeps people, if there is one."""
    names = [n for n, each in config.destinations.items() if each.type == TYPE]
    return names[0] if names else None


def check(config: Config) -> None:
    """Raise ConfigError for a workspace that cannot be; opens nothing."""
    names = [n for n, each in config.destinations.items() if each.type == TYPE]
    settings = config.workspace or Workspace()
    wrong = [f"destinations.{n}: {names[0]} is a workspace already" for n in names[1:]]
    if set(settings.identifiers) not in IDENTIFIERS:  # D16
        wrong.append('workspace.identifiers: not ["email", "id"] or ["id"]')
    if not settings.url.startswith(URLS):
        text = "workspace.url: not sqlite:///FILE or postgresql://USER@HOST/NAME"
        wrong.append(text)
    if wrong:
        raise ConfigError(*wrong)
