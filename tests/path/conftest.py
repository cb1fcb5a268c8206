"""A webhook and each log for the tests of the whole program."""

import pytest

from tests.path.clustered import on
from tests.path.running import Webhook


@pytest.fixture
async def hook():
    async with Webhook() as webhook:
        yield webhook


@pytest.fixture(params=["sqlite", "kafka"])
def log(request):
    """``[log]`` of a configuration: each backend in turn."""
    return on(request.getfixturevalue("node")) if request.param == "kafka" else ""
