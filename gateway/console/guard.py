"""What every request of the console meets before a page: whose, whence, and who.

In this order, and no page can forget one of them:

    host      a name that is not ours (DNS rebinding): 421
    origin    a form, or anything but a link, from another site: 403
    session   none: the page to come in
    form      a POST without its form's token: 403

Every answer says what a browser may do with it: nothing from elsewhere, no script in a
page, no frame, no copy.
"""

import secrets
from collections.abc import Callable, Mapping
from typing import Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from gateway.admin.host import is_answered
from gateway.console.door import SESSION_S, Door, Session
from gateway.console.page import Pages
from gateway.errors import ConfigError

SESSION: Final = web.RequestKey("console session", Session)
FORM_BYTES = 262_144
MISDIRECTED = (
    "The console does not answer to the name in Host: ask for it by its address, or add"
    " the name to console.hosts."
)
NOT_OURS = "That form is not ours."
OPEN = frozenset({"/static/{name}", "/login", "/favicon.ico"})
SAFE = frozenset({"GET", "HEAD"})
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'; require-trusted-types-for 'script'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Guard:
    """The middleware, and the pages by which one comes in and leaves."""

    def __init__(self, door: Door, pages: Pages, *, hosts: frozenset[str]) -> None:
        self._door = door
        self._pages = pages
        self._hosts = hosts

    def routes(self) -> list[web.RouteDef]:
        """Coming in, leaving."""
        return [
            web.get("/login", self._show_login),
            web.post("/login", self._login),
            web.post("/logout", self._logout),
        ]

    @web.middleware
    async def middleware(
        self, request: web.Request, handler: Handler
    ) -> web.StreamResponse:
        """Let a request in, or say what is missing."""
        if not self._is_ours(request):
            return self._pages.refused(421, MISDIRECTED)
        if not _is_from_here(request):
            return self._pages.refused(403, "This came from another site.")
        resource = request.match_info.route.resource
        if resource is not None and resource.canonical in OPEN:
            return await handler(request)
        session = self._door.knows(request.cookies.get(_name(request, "console"), ""))
        if session is None:
            return self._to_login(request)
        if request.method not in SAFE and not await self._has_token(request, session):
            return self._pages.refused(403, "The form is not one of this session.")
        request[SESSION] = session
        return await handler(request)

    def form_token(self, request: web.Request) -> str:
        """What the forms of this request's page bring along."""
        session = request.get(SESSION)
        return "" if session is None else self._door.form_token(session.number)

    def _is_ours(self, request: web.Request) -> bool:
        """An address, localhost, or a name that the configuration has.

        A page elsewhere that makes its own name point here cannot say any of these.
        """
        given = request.headers.getall(hdrs.HOST, ())
        return all(is_answered(each, self._hosts) for each in given)

    async def _has_token(self, request: web.Request, session: Session) -> bool:
        form = await _form(request)
        given = form.get("form", "")
        return isinstance(given, str) and self._door.is_form_token(
            session.number, given
        )

    def _to_login(self, request: web.Request) -> web.StreamResponse:
        if request.method not in SAFE or request.headers.get(hdrs.ACCEPT) in STREAMS:
            return self._pages.refused(401, "You are not logged in, or no longer.")
        after = request.path_qs if request.path_qs != "/" else ""
        where = request.rel_url.with_path("/login").with_query(
            {"next": after} if after else {}
        )
        raise web.HTTPSeeOther(where)

    async def _show_login(self, request: web.Request) -> web.StreamResponse:
        code = request.query.get("once")
        if code is None:
            return self._login_page(request)
        session = self._door.by_link(code)
        if session is None:
            return self._login_page(
                request, wrong="That link was used before, or is too old.", status=403
            )
        return self._enter(request, session, "/")

    async def _login(self, request: web.Request) -> web.StreamResponse:
        form = await _form(request)
        token, given = form.get("token", ""), form.get("form", "")
        visit = request.cookies.get(_name(request, "visit"), "")
        if not isinstance(token, str) or not isinstance(given, str):
            return self._pages.refused(400, NOT_OURS)
        if not visit or not self._door.is_form_token(visit, given):
            wrong = "The page was too old: please try again."
            return self._login_page(request, wrong=wrong, status=403)
        if self._door.is_tried:
            wrong = "Too many wrong tokens: wait a minute."
            return self._login_page(request, wrong=wrong, status=429)
        session = self._door.by_token(token.strip())
        if session is None:
            wrong = "That is not the token."
            return self._login_page(request, wrong=wrong, status=403)
        return self._enter(request, session, _local(request.query.get("next", "")))

    def _login_page(
        self, request: web.Request, *, wrong: str = "", status: int = 200
    ) -> web.Response:
        visit = request.cookies.get(_name(request, "visit")) or secrets.token_hex(16)
        response = self._pages.render(
            "login.html",
            request=request,
            status=status,
            wrong=wrong,
            form_token=self._door.form_token(visit),
        )
        self._set(request, response, "visit", visit, age_s=3_600)
        return response

    def _enter(self, request: web.Request, session: str, after: str) -> web.Response:
        """A page that leads on to the console.

        A redirect would not do: a cookie that is strict is not sent along where another
        site or program led here.
        """
        response = self._pages.render("entered.html", request=request, after=after)
        self._set(request, response, "console", session, age_s=SESSION_S)
        response.del_cookie(_name(request, "visit"), path="/")
        return response

    async def _logout(self, request: web.Request) -> web.StreamResponse:
        self._door.leave(request[SESSION])
        response = web.HTTPSeeOther("/login")
        response.del_cookie(_name(request, "console"), path="/")
        raise response

    @staticmethod
    def _set(
        request: web.Request,
        response: web.Response,
        what: str,
        value: str,
        *,
        age_s: int,
    ) -> None:
        response.set_cookie(
            _name(request, what),
            value,
            max_age=age_s,
            path="/",
            httponly=True,
            samesite="Strict",
            secure=request.headers.get(hdrs.ORIGIN, "").startswith("https://"),
        )


STREAMS = frozenset({"text/event-stream", "application/json"})


async def protect(request: web.Request, response: web.StreamResponse) -> None:
    """Say what a browser may do with an answer (``on_response_prepare``)."""
    for name, value in HEADERS.items():
        response.headers[name] = value
    if not request.path.startswith("/static/"):
        response.headers[hdrs.CACHE_CONTROL] = "no-store"


def _is_from_here(request: web.Request) -> bool:
    """Whether a page of ours asks, or a person by a link, an address, a program."""
    site = request.headers.get("Sec-Fetch-Site", "")
    if request.method in SAFE:
        mode = request.headers.get("Sec-Fetch-Mode", "navigate")
        return site in ("", "none", "same-origin") or mode == "navigate"
    origin = request.headers.get(hdrs.ORIGIN)
    if origin is None:
        return site in ("none", "same-origin")
    return origin.partition("://")[2] == request.host


def _name(request: web.Request, what: str) -> str:
    """Cookies know no ports: two gateways of a machine would log each other out."""
    port = request.host.rpartition(":")[2]
    return f"gateway_{what}_{port}" if port.isdecimal() else f"gateway_{what}"


async def _form(request: web.Request) -> Mapping[str, object]:
    """What a form says, sent as ours are; ConfigError for what nobody can read.

    It is read before anybody has shown who they are: no file is kept for a stranger.
    """
    if request.content_type == "multipart/form-data":
        raise ConfigError(NOT_OURS)
    try:
        return await request.post()
    except (ValueError, LookupError):  # a charset that it does not keep to, or unknown
        raise ConfigError(NOT_OURS) from None


def _local(path: str) -> str:
    """Where to go on: within the console, whatever a link says."""
    is_local = path.startswith("/") and not path.startswith(("//", "/\\"))
    return path if is_local and path.isprintable() else "/"


FormToken = Callable[[web.Request], str]
