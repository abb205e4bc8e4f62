"""What has crossed the link: what its interface has counted, and at least what the box itself has used. Pure.

The counter is the truth where the box's connections go by that interface: it has the headers, and what others carried.
Where they do not (an origin behind a tunnel, or on the village's own side), it stands still while bytes come, and a
rate taken from it would be next to nothing. A connection's bytes are noted a moment before or after the counter's, so
only what is missing beyond `AHEAD_BYTES_MAX` of what the counter was ahead is added.
"""

from gateway.backhaul.sensing.samples import CounterSample

AHEAD_BYTES_MAX = 262_144  # as much may wait, unread, in the kernel


class _OneWay:
    def __init__(self) -> None:
        self._seen_bytes = 0
        self._used_bytes = 0
        self._ahead_bytes = 0
        self.total_bytes = 0

    def feed(self, seen_bytes: int, used_bytes: int) -> int:
        seen, used = max(seen_bytes - self._seen_bytes, 0), max(used_bytes - self._used_bytes, 0)
        self._seen_bytes, self._used_bytes = seen_bytes, used_bytes
        ahead_bytes = self._ahead_bytes + seen - used
        self.total_bytes += seen + max(-ahead_bytes, 0)
        self._ahead_bytes = min(max(ahead_bytes, 0), AHEAD_BYTES_MAX)
        return self.total_bytes


class Crossed:
    """Both directions; what it returns never falls."""

    def __init__(self) -> None:
        self._down, self._up = _OneWay(), _OneWay()

    def feed(self, now_s: float, seen: CounterSample, used: CounterSample) -> CounterSample:
        """Return what has crossed, from what the interface has seen and what the box has used."""
        return CounterSample(
            now_s, self._down.feed(seen.down_bytes, used.down_bytes), self._up.feed(seen.up_bytes, used.up_bytes)
        )
