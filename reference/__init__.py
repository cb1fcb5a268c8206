"""The reference pages of docs/, made from the code, so that they cannot drift from it.

Each module makes one page: what comes in is the program, what goes out is Markdown.
``python -m reference`` (``make reference``) writes them, a test compares.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from reference import (
    actions,
    alerts,
    commands,
    configuration,
    destinations,
    errors,
    metrics,
    notices,
    topics,
    traits,
    tree,
)

FOLDER = Path(__file__).parents[1] / "docs" / "reference"
NOTE = "<!-- `make reference` writes this page: edit the code, not the page. -->"
PAGES: Mapping[str, Callable[[], str]] = {
    "actions.md": actions.page,
    "alerts.md": alerts.page,
    "commands.md": commands.page,
    "configuration.md": configuration.page,
    "destinations.md": destinations.page,
    "errors.md": errors.page,
    "metrics.md": metrics.page,
    "notices.md": notices.page,
    "topics.md": topics.page,
    "traits.md": traits.page,
    "tree.md": tree.page,
}


def made() -> dict[Path, str]:
    """Every page as it is to be, by its file."""
    return {
        FOLDER / name: f"{NOTE}\n\n{page().strip()}\n" for name, page in PAGES.items()
    }
