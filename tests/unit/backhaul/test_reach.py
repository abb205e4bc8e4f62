"""A forwarded request reaches public addresses and what the operator named, whatever form an address takes."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.backhaul.reach import may_reach

V4 = st.ip_addresses(v=4).map(lambda found: IPv4Address(int(found)))


def carrying(inner: IPv4Address) -> list[IPv6Address]:
    """Every IPv6 form that stands for an IPv4 address."""
    number = int(inner)
    return [
        IPv6Address((0xFFFF << 32) | number),  # mapped, RFC 4291 §2.5.5.2
        IPv6Address(int(IPv6Address("64:ff9b::")) | number),  # NAT64, RFC 6052 §2.1
        IPv6Address((0x2002 << 112) | (number << 80) | 1),  # 6to4, RFC 3056 §2
        IPv6Address(int(IPv6Address("2001:0:909:909::")) | (number ^ 0xFFFFFFFF)),  # Teredo, RFC 4380 §4
    ]


@pytest.mark.parametrize("text", ["9.9.9.9", "200.48.225.130", "2620:fe::fe", "2800:200::1", "2a00:1450::1"])
def test_a_public_address_may_be_reached(text: str) -> None:
    assert may_reach(ip_address(text))


@pytest.mark.parametrize(
    "text",
    [
        *(
            "0.0.0.0",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.31.0.1",
            "192.0.0.1",
            "192.0.0.200",
        ),
        *("192.168.0.1", "198.19.0.1", "203.0.113.1", "224.0.0.251", "239.255.255.250", "240.0.0.1", "255.255.255.255"),
        *("::", "::1", "::7f00:1", "100::1", "2001:db8::1", "3fff:fff::1", "fc00::1", "fd12::1", "fe80::1", "fec0::1"),
        *("feff::1", "ff02::1", "ff0e::1", "::ffff:0:7f00:1", "64:ff9b:1::7f00:1", "4000::1", "5f00::1"),
    ],
)
def test_an_address_with_another_purpose_may_not(text: str) -> None:
    assert not may_reach(ip_address(text))


@given(V4)
def test_an_ipv6_form_is_judged_as_the_ipv4_address_it_carries(inner: IPv4Address) -> None:
    assert [may_reach(form) for form in carrying(inner)] == [may_reach(inner)] * 4


@given(V4, st.integers(8, 32))
def test_the_operators_network_may_be_reached_in_every_form_and_nothing_beside_it(
    inner: IPv4Address, length: int
) -> None:
    network = ip_network((int(inner), length), strict=False)
    forms: list[IPv4Address | IPv6Address] = [inner, *carrying(inner)]
    assert all(may_reach(form, [network]) for form in forms)
    if not may_reach(inner):
        other = ip_network("203.0.113.0/24" if inner not in ip_network("203.0.113.0/24") else "10.0.0.0/8")
        assert not any(may_reach(form, [other]) for form in forms)


def test_an_ipv6_network_of_the_operator_says_nothing_of_ipv4() -> None:
    everything = ip_network("::/0")
    assert may_reach(ip_address("fd00::1"), [everything])
    assert not may_reach(ip_address("10.0.0.1"), [everything])
    assert not may_reach(ip_address("::ffff:10.0.0.1"), [everything])
