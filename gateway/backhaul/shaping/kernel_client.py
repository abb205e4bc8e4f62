"""The box's side of the shaper: it says the latest rates to a process that may change the kernel's queues.

Without that process nothing of the box changes: it goes on, and says in words what it cannot do. The rates are said
again while nothing moves, for the shaper takes everything away from a box that has fallen silent.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from gateway.backhaul.sensing.samples import Way
from gateway.backhaul.shaping.kernel import talk
from gateway.backhaul.shaping.kernel.plan import Parts
from gateway.backhaul.shaping.kernel.talk import LINE_BYTES_MAX, Misspoken, Order, Report, SaidPart, SaidRates
from gateway.backhaul.sharing.classes import TrafficClass
from gateway.clock import Clock
from gateway.errors import N_

BEAT_S = 2.0  # the counters are read this often, and the rates said again
MOVE_S_MIN = 0.02  # between two moves: fifty a second
AGAIN_S = 2.0  # between two tries to reach the shaper
ANSWER_S = 10.0  # building the tree takes a tenth of a second here (2026-11), far more on a small box
NOT_THERE = N_("Traffic that phones send past the proxy is not shaped: the shaper does not run (tambo shaper).")
_log = structlog.get_logger("backhaul")


@dataclass(frozen=True, slots=True)
class KernelRates:
    """What all traffic may take each way, the box's own included; `parts` None: as the shaper has them.

    `window_bytes` is what routed TCP may have under way down in all, in bytes of IP packets; None: as devices offer.
    """

    down_bps: int
    up_bps: int
    parts: Parts | None = None
    window_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Carried:
    """What one class has carried one way since the tree was built."""

    sent_bytes: int
    routed_bytes: int | None  # without the box's own traffic; None where the kernel cannot tell them apart
    drops: int
    backlog_bytes: int


@dataclass(frozen=True, slots=True)
class KernelStatus:
    """How the shaper stands. Counters begin anew with each `tree`."""

    reached: bool = False
    shaping: bool = False
    flows: int | None = None  # routed TCP flows that were sent something of late; None: their windows are not held
    queueing: str | None = None
    cannot: tuple[str, ...] = (NOT_THERE,)  # message ids; their places are in `values`
    values: Mapping[str, int | str] = field(default_factory=dict)
    at_s: float | None = None  # when the counters were read
    tree: int = 0
    carried: Mapping[Way, Mapping[TrafficClass, Carried]] = field(default_factory=dict)


class KernelShaper:
    """Says rates to the shaper at `path`, and knows how it stands."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._rates: KernelRates | None = None
        self._told = asyncio.Event()
        self._status = KernelStatus()

    def tell(self, rates: KernelRates) -> None:
        """Have the shaper move to these rates; the latest wins, and nothing waits."""
        if rates != self._rates:
            self._rates = rates
            self._told.set()

    def status(self) -> KernelStatus:
        """Return how things stand, at most `BEAT_S` old."""
        return self._status

    async def run(self) -> None:
        """Speak to the shaper for ever; where there is none, look for one again and again."""
        while True:
            try:
                await self._converse()
            except (OSError, ValueError, Misspoken) as exc:  # not there, gone, silent, or not our shaper
                if self._status.reached:
                    _log.warning("shaper.lost", reason=type(exc).__name__)
            finally:
                self._status = KernelStatus()
            await asyncio.sleep(AGAIN_S)

    async def _converse(self) -> None:
        reader, writer = await asyncio.open_unix_connection(self._path, limit=8 * LINE_BYTES_MAX)
        try:
            asked_s = float("-inf")
            while True:
                self._told.clear()
                now_s = self._clock.now_s()
                asks = now_s - asked_s >= BEAT_S
                asked_s = now_s if asks else asked_s
                await self._order(reader, writer, asks=asks)
                await asyncio.sleep(MOVE_S_MIN)
                try:
                    await asyncio.wait_for(self._told.wait(), BEAT_S)
                except TimeoutError:
                    continue
        finally:
            writer.close()

    async def _order(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, asks: bool) -> None:
        rates = None if self._rates is None else _said(self._rates)
        writer.write(talk.line_of(Order(rates=rates, status=asks)))
        async with asyncio.timeout(ANSWER_S):
            await writer.drain()
            line = await reader.readline()
        if not line:
            raise ConnectionResetError
        self._learn(talk.report_of(line), asked=asks)

    def _learn(self, report: Report, *, asked: bool) -> None:
        before = self._status
        carried = {Way.DOWN: _carried(report.down), Way.UP: _carried(report.up)} if asked else before.carried
        self._status = KernelStatus(
            reached=True,
            shaping=report.shaping,
            flows=report.flows,
            queueing=report.queueing,
            cannot=report.cannot,
            values=report.values,
            at_s=self._clock.now_s() if asked else before.at_s,
            tree=report.tree,
            carried=carried,
        )


def _said(rates: KernelRates) -> SaidRates:
    parts = None
    if rates.parts is not None:
        parts = {each: SaidPart(rate_ratio=it.rate_ratio, ceil_ratio=it.ceil_ratio) for each, it in rates.parts.items()}
    return SaidRates(down_bps=rates.down_bps, up_bps=rates.up_bps, parts=parts, window_bytes=rates.window_bytes)


def _carried(said: Mapping[TrafficClass, talk.SaidAccount]) -> dict[TrafficClass, Carried]:
    return {
        each: Carried(told.sent_bytes, told.routed_bytes, told.drops, told.backlog_bytes) for each, told in said.items()
    }
