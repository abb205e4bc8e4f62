"""What the link did in the last hour, day and month, for the page that draws it: never more memory, seldom written.

Fed once a second, whether anything crosses or not. It is a picture and not the account: bills are made of the ledger.
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import structlog

from gateway.backhaul.account.history_cells import LOOK_S_MAX, Cell, Sample, is_congested
from gateway.backhaul.account.history_file import DamagedError, Kept, read, write
from gateway.backhaul.account.history_rings import CELLS, Rings, Series, Span
from gateway.backhaul.account.history_time import OwnTime
from gateway.backhaul.sensing.state import LinkState
from gateway.clock import Clock

WRITE_EVERY_S = 1_800.0  # some 30 to 300 kB each: at most 15 MB a day on the card
_log = structlog.get_logger("backhaul")


@dataclass(frozen=True, slots=True)
class HistoryStatistics:
    """Seconds since the start: looked at, of them with the link down or degraded, and with packets waiting."""

    seen_s: float = 0.0
    down_s: float = 0.0
    degraded_s: float = 0.0
    congested_down_s: float = 0.0
    congested_up_s: float = 0.0


class History:
    """The link's past."""

    def __init__(self, clock: Clock, path: Path | None = None, *, write_every_s: float = WRITE_EVERY_S) -> None:
        self._clock = clock
        self._path = path
        self._write_every_s = write_every_s
        self._rings = Rings.made()
        self._time = OwnTime()
        self._statistics = HistoryStatistics()
        self._writing = asyncio.Lock()
        self.latest: Sample | None = None
        self.latest_lasted_s = 0.0

    async def start(self) -> None:
        """Go on from what was kept; a file that is damaged, or cannot be read, counts as none."""
        if self._path is None:
            return
        try:
            kept = await asyncio.to_thread(read, self._path)
        except DamagedError:
            _log.warning("history.begins_anew")
            return
        if kept is not None:
            self._rings = Rings.made(kept.rows)
            self._time = OwnTime(kept.own_s, kept.ahead_s, goes_on=True)

    async def stop(self) -> None:
        """Write down what there is."""
        await self.save()

    async def run(self) -> None:
        """Write it down now and then; until cancelled."""
        while True:
            await asyncio.sleep(self._write_every_s)
            await self.save()

    async def save(self) -> None:
        """Write it down now; where that fails, the next time may not."""
        if self._path is None or self.latest is None:
            return
        async with self._writing:
            rows = {span: ring.snapshot() for span, ring in self._rings.rings.items()}
            kept = Kept(self._time.own_s, self._time.ahead_s, rows)
            try:
                await asyncio.to_thread(write, self._path, kept)
            except OSError as exc:
                _log.warning("history.not_written", reason=exc.strerror)

    def add(self, sample: Sample) -> None:
        """Count a look; it stands for the time since the last one."""
        lasted_s = min(self._time.step(sample.at_s, self._clock.wall_s()), LOOK_S_MAX)
        self._rings.add(sample, self._time.own_s, lasted_s)
        self.latest, self.latest_lasted_s = sample, lasted_s
        before = self._statistics
        self._statistics = HistoryStatistics(
            before.seen_s + lasted_s,
            before.down_s + lasted_s * (sample.state is LinkState.DOWN),
            before.degraded_s + lasted_s * (sample.state is LinkState.DEGRADED),
            before.congested_down_s + lasted_s * is_congested(sample.figures.down),
            before.congested_up_s + lasted_s * is_congested(sample.figures.up),
        )

    def statistics(self) -> HistoryStatistics:
        """Return the seconds since the start."""
        return self._statistics

    def series(self, span: Span) -> Series:
        """Return a span; the hour without its open stretch, which `finished_since` tells once it is over."""
        return self._rings.rings[span].series(whole=span is not Span.HOUR)

    def last_finished(self) -> int:
        """Return the number of the hour's last stretch that is over."""
        return (self._rings.rings[Span.HOUR].open_slot or 0) - 1

    def finished_since(self, slot: int) -> list[Cell]:
        """Return the hour's stretches after this one that are over, at most an hour of them, the oldest first."""
        last = self.last_finished()
        first = max(slot + 1, last - CELLS[Span.HOUR] + 1, 0)
        found = (self._rings.rings[Span.HOUR].finished(each) for each in range(first, last + 1))
        return [each for each in found if each is not None]

    def ended_wall_s(self, series: Series) -> float | None:
        """Return the date at which a span ends, where it is known."""
        return self._time.wall_s(series.ended_s)
