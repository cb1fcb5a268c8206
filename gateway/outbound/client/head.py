"""The head of a request: its first line, what we say of ourselves, its own headers."""

from gateway import __version__
from gateway.outbound.http import Request

OURS = {
    "accept": "Accept: */*\r\n",
    "accept-encoding": "Accept-Encoding: identity\r\n",
    "user-agent": f"User-Agent: gateway/{__version__}\r\n",
}
"""Said unless the request says its own."""
OF_THE_CONNECTION = frozenset(
    {"connection", "content-length", "keep-alive", "transfer-encoding", "upgrade"}
)
"""Never another's to say: they would make two requests of one."""
WITHOUT_BODY = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "DELETE"})
SHAPES_MAX = 1_000


class Shapes:
    """What is said of ourselves beside headers of such names; kept, as they recur."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, ...], tuple[str, frozenset[str]]] = {}

    def beside(self, names: tuple[str, ...]) -> tuple[str, frozenset[str]]:
        """Our own lines, and the names of those that are not to be sent."""
        known = self._known.get(names)
        if known is None:
            if len(self._known) >= SHAPES_MAX:
                self._known.clear()
            lower = {name.lower() for name in names}
            own = "".join(line for name, line in OURS.items() if name not in lower)
            away = {name for name in names if name.lower() in OF_THE_CONNECTION}
            known = self._known[names] = own, frozenset(away)
        return known


def head_of(request: Request, target: str, lines: str, shapes: Shapes) -> bytes:
    """The head for this target (path, or URL for a proxy) and these first lines.

    ValueError for a line break where none may be: nothing is sent then.
    """
    headers = request.headers
    own, away = shapes.beside(tuple(headers))
    given = headers.items()
    if away:
        given = {name: headers[name] for name in headers if name not in away}.items()
    said = [f"{name}: {value}" for name, value in given]
    if request.body or request.method not in WITHOUT_BODY:
        said.append(f"Content-Length: {len(request.body)}")
    text = "\r\n".join(said)
    breaks = max(0, len(said) - 1)
    line = f"{request.method} {target} HTTP/1.1"
    if text.count("\r") + text.count("\n") != 2 * breaks or not line.isprintable():
        raise ValueError("a header or a URL has a line break in it")
    end = "\r\n\r\n" if said else "\r\n"
    return f"{line}\r\n{lines}{own}{text}{end}".encode()
