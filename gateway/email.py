"""What an email address is: one definition, wherever the gateway asks.

Something before the last ``@``, and after it a domain: `@handle` and `x@` are ids,
`root@localhost` is an address. No part has white space, no label of the domain is
empty, and no other ``@`` stands in front, unless all of the front is in double quotes
(`"a b@c"@example.com`). Whether such an address exists, nobody asks.
"""

import re

CHARS_MAX = 1_000  # as long as an identifier may be
QUOTED = re.compile(r'"(?:[^"\\\r\n]|\\.)*+"')
PLAIN = re.compile(r'[^@\s"]++')
DOMAIN = re.compile(r"[^@\s.]++(?:\.[^@\s.]++)*+")


def is_email(text: str) -> bool:
    """Whether it is an address; in time linear in its length."""
    front, at, domain = text.rpartition("@")
    if not at or not front or len(text) > CHARS_MAX:
        return False
    if DOMAIN.fullmatch(domain) is None:
        return False
    return (QUOTED if front[0] == '"' else PLAIN).fullmatch(front) is not None
