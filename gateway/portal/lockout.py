"""Who guesses passwords waits, longer each time; nobody is locked out for good. Pure.

Failures are counted for an account asked from an address, and more patiently for an address alone (a family or a shop
shares one). An account is never paused for everyone: that would let anybody lock its owner out.

Source: OWASP ASVS 5.0 §6.3.1.
"""

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass

FREE_TRIES = 5  # for one account from one address
FREE_TRIES_OF_ADDRESS = 20
PAUSE_S_FIRST = 2.0
PAUSE_S_MAX = 900.0
FORGET_S = 3_600.0
KEYS_MAX = 10_000  # ~2 MB; past it the longest unused are forgotten

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Failures:
    """How often it went wrong, and when it last did (monotonic)."""

    count: int
    last_s: float


def pause_s(failures: Failures, free: int) -> float:
    """Return how long after the last failure the next try must wait.

    >>> [pause_s(Failures(count, 0), free=5) for count in (4, 5, 6, 7, 30)]
    [0.0, 2.0, 4.0, 8.0, 900.0]
    """
    over = failures.count - free
    return 0.0 if over < 0 else min(PAUSE_S_FIRST * 2.0 ** min(over, 30), PAUSE_S_MAX)


def address_key(address: str) -> str:
    """Return the part of an address that one party holds: an IPv6 network of 64 bits, an IPv4 address.

    >>> address_key("10.0.0.7"), address_key("2001:db8::5"), address_key("::ffff:10.0.0.7")
    ('10.0.0.7', '2001:db8::', '10.0.0.7')
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.IPv6Address(int(parsed) >> 64 << 64))
    return str(parsed)


class Lockout:
    """The failures of the last hour; in memory, bounded, with one owner."""

    def __init__(self) -> None:
        self._failures: OrderedDict[Key, Failures] = OrderedDict()

    def wait_s(self, name: str, address: str, now_s: float) -> float:
        """Return how many seconds this try comes too early; 0 when it may be made."""
        return max(self._left_s(key, free, now_s) for key, free in _keys(name, address))

    def count_try(self, name: str, address: str, now_s: float) -> None:
        """Count a try as failed before it is made, so that many at once gain nothing."""
        for key, _ in _keys(name, address):
            found = self._found(key, now_s)
            self._failures[key] = Failures(found.count + 1 if found else 1, now_s)
            self._failures.move_to_end(key)
        while len(self._failures) > KEYS_MAX:
            self._failures.popitem(last=False)

    def forgive(self, name: str, address: str) -> None:
        """Take back what `count_try` counted: it went right."""
        own, shared = (key for key, _ in _keys(name, address))
        self._failures.pop(own, None)
        found = self._failures.get(shared)
        if found:
            self._failures[shared] = Failures(max(found.count - 1, 0), found.last_s)

    def _left_s(self, key: Key, free: int, now_s: float) -> float:
        found = self._found(key, now_s)
        return max(found.last_s + pause_s(found, free) - now_s, 0.0) if found else 0.0

    def _found(self, key: Key, now_s: float) -> Failures | None:
        found = self._failures.get(key)
        return found if found and now_s - found.last_s < FORGET_S else None


def _keys(name: str, address: str) -> tuple[tuple[Key, int], tuple[Key, int]]:
    place = address_key(address)
    # names are stripped and in small letters, so neither key can be made from a name
    return (((f"name {name}", place), FREE_TRIES), (("address", place), FREE_TRIES_OF_ADDRESS))
