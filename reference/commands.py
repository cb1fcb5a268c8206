"""The page of the commands, from the parser of the command line."""

import argparse
from collections.abc import Iterator

from gateway.cli import _parser
from reference.table import code, table

HEAD = """\
# Commands

`gateway [--config FILE] COMMAND`. FILE is `gateway.toml` in the folder you start in, if
it is there, else the built-in configuration. Exit code 0: done, 1: failed, 2: usage or
configuration. Times are ISO 8601, without an offset UTC, and are judged on receivedAt.
SIGTERM stops accepting, finishes what is under way, settles, and exits 0.
"""


def page() -> str:
    """Every command with its arguments."""
    parts = [HEAD]
    for name, about, parser in _commands():
        parts.append(f"## gateway {name}\n\n{_sentence(about)}\n")
        rows = [
            (code(_shown(each)), each.help or "", code(_default(each)))
            for each in parser._actions
            if not isinstance(each, argparse._HelpAction)
        ]
        if rows:
            parts.append(table(("argument", "what it is", "default"), rows) + "\n")
    return "\n".join(parts)


def _commands() -> Iterator[tuple[str, str, argparse.ArgumentParser]]:
    return _within(_parser(), "")


def _within(
    parser: argparse.ArgumentParser, group: str
) -> Iterator[tuple[str, str, argparse.ArgumentParser]]:
    """Its commands; a group of commands is its commands."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            about = {each.dest: each.help or "" for each in action._choices_actions}
            for name, inner in action.choices.items():
                commands = list(_within(inner, f"{group}{name} "))
                yield from commands or [(f"{group}{name}", about[name], inner)]


def _shown(action: argparse.Action) -> str:
    value = str(action.metavar or action.dest.upper())
    if action.choices is not None:
        value = "|".join(map(str, action.choices))
    if not action.option_strings:
        return f"[{value}]" if action.nargs == "?" else value
    name = action.option_strings[0]
    return name if action.nargs == 0 else f"{name} {value}"


def _default(action: argparse.Action) -> str:
    return "" if action.default in (None, False) else str(action.default)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."
