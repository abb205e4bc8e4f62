"""Which addresses a forwarded request may reach: public ones, and networks the operator named. Pure.

The check is on the address that is connected to, after resolution, so a name that points inside (rebinding) is refused,
and an IPv6 form that carries an IPv4 address (mapped, 6to4, NAT64, Teredo) is judged by that address too.

Source: RFC 6890 (special-purpose registries, by way of `ipaddress`), RFC 6052 §2.1 (NAT64), RFC 4291 §2.5.5 (mapped).
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

_GLOBAL_UNICAST = ip_network("2000::/3")  # all that IANA hands out; fec0::/10 and others count as global in `ipaddress`
# Special, and not known to every Python 3.11: RFC 9637 (documentation), RFC 6890 §2.2.2 (192.0.0.0/24)
_SPECIAL = (ip_network("3fff::/20"), ip_network("192.0.0.0/24"))
_NAT64 = ip_network("64:ff9b::/96")
_COMPATIBLE = ip_network("::/96")


def may_reach(address: IPAddress, allow: Sequence[IPNetwork] = ()) -> bool:
    """Say whether a forwarded request may connect to `address`.

    >>> from ipaddress import ip_address, ip_network
    >>> may_reach(ip_address("9.9.9.9")), may_reach(ip_address("::ffff:10.0.0.1"))
    (True, False)
    >>> may_reach(ip_address("10.20.0.9"), [ip_network("10.20.0.0/24")])
    True
    """
    inner = _carried(address)
    if inner is not None:
        return may_reach(inner, allow)
    if any(address.version == network.version and address in network for network in allow):
        return True
    if any(address.version == network.version and address in network for network in _SPECIAL):
        return False
    if isinstance(address, IPv6Address) and address not in _GLOBAL_UNICAST:
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def is_of(address: str, networks: Sequence[IPNetwork]) -> bool:
    """Say whether an address, as a socket tells it, is of one of these networks.

    >>> [is_of(each, [ip_network("10.0.0.0/8")]) for each in ("10.1.2.3", "::ffff:10.1.2.3", "9.9.9.9", "")]
    [True, True, False, False]
    """
    try:
        found = ip_address(address.partition("%")[0])  # RFC 4007 §11: a link-local address names its interface
    except ValueError:
        return False
    near = found.ipv4_mapped or found if isinstance(found, IPv6Address) else found
    return any(near.version == network.version and near in network for network in networks)


def _carried(address: IPAddress) -> IPv4Address | None:
    if isinstance(address, IPv4Address):
        return None
    if address.ipv4_mapped:
        return address.ipv4_mapped
    if address.sixtofour:
        return address.sixtofour
    if address.teredo:
        return address.teredo[1]
    if address in _NAT64 or (address in _COMPATIBLE and int(address) > 1):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return None
