"""What a secret may look like in a request: as it is, in a URL, a form, a JSON text."""

import base64
import json
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

SHORT = 4  # a shorter one would blacken half of every text
OF_COMPONENTS = "!'()*"  # what JavaScript's encodeURIComponent leaves as it is


def forms(secrets: Iterable[str]) -> tuple[str, ...]:
    """Each secret in each of its forms, the longest first."""
    found = {form for each in secrets if len(each) >= SHORT for form in _forms(each)}
    return tuple(sorted(found, key=len, reverse=True))


def _forms(secret: str) -> Iterator[str]:
    for text in _texts(secret):
        yield text
        yield quote(text, safe="")
        yield quote(text, safe=OF_COMPONENTS)
        yield quote_plus(text)
        yield quote_plus(text, safe="*").replace("~", "%7E")
    yield base64.b64encode(secret.encode()).decode().rstrip("=")


def _texts(secret: str) -> Iterator[str]:
    """As it is, and in a JSON text, which may stand in another."""
    yield secret
    yield json.dumps(secret)[1:-1]
    inside = json.dumps(secret, ensure_ascii=False)[1:-1]
    yield inside
    yield json.dumps(inside, ensure_ascii=False)[1:-1]
