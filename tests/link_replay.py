"""A downlink, its senders, a call and the box's own steering, replayed by the millisecond: no socket, no waiting.

What runs is the real `Steering`; only the kernel and the world are played. The link lets so many bytes pass in each
millisecond and drops what finds its queue full. Senders are TCP (slow start from 10 segments, SACK, Eifel after a
timeout that was none) that send whole segments into the window they were offered. The box acknowledges as Linux does:
every second segment, at the latest after 40 ms, and when a read opens the window by two; its round trip is the kernel's
(RFC 7323 time stamps in ms; a shorter one counts at once, a longer one an eighth, if nothing is unread). The
application reads as the web room does: it stops taking from the kernel when more than two reads wait, and waits its
turn between pieces.

Source: Linux net/ipv4/tcp_input.c (tcp_rcv_rtt_update, __tcp_ack_snd_check), tcp_output.c (__tcp_select_window).
"""

import asyncio
from collections import deque
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from math import exp, sqrt
from pathlib import Path
from random import Random
from time import perf_counter
from typing import Any

from gateway.backhaul.budgets import BUDGET_EVERY_S, CALL_WANTS_BPS, CallBudgets
from gateway.backhaul.flow import PACKET_BYTES, Flow
from gateway.backhaul.sensing.control import Controller, Limits, Pace
from gateway.backhaul.sensing.flows import (
    CHANGE_BYTES_MIN,
    CHANGE_RATIO_MIN,
    SETTLED_TIMES,
    Flows,
)
from gateway.backhaul.sensing.samples import FULL_BYTES, CounterSample, DelaySample, FlowSample, Sees, Way
from gateway.backhaul.shaping.window import SEGMENTS_MIN
from gateway.backhaul.sharing.classes import TrafficClass
from gateway.backhaul.sharing.policy import Policy
from gateway.backhaul.steering import IDLE_AFTER_S, IDLE_TICK_S, TICK_S, Steering
from tests.clocks import HandClock

ACK_BYTES = 52
FIRST_SEGMENTS = 10  # RFC 6928
ACK_LATE_MS = 40  # TCP_DELACK_MIN
QUICK_SEGMENTS = 16  # the first ones are acknowledged at once (TCP_MAX_QUICKACKS)
TIMEOUT_MS = 200  # TCP_RTO_MIN
READ_AHEAD_BYTES = 5_792  # of `gateway.web`: more than that waiting, and nothing is taken from the kernel
VOICE_BYTES, VOICE_MS = 100, 20
VOICE_BPS = VOICE_BYTES * 8_000 // VOICE_MS
FRAME_MS, FRAME_PACKET_BYTES = 33, 1_200
ECHO_BYTES = 52
BIN_MS = 100
UP_MS = 20  # one way up
CALL = 0  # the number of the call's share


@dataclass(frozen=True, slots=True)
class Asked:
    """A download: when it is asked for, when it is broken off, and how long it is; `None`: it has no end."""

    starts_s: float = 0.0
    ends_s: float | None = None
    size_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class World:
    """What is replayed; `carries` is the bytes that may pass in each millisecond."""

    carries: Sequence[float]
    asked: tuple[Asked, ...] = ()
    call_bps: int = 500_000
    start_bps: int = 1_000_000
    delays_ms: tuple[tuple[float, int], ...] = ((0.0, 20),)  # one way down, from this second on
    queue_bytes: int = 512 * 1024
    echo_ms: int | None = None  # between two echoes of a far end
    drift_ppm: float = 0.0  # of the far end's clock
    follows: bool = False  # the call's picture keeps to the budget, a round trip later


@dataclass(slots=True)
class Seen:
    """What a replay showed."""

    could_bytes: list[float]  # by `BIN_MS`
    passed_bytes: list[int]
    call_ms: list[tuple[int, int]] = field(default_factory=list)  # when a packet left the queue, and its wait in it
    call_lost: int = 0
    read_bytes: dict[int, int] = field(default_factory=dict)  # by download
    done_s: dict[int, float] = field(default_factory=dict)
    paces: list[tuple[float, Pace]] = field(default_factory=list)  # at each tick
    budgets_bps: list[int] = field(default_factory=list)  # of the call, at each of its steps

    def waits_ms(self, from_s: float = 0.0, to_s: float = float("inf"), share: float = 0.95) -> int:
        """Return how long the call's packets waited that left within a time, at a quantile."""
        waits = sorted(wait for at_ms, wait in self.call_ms if from_s <= at_ms / 1000 < to_s)
        return waits[min(int(share * len(waits)), len(waits) - 1)] if waits else 0

    def use(self, from_s: float = 0.0, to_s: float | None = None) -> float:
        """Return which part of what could pass did."""
        begin, end = round(from_s * 1000 / BIN_MS), None if to_s is None else round(to_s * 1000 / BIN_MS)
        return sum(self.passed_bytes[begin:end]) / (sum(self.could_bytes[begin:end]) or 1.0)


class Download:
    """One connection: its sender far away, the kernel's end of it here, and whoever reads from that."""

    def __init__(self, number: int, asked: Asked, flow: Flow) -> None:
        self.number, self.flow = number, flow
        self.asked_ms = round(asked.starts_s * 1000)
        self.broken_ms = None if asked.ends_s is None else round(asked.ends_s * 1000)
        self.segments = 1 << 40 if asked.size_bytes is None else -(-asked.size_bytes // FULL_BYTES)
        # the sender's
        self.sent = self.acknowledged = self.edge = 0  # in segments; `edge`: what the window lets go
        self.congestion, self.threshold = float(FIRST_SEGMENTS), 1e9
        self.lost: list[int] = []
        self.recovers_to = 0
        self.before_timeout: tuple[float, float] | None = None
        self.timeout_at_ms, self.timeout_ms = 1 << 60, 1_000  # RFC 6298 §2
        self.clocked: tuple[int, int] | None = None  # a segment whose round trip is measured, and when it went
        self.round_ms = 0.0
        self.stamp_ms = 0  # the newest it has heard
        # the kernel's
        self.came = self.offered = self.segments_in = self.unanswered = 0
        self.early: set[int] = set()  # came before their turn
        self.answer_at_ms: int | None = None
        self.echoed_ms = -1
        self.smoothed_us = 0  # eight times
        self.shook_ms: int | None = None
        self.window_bytes = self.room_bytes = SEGMENTS_MIN * FULL_BYTES
        self.unread_bytes = 0
        # the reader's
        self.ahead_bytes = self.read_bytes = 0
        self.waits: Coroutine[Any, Any, None] | None = None
        self.until: Any = None


class PlayedFlows(Flows):
    """The box's connections, as the replay has them."""

    def __init__(self, clock: HandClock) -> None:
        super().__init__(clock, marks=False)
        self._now = clock
        self.downloads: dict[int, Download] = {}

    def sample(self, flows: Iterable[int] | None = None) -> list[FlowSample]:
        """Return what the kernel would say."""
        return [
            FlowSample(
                at_s=self._now.now,
                flow=each.number,
                peer="192.0.2.1",
                received_bytes=each.came * FULL_BYTES,
                acked_bytes=0,
                unread_bytes=each.unread_bytes,
                offered_bytes=max(each.offered - each.came, 0) * FULL_BYTES,
                unsent_bytes=0,
                rcv_rtt_s=(each.smoothed_us >> 3) * 1e-6 or None,
                rtt_s=None,
                min_rtt_s=each.shook_ms / 1000,
                segments_in=each.segments_in,
                segments_out=0,
                retransmitted=0,
            )
            for each in map(self.downloads.get, self.downloads if flows is None else flows)
            if each is not None and each.shook_ms is not None
        ]

    def clamp(self, flow: int, window_bytes: int | None, *, tight: bool = False) -> None:
        """Let a sender have only so much in flight; what is offered changes with the next acknowledgement."""
        download = self.downloads.get(flow)
        if download is None or window_bytes is None:
            return
        changed_bytes = abs(window_bytes - download.window_bytes)
        if changed_bytes >= max(CHANGE_BYTES_MIN, download.window_bytes * CHANGE_RATIO_MIN):
            download.window_bytes = window_bytes
        settled = download.came * FULL_BYTES >= SETTLED_TIMES * download.window_bytes
        if tight:
            download.room_bytes = download.window_bytes
        else:
            download.room_bytes = max(download.room_bytes, download.window_bytes * (2 if settled else 1))

    def pace_up(self, flow: int, rate_bps: int | None) -> None:
        """Do nothing: nothing is sent but acknowledgements."""


_Packet = tuple[int, int, Download | None, int, int]  # size, queued at, whose, which segment, time stamp echoed
_CALL, _ECHO, _SHAKE = -1, -2, -3  # in place of a segment


class Replay:
    """Plays a world; once."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.clock = HandClock(now=1_000.0)
        self.flows = PlayedFlows(self.clock)
        self.down_bytes = self.up_bytes = 0
        self.steering = Steering(
            self.clock,
            self.flows,
            counters=lambda: CounterSample(self.clock.now, self.down_bytes, self.up_bytes),
            policy=Policy(),
            told=None,
            measures=True,
            call_wants_bps=max(world.call_bps, 1),
        )
        down = self.steering.measuring._ways[Way.DOWN]
        down.controller = Controller(Limits(start_bps=world.start_bps))  # nobody else may choose where it starts
        self.budgets = CallBudgets(self.clock, self.steering, CALL_WANTS_BPS, on_change=lambda: None)
        could = [sum(world.carries[begin : begin + BIN_MS]) for begin in range(0, len(world.carries), BIN_MS)]
        self.seen = Seen(could, [0] * len(could))
        self._delays = deque((round(at_s * 1000), delay) for at_s, delay in world.delays_ms)
        self._delay_ms = 20
        self._queue: deque[_Packet] = deque()
        self._queue_bytes = 0
        self._credit_bytes = 0.0
        self._down: deque[tuple[int, _Packet]] = deque()
        self._up: deque[tuple[int, Download, int, int, int, bool]] = deque()
        self._late: deque[tuple[int, Download]] = deque()
        self._to_ask = deque(sorted(enumerate(world.asked, start=1), key=lambda each: each[1].starts_s))
        self._waiting: list[Download] = []
        self._call: Flow | None = None
        self._ticks_at_ms = self._budgets_at_ms = 0
        self._moved_ms = 0
        self._frames_due_bytes = 0.0
        self._picture_bps = world.call_bps

    def run(self) -> Seen:
        """Return what is seen while it is played."""

        async def play() -> None:  # turns want a loop that runs, though nothing here waits for it
            for now_ms, carries in enumerate(self.world.carries):
                self.clock.now = 1_000.0 + now_ms / 1000
                self._step(now_ms, carries)
            for each in self._waiting:
                if each.waits is not None:
                    each.waits.close()

        asyncio.run(play())
        return self.seen

    def _step(self, now_ms: int, carries: float) -> None:
        while self._delays and self._delays[0][0] <= now_ms:
            self._delay_ms = self._delays.popleft()[1]
        while self._up and self._up[0][0] <= now_ms:
            self._acknowledge(now_ms, *self._up.popleft()[1:])
        while self._to_ask and self._to_ask[0][1].starts_s * 1000 <= now_ms:
            self._ask(now_ms, *self._to_ask.popleft())
        self._play_call(now_ms)
        self._serve(now_ms, carries)
        while self._down and self._down[0][0] <= now_ms:
            self._receive(now_ms, self._down.popleft()[1])
        while self._late and self._late[0][0] <= now_ms:
            due_ms, download = self._late.popleft()
            if download.answer_at_ms == due_ms:
                self._answer(now_ms, download)
        if now_ms >= self._ticks_at_ms:
            self._tick(now_ms)
        self._go_on(now_ms)

    # far away

    def _send(self, now_ms: int, size_bytes: int, whose: Download | None, segment: int, stamp_ms: int) -> None:
        if self._queue_bytes + size_bytes <= self.world.queue_bytes:
            self._queue.append((size_bytes, now_ms, whose, segment, stamp_ms))
            self._queue_bytes += size_bytes
        elif segment == _CALL:
            self.seen.call_lost += 1
        elif whose is not None and segment >= 0:
            whose.lost.append(segment)

    def _send_more(self, now_ms: int, download: Download) -> None:
        while (
            download.sent < min(download.edge, download.segments)
            and download.sent - download.acknowledged < download.congestion
        ):
            self._send(now_ms, PACKET_BYTES, download, download.sent, download.stamp_ms)
            if download.clocked is None:
                download.clocked = download.sent, now_ms
            download.sent += 1
        if download.timeout_at_ms == 1 << 60 and download.sent > download.acknowledged:
            download.timeout_at_ms = now_ms + download.timeout_ms

    def _acknowledge(self, now_ms: int, download: Download, came: int, edge: int, stamp_ms: int, gap: bool) -> None:
        if came == _SHAKE:
            self._send(now_ms, 60, download, _SHAKE, stamp_ms)
            return
        fresh = came - download.acknowledged
        flight = download.sent - download.acknowledged
        download.edge, download.stamp_ms = max(download.edge, edge), stamp_ms
        if fresh > 0:
            download.acknowledged = came
            if download.before_timeout is not None and not download.lost:
                download.congestion, download.threshold = download.before_timeout  # RFC 4015: it was late, not lost
            download.before_timeout = None
            if download.congestion < download.threshold and flight * 2 >= download.congestion:
                download.congestion += fresh
            elif flight >= download.congestion - 1:
                download.congestion += fresh / download.congestion
            if download.clocked is not None and came > download.clocked[0]:
                sample_ms, download.clocked = now_ms - download.clocked[1], None
                download.round_ms += (sample_ms - download.round_ms) / 4 if download.round_ms else sample_ms
            download.timeout_ms = TIMEOUT_MS + int(1.5 * download.round_ms)
            download.timeout_at_ms = now_ms + download.timeout_ms if download.sent > came else 1 << 60
        if download.lost and (gap or came < download.recovers_to):
            self._mend(now_ms, download)
        self._send_more(now_ms, download)

    def _mend(self, now_ms: int, download: Download) -> None:
        """Send again what later segments have overtaken, two with each acknowledgement."""
        overtaken = max(max(download.early, default=0) - 2, download.recovers_to)
        known = [each for each in download.lost if each < overtaken][:2]
        if not known:
            return
        if download.acknowledged >= download.recovers_to:
            download.recovers_to = download.sent
            download.congestion = download.threshold = max(download.congestion / 2, 2.0)
        for each in known:
            download.lost.remove(each)
            self._send(now_ms, PACKET_BYTES, download, each, download.stamp_ms)

    def _time_out(self, now_ms: int, download: Download) -> None:
        if download.before_timeout is None:
            download.before_timeout = download.congestion, download.threshold
        download.threshold, download.congestion = max(download.congestion / 2, 2.0), 1.0
        download.clocked = None  # Karn
        download.recovers_to = download.sent
        again = download.lost.pop(0) if download.lost else download.acknowledged
        self._send(now_ms, PACKET_BYTES, download, again, download.stamp_ms)
        download.timeout_ms *= 2
        download.timeout_at_ms = now_ms + download.timeout_ms

    def _play_call(self, now_ms: int) -> None:
        if self.world.echo_ms and now_ms % self.world.echo_ms == 0:
            self._send(now_ms, ECHO_BYTES, None, _ECHO, 0)
        if not self.world.call_bps:
            return
        if self._call is None:
            self._call = Flow(TrafficClass.REALTIME, "", "10.1.2.3")
            self.steering.opened(CALL, self._call)
        if now_ms % VOICE_MS == 0:
            self._send(now_ms, VOICE_BYTES, None, _CALL, 0)
        if now_ms % FRAME_MS == 0:
            self._frames_due_bytes += self._picture_bps / 8000 * FRAME_MS
            while self._frames_due_bytes > 0:
                size_bytes = int(min(max(self._frames_due_bytes, 100), FRAME_PACKET_BYTES))
                self._frames_due_bytes -= size_bytes
                self._send(now_ms, size_bytes, None, _CALL, 0)

    def _serve(self, now_ms: int, carries: float) -> None:
        queue = self._queue
        self._credit_bytes += carries
        while queue and queue[0][0] <= self._credit_bytes:
            packet = queue.popleft()
            self._queue_bytes -= packet[0]
            self._credit_bytes -= packet[0]
            self.seen.passed_bytes[now_ms // BIN_MS] += packet[0]
            if packet[3] == _CALL:
                self.seen.call_ms.append((now_ms, now_ms - packet[1]))
            arrives_ms = now_ms + self._delay_ms
            self._down.append((max(arrives_ms, self._down[-1][0]) if self._down else arrives_ms, packet))
        if not queue:
            self._credit_bytes = 0.0

    # here

    def _ask(self, now_ms: int, number: int, asked: Asked) -> None:
        flow = Flow(TrafficClass.WEB, "", f"10.0.0.{number % 250 + 1}")
        download = self.flows.downloads[number] = Download(number, asked, flow)
        self.steering.opened(number, flow)
        self._moved_ms = now_ms
        self._ticks_at_ms = min(self._ticks_at_ms, now_ms + 1)
        first_bytes = self.flows.first_window_bytes() or FIRST_SEGMENTS * FULL_BYTES
        download.window_bytes = download.room_bytes = max(first_bytes, SEGMENTS_MIN * FULL_BYTES)
        self._up.append((now_ms + UP_MS, download, _SHAKE, 0, now_ms, False))

    def _receive(self, now_ms: int, packet: _Packet) -> None:
        size_bytes, sent_ms, download, segment, stamp_ms = packet
        self.down_bytes += size_bytes
        self._moved_ms = now_ms
        if segment == _CALL:
            if self._call is not None:
                self._call.counted(size_bytes - 40, 0)
        elif segment == _ECHO:
            told_s = (now_ms - sent_ms) / 1000 + 77.0 + now_ms / 1000 * self.world.drift_ppm * 1e-6
            self.steering.measuring.hear([DelaySample(self.clock.now, told_s, "echo", Sees.DOWN)])
        elif download is None or download.number not in self.flows.downloads:
            return
        elif segment == _SHAKE:
            download.shook_ms = now_ms - stamp_ms
            self._answer(now_ms, download)  # and asks
        else:
            self._take_segment(now_ms, download, segment, stamp_ms)

    def _take_segment(self, now_ms: int, download: Download, segment: int, stamp_ms: int) -> None:
        download.segments_in += 1
        if stamp_ms != download.echoed_ms:
            download.echoed_ms = stamp_ms
            sample_us = max(now_ms - stamp_ms, 1) * 1000
            smoothed_us = download.smoothed_us
            if not smoothed_us or sample_us << 3 < smoothed_us:
                download.smoothed_us = sample_us << 3
            elif not download.unread_bytes:
                download.smoothed_us = smoothed_us + sample_us - (smoothed_us >> 3)
        if segment >= download.came:
            download.early.add(segment)
        before = download.came
        while download.came in download.early:
            download.early.remove(download.came)
            download.came += 1
            download.unread_bytes += FULL_BYTES
        download.unanswered += 1
        self._read(now_ms, download)
        at_once = download.came == before or download.early or download.came <= QUICK_SEGMENTS
        opens = self._edge(download) - download.came >= download.offered - before
        if at_once or (download.unanswered >= 2 and opens):
            self._answer(now_ms, download)
        elif download.unanswered and download.answer_at_ms is None:
            download.answer_at_ms = now_ms + ACK_LATE_MS
            self._late.append((download.answer_at_ms, download))

    @staticmethod
    def _edge(download: Download) -> int:
        free_bytes = min(download.window_bytes, download.room_bytes - download.unread_bytes)
        return max(download.offered, download.came + max(free_bytes, 0) // FULL_BYTES)

    def _answer(self, now_ms: int, download: Download) -> None:
        download.offered = self._edge(download)
        download.unanswered, download.answer_at_ms = 0, None
        self.up_bytes += ACK_BYTES
        self._up.append((now_ms + UP_MS, download, download.came, download.offered, now_ms, bool(download.early)))

    def _read(self, now_ms: int, download: Download) -> None:
        """Take from the kernel what fits, and hand it on, a piece at a turn."""
        while True:
            held = download.waits is not None and self.steering.holds_reading(download.number)
            if download.unread_bytes and download.ahead_bytes <= READ_AHEAD_BYTES and not held:
                download.ahead_bytes += download.unread_bytes
                download.unread_bytes = 0
                opens = self._edge(download) - download.offered
                if download.unanswered >= 2 or opens >= 2 or (opens and download.offered == download.came):
                    self._answer(now_ms, download)
            if download.waits is not None or not download.ahead_bytes:
                return
            size_bytes, download.ahead_bytes = download.ahead_bytes, 0
            download.read_bytes += size_bytes
            self.seen.read_bytes[download.number] = download.read_bytes
            download.flow.counted(size_bytes, 0)
            download.waits = self.steering.take_down(download.number, size_bytes)
            if not self._waited(download):
                self._waiting.append(download)

    @staticmethod
    def _waited(download: Download) -> bool:
        """Say whether its turn has come."""
        assert download.waits is not None
        if download.until is not None and not download.until.done():
            return False
        try:
            download.until = download.waits.send(None)
        except StopIteration:
            download.waits = download.until = None
            return True
        return False

    def _go_on(self, now_ms: int) -> None:
        for download in tuple(self._waiting):
            if self._waited(download):
                self._waiting.remove(download)
                self._read(now_ms, download)

    def _tick(self, now_ms: int) -> None:
        idle = now_ms - self._moved_ms > IDLE_AFTER_S * 1000
        self._ticks_at_ms = now_ms + round((IDLE_TICK_S if idle else TICK_S) * 1000)
        if self.steering.open:
            self.steering.tick()
            at_s = now_ms / 1000
            self.seen.paces.append((at_s, self.steering.measuring.pace(Way.DOWN)))
        if self._call is not None and now_ms >= self._budgets_at_ms:
            self._budgets_at_ms = now_ms + round(BUDGET_EVERY_S * 1000)
            self.budgets._step(1)
            budget_bps = self.budgets.each().down_bps
            self.seen.budgets_bps.append(budget_bps)
            if self.world.follows:
                self._picture_bps = min(max(budget_bps - VOICE_BPS, 0), self.world.call_bps)
        for download in tuple(self.flows.downloads.values()):
            if now_ms >= download.timeout_at_ms:
                self._time_out(now_ms, download)
            done = download.read_bytes >= download.segments * FULL_BYTES
            if done or (download.broken_ms is not None and now_ms >= download.broken_ms):
                self._close(now_ms, download)

    def _close(self, now_ms: int, download: Download) -> None:
        del self.flows.downloads[download.number]
        self.steering.closed(download.number)
        self.seen.done_s[download.number] = (now_ms - download.asked_ms) / 1000
        if download in self._waiting:
            self._waiting.remove(download)
        if download.waits is not None:
            download.waits.close()


@cache
def alone(world: World) -> Seen:
    """Return what the call sees alone."""
    return Replay(replace(world, asked=())).run()


def excess_ms(seen: Seen, world: World, from_s: float = 0.0, to_s: float = float("inf"), share: float = 0.95) -> int:
    """Return how much longer the call's packets waited than the call's alone, at a quantile."""
    return seen.waits_ms(from_s, to_s, share) - alone(replace(world, asked=())).waits_ms(from_s, to_s, share)


def endless(count: int, starts_s: float = 0.0) -> tuple[Asked, ...]:
    """Return downloads without an end, that begin shortly one after another."""
    return tuple(Asked(starts_s + 0.007 * each) for each in range(count))


# what a link carries in each millisecond, in bytes


def steady(*parts: tuple[float, float]) -> tuple[float, ...]:
    """Return a link of so many bit/s, for so many seconds, and then the next."""
    return tuple(rate_bps / 8000 for rate_bps, seconds in parts for _ in range(round(seconds * 1000)))


def silent(carries: Sequence[float], *gaps_s: tuple[float, float]) -> tuple[float, ...]:
    """Return a link that carries nothing from a second on, for some seconds; what waits in it is held."""
    cut = list(carries)
    for from_s, for_s in gaps_s:
        begin, end = round(from_s * 1000), round((from_s + for_s) * 1000)
        cut[begin:end] = [0.0] * (min(end, len(cut)) - begin)
    return tuple(cut)


def radio(
    seed: int, seconds: float, median_bps: float, spread: float, kept: float, gaps: Iterable[tuple[float, int, int]]
) -> tuple[float, ...]:
    """Return a link like a radio: each 100 ms lognormal around a median and like the last one, packets at random.

    `kept` is how like (autocorrelation); `gaps` come so many a minute, each from so many to so many milliseconds.
    """
    random = Random(seed)
    carries = [0.0] * round(seconds * 1000)
    state = 0.0
    for begin in range(0, len(carries), 100):
        state = kept * state + sqrt(1 - kept * kept) * random.gauss(0.0, spread)
        for _ in range(round(median_bps * exp(state) / 8 * 0.1 / PACKET_BYTES)):
            carries[min(begin + random.randrange(100), len(carries) - 1)] += PACKET_BYTES
    for a_minute, least_ms, most_ms in gaps:
        for _ in range(round(a_minute * seconds / 60)):
            begin, length = random.randrange(len(carries)), random.randint(least_ms, most_ms)
            carries[begin : begin + length] = [0.0] * len(carries[begin : begin + length])
    return tuple(carries)


def stationary(seed: int, seconds: float) -> tuple[float, ...]:
    """Return a link like LTE at a fixed place: 7 Mbit/s, short gaps (figures of Cellular-Traces-NYC, home)."""
    return radio(seed, seconds, 6_800_000, 0.5, 0.55, ((20, 40, 100), (2, 100, 300)))


def driving(seed: int, seconds: float) -> tuple[float, ...]:
    """Return a link like LTE in a car: 4.6 Mbit/s, gaps up to a second (figures of Mahimahi's AT&T drive)."""
    return radio(seed, seconds, 3_300_000, 0.9, 0.85, ((60, 40, 100), (26, 100, 300), (6, 300, 1000)))


def recorded(path: Path, seconds: float, from_s: float = 0.0) -> tuple[float, ...]:
    """Return a stretch of a Mahimahi trace; it begins anew where it ends."""
    moments_ms = [int(line) for line in path.read_text(encoding="ascii").split()]
    lasts_ms = moments_ms[-1] + 1
    carries = [0.0] * lasts_ms
    for each in moments_ms:
        carries[each] += PACKET_BYTES
    return tuple(carries[(round(from_s * 1000) + each) % lasts_ms] for each in range(round(seconds * 1000)))


def tick_cost_us(flows: int, seconds: float = 2.0) -> float:
    """Return how long a tick of the steering takes beside so many downloads, in µs of this machine."""
    replay = Replay(World(steady((10_000_000, seconds)), endless(flows)))
    tick, spent_s = replay.steering.tick, []

    def timed() -> None:
        began_s = perf_counter()
        tick()
        spent_s.append(perf_counter() - began_s)

    replay.steering.tick = timed  # type: ignore[method-assign]
    replay.run()
    return sorted(spent_s)[len(spent_s) // 2] * 1e6
