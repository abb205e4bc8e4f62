"""A marketplace that keeps its own books well, and behind a wire and a front that do everything to confuse the box.

It loses, delays, doubles and reorders what it is sent and what it says, fails after storing, answers by half, and talks
of orders that it was not asked about, with outcomes and revisions that are not true. What it does not do is to say of
an order in the batch, in its revision, what is not so: no protocol could tell.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from random import Random

from gateway.market.attention import Attention, Code
from gateway.market.batch import Batch, Outcome, Receipt
from gateway.market.marketplaces.port import NotDelivered, Updates
from gateway.market.records import StoredOrder
from tests.unit.market.orders import new_id

_SAID = {  # of an order that stands there already, asked again
    Outcome.ACCEPTED: Outcome.DUPLICATE,
    Outcome.DUPLICATE: Outcome.DUPLICATE,
}


class Killed(Exception):
    """The box is killed at this moment."""


@dataclass
class Kept:
    """An order as it stands at the marketplace."""

    order: StoredOrder
    outcome: Outcome = Outcome.ACCEPTED
    reason: str = ""
    attention: Attention | None = None


@dataclass
class HostileMarketplace:
    """Whether it behaves is said from outside; its books are right all the time."""

    random: Random
    is_hostile: bool = True
    kept: dict[str, Kept] = field(default_factory=dict)
    came_to_be: Counter[str] = field(default_factory=Counter)
    turned_away: dict[str, str] = field(default_factory=dict)  # ids that it refuses, and why
    late: list[StoredOrder] = field(default_factory=list)  # on the wire still
    decided: list[Receipt] = field(default_factory=list)
    gossip: list[str] = field(default_factory=list)  # ids that it may talk of without being asked
    faults: Counter[str] = field(default_factory=Counter)

    async def start(self) -> None:
        """Nothing to do."""

    async def stop(self) -> None:
        """Nothing to do."""

    async def deliver(self, batch: Batch) -> Sequence[Receipt]:
        orders = list(batch.orders)
        if not self.is_hostile:
            return [self._take(order) for order in orders]
        chance = self.random.random()
        self._let_late_ones_arrive()
        if chance < 0.10:
            raise self._fault("lost before", is_silent=True)
        if chance < 0.18:
            self.late.extend(orders)
            raise self._fault("delayed", is_silent=True)
        if chance < 0.22:
            raise self._fault("refused", is_silent=False, is_refusal=True)
        self.random.shuffle(orders)
        cut = self.random.randrange(len(orders) + 1) if chance < 0.45 else len(orders)
        said = [self._take(order) for order in orders[:cut]]
        if chance < 0.30:
            raise self._fault("failed after storing", is_silent=False)
        if chance < 0.36:
            raise self._fault("answer lost", is_silent=True)
        if chance < 0.41:
            self.faults["box killed"] += 1
            raise Killed
        self.faults["answered by half" if cut < len(orders) else "answered"] += 1
        return self._confused(said, {order.id for order in orders})

    async def updates(self, cursor: str) -> Updates:
        start = int(cursor or 0)
        if not self.is_hostile:
            return Updates(tuple(self.decided[start:]), str(len(self.decided)))
        if self.random.random() < 0.2:
            raise self._fault("no updates", is_silent=True)
        end = min(start + self.random.randrange(3), len(self.decided))
        never_sent = [each for each in self.gossip if each not in self.kept and not self._is_on_the_wire(each)]
        lies = [self._lie(each) for each in (*never_sent[:2], new_id())]
        said = [*self.decided[start:end], *lies]
        self.random.shuffle(said)
        return Updates(tuple(said), str(end), is_all=end == len(self.decided))

    def decide(self) -> None:
        """Decide something about an order that stands here, and tell it to who asks."""
        standing = [each for each in self.kept.values() if not each.order.is_cancelled]
        if not standing:
            return
        kept = self.random.choice(standing)
        if kept.outcome in {Outcome.FULFILLED, Outcome.REJECTED, Outcome.CANCELLED}:
            return
        kept.outcome = self.random.choice(
            [Outcome.FULFILLED, Outcome.ACCEPTED, Outcome.ATTENTION, Outcome.REJECTED, Outcome.CANCELLED]
        )
        kept.reason = f"We decided: {kept.outcome}"
        kept.attention = Attention(Code.OUT_OF_STOCK) if kept.outcome is Outcome.ATTENTION else None
        self.decided.append(self._said(kept, kept.order.revision, kept.outcome))

    def _take(self, order: StoredOrder) -> Receipt:
        """Do with an order what a right marketplace does; say so."""
        known = self.kept.get(order.id)
        if known is None and order.id in self.turned_away and not order.is_cancelled:
            return Receipt(order.id, Outcome.REJECTED, self.turned_away[order.id], order.revision)
        if known is not None and known.order.revision >= order.revision:
            return self._said(known, order.revision, _SAID.get(known.outcome, known.outcome))
        if known is not None and known.outcome in {Outcome.FULFILLED, Outcome.CANCELLED}:
            return Receipt(order.id, Outcome.ATTENTION, "It is over", order.revision, Attention(Code.CHANGE_NOT_TAKEN))
        self.came_to_be[order.id] += known is None
        self.kept[order.id] = Kept(order)
        if self.is_hostile and not order.is_cancelled and self.random.random() < 0.1:
            self.kept[order.id].outcome = Outcome.HELD
        return self._said(self.kept[order.id], order.revision, self.kept[order.id].outcome)

    def settle_what_is_held(self) -> None:
        """Let the marketplace answer about what waits before it."""
        for kept in self.kept.values():
            if kept.outcome is Outcome.HELD:
                kept.outcome = Outcome.ACCEPTED
                self.decided.append(self._said(kept, kept.order.revision, Outcome.ACCEPTED))

    def let_late_ones_arrive(self) -> None:
        """Let all that is on the wire arrive, in any order."""
        self.random.shuffle(self.late)
        while self.late:
            self._take(self.late.pop())

    def _said(self, kept: Kept, revision: int, outcome: Outcome) -> Receipt:
        return Receipt(kept.order.id, outcome, kept.reason, revision, kept.attention)

    def _let_late_ones_arrive(self) -> None:
        self.random.shuffle(self.late)
        while self.late and self.random.random() < 0.6:
            self._take(self.late.pop())

    def _is_on_the_wire(self, order_id: str) -> bool:
        return any(order.id == order_id for order in self.late)

    def _confused(self, said: list[Receipt], asked: set[str]) -> list[Receipt]:
        """Return what is heard of an answer: with parts lost and doubled, in any order, and with lies between."""
        heard = []
        for receipt in said:
            chance = self.random.random()
            if chance < 0.15:
                continue
            if chance < 0.22 and receipt.outcome in {Outcome.ACCEPTED, Outcome.DUPLICATE}:
                receipt = replace(receipt, revision=max(1, receipt.revision + self.random.choice([-1, 1])))
            elif chance < 0.27:
                heard.append(self._lie(receipt.id))  # which contradicts what is true
            heard += [receipt] * self.random.choice([1, 1, 1, 2])
        others = [each for each in self.gossip if each not in asked]
        heard += [self._lie(each) for each in self.random.sample(others, min(len(others), 3))]
        self.random.shuffle(heard)
        return heard

    def _lie(self, order_id: str) -> Receipt:
        outcome = self.random.choice([each for each in Outcome if each is not Outcome.RETRY])
        attention = Attention(Code.MERCHANT_BLOCKED) if outcome is Outcome.ATTENTION else None
        known = self.kept.get(order_id)
        if known is not None and outcome in {known.outcome, _SAID.get(known.outcome)}:
            outcome = Outcome.HELD
        return Receipt(order_id, outcome, "a lie", self.random.randrange(1, 4), attention)

    def _fault(self, name: str, *, is_silent: bool, is_refusal: bool = False) -> NotDelivered:
        self.faults[name] += 1
        return NotDelivered(is_silent=is_silent, reason=name, is_refusal=is_refusal)
