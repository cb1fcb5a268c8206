"""A request's target as a path: what clients write differently and mean the same.

A base address that ends with a slash makes an SDK ask for ``//v1/batch``; a client that
takes the gateway for a proxy asks for ``http://HOST/v1/batch`` (RFC 9112 3.2.2).
"""

import re

ABSOLUTE = re.compile(r"https?://[^/?]*", re.IGNORECASE)
SLASHES = re.compile(r"//+")
# Behind these an identifier follows, which may be missing: no slash of it is merged, or
# a request about nobody (``/api/v1/customers//events``) became one about ``events``.
IDENTIFIED = re.compile(r"/+(?:api/+v[12]|unsubscribe)/+")


def origin_form(target: str) -> str:
    """Path and query: without scheme and host, its doubled slashes merged."""
    if target.startswith("/") and "//" not in target:
        return target
    rest = ABSOLUTE.sub("", target, count=1) if target[:1] not in "/*" else target
    path, mark, query = rest.partition("?")
    path = path or "/"
    known = IDENTIFIED.match(path)
    end = len(path) if known is None else known.end()
    return SLASHES.sub("/", path[:end]) + path[end:] + mark + query
