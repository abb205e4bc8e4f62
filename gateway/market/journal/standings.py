"""Which orders are open is known in memory: what waits to go, what waits over there, and what waits for a person. Pure.

What goes first: the urgent before the others, the older before the younger; an order that was told to come again waits
its time and holds up nobody. An order is in one of these at most, by its last event.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from gateway.exchange.backoff import Patience
from gateway.market.records import Counts
from gateway.market.states import WAITING, State

FEW = 500  # orders that are sooner looked at one by one than searched for among all
_OPEN = WAITING | {State.AT_HUB, State.NEEDS_ATTENTION}


@dataclass(frozen=True, slots=True)
class Refusals:
    """How often an order was told to come again since the start, and when it may."""

    tries: int = 0
    faults: int = 0  # those of them while others were taken
    not_before_s: float = 0.0


@dataclass(frozen=True, slots=True)
class _Open:
    merchant: str
    is_urgent: bool
    state: State


class Standings:
    """The open orders of a journal, by number."""

    def __init__(self) -> None:
        self._open: dict[int, _Open] = {}
        self._closed: dict[int, State] = {}  # so that a page of the rejected need not read all the others
        self._lanes: tuple[dict[int, Refusals], dict[int, Refusals]] = ({}, {})  # urgent, and the others
        self._counts: Counter[tuple[str, bool]] = Counter()  # by merchant: waiting, and for a person
        self._all: Counter[bool] = Counter()

    @property
    def sendable(self) -> int:
        """How many wait for the link."""
        return sum(map(len, self._lanes))

    def put(self, number: int, merchant: str, state: State | None, *, is_urgent: bool) -> None:
        """File an order where its state belongs, behind those that are there."""
        self._take_out(number)
        state = state or State.QUEUED
        if state in WAITING:
            self._lanes[not is_urgent][number] = Refusals()
        elif state not in _OPEN:
            self._closed[number] = state
            return
        self._open[number] = _Open(merchant, is_urgent, state)
        self._count(merchant, state, 1)

    def move(self, number: int, state: State) -> None:
        """File an open order where its new state belongs; one that goes on waiting keeps its place."""
        known = self._open.get(number)
        if known is None:
            self._closed[number] = state
        elif not (known.state in WAITING and state in WAITING):
            self.put(number, known.merchant, state, is_urgent=known.is_urgent)

    def forget(self, number: int) -> None:
        """Drop an order that is deleted."""
        self._take_out(number)

    def is_open(self, number: int) -> bool:
        """Say whether an order is filed here."""
        return number in self._open

    def refuse(self, number: int, patience: Patience, now_s: float, *, is_its_fault: bool) -> int:
        """Let an order wait for a while, behind the others; return how often it was refused by its own fault."""
        for lane in self._lanes:
            if number in lane:
                before = lane.pop(number)
                tries, faults = before.tries + 1, before.faults + is_its_fault
                lane[number] = Refusals(tries, faults, now_s + patience.pause_s(tries))
                return faults
        return 0

    def due(self, now_s: float) -> Iterator[int]:
        """Yield the orders that may go now, first to go first; the caller takes its time within one step only."""
        for lane in self._lanes:
            for number, refusals in lane.items():
                if refusals.not_before_s <= now_s:
                    yield number

    def waiting(self) -> list[int]:
        """Return the orders that wait for the link, by number."""
        return sorted(each for lane in self._lanes for each in lane)

    def wait_s(self, now_s: float) -> float | None:
        """Return how long until an order may go: 0 when one may now, None when none waits."""
        soonest: float | None = None
        for lane in self._lanes:
            for refusals in lane.values():
                if refusals.not_before_s <= now_s:
                    return 0.0
                soonest = refusals.not_before_s if soonest is None else min(soonest, refusals.not_before_s)
        return None if soonest is None else soonest - now_s

    def may_be_in(self, number: int, states: frozenset[State]) -> bool:
        """Say whether an order can be in one of these states, by what is known in memory."""
        known = self._open.get(number)
        if known is None:
            return self._closed.get(number) in states
        return bool(states & WAITING) if known.state in WAITING else known.state in states

    def few_in(self, states: frozenset[State], before: int | None) -> list[int] | None:
        """Return the orders that can be in these states, newest first; None when they are many."""
        found: list[int] = []
        for filed in (self._open, self._closed):
            for number in filed:
                if (before is None or number < before) and self.may_be_in(number, states):
                    found.append(number)
                    if len(found) > FEW:
                        return None
        return sorted(found, reverse=True)

    def state(self, number: int) -> State:
        """Return where an order stands, by what is known in memory."""
        known = self._open.get(number)
        return known.state if known is not None else self._closed.get(number, State.QUEUED)

    def counts(self, merchant: str | None) -> Counts:
        """Return how many orders of a merchant are open; with None, of all."""
        if merchant is None:
            return Counts(self._all[False], self._all[True])
        return Counts(self._counts[merchant, False], self._counts[merchant, True])

    def _take_out(self, number: int) -> None:
        self._closed.pop(number, None)
        known = self._open.pop(number, None)
        if known is None:
            return
        self._count(known.merchant, known.state, -1)
        for lane in self._lanes:
            lane.pop(number, None)

    def _count(self, merchant: str, state: State, change: int) -> None:
        is_attention = state is State.NEEDS_ATTENTION
        self._counts[merchant, is_attention] += change
        self._all[is_attention] += change
