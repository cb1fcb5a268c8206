"""Whose request it is (P033, P034): the address behind trusted proxies only."""

from ipaddress import ip_network

import pytest

from gateway.inbound.receive import sender_ip

PROXIES = [ip_network("10.0.0.0/8"), ip_network("2001:db8::/32")]


@pytest.mark.parametrize(
    ("remote", "forwarded", "ip"),
    [
        ("203.0.113.7", None, "203.0.113.7"),
        ("203.0.113.7", "198.51.100.1", "203.0.113.7"),  # not our proxy: not believed
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "6.6.6.6, 198.51.100.1", "198.51.100.1"),  # the last one counts
        ("10.0.0.1", "198.51.100.1, 10.2.3.4", "198.51.100.1"),
        ("10.0.0.1", "10.2.3.4, 10.2.3.5", "10.2.3.4"),
        ("10.0.0.1", "nonsense", "10.0.0.1"),
        ("10.0.0.1", "nonsense, 10.2.3.4", "10.2.3.4"),
        ("2001:db8::1", "2001:db9::7", "2001:db9::7"),
        ("10.0.0.1", "", "10.0.0.1"),
        (None, "198.51.100.1", None),
    ],
)
def test_p033_the_address_is_the_connection_s_or_the_trusted_proxy_s_word(
    remote, forwarded, ip
):
    assert sender_ip(remote, forwarded, PROXIES) == ip
