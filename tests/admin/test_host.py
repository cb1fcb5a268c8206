"""No web page reads the admin port by pointing its own name at it (DNS rebinding)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.admin.host import host_of, is_answered


@pytest.mark.parametrize(
    "host",
    [
        "",
        "127.0.0.1",
        "127.0.0.1:9090",
        "10.4.0.17:9090",
        "[::1]",
        "[::1]:9090",
        "[fd00::1]:9090",
        "localhost",
        "LocalHost:9090",
        "localhost.:9090",
        "gateway.localhost:9090",
        "metrics.example:443",
        "Metrics.Example.",
    ],
)
def test_addresses_loopback_and_our_own_names_are_answered(host: str) -> None:
    assert is_answered(host, ["0.0.0.0", "metrics.example"])


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:9090",
        "127.0.0.1.evil.example",
        "127-0-0-1.evil.example:9090",
        "localhost.evil.example",
        "notlocalhost",
        "x.metrics.example",
        "metrics.example.evil",
        "2130706433",
        "127.1",
        "0x7f.0.0.1",
        "localhost@evil.example",
        "localhost:80@evil.example",
        "localhost/evil.example",
        "localhost#.evil.example",
        "localhost\\evil.example",
        "localhost:port",
        "localhost:999999",
        "[::1",
        "[::1].evil.example",
        "[evil.example]",
        ":9090",
        ".",
        " ",
        "\udcff",
    ],
)
def test_any_other_name_is_not(host: str) -> None:
    assert not is_answered(host, ["127.0.0.1", "metrics.example"])


@given(st.text(max_size=20), st.text(max_size=20))
def test_nothing_that_stands_in_the_header_breaks_the_judge(
    one: str, other: str
) -> None:
    assert is_answered(one, [other]) in (True, False)
    assert is_answered(f"{one}.evil.example", [other]) <= (
        host_of(f"{one}.evil.example") == other.lower()
    )
