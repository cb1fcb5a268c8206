"""Bodies that are small on the wire and were very dear: one of each kind."""


def attacks(size: int) -> dict[str, bytes]:
    """By name, each of about ``size`` bytes at most, once it is inflated."""
    long_key = b"k" * (size // 10)
    far_down = b'{"type":"page","userId":"u","context":{"%s":[%s]}}'
    return {
        "a long key over many values": context(size // 100, name=long_key),
        "many values": context(size // 2),
        "many values, and too deep": context(size // 4, more=deep(size // 1_000)),
        "many containers": context(size // 4, b"[]"),
        "many containers, each deep": context(size // 200, deep(80)),
        "many that are no JSON": context(size // 4, b"NaN"),
        "nested beyond all bounds": context(1, deep(size // 3)),
        "not closed": b"[1," * (size // 4),
        "many wrong words": words(size // 2),
        "as many wrong words as fit": words(14_000, size // 30_000),
        "many wrong words for all": context(size // 2, b"1", b"page", b"keywords"),
        "a context and bad messages": under(60_000, b"1"),
        "a context and good messages": under(60_000, b'{"type":"page","userId":"u"}'),
        "too large a context": under(400_000, b"1"),
        "faults far down": batch(
            far_down % (b"k" * 26_000, b"NaN,NaN,1"), size // 30_000
        ),
        "many that are too large": batch(
            b'{"a":[%s]}' % listed(b"[]", 20_000), size // 70_000
        ),
        "many small messages": batch(b"1", 2_500),
    }


def listed(item: bytes, count: int) -> bytes:
    return b",".join([item] * count)


def deep(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


def batch(message: bytes, count: int) -> bytes:
    return b'{"batch":[%s]}' % listed(message, count)


def context(
    count: int,
    item: bytes = b"0",
    name: bytes = b"a",
    inner: bytes = b"b",
    more: bytes = b"1",
) -> bytes:
    shared = b'{"%s":{"%s":[%s]},"more":%s}' % (name, inner, listed(item, count), more)
    return b'{"batch":[{}],"context":%s}' % shared


def words(count: int, messages: int = 1) -> bytes:
    found = b'"context":{"page":{"keywords":[%s]}}' % listed(b"1", count)
    return batch(b'{"type":"identify","userId":"u",%s}' % found, messages)


def under(shared: int, message: bytes) -> bytes:
    said = b'{"a":"%s"}' % (b"x" * shared)
    return b'{"context":%s,"batch":[%s]}' % (said, listed(message, 2_500))
