"""Whose request it is (P033, P034): the address behind trusted proxies only."""

from ipaddress import ip_network

import pytest
from multidict import CIMultiDict

from gateway.inbound.forwarded import sender_ip

PROXIES = [ip_network("10.0.0.0/8"), ip_network("2001:db8::/32")]


def by(remote: str | None, *lines: str, name: str = "X-Forwarded-For") -> str | None:
    return sender_ip(remote, CIMultiDict((name, line) for line in lines), PROXIES)


@pytest.mark.parametrize(
    ("remote", "forwarded", "ip"),
    [
        ("203.0.113.7", "198.51.100.1", "203.0.113.7"),  # not our proxy: not believed
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "6.6.6.6, 198.51.100.1", "198.51.100.1"),  # the last one counts
        ("10.0.0.1", "198.51.100.1, 10.2.3.4", "198.51.100.1"),
        ("10.0.0.1", "10.2.3.4, 10.2.3.5", "10.2.3.4"),
        ("10.0.0.1", "6.6.6.6, 198.51.100.1, 10.2.3.4", "198.51.100.1"),
        ("2001:db8::1", "2001:db9::7", "2001:db9::7"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", " , ", "10.0.0.1"),
        ("10.0.0.1", ", 198.51.100.1,", "198.51.100.1"),
        (None, "198.51.100.1", None),
    ],
)
def test_p033_the_address_is_the_connection_s_or_the_trusted_proxy_s_word(
    remote, forwarded, ip
):
    assert by(remote, forwarded) == ip


def test_without_a_header_it_is_the_connection_s():
    assert by("203.0.113.7") == "203.0.113.7"
    assert by("10.0.0.1") == "10.0.0.1"


@pytest.mark.parametrize(
    ("hop", "ip"),
    [
        ("203.0.113.7:51234", "203.0.113.7"),
        ("[2001:db9::7]:51234", "2001:db9::7"),
        ("[2001:db9::7]", "2001:db9::7"),
        ("2001:DB9:0::7", "2001:db9::7"),
        ('"[2001:db9::7]:80"', "2001:db9::7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("[::ffff:203.0.113.7]:80", "203.0.113.7"),
    ],
)
def test_a_hop_may_have_a_port_brackets_and_an_address_in_an_address(hop, ip):
    for line in (hop, f"6.6.6.6, {hop}", f"{hop}, 10.1.1.1", f"{hop}, [2001:db8::9]:1"):
        assert by("10.0.0.1", line) == ip


@pytest.mark.parametrize("proxy", ["10.1.1.1:8", "::ffff:10.1.1.1", "[2001:db8::1]:8"])
def test_a_trusted_proxy_is_known_in_every_form(proxy):
    assert by("10.0.0.1", f"6.6.6.6, 198.51.100.1, {proxy}") == "198.51.100.1"
    assert by("::ffff:10.0.0.1", f"198.51.100.1, {proxy}") == "198.51.100.1"


def test_a_connection_by_ipv4_to_an_ipv6_port_has_its_ipv4_address():
    assert sender_ip("::ffff:203.0.113.7", {}, ()) == "203.0.113.7"
    assert by("::ffff:203.0.113.7", "6.6.6.6") == "203.0.113.7"


def test_all_lines_count_in_their_order_so_no_sender_chooses_the_address():
    lines = ["6.6.6.6", "198.51.100.1"]  # the second one is the proxy's
    assert by("10.0.0.1", *lines) == "198.51.100.1"
    assert by("10.0.0.1", *lines, "10.1.1.1, 10.1.1.2") == "198.51.100.1"
    assert by("10.0.0.1", "for=6.6.6.6", "for=198.51.100.1", name="forwarded") == (
        "198.51.100.1"
    )


@pytest.mark.parametrize(
    "hop",
    [
        *("nonsense", "unknown", "_hidden", "1.2.3", "1.2.3.4:x", "1.2.3.4:123456"),
        *("[::1", "[1.2.3.4", "1.2.3.4 5.6.7.8", "[2001:db9::7]80", "1.2.3.4:"),
    ],
)
def test_no_proxy_s_address_is_taken_for_a_person_s(hop):
    assert by("10.0.0.1", hop) is None
    assert by("10.0.0.1", f"203.0.113.7, {hop}, 10.2.3.4") is None
    assert by("10.0.0.1", f"{hop}, 203.0.113.7") == "203.0.113.7"  # further: not asked


@pytest.mark.parametrize(
    ("forwarded", "ip"),
    [
        ("for=203.0.113.7", "203.0.113.7"),
        ('For="[2001:db9:cafe::17]:4711"', "2001:db9:cafe::17"),
        ('for="203.0.113.7:123";proto=https;by=10.0.0.1', "203.0.113.7"),
        ("by=10.0.0.1; proto=http; FOR=203.0.113.7", "203.0.113.7"),
        ("for=6.6.6.6, for=203.0.113.7", "203.0.113.7"),
        ("for=203.0.113.7, for=10.1.1.1", "203.0.113.7"),
        ('for=203.0.113.7;host="a,b;for=6.6.6.6", for=10.1.1.1', "203.0.113.7"),
        ('for="\\2\\0\\3.0.113.7"', "203.0.113.7"),
        ('for="203.0.113.7:_port"', "203.0.113.7"),
        ("for=unknown", None),
        ("for=_SEVKISEK", None),
        ("for=203.0.113.7, for=_hidden", None),
        ("proto=https", None),
        ("203.0.113.7", None),
        ("", "10.0.0.1"),
    ],
)
def test_forwarded_is_read_as_rfc_7239_says(forwarded, ip):
    assert by("10.0.0.1", forwarded, name="Forwarded") == ip
    assert by("203.0.113.9", forwarded, name="Forwarded") == "203.0.113.9"


def test_forwarded_is_asked_only_where_there_is_no_other_header():
    both = CIMultiDict(
        [("Forwarded", "for=6.6.6.6"), ("X-Forwarded-For", "203.0.113.7")]
    )
    assert sender_ip("10.0.0.1", both, PROXIES) == "203.0.113.7"


@pytest.mark.parametrize(
    ("text", "ip"),
    [
        ("for=" + '"\\' * 8_000, None),
        ("," * 30_000, "10.0.0.1"),
        ('for="' * 9_000, None),
    ],
)
def test_a_header_costs_time_by_its_length_alone(text, ip):
    assert by("10.0.0.1", text, name="Forwarded") == ip
