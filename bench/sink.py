"""Where requests end, for next to nothing: 200 to all, and a count at GET /.

python -m bench.sink            prints its address

Intercom's paths are answered as its API answers for somebody it does not know yet: what
comes next depends on it.
"""

import asyncio
import json

HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
)
KNOWN = (  # the attributes that Intercom has of the bench's identify
    *("plan", "age", "logins", "verified", "address_street", "address_city"),
    *("address_state", "address_postalCode", "address_country"),
)
ANSWERS = {
    b"GET /data_attributes": {
        "data": [{"model": "contact", "name": name} for name in KNOWN]
    },
    b"POST /contacts/search": {"data": [], "total_count": 0},
    b"POST /contacts": {"type": "contact", "id": "c1"},
    b"POST /companies": {"type": "company", "id": "k1"},
}
TEXTS = {asked: json.dumps(said).encode() for asked, said in ANSWERS.items()}
COUNT = b"GET /"


class Sink:
    """Requests, counted."""

    def __init__(self) -> None:
        self.taken = 0

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = head.lower().partition(b"content-length:")[2]
                size = int(length.partition(b"\r\n")[0] or 0)
                if size:
                    await reader.readexactly(size)
                text = self.answer(head[: head.index(b" HTTP/")])
                writer.write(HEAD % (len(text), text))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def answer(self, asked: bytes) -> bytes:
        """``asked``: method and path."""
        if asked == COUNT:
            return b"%d" % self.taken
        self.taken += 1
        return TEXTS.get(asked, b"")


async def main() -> None:
    server = await asyncio.start_server(Sink().serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    print(f"http://{host}:{port}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    try:
        import uvloop
    except ImportError:
        asyncio.run(main())
    else:
        uvloop.run(main())
