"""The page of the notices, from their closed list."""

from gateway.notices import CODES
from reference.table import code, table

HEAD = """\
# Notices

What the gateway says on stderr, one JSON object a line: `at`, `notice` (the code), and
what belongs to it. What happens often is counted, and written once a minute with
`where`, `name` and `count`. All are counted in the metric `gateway_notices_total`. No
line holds a payload or a key.
"""


def page() -> str:
    """Every code."""
    rows = [(code(name), text) for name, text in CODES.items()]
    return f"{HEAD}\n{table(('code', 'what it tells'), rows)}"
