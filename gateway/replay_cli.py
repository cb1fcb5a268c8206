"""What a person sees of ``gateway replay``, and how an interrupted one is resumed."""

import argparse
import shlex
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from gateway import commands
from gateway.config import Config
from gateway.event import Json, iso
from gateway.replay.run import new_id

WIDTH = 30
REDRAW_S = 0.1


def run(config: Config, arguments: argparse.Namespace) -> int:
    """Replay, drawing a bar on a terminal; 0 when it reached the end."""
    asked: dict[str, Json] = {
        "id": arguments.id or new_id(),
        "topic": arguments.topic,
        "to": arguments.to,
        "from_ms": arguments.start,
        "until_ms": arguments.until,
        "where": arguments.where,
        "rate": arguments.rate,
    }
    if arguments.dry_run:
        return _dry_run(config, asked)
    print(f"replay {asked['id']}", flush=True)
    target = f"at {arguments.to}" if arguments.to else "wherever they are routed"
    _say(f"older values will overwrite newer ones {target}")
    last: Mapping[str, Json] = {}
    bar = Bar()
    try:
        for last in commands.replaying(config, asked):
            bar.draw(last)
    except KeyboardInterrupt:
        pass  # where it was done nobody waits for the ends any more
    if not last.get("done"):
        _say(f"interrupted; resume with: {_resume(asked)}")
        return 1
    skipped = ", ".join(f"{n} {reason}" for reason, n in last["skipped"].items())
    if last["sent"] and "outcomes" in last:
        print(told(last, arguments.to))
    print(f"sent {last['sent']}, skipped {skipped or 'none'}")
    return 0


def told(last: Mapping[str, Json], destination: str) -> str:
    """What became there of what was sent, by kind; of a resumed one also before."""
    ends = sorted(last["outcomes"].items())
    under_way = last["sent"] - sum(count for _, count in ends)
    if under_way > 0:
        ends.append(("under way", under_way))
    return f"at {destination}: " + ", ".join(f"{n} {kind}" for kind, n in ends)


def _dry_run(config: Config, asked: dict[str, Json]) -> int:
    for shown in commands.replaying(config, {**asked, "dry": True}):
        sys.stdout.buffer.write(orjson.dumps(shown) + b"\n")
    sys.stdout.buffer.flush()
    return 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@dataclass(slots=True)
class Bar:
    """One line that is drawn over; nothing where nobody looks."""

    drawn_s: float = 0.0
    ended: bool = False

    def draw(self, step: Mapping[str, Json]) -> None:
        """Show how far it is, ten times a second at most."""
        now = time.monotonic()
        if not sys.stderr.isatty() or self.ended:
            return
        if not step["done"] and now - self.drawn_s < REDRAW_S:
            return
        self.drawn_s, self.ended = now, step["done"]
        part = min(1.0, step["read"] / step["total"]) if step["total"] else 1.0
        part = 1.0 if step["done"] else part
        bar = ("#" * round(part * WIDTH)).ljust(WIDTH)
        note = "  waits for the destination" if step["waiting"] else ""
        text = f"\r[{bar}] {part:4.0%}  {step['sent']} sent{note:<27}"
        end = "\n" if step["done"] else ""
        print(text, end=end, file=sys.stderr, flush=True)


def _resume(asked: Mapping[str, Json]) -> str:
    """The command that goes on where this one stopped."""
    words = ["gateway", "replay", "--id", asked["id"]]
    for name, flag in (("to", "--to"), ("where", "--where"), ("rate", "--rate")):
        if asked[name] is not None:
            words += [flag, str(asked[name])]
    for name, flag in (("from_ms", "--from"), ("until_ms", "--until")):
        if asked[name] is not None:
            words += [flag, iso(asked[name])]
    if asked["topic"] != "events":
        words += ["--topic", asked["topic"]]
    return shlex.join(words)
