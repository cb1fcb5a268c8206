"""Templates to answers. Everything that is filled in is escaped, without exception.

Nothing here, and no template, marks a text as safe: what senders and destinations wrote
is shown as text. A test holds the folder to it.
"""

import hashlib
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from gateway.console import words
from gateway.event import Json
from gateway.outbound.preview import readable

HERE = Path(__file__).parent
TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
MISSING = "Missing"  # the reason of a 404 whose text is for the page
JSON_CHARS = 100_000  # of one value on a page; the command line shows all of it


class Pages:
    """The templates, with what each of them may say."""

    def __init__(self, *, process: str) -> None:
        self._process = process
        self.form_token: Callable[[web.Request], str] = lambda _: ""

    @cached_property
    def _templates(self) -> Environment:
        made = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            auto_reload=False,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        made.filters |= {
            "number": words.number,
            "size": words.size,
            "seconds": words.seconds,
            "share": words.share,
            "rate": words.rate,
            "pretty": pretty,
            "exchange": exchange,
            "segment": segment,
            "literal": literal,
            "clock": words.clock,
            "day": words.day,
        }
        made.filters["ago"] = lambda at_ms: words.ago(at_ms, time.time() * 1000)
        made.globals["assets"] = {name: digest for name, (_, digest) in ASSETS.items()}
        return made

    def render(
        self,
        template: str,
        *,
        request: web.Request,
        status: int = 200,
        form_token: str | None = None,
        **values: Any,
    ) -> web.Response:
        """One page, whole."""
        token = self.form_token(request) if form_token is None else form_token
        text = self._templates.get_template(template).render(
            path=request.path,
            query=request.query,
            here=request.path_qs,
            form_token=token,
            process=self._process,
            now=datetime.now(UTC),
            **values,
        )
        return web.Response(text=text, status=status, content_type="text/html")

    def refused(self, status: int, text: str) -> web.Response:
        """A plain answer to who is not in: no page of ours, nothing of theirs."""
        return web.Response(text=f"{text}\n", status=status, content_type="text/plain")

    def trouble(
        self, request: web.Request, status: int, title: str, text: str
    ) -> web.Response:
        """A page for what could not be done, and what to do about it."""
        return self.render(
            "trouble.html", request=request, status=status, title=title, text=text
        )


def missing(text: str) -> web.HTTPNotFound:
    """To raise where there is more to say than that there is no such page."""
    return web.HTTPNotFound(reason=MISSING, text=text)


def no_destination(name: str) -> web.HTTPNotFound:
    """A name that was never there, or is there no more: the past still has it."""
    text = (
        f"The configuration has no destination {name}. What became of events there is"
        f" told by Events; `gateway read dead.{name}` prints its dead letters that the"
        " log still has."
    )
    return missing(text)


def pretty(value: Json) -> str:
    """A JSON value for reading, cut where nobody reads on."""
    if isinstance(value, str):
        text = value
    else:
        text = orjson.dumps(value, option=orjson.OPT_INDENT_2, default=str).decode()
    if len(text) <= JSON_CHARS:
        return text
    return f"{text[:JSON_CHARS]}\n... and {len(text) - JSON_CHARS} characters more"


def exchange(value: Json) -> str:
    """A request or a response for reading: its body as the JSON that it is."""
    return pretty(readable(value)) if isinstance(value, dict) else pretty(value)


def segment(text: str) -> str:
    """A text as one part of an address, whatever is in it: an id may have slashes."""
    return quote(text, safe="")


def literal(value: Json) -> str:
    """A value as JMESPath writes it: an id may have quotes."""
    written = orjson.dumps(value).decode().replace("`", "\\`")
    return f"`{written}`"


def _assets() -> Mapping[str, tuple[bytes, str]]:
    """Name -> its bytes, and a digest that changes its address with its content."""
    found = {}
    for file in sorted((HERE / "static").iterdir()):
        data = file.read_bytes()
        found[file.name] = data, hashlib.sha256(data).hexdigest()[:12]
    return found


ASSETS = _assets()


async def asset(request: web.Request) -> web.Response:
    """A style sheet, a script or a picture; kept by the browser as long as it is it."""
    name = request.match_info["name"]
    if name not in ASSETS:
        raise web.HTTPNotFound
    data, _ = ASSETS[name]
    return web.Response(
        body=data,
        content_type=TYPES[Path(name).suffix],
        headers={"Cache-Control": "public, max-age=31536000, immutable"},
    )
