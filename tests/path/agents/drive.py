"""Asks a gateway as an agent does, by the protocol's own client; says JSON.

drive.py MODE COMMAND...    MODE is auto or legacy; COMMAND starts the server
drive.py MODE http URL TOKEN
"""

import asyncio
import json
import sys
from typing import Any

import httpx2
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

QUESTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("explain", {"message_id": "m-1"}),
    ("search_events", {"type": "identify", "limit": 5}),
    ("account", {}),
    ("destination_health", {}),
    ("catalogue", {}),
    ("dead_letters", {}),
    ("explain", {"message_id": "nobody's"}),
)


def server(words: list[str]) -> Any:
    if words[0] == "http":
        headers = {"Authorization": f"Bearer {words[2]}"}
        client = httpx2.AsyncClient(headers=headers)
        return streamable_http_client(words[1], http_client=client)
    return StdioServerParameters(command=words[0], args=words[1:])


async def main(mode: str, words: list[str]) -> None:
    async with Client(server(words), mode=mode) as client:
        tools = (await client.list_tools()).tools
        told = []
        for name, arguments in QUESTIONS:
            said = await client.call_tool(name, arguments)
            told.append([said.is_error, said.content[0].text])
        print(
            json.dumps(
                {
                    "version": client.protocol_version,
                    "server": client.server_info.name,
                    "tools": [each.name for each in tools],
                    "told": told,
                }
            )
        )


asyncio.run(main(sys.argv[1], sys.argv[2:]))
