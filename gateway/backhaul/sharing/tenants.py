"""Whose a device is: that of the tenant with the most specific network that holds its address. Pure.

Tenants are the operators or institutions that share a site. A device that is nobody's belongs to the tenant without a
name, who has a weight of 1 and no bounds.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address

from gateway.backhaul.sensing.samples import Way

NOBODY = ""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a tenant has of one direction: at least, where it fits; and at most, whatever is free."""

    guaranteed_bps: int | None = None
    ceiling_bps: int | None = None


@dataclass(frozen=True, slots=True)
class Tenant:
    """One of several who share the link; `weight` is relative to the others'."""

    name: str
    weight: int = 1
    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    down: Bounds = Bounds()
    up: Bounds = Bounds()

    def __post_init__(self) -> None:
        if self.weight < 1:
            raise ValueError("a weight is at least 1")

    def bounds(self, way: Way) -> Bounds:
        """What it has of a direction."""
        return self.down if way is Way.DOWN else self.up


def tenant_of(device: str, tenants: Iterable[Tenant]) -> str:
    """Return the name of the tenant this address belongs to; `NOBODY` where it is no address, or in no network.

    >>> from ipaddress import ip_network
    >>> tenants = [Tenant("coop", networks=(ip_network("10.1.0.0/16"),))]
    >>> tenant_of("10.1.2.3", tenants), tenant_of("::ffff:10.1.2.3", tenants), tenant_of("10.2.0.1", tenants)
    ('coop', 'coop', '')
    """
    try:
        address = ip_address(device)
    except ValueError:
        return NOBODY
    if isinstance(address, IPv6Address) and address.ipv4_mapped:  # RFC 4291 §2.5.5.2: a socket for both families
        address = address.ipv4_mapped
    name, longest = NOBODY, -1
    for tenant in tenants:
        for network in tenant.networks:
            if network.prefixlen > longest and address in network:
                name, longest = tenant.name, network.prefixlen
    return name


def guaranteed_bps(tenants: Iterable[Tenant], way: Way) -> int:
    """Return what is promised to all tenants together; more than the link carries can be promised, but not kept."""
    return sum(tenant.bounds(way).guaranteed_bps or 0 for tenant in tenants)
