"""The link's queue is on every path: what one origin shows beyond the others is its own, and slows nobody else. Pure.

A far server may stand behind a queue of its own, and a hostile one may make up any: its timestamps are its to choose,
and those of ours that it echoes may be old ones. So each origin has one voice at a look, and one that keeps showing
more than somebody who has been heard for long is not heard for a minute. Who is alone is believed: there is nobody to
compare with. A round trip holds both directions' queues, so it bounds each of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import nsmallest

from gateway.backhaul.sensing.control import Heard
from gateway.backhaul.sensing.samples import DelaySample, Sees

MORE_S = 0.015  # ticks and zeros of clocks differ by less
MORE_FOR_S = 1.0  # a queue may be heard at one origin first
UNHEARD_S = 60.0
SHOWN_S = 0.5  # what an origin showed so lately counts
KNOWN_AFTER_S = 12.0  # till then an origin's base delay may be a queue's: the window is drawn in each 10 s
GONE_S = 30.0
ORIGINS_MAX = 256


@dataclass(slots=True)
class _Origin:
    since_s: float
    at_s: float
    queueing_s: float = 0.0
    passed_s: float = 0.0  # since it was heard before
    more_s: float = 0.0  # for how long it has shown more than others
    unheard_until_s: float = float("-inf")


Key = tuple[Sees, str]


class Origins:
    """Who tells of queues, and whom to believe."""

    def __init__(self) -> None:
        self._origins: dict[Key, _Origin] = {}  # the last heard stands last

    def __len__(self) -> int:
        return len(self._origins)

    def agreed(self, now_s: float, told: Sequence[tuple[DelaySample, Heard]]) -> list[tuple[Sees, Heard]]:
        """Take what a look brought; returns what the origins that are believed have told."""
        least: dict[Key, Heard] = {}
        keys = [(sample.sees, origin_of(sample.path)) for sample, _ in told]
        for key, (_, heard) in zip(keys, told, strict=True):
            if key not in least or heard.queueing_s < least[key].queueing_s:
                least[key] = heard
        for key, heard in least.items():
            self._hear(key, heard, now_s)
        quietest = {sees: self._quietest(sees, now_s) for sees in {sees for sees, _ in least}}
        believed = {key for key, heard in least.items() if self._believes(key, heard, quietest[key[0]], now_s)}
        return [(key[0], heard) for key, (_, heard) in zip(keys, told, strict=True) if key in believed]

    def _hear(self, key: Key, heard: Heard, now_s: float) -> None:
        origin = self._origins.pop(key, None) or _Origin(now_s, now_s)
        if now_s - origin.at_s > GONE_S:
            origin.since_s = now_s
        origin.passed_s = min(now_s - origin.at_s, SHOWN_S)
        origin.at_s, origin.queueing_s = now_s, heard.queueing_s
        self._origins[key] = origin
        if len(self._origins) > ORIGINS_MAX:
            del self._origins[next(iter(self._origins))]

    def _believes(self, key: Key, heard: Heard, quietest: list[tuple[float, Key]], now_s: float) -> bool:
        origin = self._origins.get(key)
        others_s = next((queueing_s for queueing_s, other in quietest if other != key), None)
        if origin is None or others_s is None:
            return True
        shows_more = heard.queueing_s > others_s + MORE_S
        origin.more_s = max(0.0, origin.more_s + (origin.passed_s if shows_more else -origin.passed_s / 2))
        if origin.more_s > MORE_FOR_S:
            origin.more_s, origin.unheard_until_s = 0.0, now_s + UNHEARD_S
        return now_s >= origin.unheard_until_s

    def _quietest(self, sees: Sees, now_s: float) -> list[tuple[float, Key]]:
        """Return the least two queues that origins show now, who have been heard for long and are believed."""
        shown = (
            (each.queueing_s, key)
            for key, each in self._origins.items()
            if key[0] in {sees, Sees.BOTH}
            and now_s - each.at_s <= SHOWN_S
            and each.at_s - each.since_s >= KNOWN_AFTER_S
            and now_s >= each.unheard_until_s
        )
        return nsmallest(2, shown)


def origin_of(path: str) -> str:
    """Return whose path it is: the flows of one far host have one voice.

    >>> origin_of("tcp:0a1b2c:17"), origin_of("echo:down:0"), origin_of("192.0.2.1")
    ('tcp:0a1b2c', 'echo', '192.0.2.1')
    """
    kind, _, rest = path.partition(":")
    return f"tcp:{rest.partition(':')[0]}" if kind == "tcp" else kind if kind == "echo" else path
