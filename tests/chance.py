"""Whatever is random in a run comes from one seed: it is told, and can be given again.

``GATEWAY_SEED=7 make test`` makes the choices of the run that told ``GATEWAY_SEED=7``:
those of hypothesis, of the worlds of events, of the rounds with faults.
"""

import os
import random
import secrets

from hypothesis import settings

# The environment takes it to the processes that share the work, and to those started.
SEED = int(os.environ.setdefault("GATEWAY_SEED", str(secrets.randbelow(2**32))))
USUAL = 100  # examples of one property: what hypothesis tries when nobody says more


def chance(*purpose: object) -> random.Random:
    """Choices for one purpose, whatever else has been chosen before."""
    return random.Random(f"{SEED} {purpose}")


def examples(count: int) -> int:
    """So many in ``make test``; the fast loop tries a part of them."""
    assert settings.default is not None
    return max(1, count * settings.default.max_examples // USUAL)
