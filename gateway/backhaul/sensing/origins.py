"""The link's queue is on every path: what one origin shows beyond the others is its own, and slows nobody else. Pure.

A far server may stand behind a queue of its own, and a hostile one may make up any: its timestamps are its to choose,
and those of ours that it echoes may be old ones. So whoever shows clearly more than another one has shown a moment ago
is not heard, however many connections it has. Who is alone is believed: there is nobody to compare with.
"""

from collections.abc import Sequence

from gateway.backhaul.sensing.control import Heard
from gateway.backhaul.sensing.samples import DelaySample, Sees

MORE_S = 0.015  # ticks and zeros of clocks differ by less
SHOWN_S = 0.5  # what an origin showed so lately counts
ORIGINS_MAX = 256

Key = tuple[Sees, str]


class Origins:
    """Who tells of queues, and whom to believe."""

    def __init__(self) -> None:
        self._shown: dict[Key, tuple[float, float]] = {}  # when, and the least queue; the last heard stands last

    def __len__(self) -> int:
        return len(self._shown)

    def agreed(self, now_s: float, told: Sequence[tuple[DelaySample, Heard]]) -> list[tuple[Sees, Heard]]:
        """Take what a look brought; returns what the origins that are believed have told."""
        keys = [(sample.sees, origin_of(sample.path)) for sample, _ in told]
        least: dict[Key, float] = {}
        for key, (_, heard) in zip(keys, told, strict=True):
            least[key] = min(least.get(key, heard.queueing_s), heard.queueing_s)
        for key, queueing_s in least.items():
            self._shown.pop(key, None)
            self._shown[key] = now_s, queueing_s
        while len(self._shown) > ORIGINS_MAX:
            del self._shown[next(iter(self._shown))]
        believed = {key for key, queueing_s in least.items() if queueing_s <= self._others_s(key, now_s) + MORE_S}
        return [(key[0], heard) for key, (_, heard) in zip(keys, told, strict=True) if key in believed]

    def _others_s(self, key: Key, now_s: float) -> float:
        """Return the least that another origin has shown of the same direction lately."""
        others = (
            queueing_s
            for (sees, origin), (at_s, queueing_s) in self._shown.items()
            if sees is key[0] and origin != key[1] and now_s - at_s < SHOWN_S
        )
        return min(others, default=float("inf"))


def origin_of(path: str) -> str:
    """Return whose path it is: the flows of one far host have one voice.

    >>> origin_of("tcp:0a1b2c:17"), origin_of("echo:down:0"), origin_of("192.0.2.1")
    ('tcp:0a1b2c', 'echo', '192.0.2.1')
    """
    kind, _, rest = path.partition(":")
    return f"tcp:{rest.partition(':')[0]}" if kind == "tcp" else kind if kind == "echo" else path
