"""The page of Segment's action destinations, from what is known of each."""

from collections import Counter

from gateway.actions.known import KINDS, Known, known
from reference.table import code, table

HEAD = """\
# Action destinations

The destinations of Segment's open-source package `@segment/action-destinations`, which
the gateway runs unmodified after `gateway actions install`
([how](../how-to/actions.md)). Each is a type, `actions:NAME`; `gateway destinations
actions:NAME` has its settings, actions, fields and presets, and a table to paste.

*Unless configured* is what becomes of events with nothing but settings. It was seen in
dry runs with an `identify` that has every reserved trait: that a request is built, not
that the vendor takes it. "Works" is no promise of ours about the vendor.

*Batch* is how it answers one where it takes them: per item, or all or nothing; then a
refusal of one among many is not noticed. Batches are off unless an action has `batch`.
*Credentials* beyond settings: `token` is a long-lived access token of the vendor, `app`
an OAuth app of your own with its refresh token, `settings` client credentials that
stand in the settings; names in capitals go into `env`. *Asks* is which hosts it was
seen to ask; `*` and "as configured" come from the settings.
"""


def page() -> str:
    """Every destination, by kind."""
    every = known().values()
    parts = [HEAD, _counted(list(every))]
    for kind, about in KINDS.items():
        rows = [_row(each) for each in every if each.kind == kind]
        head = ("type", "what it is", "unless configured", "batch", "credentials")
        parts.append(f"## {about}\n")
        parts.append(table((*head, "asks", "to know"), rows) + "\n")
    return "\n".join(parts)


def _counted(every: list[Known]) -> str:
    running = [each for each in every if each.cannot is None]
    how = Counter(each.identify for each in running)
    return (
        f"{len(every)} are in the package, {len(running)} run here: "
        f"{how['works']} work with an identify\nas it is, "
        f"{how['needs a mapping'] + how['breaks']} need a mapping first, "
        f"{how['no identify by default']} take no identify by default, "
        f"{how['needs an audience']} need the\ncontext of an audience.\n"
    )


def _row(each: Known) -> tuple[str, ...]:
    words = each.words
    if each.types and each.identify != "no identify by default" and not each.cannot:
        words += f"; takes {', '.join(each.types)}, too"
    return (
        code(f"actions:{each.directory}"),
        each.name,
        words,
        each.batch,
        ", ".join([*each.oauth, *map(code, each.env)]),
        ", ".join(code(host) if "." in host else host for host in each.hosts),
        each.note,
    )
