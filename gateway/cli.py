"""``gateway``: arguments, exit codes and what a person reads.

Exit 0 done, 1 failed, 2 usage or configuration. Heavy imports wait until a command
needs them: ``serve`` is ready in under a second.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.arguments import add_span, check, content, is_file, rate
from gateway.config import Config, load
from gateway.errors import ConfigError, GatewayError
from gateway.terminal import plain, show_everything

if TYPE_CHECKING:
    from gateway.parts import Parts

FILE = Path("gateway.toml")
DONE, FAILED, USAGE = 0, 1, 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    arguments = _parser().parse_args(argv)
    show_everything()
    try:
        check(arguments)
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
    """Say it on stderr: of several mistakes each has a line, and they are counted."""
    texts = error.args if isinstance(error, ConfigError) else (error,)
    if len(texts) > 1:
        print(f"gateway: {len(texts)} mistakes", file=sys.stderr)
        print(plain(str(error)), file=sys.stderr)
    else:
        print(plain(f"gateway: {error}"), file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gateway", description=__doc__)
    parser.add_argument("--config", type=Path, metavar="FILE", help="gateway.toml")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_serve(commands.add_parser("serve", help="run the gateway"))
    _add_check(commands.add_parser("check", help="lint a configuration"))
    _add_topics(commands.add_parser("topics", help="list topics, sizes, groups, lag"))
    _add_read(commands.add_parser("read", help="print the records of a topic"))
    _add_explain(commands.add_parser("explain", help="show what becomes of a message"))
    _add_account(commands.add_parser("account", help="tell what came in, and its end"))
    _add_ledger(commands.add_parser("ledger", help="make the ledger anew"))
    _add_plan(commands.add_parser("plan", help="write a tracking plan"))
    _add_replay(commands.add_parser("replay", help="send the past again"))
    _add_test(commands.add_parser("test", help="run the golden cases of destinations"))
    _add_send(commands.add_parser("send", help="try one event at one destination"))
    _add_destinations(
        commands.add_parser("destinations", help="list the types of destinations")
    )
    _add_alerts(commands.add_parser("alerts", help="try who is told of trouble"))
    about = "answer an agent's questions: MCP on standard input and output"
    commands.add_parser("mcp", help=about).set_defaults(run=_mcp)
    about = "Segment's action destinations: fetch them, bring a workspace along"
    _add_actions(commands.add_parser("actions", help=about))
    return parser


def _add_serve(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--role",
        choices=["all", "intake", "worker"],
        default="all",
        help="what this process does; on Kafka several share the work",
    )
    parser.add_argument(
        "--destination",
        action="append",
        metavar="NAME",
        help="whom this worker delivers to, repeatable; default: all",
    )
    parser.set_defaults(run=_serve)


def _add_check(parser: argparse.ArgumentParser) -> None:
    about = "default: as for every command"
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help=about)
    about = "ask each destination, too, whether its credentials work"
    parser.add_argument("--connect", action="store_true", help=about)
    parser.set_defaults(run=_check)


def _add_topics(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="as one JSON array")
    parser.set_defaults(run=_topics)


def _add_read(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("topic", metavar="TOPIC", help="without the prefix: events")
    add_span(parser)
    parser.add_argument("--follow", action="store_true", help="wait for more")
    parser.add_argument("--where", metavar="EXPR", help="JMESPath over the value")
    parser.set_defaults(run=_read)


def _add_explain(parser: argparse.ArgumentParser) -> None:
    about = "who sends it; default: the first in the file"
    file = parser.add_argument("file", nargs="?", metavar="FILE|MESSAGE_ID")
    file.help = "JSON, - for stdin; else the id of a message that was sent"
    parser.add_argument("--source", metavar="NAME", help=about)
    parser.add_argument("--json", action="store_true", help="as one JSON object")
    about = "instead: two configurations, and what NEW would send differently"
    parser.add_argument(
        "--diff", nargs=2, type=Path, metavar=("OLD.toml", "NEW.toml"), help=about
    )
    about = "of how many events, the newest of NEW's log"
    parser.add_argument("--last", type=rate, default=1_000, metavar="N", help=about)
    about = "show what differs, not only of which kind it is"
    parser.add_argument("--values", action="store_true", help=about)
    parser.set_defaults(run=_explain, asked="story")


def _add_account(parser: argparse.ArgumentParser) -> None:
    add_span(parser)
    parser.add_argument("--json", action="store_true", help="as one JSON object")
    parser.set_defaults(run=_ledger, asked="account")


def _add_ledger(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    about = "drop the ledger, and make it again from what the log has"
    rebuild = commands.add_parser("rebuild", help=about)
    rebuild.set_defaults(run=_ledger, asked="rebuild")


def _add_plan(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    about = "a plan of what a source has sent, as JSON on stdout"
    detect = commands.add_parser("detect", help=about)
    about = "who sends it; default: the first in the file"
    detect.add_argument("--source", metavar="NAME", help=about)
    add_span(detect)
    detect.set_defaults(run=_ledger, asked="plan")


def _add_replay(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--to", metavar="NAME", help="the destination")
    add_span(parser)
    about = "JMESPath over the event; of a dead letter: event.type, reason"
    parser.add_argument("--where", metavar="EXPR", help=about)
    parser.add_argument("--rate", type=rate, metavar="N", help="events a second")
    parser.add_argument(
        "--topic",
        choices=["events", "dead", "refused"],
        default="events",
        help="what is sent again; refused messages are judged anew, without --to",
    )
    parser.add_argument("--dry-run", action="store_true", help="print, send nothing")
    parser.add_argument("--id", help="resume an interrupted replay")
    parser.set_defaults(run=_replay)


def _add_test(parser: argparse.ArgumentParser) -> None:
    about = "where NAME/CASE/event.json are; default: beside the configuration"
    parser.add_argument("path", nargs="?", type=Path, metavar="PATH", help=about)
    about = "write what would be sent, instead of comparing"
    parser.add_argument("--accept", action="store_true", help=about)
    parser.set_defaults(run=_test)


def _add_send(parser: argparse.ArgumentParser) -> None:
    about = "JSON; - for stdin: a message, an event, or a line of `gateway read`"
    parser.add_argument("--to", metavar="NAME", required=True, help="the destination")
    parser.add_argument("file", type=Path, metavar="FILE", help=about)
    about = "of a message: who sends it; default: the first in the file"
    parser.add_argument("--source", metavar="NAME", help=about)
    about = "send it, once; without this it is only shown"
    parser.add_argument("--yes", action="store_true", help=about)
    parser.set_defaults(run=_send)


def _add_destinations(parser: argparse.ArgumentParser) -> None:
    about = "a type: what it does, its settings"
    parser.add_argument("name", nargs="?", metavar="TYPE", help=about)
    parser.add_argument("--json", action="store_true", help="as one JSON value")
    parser.set_defaults(run=_destinations)


def _add_alerts(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    about = "send a sample to everyone that [alerts] names"
    commands.add_parser("test", help=about).set_defaults(run=_alerts_test)


def _add_actions(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    about = "fetch the pinned packages beside the configuration"
    install = commands.add_parser("install", help=about)
    about = "do not fetch: the folder, or a tar, of another machine's installation"
    install.add_argument("--from", dest="source", type=Path, metavar="FILE", help=about)
    about = "change nothing: exit 1 unless the installation is there and whole"
    install.add_argument("--check", action="store_true", help=about)
    install.set_defaults(run=_actions_install)
    about = "turn a Segment workspace's answers into TOML, on stdout"
    imported = commands.add_parser("import", help=about)
    about = "JSON of Segment's Public API, any number of answers; - for stdin"
    imported.add_argument("file", type=Path, metavar="FILE", help=about)
    imported.set_defaults(run=_actions_import)


def _file(arguments: argparse.Namespace) -> Path | None:
    """The configuration's file; None for the built-in default."""
    given: Path | None = arguments.config
    return FILE if given is None and FILE.exists() else given


def _config(arguments: argparse.Namespace) -> Config:
    return load(_file(arguments))


def _serve(arguments: argparse.Namespace) -> int:
    from gateway import app, parts  # noqa: PLC0415 -- see the module

    chosen = arguments.destination
    destinations = None if chosen is None else frozenset(chosen)
    role = app.Role(name=arguments.role, destinations=destinations)
    return app.serve(*parts.examine(_file(arguments), role.check), role)


def _check(arguments: argparse.Namespace) -> int:
    from gateway import parts, ports, workable  # noqa: PLC0415 -- see the module

    config, made = parts.examine(
        arguments.file or _file(arguments), ports.tls, workable.check_authorities
    )
    for doubt in made.doubts:
        print(f"gateway: {doubt}", file=sys.stderr)
    sources, destinations = len(config.sources), len(config.destinations)
    print(f"ok: {sources} sources, {destinations} destinations")
    return _connect(config, made) if arguments.connect else DONE


def _connect(config: Config, made: "Parts") -> int:
    """Ask each destination that can be asked; the others are named."""
    from gateway import trying  # noqa: PLC0415 -- see the module

    said = asyncio.run(trying.connected(config, made))
    for name in config.destinations:
        told = "connected" if said.get(name) is None else said[name]
        print(f"{name}: {told if name in said else 'cannot be asked'}")
    return FAILED if any(said.values()) else DONE


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

    if (arguments.file is None) == (arguments.diff is None):
        raise ConfigError("explain: give a FILE, or --diff OLD.toml NEW.toml")
    if arguments.diff is not None:
        return _diff(arguments)
    if not is_file(arguments.file):
        return _ledger(arguments)  # an id, after the fact
    data = content(Path(arguments.file))
    config = _config(arguments)
    explained = asyncio.run(explain.explain(config, data, source=arguments.source))
    text = explain.as_text
    print(explain.as_json(explained) if arguments.json else plain(text(explained)))
    return DONE


def _ledger(arguments: argparse.Namespace) -> int:
    from gateway import ledger_cli  # noqa: PLC0415 -- see the module

    return ledger_cli.run(_config(arguments), arguments)


def _diff(arguments: argparse.Namespace) -> int:
    from gateway import compare  # noqa: PLC0415 -- see the module

    old, new = map(load, arguments.diff)
    told = compare.compare(old, new, last=arguments.last, values=arguments.values)
    print(compare.as_json(told) if arguments.json else plain(compare.as_text(told)))
    return DONE


def _replay(arguments: argparse.Namespace) -> int:
    from gateway import replay_cli  # noqa: PLC0415 -- see the module

    return replay_cli.run(_config(arguments), arguments)


def _test(arguments: argparse.Namespace) -> int:
    from gateway import cases, parts  # noqa: PLC0415 -- see the module

    config = _config(arguments)
    made, found = parts.check(config), cases.find(config, arguments.path)
    results = asyncio.run(cases.run(config, made, found))
    if arguments.accept:
        results = [cases.accept(each) for each in results]
    print(cases.as_text(results))
    return DONE if all(each.ok for each in results) else FAILED


def _send(arguments: argparse.Namespace) -> int:
    from gateway import parts, trying  # noqa: PLC0415 -- see the module

    config = _config(arguments)
    made, data = parts.check(config), content(arguments.file)
    value = trying.value_of(config, made, data, arguments.source)
    told = asyncio.run(trying.shown(config, made, arguments.to, value))
    if arguments.yes and told["sent"]:
        told = asyncio.run(trying.sent(config, made, arguments.to, value))
    print(plain(trying.as_text(told)))
    delivered = told.get("verdict") == "delivered" if arguments.yes else told["sent"]
    return DONE if delivered else FAILED


def _destinations(arguments: argparse.Namespace) -> int:
    from gateway import types_cli  # noqa: PLC0415 -- see the module

    root = _actions_root(arguments)
    print(types_cli.told(arguments.name, root, json=arguments.json))
    return DONE


def _alerts_test(arguments: argparse.Namespace) -> int:
    from gateway import alerts_cli  # noqa: PLC0415 -- see the module

    return alerts_cli.test(_config(arguments))


def _mcp(arguments: argparse.Namespace) -> int:
    from gateway import commands  # noqa: PLC0415 -- see the module
    from gateway.mcp import stdio  # noqa: PLC0415 -- see the module

    config = _config(arguments)
    stdio.serve(sys.stdin.buffer, sys.stdout.buffer, lambda: commands.asking(config))
    return DONE


def _actions_install(arguments: argparse.Namespace) -> int:
    from gateway import actions_cli  # noqa: PLC0415 -- see the module

    root, source = _actions_root(arguments), arguments.source
    return actions_cli.install(root, source, only_look=arguments.check)


def _actions_import(arguments: argparse.Namespace) -> int:
    from gateway import actions_cli  # noqa: PLC0415 -- see the module

    text = content(arguments.file).decode(errors="replace")
    return actions_cli.bring(_actions_root(arguments), text, str(arguments.file))


def _actions_root(arguments: argparse.Namespace) -> Path:
    """Where action destinations are installed: nothing else has to be right yet."""
    from gateway.actions import wing  # noqa: PLC0415 -- see the module

    return wing.root_of((_file(arguments) or FILE).absolute())
