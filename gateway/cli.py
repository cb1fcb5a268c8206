"""``gateway``: arguments, exit codes and what a person reads.

Exit 0 done, 1 failed, 2 usage or configuration. Heavy imports wait until a command
needs them: ``serve`` is ready in under a second.
"""

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

from gateway.config import Config, load
from gateway.errors import ConfigError, GatewayError

FILE = Path("gateway.toml")
DONE, FAILED, USAGE = 0, 1, 2
FROM, UNTIL = "received then or later", "received before then"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except ConfigError as error:
        return _failed(error, USAGE)
    except GatewayError as error:
        return _failed(error, FAILED)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output left: nothing to say, no trace
        return FAILED
    except KeyboardInterrupt:
        return FAILED


def _failed(error: GatewayError, code: int) -> int:
    print(f"gateway: {error}", file=sys.stderr)
    return code


Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001 -- it has no other name


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gateway", description=__doc__)
    parser.add_argument("--config", type=Path, metavar="FILE", help="gateway.toml")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _serve_parser(commands)
    _check_parser(commands)
    _topics_parser(commands)
    _read_parser(commands)
    _explain_parser(commands)
    _replay_parser(commands)
    return parser


def _serve_parser(commands: Commands) -> None:
    serve = commands.add_parser("serve", help="run the gateway")
    serve.add_argument(
        "--role",
        choices=["all", "intake", "worker"],
        default="all",
        help="what this process does; on Kafka several share the work",
    )
    serve.add_argument(
        "--destination",
        action="append",
        metavar="NAME",
        help="whom this worker delivers to, repeatable; default: all",
    )
    serve.set_defaults(run=_serve)


def _check_parser(commands: Commands) -> None:
    check = commands.add_parser("check", help="lint a configuration")
    check.add_argument(
        "file",
        nargs="?",
        type=Path,
        metavar="FILE",
        help="default: as for every command",
    )
    check.set_defaults(run=_check)


def _topics_parser(commands: Commands) -> None:
    topics = commands.add_parser("topics", help="list topics, sizes, groups, lag")
    topics.add_argument("--json", action="store_true", help="as one JSON array")
    topics.set_defaults(run=_topics)


def _read_parser(commands: Commands) -> None:
    read = commands.add_parser("read", help="print the records of a topic")
    read.add_argument("topic", metavar="TOPIC", help="without the prefix: events")
    read.add_argument("--from", dest="start", type=_time, metavar="T", help=FROM)
    read.add_argument("--until", type=_time, metavar="T", help=UNTIL)
    read.add_argument("--follow", action="store_true", help="wait for more")
    read.add_argument("--where", metavar="EXPR", help="JMESPath over the value")
    read.set_defaults(run=_read)


def _explain_parser(commands: Commands) -> None:
    explain = commands.add_parser("explain", help="show what becomes of a message")
    explain.add_argument("file", type=Path, metavar="FILE", help="JSON; - for stdin")
    explain.add_argument(
        "--source", metavar="NAME", help="who sends it; default: the first in the file"
    )
    explain.add_argument("--json", action="store_true", help="as one JSON object")
    explain.set_defaults(run=_explain)


def _replay_parser(commands: Commands) -> None:
    replay = commands.add_parser("replay", help="send the past again")
    replay.add_argument("--to", metavar="NAME", help="the destination")
    replay.add_argument("--from", dest="start", type=_time, metavar="T", help=FROM)
    replay.add_argument("--until", type=_time, metavar="T", help=UNTIL)
    replay.add_argument("--where", metavar="EXPR", help="JMESPath over the event")
    replay.add_argument("--rate", type=_rate, metavar="N", help="events a second")
    replay.add_argument(
        "--topic",
        choices=["events", "dead", "refused"],
        default="events",
        help="what is sent again; refused messages are judged anew, without --to",
    )
    replay.add_argument("--dry-run", action="store_true", help="print, send nothing")
    replay.add_argument("--id", help="resume an interrupted replay")
    replay.set_defaults(run=_replay)


def _rate(text: str) -> int:
    if not text.isdecimal() or not int(text):
        message = f"{text!r} is not a whole number above 0"
        raise argparse.ArgumentTypeError(message)
    return int(text)


def _time(text: str) -> int:
    """ISO 8601 to unix milliseconds; without an offset it is UTC."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        message = f"{text!r} is not an ISO 8601 time such as 2026-01-15T10:12:14Z"
        raise argparse.ArgumentTypeError(message) from None
    at = at.replace(tzinfo=at.tzinfo or UTC)
    return int(at.timestamp() * 1000)


def _config(arguments: argparse.Namespace) -> Config:
    file: Path | None = arguments.config
    if file is None and FILE.exists():
        file = FILE
    return load(file)


def _serve(arguments: argparse.Namespace) -> int:
    from gateway import app  # noqa: PLC0415 -- see the module

    chosen = arguments.destination
    destinations = None if chosen is None else frozenset(chosen)
    role = app.Role(name=arguments.role, destinations=destinations)
    return app.serve(_config(arguments), role)


def _check(arguments: argparse.Namespace) -> int:
    from gateway import parts, ports  # noqa: PLC0415 -- see the module

    config = load(arguments.file) if arguments.file else _config(arguments)
    parts.check(config)
    ports.tls(config)
    sources, destinations = len(config.sources), len(config.destinations)
    print(f"ok: {sources} sources, {destinations} destinations")
    return DONE


def _topics(arguments: argparse.Namespace) -> int:
    from gateway import commands  # noqa: PLC0415 -- see the module

    topics = commands.topics(_config(arguments))
    print(commands.as_json(topics) if arguments.json else commands.as_table(topics))
    return DONE


def _read(arguments: argparse.Namespace) -> int:
    from gateway import commands  # noqa: PLC0415 -- see the module

    lines = commands.lines(
        _config(arguments),
        arguments.topic,
        from_ms=arguments.start,
        until_ms=arguments.until,
        follow=arguments.follow,
        where=arguments.where,
    )
    for line in lines:
        sys.stdout.buffer.write(line)
        if arguments.follow:
            sys.stdout.buffer.flush()
    sys.stdout.buffer.flush()
    return DONE


def _explain(arguments: argparse.Namespace) -> int:
    from gateway import explain  # noqa: PLC0415 -- see the module

    try:
        standard = str(arguments.file) == "-"
        data = sys.stdin.buffer.read() if standard else arguments.file.read_bytes()
    except OSError as error:
        raise ConfigError(f"{arguments.file}: cannot be read: {error}") from error
    explained = explain.explain(_config(arguments), data, source=arguments.source)
    print(explain.as_json(explained) if arguments.json else explain.as_text(explained))
    return DONE


def _replay(arguments: argparse.Namespace) -> int:
    from gateway import replay_cli  # noqa: PLC0415 -- see the module

    return replay_cli.run(_config(arguments), arguments)
