"""One direction of the emulated link in real time: the model decides when a packet arrives, one timer makes it so.

A packet is what is to be done when it arrives. One timer a direction, never a task a packet; one turn of it releases
all that is due.

Measured over real sockets (2026-11): rate within 0.05 % of what is set at 0.1–10 Mbit/s, a lone packet 1.3–1.6 ms late
(epoll counts whole milliseconds), 5–10 % of a core at 1–10 Mbit/s of TCP.
"""

import asyncio
from collections.abc import Callable, Iterable
from math import inf

from gateway.clock import Clock
from gateway.demo.bottleneck import Bottleneck, Conditions, Flow, Service, WayStatistics

Arrive = Callable[[], None]
TURN_S = 0.001  # shortest pause between two turns: a busy link wakes the loop a thousand times a second, not more


class Way:
    """One direction."""

    def __init__(self, clock: Clock, bottleneck: Bottleneck[Arrive]) -> None:
        self._clock = clock
        self._bottleneck = bottleneck
        self._timer: asyncio.TimerHandle | None = None
        self._timer_s = inf
        self._turned_s = -inf
        self._open = True

    def send(self, arrive: Arrive, size_bytes: int) -> None:
        """Send a datagram: `arrive` is called when it is there, or never."""
        if self._open:
            self._bottleneck.offer(arrive, size_bytes, self._clock.now_s())
            self._arm()

    def send_in_order(self, flow: Flow[Arrive], segments: Iterable[tuple[Arrive, int]]) -> None:
        """Send a flow's segments: each is called when it is there, in order."""
        if self._open:
            self._bottleneck.offer_in_order(flow, segments, self._clock.now_s())
            self._arm()

    def abandon(self, flow: Flow[Arrive]) -> None:
        """Forget what of a flow has not entered the link."""
        self._bottleneck.abandon(flow)

    def change(self, conditions: Conditions, service: Service | None) -> None:
        """Change what holds from now on."""
        self._bottleneck.change(conditions, service, self._clock.now_s())
        self._arm()

    def block(self, until_s: float) -> None:
        """Carry nothing before `until_s`."""
        self._bottleneck.block(until_s, self._clock.now_s())
        self._arm()

    def statistics(self) -> WayStatistics:
        """Return the counters, and what waits now."""
        return self._bottleneck.statistics(self._clock.now_s())

    def close(self) -> None:
        """Carry nothing any more."""
        self._open = False
        if self._timer is not None:
            self._timer.cancel()

    def _turn(self) -> None:
        self._timer, self._timer_s = None, inf
        self._turned_s = now_s = self._clock.now_s()
        for arrive in self._bottleneck.arrivals(now_s):
            arrive()
        self._arm()

    def _arm(self) -> None:
        """See to it that the timer rings when the next thing happens, and call back the flows that may send again."""
        for flow in self._bottleneck.drained():
            flow.resume()
        at_s = max(self._bottleneck.next_s(), self._turned_s + TURN_S)
        if not self._open or at_s >= self._timer_s:
            return
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._timer_s = at_s
        self._timer = loop.call_at(loop.time() + at_s - self._clock.now_s(), self._turn)
