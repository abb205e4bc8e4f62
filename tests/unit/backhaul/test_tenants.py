"""A device is the tenant's whose most specific network holds its address, and nobody's otherwise."""

import doctest
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.backhaul.sensing.samples import Way
from gateway.backhaul.sharing import tenants
from gateway.backhaul.sharing.tenants import NOBODY, Bounds, Tenant, guaranteed_bps, tenant_of

COOP = Tenant("coop", 3, (ip_network("10.1.0.0/16"), ip_network("fd00:1::/64")), Bounds(500_000), Bounds(100_000))
SCHOOL = Tenant("school", 1, (ip_network("10.1.9.0/24"), ip_network("192.168.0.0/16")), Bounds(250_000, 1_000_000))
BOTH = (COOP, SCHOOL)


@pytest.mark.parametrize(
    ("device", "tenant"),
    [
        ("10.1.2.3", "coop"),
        ("10.1.9.3", "school"),
        ("192.168.44.1", "school"),
        ("fd00:1::7", "coop"),
        ("fd00:1::7%wlan0", "coop"),
        ("::ffff:10.1.2.3", "coop"),
        ("10.2.0.1", NOBODY),
        ("fd00:2::7", NOBODY),
        ("", NOBODY),
        ("10.1.2", NOBODY),
        ("10.1.2.3:80", NOBODY),
        ("phone\x00", NOBODY),
    ],
)
def test_a_device_belongs_by_its_address(device: str, tenant: str) -> None:
    assert tenant_of(device, BOTH) == tenant
    assert tenant_of(device, reversed(BOTH)) == tenant


@given(st.text())
def test_whatever_a_device_is_called_it_belongs_to_somebody_or_nobody(device: str) -> None:
    assert tenant_of(device, BOTH) in {"coop", "school", NOBODY}


def test_where_there_are_no_tenants_all_are_nobodys() -> None:
    assert tenant_of("10.1.2.3", ()) == NOBODY


def test_what_is_promised_adds_up_by_direction() -> None:
    assert (guaranteed_bps(BOTH, Way.DOWN), guaranteed_bps(BOTH, Way.UP)) == (750_000, 100_000)


def test_a_tenant_weighs_something() -> None:
    with pytest.raises(ValueError):
        Tenant("nobody", 0)


def test_docstring_examples_hold() -> None:
    result = doctest.testmod(tenants)
    assert (result.failed, result.attempted > 0) == (0, True)
