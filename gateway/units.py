"""One unit inside, others only at the border: parsing and writing of addresses, rates and sizes."""

import ipaddress
from typing import NamedTuple


class Address(NamedTuple):
    """Where a listener listens: an IP address and a port (0 means any free one)."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """Read `0.0.0.0:8080` or `[::]:8080`.

    Raises: ValueError when it is neither.

    >>> parse_address("0.0.0.0:8080")
    Address(host='0.0.0.0', port=8080)
    >>> str(parse_address("[::1]:80"))
    '[::1]:80'
    """
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError("no port")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if ipaddress.ip_address(bare).version == 6 and bare == host:
        raise ValueError("an IPv6 address needs brackets")
    return Address(bare, int(port))


def in_bits(rate_bps: float) -> str:
    """Write a rate for people, in the unit that keeps it short.

    >>> in_bits(80_000), in_bits(1_000_000), in_bits(3_450_000)
    ('80 kbit/s', '1 Mbit/s', '3.5 Mbit/s')
    """
    if rate_bps >= 999_500:
        return f"{rate_bps / 1e6:.1f}".removesuffix(".0") + " Mbit/s"
    return f"{rate_bps / 1e3:.0f} kbit/s"


def in_bytes(size_bytes: float) -> str:
    """Write a size for people, in powers of ten.

    >>> in_bytes(420), in_bytes(13_400), in_bytes(8_000_000_000)
    ('420 B', '13 kB', '8 GB')
    """
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size_bytes >= factor:
            value = size_bytes / factor
            return (f"{value:.1f}" if value < 10 else f"{value:.0f}").removesuffix(".0") + f" {unit}"
    return f"{size_bytes:.0f} B"
