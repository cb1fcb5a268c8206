"""The wings, a line each: their section of the configuration, and where they are.

``wing.py`` says what a wing is; its module has ``wing(config, mistakes) -> Wing``. It
is named by a text here, so that who only reads a configuration imports none of them.
"""

from collections.abc import Mapping

WINGS: Mapping[str, str] = {
    "actions": "gateway.actions.wing",
    "alerts": "gateway.alerts.wing",
    "console": "gateway.console.wing",
    "ledger": "gateway.ledger.wing",
    "mcp": "gateway.mcp.wing",
    "telemetry": "gateway.telemetry.wing",
    "workspace": "gateway.workspace.wing",
}
