"""How a sidecar is started on this machine: which Node, and without a network if so."""

from gateway.actions.node import Node
from gateway.actions.process import Launch
from gateway.actions.settings import Settings

STABLE = 24  # from this major version on, the permission model has its final name


def launched(program: Node, settings: Settings) -> Launch:
    """How the process of one destination is started."""
    version = program.version.removeprefix("v")
    is_new = int(version.partition(".")[0]) >= STABLE
    return Launch(
        node=program.program,
        installation=settings.installation.resolve(),
        environment=settings.environment,
        prefix=settings.prefix,
        permission="--permission" if is_new else "--experimental-permission",
    )
