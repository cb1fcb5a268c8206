"""When a failed event is tried again: exponential with full jitter (DESIGN 5.3).

Pure: the random number is an argument. Full jitter spreads the events that one outage
blocked; what a destination asks for with Retry-After is never undercut.
"""

RETRY_AFTER_MAX_S = 3_600.0  # what one answer may ask for: max_age is the bound beyond
EXPONENT_MAX = 32  # 2**32 seconds is beyond any cap; a float would overflow at 1,024


def delay_s(
    attempts: int, *, base_s: float, cap_s: float, after_s: float | None, chance: float
) -> float:
    """Seconds until the next attempt, ``attempts`` (1 or more) having failed.

    ``chance`` is in [0, 1). Beyond ``after_s`` it adds up to ``base_s``, so that all
    who were told the same second do not come at once.
    """
    ceiling = min(cap_s, base_s * 2.0 ** min(attempts - 1, EXPONENT_MAX))
    if after_s is None:
        return ceiling * chance
    asked = min(max(0.0, after_s), RETRY_AFTER_MAX_S)  # not a number: at once
    return max(ceiling * chance, asked + base_s * chance)


def pause_s(failures: int, *, chance: float) -> float:
    """Seconds until the log is asked again, ``failures`` (1 or more) in a row."""
    return min(5.0, 0.05 * 2.0 ** min(failures, EXPONENT_MAX)) * (0.5 + chance / 2)
