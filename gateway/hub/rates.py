"""How many answers one source gets, one box, and all together. Pure.

A bucket a source, one a box, and one for all; the oldest sources are forgotten at the limit, so that who invents
addresses fills nothing. Who sends one box's caught request again from many of them takes that box's answers only. An
IPv6 source is its /64: that is what one customer has (RFC 6177 §2).
"""

from collections import OrderedDict
from ipaddress import IPv6Address, ip_address


class Rate:
    """So many a second, and as many at once after a pause."""

    __slots__ = ("_at_s", "_left", "_per_s")

    def __init__(self, per_s: float, now_s: float) -> None:
        self._per_s = per_s
        self._left = max(per_s, 1.0)
        self._at_s = now_s

    def allows(self, now_s: float) -> bool:
        """Say whether one more may pass, and count it if so."""
        self._left = min(max(self._per_s, 1.0), self._left + self._per_s * max(0.0, now_s - self._at_s))
        self._at_s = now_s
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True


class Rates:
    """The limits of every source, of every box (as many there are keys), and of all together."""

    def __init__(self, *, per_source_hz: float, total_hz: float, sources_max: int, now_s: float) -> None:
        self._per_source_hz = per_source_hz
        self._sources_max = sources_max
        self._total = Rate(total_hz, now_s)
        self._sources: OrderedDict[str, Rate] = OrderedDict()
        self._boxes: dict[int, Rate] = {}

    def allows(self, source: str, box: int, now_s: float) -> bool:
        """Say whether this source gets one more for this box, and count it if so."""
        rate = self._sources.get(source)
        if rate is None:
            rate = self._sources[source] = Rate(self._per_source_hz, now_s)
            if len(self._sources) > self._sources_max:
                self._sources.popitem(last=False)
        else:
            self._sources.move_to_end(source)
        of_box = self._boxes.get(box) or self._boxes.setdefault(box, Rate(self._per_source_hz, now_s))
        return rate.allows(now_s) and of_box.allows(now_s) and self._total.allows(now_s)

    def __len__(self) -> int:
        return len(self._sources)


def source_of(host: str) -> str:
    """Return what counts as one source.

    >>> source_of("192.0.2.7"), source_of("::ffff:192.0.2.7"), source_of("2001:db8:1:2:3::4%eth0")
    ('192.0.2.7', '::ffff:192.0.2.7', '2001:db8:1:2::')
    """
    if ":" not in host or host.startswith("::ffff:"):
        return host
    address = ip_address(host.partition("%")[0])
    return str(IPv6Address(int(address) >> 64 << 64))
