"""One direction of a link: what is offered now arrives later, or not at all. Pure: time is an argument.

A drop-tail queue, then service (at a constant rate or when a trace says), then random loss, then a constant delay.
While service is blocked (an outage) packets wait. Departures are computed, never slept for: asked late, the model gives
the same times, so a busy event loop delays packets a little but never changes the rate.

Datagrams that find the queue full are dropped. Segments of a flow (one direction of a TCP connection, which is
terminated on both sides of the link) are never lost: they wait outside until the queue has room, at most
`WINDOW_BYTES` of a flow inside it, flows taking turns; a lost one arrives a round trip later for each time it is lost,
and those behind it wait. Not modelled: acknowledgements, the bytes of retransmissions, slow start, reordering.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from math import inf
from typing import TYPE_CHECKING, Generic, NamedTuple, Protocol, TypeVar

from gateway.demo.trace import OPPORTUNITY_BYTES, Trace

if TYPE_CHECKING:
    from random import Random  # comes in as an argument

WINDOW_BYTES = 65_536  # of one flow in the queue: the largest window without scaling (RFC 9293 §3.1)
LOST_TIMES_MAX = 10  # of one segment; at 50 % loss one in a thousand
_LEFT_BYTES_MIN = 1e-6  # what rounding leaves of a packet

Item = TypeVar("Item")


class Service(Protocol):
    """When the packet at the head of the queue leaves it."""

    def serve(self, left_bytes: float, ready_s: float, until_s: float) -> tuple[float, float]:
        """Serve a packet that waits since `ready_s`, as far as it goes by `until_s`.

        Returns 0 and when it left, or what is left of it and when to ask again.
        """
        ...


class ConstantRate:
    """Serves at one rate."""

    def __init__(self, rate_bps: int, start_s: float) -> None:
        self._rate_bps = rate_bps
        self._free_s = start_s

    def serve(self, left_bytes: float, ready_s: float, until_s: float) -> tuple[float, float]:
        """Serve one packet as far as it goes by `until_s`."""
        begin_s = max(ready_s, self._free_s)
        end_s = begin_s + left_bytes * 8 / self._rate_bps
        if end_s <= until_s:
            self._free_s = end_s
            return 0.0, end_s
        if until_s > begin_s:  # what has left is settled, so that the rate may change now
            self._free_s = until_s
            left_bytes = max(left_bytes - (until_s - begin_s) * self._rate_bps / 8, _LEFT_BYTES_MIN)
        return left_bytes, end_s


class TraceRate:
    """Serves at the opportunities of a trace that begins at `start_s`."""

    def __init__(self, trace: Trace, start_s: float) -> None:
        self._trace = trace
        self._start_s = start_s
        self._next = 0
        self._now_s = -inf  # the opportunity in use
        self._granted_bytes = 0.0  # and what is left of it

    def serve(self, left_bytes: float, ready_s: float, until_s: float) -> tuple[float, float]:
        """Serve one packet as far as it goes by `until_s`."""
        while True:
            if ready_s <= self._now_s:  # only who was there may use what is left of an opportunity
                used_bytes = min(self._granted_bytes, left_bytes)
                self._granted_bytes -= used_bytes
                left_bytes -= used_bytes
                if left_bytes <= 0:
                    return 0.0, self._now_s
            self._granted_bytes = 0.0
            self._next = max(self._next, self._trace.first_from(ready_s - self._start_s))
            at_s = self._start_s + self._trace.time_s(self._next)
            if at_s > until_s:
                return left_bytes, at_s
            self._now_s, self._granted_bytes = at_s, OPPORTUNITY_BYTES
            self._next += 1


@dataclass(slots=True, eq=False)
class Flow(Generic[Item]):
    """One direction of a connection: in order, without loss."""

    resume: Callable[[], None]  # for whoever drives the model to call when nothing waits outside any more
    waiting: "deque[tuple[Item, int]]" = field(default_factory=deque)
    queued_bytes: int = 0
    last_s: float = -inf  # when the latest of its segments arrives
    in_turn: bool = False


class _Packet(NamedTuple, Generic[Item]):
    item: Item
    size_bytes: int
    ready_s: float
    flow: Flow[Item] | None


@dataclass(frozen=True, slots=True)
class Conditions:
    """What happens to a packet besides its service."""

    delay_s: float
    queue_bytes: int
    loss_ratio: float


@dataclass(frozen=True, slots=True)
class WayStatistics:
    """What one direction has done since the start, and what waits in it now."""

    carried_bytes: int
    carried_packets: int
    dropped_packets: int  # found the queue full
    lost_packets: int
    queue_bytes: int
    queue_delay_s: float  # how long the packet at the head has waited


class Bottleneck(Generic[Item]):
    """One direction of a link."""

    def __init__(self, service: Service, conditions: Conditions, random: "Random") -> None:
        self._service = service
        self._conditions = conditions
        self._random = random
        self._queue: deque[_Packet[Item]] = deque()
        self._queue_bytes = 0
        self._head_left_bytes = 0.0
        self._departs_s = inf
        self._blocked_until_s = -inf
        self._line: list[tuple[float, int, Item]] = []  # a heap: what has left the queue and not yet arrived
        self._line_last_s = -inf
        self._order = count()
        self._turns: deque[Flow[Item]] = deque()  # flows with a segment outside and room in their window
        self._outside = 0  # segments that wait outside
        self._drained: list[Flow[Item]] = []
        self._carried_bytes = self._carried_packets = self._dropped = self._lost = 0

    def offer(self, item: Item, size_bytes: int, now_s: float) -> bool:
        """Put a datagram into the queue; False when it was full."""
        self._advance(now_s)
        if self._queue_bytes + size_bytes > self._conditions.queue_bytes:
            self._dropped += 1
            return False
        self._enter(_Packet(item, size_bytes, now_s, None))
        self._advance(now_s)
        return True

    def offer_in_order(self, flow: Flow[Item], segments: Iterable[tuple[Item, int]], now_s: float) -> None:
        """Take a flow's segments; those that find no room wait outside."""
        self._advance(now_s)
        for segment in segments:
            flow.waiting.append(segment)
            self._outside += 1
        self._take_turns(flow)
        self._admit(now_s)
        self._advance(now_s)

    def abandon(self, flow: Flow[Item]) -> None:
        """Forget what a flow has waiting outside; what is in the queue still crosses."""
        self._outside -= len(flow.waiting)
        flow.waiting.clear()
        if flow.in_turn:
            self._turns.remove(flow)
            flow.in_turn = False

    def arrivals(self, now_s: float) -> list[Item]:
        """Return what has arrived by `now_s`, in the order of arrival."""
        self._advance(now_s)
        arrived: list[Item] = []
        while self._line and self._line[0][0] <= now_s:
            arrived.append(heappop(self._line)[2])
        return arrived

    def drained(self) -> list[Flow[Item]]:
        """Return the flows that have nothing outside any more, each once."""
        drained, self._drained = self._drained, []
        return [flow for flow in drained if not flow.waiting]

    def next_s(self) -> float:
        """Return when to ask again: before then nothing arrives, and nobody outside gets in."""
        arrives_s = self._line[0][0] if self._line else inf
        if not self._queue:
            return arrives_s
        departure_tells_s = self._departs_s if self._outside else self._departs_s + self._conditions.delay_s
        return min(arrives_s, departure_tells_s)

    def change(self, conditions: Conditions, service: Service | None, now_s: float) -> None:
        """Change what holds from now on; None keeps the service. What has left the queue arrives as it would have."""
        self._advance(now_s)
        self._conditions = conditions
        self._service = service or self._service
        self._admit(now_s)
        self._advance(now_s)

    def block(self, until_s: float, now_s: float) -> None:
        """Serve nothing before `until_s`; a time that has passed ends an outage."""
        self._advance(now_s)
        self._blocked_until_s = max(until_s, now_s)
        self._advance(now_s)

    def statistics(self, now_s: float) -> WayStatistics:
        """Return the counters, and what waits now."""
        self._advance(now_s)
        return WayStatistics(
            self._carried_bytes,
            self._carried_packets,
            self._dropped,
            self._lost,
            self._queue_bytes,
            now_s - self._queue[0].ready_s if self._queue else 0.0,
        )

    def _advance(self, now_s: float) -> None:
        """Let leave what leaves by `now_s`; who waits outside enters at that instant, not when we happened to ask."""
        while self._queue:
            head = self._queue[0]
            ready_s = max(head.ready_s, self._blocked_until_s)
            self._head_left_bytes, self._departs_s = self._service.serve(self._head_left_bytes, ready_s, now_s)
            if self._head_left_bytes > 0:
                return
            self._queue.popleft()
            self._queue_bytes -= head.size_bytes
            if self._queue:
                self._head_left_bytes = self._queue[0].size_bytes
            self._leave(head, self._departs_s)
            self._admit(self._departs_s)

    def _leave(self, packet: _Packet[Item], left_s: float) -> None:
        self._carried_bytes += packet.size_bytes
        self._carried_packets += 1
        arrives_s = self._line_last_s = max(left_s + self._conditions.delay_s, self._line_last_s)
        flow = packet.flow
        lost_times = self._lost_times(1 if flow is None else LOST_TIMES_MAX)
        self._lost += lost_times
        if flow is None:
            if lost_times:
                return
        else:
            flow.queued_bytes -= packet.size_bytes
            self._take_turns(flow)
            arrives_s = flow.last_s = max(arrives_s + lost_times * 2 * self._conditions.delay_s, flow.last_s)
        heappush(self._line, (arrives_s, next(self._order), packet.item))

    def _lost_times(self, times_max: int) -> int:
        times = 0
        while times < times_max and self._conditions.loss_ratio > self._random.random():
            times += 1
        return times

    def _admit(self, now_s: float) -> None:
        """Let segments in while there is room, one of each flow in turn."""
        while self._turns:
            flow = self._turns[0]
            item, size_bytes = flow.waiting[0]
            if self._queue and self._queue_bytes + size_bytes > self._conditions.queue_bytes:
                return
            self._turns.popleft()
            flow.in_turn = False
            flow.waiting.popleft()
            self._outside -= 1
            flow.queued_bytes += size_bytes
            self._enter(_Packet(item, size_bytes, now_s, flow))
            if not flow.waiting:
                self._drained.append(flow)
            self._take_turns(flow)

    def _take_turns(self, flow: Flow[Item]) -> None:
        if flow.waiting and not flow.in_turn and flow.queued_bytes < WINDOW_BYTES:
            flow.in_turn = True
            self._turns.append(flow)

    def _enter(self, packet: _Packet[Item]) -> None:
        if not self._queue:
            self._head_left_bytes = packet.size_bytes
        self._queue.append(packet)
        self._queue_bytes += packet.size_bytes
