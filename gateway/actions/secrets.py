"""What a secret may look like in a request: as it is, in a URL, a form, a JSON text."""

import base64
import json
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

SHORT = 4  # a shorter one would blacken half of every text


def forms(secrets: Iterable[str]) -> tuple[str, ...]:
    """Each secret in each of its forms, the longest first."""
    found = {form for each in secrets if len(each) >= SHORT for form in _forms(each)}
    return tuple(sorted(found, key=len, reverse=True))


def _forms(secret: str) -> Iterator[str]:
    yield secret
    yield quote(secret, safe="")
    yield quote_plus(secret)
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield base64.b64encode(secret.encode()).decode().rstrip("=")
