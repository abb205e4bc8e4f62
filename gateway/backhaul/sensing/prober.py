"""Asks the far end how long the link takes, only while it is told to, and never for more than the budget bears.

An idle link costs nothing: without `listen` nothing is sent. Who does not answer (a filter, a carrier's NAT, a far end
that is off) is asked ever more seldom. Lost probes tell nothing of a direction: they count for the round trip. Sending
and hearing have no wake-ups of their own, which would cost more than all else: whoever looks at the link anyway calls
`tick`, and the kernel has noted when each answer came.
"""

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass

from gateway.backhaul.sensing.probe_ledger import ProbeLedger
from gateway.backhaul.sensing.samples import DelaySample
from gateway.backhaul.sensing.stamps import ANCILLARY_BYTES, LATE_NS, age_ns, note_arrivals, raw_us, wall_ns
from gateway.backhaul.sensing.wires import Forbidden, Sent, Wire
from gateway.clock import Clock

RATE_HZ_MAX = 50.0
LOST_AFTER_S = 10.0  # on a driven 3G link an answer took up to 7 s (bench, 2026-11)
UNDER_WAY_MAX = 512  # 50 a second for `LOST_AFTER_S`
DOUBT_AFTER_S = 1.0  # without any answer: from here on a few are enough
DOUBT_HZ = 2.0
UNREACHABLE_PROBES = 10  # without any answer within `LOST_AFTER_S`
PAUSE_S, PAUSE_S_MAX = 2.0, 600.0  # between tries, doubled each time
TRIES = 3  # probes of one try,
TRY_S = 3.0  # and how long they are waited for
BATCH_MAX = 64
EARLY_S = 0.005  # a quarter of a tick of 20 ms: rather a little early than a tick late


@dataclass(frozen=True, slots=True)
class ProbeStatistics:
    """What was asked and answered since the start; `reachable` is `None` until it is known."""

    sent: int
    answered: int
    lost: int
    refused: int  # not an answer to anything asked
    spent_bytes: int
    rate_hz: float  # borne now
    reachable: bool | None
    round_trip_s: float | None  # the last
    trouble: str | None  # a message id: why probing is not possible at all


class Prober:
    """Probes over one wire; `configure` is given each new socket (a mark for the box's own shaper, an interface)."""

    def __init__(
        self,
        wire: Wire,
        ledger: ProbeLedger,
        clock: Clock,
        on_sample: Callable[[DelaySample], None],
        *,
        configure: Callable[[socket.socket], None] | None = None,
    ) -> None:
        self._wire = wire
        self._ledger = ledger
        self._clock = clock
        self._on_sample = on_sample
        self._configure = configure
        self._socket: socket.socket | None = None
        self._attend = asyncio.Event()  # there is something to do that takes its time
        self._asked_hz = 0.0
        self._under_way: dict[int, Sent] = {}
        self._sequence = 0
        self._due_s = float("-inf")  # when the last probe was
        self._looked_us = raw_us()  # for answers
        self._counts = dict.fromkeys(("sent", "answered", "lost", "refused", "spent"), 0)
        self._unanswered = 0  # since the last answer
        self._silent_since_s = 0.0
        self._pause_s = PAUSE_S
        self._next_try_s = float("-inf")
        self._reachable: bool | None = None
        self._round_trip_s: float | None = None
        self._trouble: str | None = None

    def listen(self, rate_hz: float) -> None:
        """Probe this often from now on, at most 50 times a second; 0 stops."""
        if not self._asked_hz:
            self._unanswered = 0  # what was under way is too old to tell anything
        self._asked_hz = min(max(rate_hz, 0.0), RATE_HZ_MAX)

    def retry(self) -> None:
        """Ask at once, over the link of now: it is back, or another."""
        self._close()
        self._under_way.clear()
        self._pause_s, self._next_try_s = PAUSE_S, float("-inf")

    def waiting_s(self, now_s: float) -> float:
        """Return how long the first probe sent after the last answer has waited; 0 where none does."""
        return max(0.0, now_s - self._silent_since_s) if self._unanswered else 0.0

    def statistics(self) -> ProbeStatistics:
        """Return what was asked and answered."""
        counts = self._counts
        return ProbeStatistics(
            sent=counts["sent"],
            answered=counts["answered"],
            lost=counts["lost"],
            refused=counts["refused"],
            spent_bytes=counts["spent"],
            rate_hz=self._rate_hz(self._clock.now_s()),
            reachable=self._reachable,
            round_trip_s=self._round_trip_s,
            trouble=self._trouble,
        )

    async def run(self) -> None:
        """Open the way to whom to ask when `tick` finds it wanted, and write down what was spent; until cancelled."""
        await asyncio.to_thread(self._ledger.read)
        try:
            while True:
                await self._attend.wait()
                self._attend.clear()
                if self._ledger.due and self._counts["sent"]:
                    await asyncio.to_thread(self._ledger.write)
                if self._socket is None:
                    await self._open()
        finally:
            self._close()
            if self._counts["sent"]:
                await asyncio.shield(asyncio.to_thread(self._ledger.write, ahead=False))

    def tick(self) -> None:
        """Take the answers that have come, and send a probe where one is due; to be called every 10 to 20 ms."""
        now_s = self._clock.now_s()
        if self._socket is None:
            if self._asked_hz and self._trouble is None and now_s >= self._next_try_s:
                self._attend.set()
            return
        if not self._asked_hz and not self._under_way:
            return
        try:
            if self._under_way:
                self._hear(self._socket)
                self._forget_lost(now_s)
            if self._is_due(now_s, self._asked_hz) and self._is_due(now_s, rate_hz := self._rate_hz(now_s)):
                self._due_s = max(self._due_s + 1 / rate_hz, now_s - 1 / rate_hz)
                self._send(self._socket, now_s)
        except OSError:  # an ICMP error: nobody listens there, or no way leads there
            self._give_up(now_s)
            return
        if self._nobody_answers(now_s):
            self._give_up(now_s)
        if self._ledger.due and self._counts["sent"]:
            self._attend.set()

    async def _open(self) -> None:
        now_s = self._clock.now_s()
        try:
            sock = await self._wire.open()
        except Forbidden as exc:
            self._trouble, self._reachable = str(exc), False
            return
        except OSError:
            self._give_up(now_s)
            return
        self._socket = sock
        self._under_way.clear()
        self._unanswered = 0
        try:
            note_arrivals(sock)
            if self._configure is not None:
                self._configure(sock)
        except OSError:
            self._give_up(now_s)

    def _give_up(self, now_s: float) -> None:
        self._close()
        self._reachable = False
        self._unanswered = 0
        self._counts["lost"] += len(self._under_way)
        self._under_way.clear()
        self._next_try_s = now_s + self._pause_s
        self._pause_s = min(2 * self._pause_s, PAUSE_S_MAX)

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _nobody_answers(self, now_s: float) -> bool:
        probes, patience_s = (UNREACHABLE_PROBES, LOST_AFTER_S) if self._reachable is not False else (TRIES, TRY_S)
        return self._unanswered >= probes and now_s - self._silent_since_s >= patience_s

    def _is_due(self, now_s: float, rate_hz: float) -> bool:
        return rate_hz > 0 and now_s + EARLY_S >= self._due_s + 1 / rate_hz

    def _rate_hz(self, now_s: float) -> float:
        asked_hz = self._asked_hz
        if self._reachable is False or self.waiting_s(now_s) > DOUBT_AFTER_S:
            asked_hz = min(asked_hz, DOUBT_HZ)
        return self._ledger.budget.rate_hz(asked_hz, self._wire.exchange_bytes, now_s) if asked_hz else 0.0

    def _send(self, sock: socket.socket, now_s: float) -> None:
        if not self._unanswered:
            self._silent_since_s = now_s
        self._sequence = (self._sequence + 1) & 0xFFFFFFFF
        sent_us = raw_us()
        if not self._under_way:
            self._looked_us = sent_us  # nothing has come before
        datagram = self._wire.probe(self._sequence, sent_us)
        try:
            sock.send(datagram)
        except BlockingIOError:
            return  # the interface takes no more: what it would tell is told by those before it
        self._under_way[self._sequence] = Sent(now_s, sent_us, datagram)
        self._unanswered += 1
        self._counts["sent"] += 1
        self._counts["spent"] += self._wire.exchange_bytes
        self._ledger.spend(self._wire.exchange_bytes)

    def _forget_lost(self, now_s: float) -> None:
        while self._under_way:
            sequence, oldest = next(iter(self._under_way.items()))
            if now_s - oldest.at_s < LOST_AFTER_S and len(self._under_way) < UNDER_WAY_MAX:
                return
            del self._under_way[sequence]
            self._counts["lost"] += 1

    def _hear(self, sock: socket.socket) -> None:
        now_us = raw_us()
        since_ns, self._looked_us = (now_us - self._looked_us) * 1000 + LATE_NS, now_us
        for _ in range(BATCH_MAX):
            try:
                datagram, ancillary, _, _ = sock.recvmsg(128, ANCILLARY_BYTES)
            except BlockingIOError:
                return
            age_us = age_ns(ancillary, wall_ns(), since_ns) // 1000
            self._take(datagram, raw_us() - age_us, self._clock.now_s() - age_us / 1e6)

    def _take(self, datagram: bytes, arrived_us: int, at_s: float) -> None:
        heard = self._wire.read(datagram, self._under_way, arrived_us, at_s)
        if heard is None:
            self._counts["refused"] += 1
            return
        del self._under_way[heard.sequence]
        self._counts["answered"] += 1
        self._unanswered, self._reachable, self._pause_s = 0, True, PAUSE_S
        self._round_trip_s = heard.round_trip_s
        for sample in heard.samples:
            self._on_sample(sample)
