"""What is not public of aiohttp, and used: listed, and there in what is installed."""

import ast
import inspect

import pytest
from aiohttp import web

from gateway.inbound.serve.connection import BORROWED, Connection


@pytest.mark.parametrize("name", BORROWED)
def test_a_borrowed_name_is_there(name: str) -> None:
    assert hasattr(web.RequestHandler, name)


def test_every_borrowed_name_is_listed() -> None:
    own = set(Connection.__slots__)
    own |= {name for name in vars(Connection) if not hasattr(web.RequestHandler, name)}
    used = {
        node.attr
        for node in ast.walk(ast.parse(inspect.getsource(Connection)))
        if isinstance(node, ast.Attribute) and node.attr.startswith("_")
        if not node.attr.startswith("__")
    }
    assert used - own == set(BORROWED)
