"""A delivery like another, but for what is given."""

import copy
from typing import Any

from gateway.outbound.contract import Delivery


def but(delivery: Delivery, **changes: Any) -> Delivery:
    changed = copy.copy(delivery)
    for name, value in changes.items():
        setattr(changed, name, value)
    return changed
