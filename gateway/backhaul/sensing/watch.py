"""One link is watched: evidence comes in, the carrier is looked at, and in doubt peers are asked, within a budget.

A cut is told within two seconds where something is expected: nothing for 1.0 s, a probe, no answer by 1.7 s. The return
is told within one: while the link is down a new wave of probes goes out each `WAVE_S`, whether or not the last one is
still unanswered, to addresses looked up while the link was up. An outage that lasts costs little: after `ALL_S` a wave
asks two peers, after `EAGER_S` one, and rarely (120 bytes, which do not cross anyway while the radio is gone); whoever
asks for something makes it eager again. Without a carrier nothing is sent.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace

import structlog

from gateway.backhaul.sensing.silence import Hearing, hear, proven, silent_since_s, told
from gateway.backhaul.sensing.state import (
    CarrierChanged,
    Evidence,
    LinkState,
    LinkView,
    ModemChanged,
    ProbeFailed,
    Progressed,
    Silent,
    Stalled,
    down_after_s,
    step,
)
from gateway.clock import Clock

CARRIER_POLL_S = 0.5
WAVE_S = 0.7  # between two waves: with a round trip of 0.3 s, a link that is back is known within 1 s
ANSWER_S = 0.6  # so long a wave may be unanswered in a silence
STALL_ANSWER_S = 2.0  # and after a stall, where other connections may well be alive
ALL_S = 60.0  # of an outage in which all peers are asked; then two: 0.6 MB until `EAGER_S` where it is paid for
EAGER_S = 1_800.0  # of an outage: then nobody waits at a screen who has not asked within `WAITED_S`
WAITED_S = 30.0
PATIENT_S = 5.0  # between two waves then
WEARY_AFTER_S = 3_600.0
WEARY_S = 15.0  # 0.7 MB a day where it is paid for
PROBE_EACH_MAX = 2  # of those configured, those last heard of, and those last asked for in vain
WAVES_MAX = 6  # under way at once
JUDGE_S = 0.05  # how late a verdict may be
FIND_PAUSE_S = 30.0  # after a name that could not be looked up

# what a handshake costs, as IPv4 with options: SYN and its repeat after 1 s (RFC 6298 §2), or SYN, SYN-ACK, ACK, RST
PROBE_BYTES = 2 * 60
ANSWERED_PROBE_BYTES = 60 + 60 + 52 + 40

Peer = tuple[str, int]
Probe = Callable[[Peer], Coroutine[None, None, bool]]
Find = Callable[[Peer], Coroutine[None, None, bool]]
_log = structlog.get_logger("backhaul")


@dataclass(frozen=True, slots=True)
class WatchStatistics:
    """What watching has cost since the start."""

    probes: int
    probe_bytes: int


async def know_already(peer: Peer) -> bool:
    """Stand in where a probe needs nothing beforehand."""
    return bool(peer)


class Watch:
    """What is known of one link, and the loops that find it out."""

    def __init__(
        self,
        clock: Clock,
        *,
        carrier: Callable[[], bool],
        probe: Probe,
        peers: tuple[Peer, ...] = (),
        on_change: Callable[[LinkView], None],
        find: Find = know_already,
        name: str = "",
    ) -> None:
        self._clock = clock
        self._carrier = carrier
        self._probe = probe
        self._find = find
        self._on_change = on_change
        self._name = name
        self._configured = deque(peers)
        self._heard: deque[Peer] = deque(maxlen=PROBE_EACH_MAX)  # who answered, the latest last
        self._wanted: deque[Peer] = deque(maxlen=PROBE_EACH_MAX)  # who was asked for and did not answer
        self._to_find: asyncio.Queue[Peer] = asyncio.Queue(max(len(peers), PROBE_EACH_MAX))
        self._hearing = Hearing()
        self._doubt = asyncio.Event()
        self._hurry = asyncio.Event()
        self._asked_s: float | None = None  # when the first wave since the doubt began went out
        self._waited_s = float("-inf")  # when somebody last asked for something
        self._waves = 0  # under way
        self._waved = 0  # since the start
        self._probes = self._answers = 0
        self.view = LinkView(since_s=clock.now_s())

    async def run(self) -> None:
        """Watch until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch_carrier(), name="backhaul carrier")
            tasks.create_task(self._probe_in_doubt(tasks), name="backhaul probe")
            tasks.create_task(self._judge(), name="backhaul judge")
            tasks.create_task(self._look_up(), name="backhaul peers")

    @property
    def is_down(self) -> bool:
        """Whether it is known that nothing can cross now."""
        return self.view.state is LinkState.DOWN

    def statistics(self) -> WatchStatistics:
        """Return what the probes have cost."""
        unanswered = self._probes - self._answers
        return WatchStatistics(self._probes, unanswered * PROBE_BYTES + self._answers * ANSWERED_PROBE_BYTES)

    def learn(self, evidence: Evidence) -> None:
        """Take one piece of evidence, and tell when the state has changed."""
        before = self.view
        self.view = step(before, evidence, self._clock.now_s())
        if self.view.in_doubt:
            self._doubt.set()
        else:
            self._doubt.clear()
            self._asked_s = None
            self._hurry.set()  # a pause of the last outage must not delay the next doubt
        match evidence:
            case Progressed():
                self._hearing = replace(self._hearing, heard_s=self._clock.now_s())
            case ModemChanged(connected=True):
                self._hurry.set()
        if self.view.state is before.state:
            return
        if self.is_down:
            self._hearing = proven(self._hearing)
        _log.info("link.changed", link=self._name, state=self.view.state.value, told_by=self.view.told_by)
        self._on_change(self.view)

    def progressed(self, peer: Peer) -> None:
        """Take note that bytes came in from `peer`."""
        if not self._configured and peer not in self._heard and not self._to_find.full():
            self._to_find.put_nowait(peer)
        _put_last(self._heard, peer)
        self.learn(Progressed())

    def stalled(self, peer: Peer, since_s: float) -> None:
        """Take note that nothing came from `peer` since `since_s` (monotonic)."""
        _put_last(self._wanted, peer)
        self.learn(Stalled(since_s))

    def wanted(self, peer: Peer) -> None:
        """Take note that somebody asks for `peer` while the link is down: it is asked now."""
        _put_last(self._wanted, peer)
        self.waited_for()

    def waited_for(self) -> None:
        """Take note that somebody waits for the link now (a call is open, a page was asked for)."""
        eager = self._is_eager()
        self._waited_s = self._clock.now_s()
        if not eager:
            self._hurry.set()

    def counted(self, down_bytes: int, *, expected: bool) -> None:
        """Take a look at the interface's counter, ten times a second or more; `expected`: bytes should be coming."""
        now_s = self._clock.now_s()
        before = self._hearing
        self._hearing = hear(before, down_bytes=down_bytes, expected=expected, now_s=now_s)
        if self.is_down:  # what comes from the modem itself must not count as the link's return
            if expected:
                self.waited_for()
            return
        if self._hearing.heard_s > before.heard_s and self.view.silent_s is not None:
            self._hearing = proven(self._hearing)
            self.learn(Progressed())
        elif (since_s := silent_since_s(self._hearing, now_s)) is not None:
            self._hearing = told(self._hearing, now_s)
            self.learn(Silent(since_s))

    async def check(self) -> bool:
        """Ask once whether the link carries anything; where nothing answers it is degraded, and asked on."""
        asked_s = self._clock.now_s()
        await self._ask(self._peers()[:PROBE_EACH_MAX])
        if self.view.progress_s > asked_s:
            return True
        self.learn(Stalled(asked_s))
        return False

    async def _watch_carrier(self) -> None:
        while True:
            self.learn(CarrierChanged(self._carrier()))
            await asyncio.sleep(CARRIER_POLL_S)

    async def _look_up(self) -> None:
        """Have the addresses of those who may be asked known before names cannot be looked up any more."""
        for peer in self._configured:
            if not self._to_find.full():  # begun anew, it is not empty
                self._to_find.put_nowait(peer)
        while True:
            peer = await self._to_find.get()
            found = not self.view.in_doubt and await self._find(peer)
            if not found and not self._to_find.full():
                self._to_find.put_nowait(peer)
            await asyncio.sleep(0 if found else FIND_PAUSE_S)

    async def _probe_in_doubt(self, tasks: asyncio.TaskGroup) -> None:
        while True:
            await self._doubt.wait()
            if self.view.carrier and self._waves < WAVES_MAX:
                if self._asked_s is None:
                    self._asked_s = self._clock.now_s()
                tasks.create_task(self._wave(), name="backhaul wave")
            await self._pause()

    async def _pause(self) -> None:
        self._hurry.clear()
        try:
            async with asyncio.timeout(self._wave_pause_s()):
                await self._hurry.wait()
        except TimeoutError:
            pass

    async def _wave(self) -> None:
        self._waves += 1
        self._waved += 1
        try:
            await self._ask(self._peers())
        finally:
            self._waves -= 1

    async def _ask(self, peers: list[Peer]) -> None:
        """Ask peers all at once; any answer, a refusal too, is progress at once."""

        async def ask(peer: Peer) -> None:
            self._probes += 1
            if await self._probe(peer):
                self._answers += 1
                self.learn(Progressed())

        async with asyncio.TaskGroup() as tasks:
            for peer in peers:
                tasks.create_task(ask(peer), name="backhaul probe peer")

    async def _judge(self) -> None:
        """Say that a wave found nothing, as soon as that can be said."""
        while True:
            await self._doubt.wait()
            now_s = self._clock.now_s()
            due_s = self._verdict_s(now_s)
            late_s = CARRIER_POLL_S if self.is_down else JUDGE_S
            await asyncio.sleep(late_s if due_s is None else min(max(due_s - now_s, late_s), CARRIER_POLL_S))
            now_s = self._clock.now_s()
            due_s = self._verdict_s(now_s)
            if due_s is not None and now_s >= due_s and not self.is_down:
                self.learn(ProbeFailed())

    def _verdict_s(self, now_s: float) -> float | None:
        view = self.view
        if self._asked_s is None:
            return None
        if view.state is LinkState.DEGRADED and view.told_by == "stall":
            return self._asked_s + STALL_ANSWER_S
        if view.silent_s is None:
            return self._asked_s + ANSWER_S
        return max(self._asked_s + ANSWER_S, view.silent_s + down_after_s(view, now_s))

    def _peers(self) -> list[Peer]:
        self._configured.rotate(-1)
        configured = list(self._configured)[:PROBE_EACH_MAX]
        known = list(dict.fromkeys([*configured, *self._heard, *self._wanted]))
        view, now_s = self.view, self._clock.now_s()
        if view.state is not LinkState.DOWN or min(now_s - view.since_s, now_s - self._waited_s) < ALL_S:
            return known
        turn = self._waved // 2 % len(known) if known else 0  # those configured take turns themselves at each wave
        in_turn = [*known[turn:], *known[:turn]]
        if not self._is_eager():
            return in_turn[:1]
        return list(dict.fromkeys([*list(self._heard)[-1:], *in_turn]))[:2]

    def _is_eager(self) -> bool:
        view, now_s = self.view, self._clock.now_s()
        if view.state is not LinkState.DOWN or now_s - self._waited_s < WAITED_S:
            return True
        return now_s - view.since_s < EAGER_S and view.connected is not False

    def _wave_pause_s(self) -> float:
        if self._is_eager():
            return WAVE_S
        return PATIENT_S if self._clock.now_s() - self.view.since_s < WEARY_AFTER_S else WEARY_S


def _put_last(peers: deque[Peer], peer: Peer) -> None:
    if peer in peers:
        peers.remove(peer)
    peers.append(peer)
