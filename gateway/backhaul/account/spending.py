"""How much of the allowance is used, now, and what follows from it: answered at once, from figures that are kept ready.

What is closed is read from the ledger when an interval closes; what is open is added from memory at each look.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo

from gateway.backhaul.account.account import Account
from gateway.backhaul.account.usage import Figures, summed
from gateway.backhaul.sharing.allowance import (
    DAY_S,
    FULL_SPEED,
    Allowance,
    Forecast,
    Slowing,
    Steps,
    forecast,
    in_hours,
    period_at,
    price_minor,
    slowing,
)
from gateway.clock import Clock, clock_state
from gateway.errors import NoCapacity
from gateway.hours import Hours, Local

LOOK_S = 1.0  # at the account's sequence, in memory
HOLD_S = 15.0  # of what is slowed: at most four changes a minute, where the data left and the time left are even
RECENT_S = 7 * DAY_S  # village weeks repeat, days do not
RECENT_EVERY_S = 3_600.0
RECENT_S_MIN = DAY_S  # less than a day of a ledger says nothing of a day
_MONTH = Allowance(1)  # the calendar's month, where no allowance says when one begins


@dataclass(frozen=True, slots=True)
class SpendingPolicy:
    """What was agreed on: how much in which period, for whom, at what price, and when bulk may move."""

    allowance: Allowance | None = None
    tenants: Mapping[str, Allowance] = field(default_factory=dict)
    steps: Steps = field(default_factory=Steps)
    bulk_hours: tuple[Hours, ...] = ()
    gigabyte_minor: int | None = None
    currency: str = ""


@dataclass(frozen=True, slots=True)
class Savings:
    """What was served here without the link in this period, and what it would have cost, where a price is set."""

    size_bytes: int
    price_minor: int | None = None
    currency: str = ""


@dataclass(frozen=True, slots=True)
class _Closed:
    """What the ledger said when its last record had this number."""

    sequence: int = -1
    begin_s: float = 0.0
    figures: tuple[Figures, ...] = ()


class Spending:
    """What the period has cost so far."""

    def __init__(
        self,
        account: Account,
        clock: Clock,
        policy: SpendingPolicy,
        *,
        local: Callable[[float], Local],
        zone: tzinfo | None = None,
    ) -> None:
        """`local` makes a wall time the box's own; `zone` is its time zone, None for the machine's."""
        self._account = account
        self._clock = clock
        self._policy = policy
        self._local = local
        self._zone = zone
        self._closed = _Closed()
        self._recent_bytes_s: float | None = None
        self._recent_at_s = clock.now_s()
        self._slowed: dict[str | None, tuple[float, Slowing]] = {}
        self._shown: tuple[Figures, ...] = ()

    async def run(self) -> None:
        """Keep what is closed ready, until cancelled."""
        while True:
            await self.refresh()
            await asyncio.sleep(LOOK_S)

    async def refresh(self) -> None:
        """Add to what is closed what was closed since; once an hour, see how the days before went."""
        sequence, wall_s, known = self._account.statistics().sequence, self._clock.wall_s(), self._closed
        begin_s = period_at(self._period, wall_s, self._zone).begin_s
        is_new = begin_s != known.begin_s or sequence < known.sequence
        try:
            if is_new:
                figures = await self._account.closed(begin_s)
            elif sequence != known.sequence:
                figures = summed([*known.figures, *await self._account.closed(begin_s, after=known.sequence)])
            else:
                figures = known.figures
            if self._clock.now_s() >= self._recent_at_s:
                self._recent_bytes_s = await self._recent(wall_s)
                self._recent_at_s = self._clock.now_s() + RECENT_EVERY_S
        except NoCapacity:  # the disk fails, the account has said so: what was known goes on to count
            return
        if self._account.statistics().sequence == sequence:  # else it was read while more was written
            self._closed = _Closed(sequence, begin_s, figures)

    async def _recent(self, wall_s: float) -> float | None:
        """Return the bytes a second of the last days; None where there is not a day of them."""
        since_s = await self._account.ask(lambda ledger: ledger.tables.since_s())
        from_s = max(since_s or wall_s, wall_s - RECENT_S)
        if wall_s - from_s < RECENT_S_MIN:
            return None
        figures = await self._account.closed(from_s, wall_s)
        return sum(each.link_bytes.down_bytes + each.link_bytes.up_bytes for each in figures) / (wall_s - from_s)

    def tenants(self) -> Sequence[Figures]:
        """Return what each tenant moved in this period, bytes to the last piece."""
        if self._account.statistics().sequence == self._closed.sequence:
            opened = (
                each
                for interval in self._account.in_memory()
                if interval.span.start_s >= self._closed.begin_s
                for each in interval.figures
            )
            self._shown = summed([*self._closed.figures, *opened])
        return self._shown

    def used_bytes(self, tenant: str | None = None) -> int:
        """Return the bytes over the link in this period, both ways, of one tenant or of all."""
        counted = (each.link_bytes for each in self.tenants() if tenant is None or each.tenant == tenant)
        return sum(each.down_bytes + each.up_bytes for each in counted)

    def forecast(self) -> Forecast | None:
        """Return how far the allowance reaches; None without one, or while the date is not known."""
        wall_s = self._clock.wall_s()
        if self._policy.allowance is None or clock_state(wall_s) == "unknown":
            return None
        return forecast(self._policy.allowance, self.used_bytes(), wall_s, self._recent_bytes_s, self._zone)

    def slowing(self, tenant: str | None = None) -> Slowing:
        """Return what is slowed now on the link, or by a tenant's own cap; nothing while the date is not known.

        It changes at most every few seconds, however often it is asked for.
        """
        until_s, told = self._slowed.get(tenant, (0.0, FULL_SPEED))
        now_s = self._clock.now_s()
        if tenant not in self._slowed or now_s >= until_s:
            told = self._slowing(tenant)
            self._slowed[tenant] = now_s + HOLD_S, told
        return told

    def _slowing(self, tenant: str | None) -> Slowing:
        wall_s, policy = self._clock.wall_s(), self._policy
        if clock_state(wall_s) == "unknown":
            return FULL_SPEED
        allowance = policy.allowance if tenant is None else policy.tenants.get(tenant)
        told = FULL_SPEED
        if allowance is not None:
            told = slowing(allowance, self.used_bytes(tenant), wall_s, policy.steps, self._zone)
        return in_hours(told, policy.bulk_hours, self._local(wall_s)) if tenant is None else told

    def savings(self) -> Savings:
        """Return what was served here without the link in this period."""
        size_bytes = sum(each.link_bytes.local_bytes for each in self.tenants())
        if self._policy.gigabyte_minor is None:
            return Savings(size_bytes)
        return Savings(size_bytes, price_minor(size_bytes, self._policy.gigabyte_minor), self._policy.currency)

    @property
    def _period(self) -> Allowance:
        return self._policy.allowance or _MONTH
