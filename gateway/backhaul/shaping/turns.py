"""Who reads next, where the link's window is too small for every connection to have one of its own.

A connection has at least two segments in flight, or it stands still. Where all of them together would be more than what
may be under way, they take turns: a connection that is not read from fills its window and stops, and reading lets as
much come again. So a read goes when what it lets come fits into the window, and whoever had least for its share goes
first (start-time fair queueing). Where every connection has a window of its own, nobody waits here.

Source: P. Goyal, H. Vin, H. Cheng, "Start-time Fair Queuing", SIGCOMM 1996.
"""

import asyncio
import math
from collections import deque
from dataclasses import dataclass, field

RATE_BPS_MIN = 1_000
PACKET_BYTES_MAX = 1_500
PATIENCE_PLANS = 25  # without a turn: half a second
DEBT_PLANS_MAX = 250  # of the rate: what came unasked holds the others up for five seconds at most


@dataclass(slots=True)
class _Line:
    """Those who wait for one connection, and how much it had, for its share."""

    served_s: float
    rate_bps: int
    waiting: deque[tuple[int, asyncio.Future[None]]] = field(default_factory=deque)


class Turns:
    """Lets reads go one after another."""

    def __init__(self) -> None:
        self._lines: dict[int, _Line] = {}
        self._rates: dict[int, int] = {}
        self._window_bytes: float | None = None  # None: nobody waits
        self._coming_bytes = 0.0
        self._now_served_s = 0.0
        self._waited_plans = 0
        self._left_bytes = math.inf

    def plan(
        self,
        window_bytes: float | None,
        coming_bytes: float,
        rates: dict[int, int],
        more_bytes: float = math.inf,
        patience_plans: int = PATIENCE_PLANS,
        packet_bytes: int = PACKET_BYTES_MAX,
    ) -> None:
        """Take what may be under way in all, what is, and each flow's share of the rate, in bit/s.

        `more_bytes` may be let come until the next plan: where even one read at a time is too much, the rate counts,
        and no more than a packet is saved up.
        After so many plans without a turn, what is under way is taken for lost.
        """
        most_bytes = max(more_bytes, packet_bytes)  # all at once would be read at once, and then nobody
        left_bytes = max(self._left_bytes, -DEBT_PLANS_MAX * more_bytes) + more_bytes
        self._left_bytes = min(left_bytes, most_bytes) if more_bytes < math.inf else math.inf
        self._window_bytes = window_bytes
        self._coming_bytes = coming_bytes
        self._rates = rates
        for flow, line in self._lines.items():
            self._charge(line, self._rate_bps(flow))
        self._waited_plans += 1
        if self._waited_plans >= patience_plans:  # whose sender says nothing must not hold up the others
            self._coming_bytes = 0.0
        self._let_go()

    async def take(self, flow: int, size_bytes: int) -> None:
        """Return when the next read of a flow may go; this one let `size_bytes` come."""
        if self._window_bytes is None:
            return
        line = self._lines.get(flow)
        if line is None:
            line = self._lines[flow] = _Line(self._now_served_s, self._rate_bps(flow))
        mine = size_bytes, asyncio.get_running_loop().create_future()
        line.waiting.append(mine)
        self._let_go()
        try:
            await mine[1]
        finally:
            if mine in line.waiting:  # it was cancelled: whoever stands behind it must not wait for its turn
                line.waiting.remove(mine)
                self._let_go()

    def charge(self, size_bytes: int) -> None:
        """Take note that so much comes without a read: what a connection may be sent before it is read from."""
        self._left_bytes -= size_bytes

    def forget(self, flow: int) -> None:
        """Close a flow's line; whoever stands in it goes."""
        line = self._lines.pop(flow, None)
        for _, waiter in line.waiting if line else ():
            if not waiter.done():
                waiter.set_result(None)

    @property
    def anybody_waits(self) -> bool:
        """Whether somebody waits for a turn."""
        return any(line.waiting for line in self._lines.values())

    def waits(self, flow: int) -> bool:
        """Say whether somebody waits for this flow's turn."""
        line = self._lines.get(flow)
        return line is not None and bool(line.waiting)

    def _rate_bps(self, flow: int) -> int:
        return max(self._rates.get(flow, 0), RATE_BPS_MIN)

    def _charge(self, line: _Line, rate_bps: int) -> None:
        """Hold what a line has had against its rate of now: who rises, or has just come, does not stand for long."""
        ahead_s = line.served_s - self._now_served_s
        if rate_bps > line.rate_bps and ahead_s > 0:
            line.served_s = self._now_served_s + ahead_s * line.rate_bps / rate_bps
        line.rate_bps = rate_bps

    def _let_go(self) -> None:
        while (line := self._next()) is not None:
            size_bytes, waiter = line.waiting[0]
            window_bytes = self._window_bytes
            if window_bytes is not None and 0 < self._coming_bytes > window_bytes - size_bytes:
                return
            if window_bytes is not None and self._left_bytes <= 0:
                return
            line.waiting.popleft()
            if waiter.done():  # cancelled just now
                continue
            self._coming_bytes += size_bytes
            self._left_bytes -= size_bytes  # one that is larger leaves a debt
            self._waited_plans = 0
            self._now_served_s = line.served_s
            line.served_s += size_bytes * 8 / line.rate_bps
            waiter.set_result(None)

    def _next(self) -> _Line | None:
        waiting = [line for line in self._lines.values() if line.waiting]
        if not waiting:
            return None
        line = min(waiting, key=lambda each: each.served_s)
        line.served_s = max(line.served_s, self._now_served_s)
        return line
