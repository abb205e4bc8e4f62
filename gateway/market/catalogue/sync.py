"""The catalogue is renewed while the link carries: every so often, when it comes back, and when somebody asks.

What fails leaves the catalogue as it is, with its age; the pause after a failure doubles, or is what the far end asked
for. Pauses vary, so that boxes whose power came back together do not ask together. A delta that does not fit is
followed by one question for the whole.
"""

import asyncio
from collections.abc import Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from random import Random
from typing import Protocol

import structlog

from gateway.backhaul.link import Backhaul
from gateway.backhaul.sensing.state import LinkState
from gateway.clock import Clock, clock_state
from gateway.exchange.backoff import pause_s
from gateway.market.catalogue.delta import apply, usable
from gateway.market.catalogue.kept import KeptCatalogue
from gateway.market.catalogue.model import Catalogue, Delta
from gateway.market.catalogue.search import Index
from gateway.market.marketplaces.port import NotDelivered, OffersCatalogue

_log = structlog.get_logger("market.catalogue")


class SyncLimits(Protocol):
    """How often the marketplace is asked."""

    @property
    def sync_s(self) -> float: ...
    @property
    def again_s(self) -> float: ...
    @property
    def retry_s_min(self) -> float: ...


@dataclass(frozen=True, slots=True)
class SyncStatistics:
    """What was asked since the start."""

    renewals: int = 0  # answers that were used, with news or without
    failures: int = 0
    failures_in_a_row: int = 0
    left_out: int = 0  # articles of the last answer that could not be ordered here
    reason: str = ""  # why the last question failed, in one of our own words; "" when it did not


@dataclass(frozen=True, slots=True)
class _Renewed:
    index: Index
    left_out: int


class CatalogueSync:
    """Keeps one marketplace's catalogue fresh."""

    def __init__(
        self,
        marketplace: OffersCatalogue,
        kept: KeptCatalogue,
        *,
        backhaul: Backhaul,
        clock: Clock,
        limits: SyncLimits,
        random: Random,
        changed: Callable[[], None],
    ) -> None:
        self._marketplace = marketplace
        self._kept = kept
        self._backhaul = backhaul
        self._clock = clock
        self._limits = limits
        self._random = random
        self._changed = changed  # told after each new catalogue
        self._woken = asyncio.Event()
        self._is_kept = False  # whether what is on disk is what is here
        self._confirmed_s: float | None = None
        self._confirmed_wall_s = 0.0
        self._renewals = self._failures = self._in_a_row = self._left_out = 0
        self._reason = ""
        self.index: Index | None = None  # the marketplace's last catalogue
        self.is_syncing = False

    @property
    def age_s(self) -> float | None:
        """How long ago the marketplace confirmed the catalogue; None: never, or no clock can tell."""
        if self._confirmed_s is not None:
            return max(self._clock.now_s() - self._confirmed_s, 0.0)
        wall_s = self._clock.wall_s()
        if "unknown" in {clock_state(wall_s), clock_state(self._confirmed_wall_s)}:
            return None
        return max(wall_s - self._confirmed_wall_s, 0.0)

    def statistics(self) -> SyncStatistics:
        """Return what was asked since the start."""
        return SyncStatistics(self._renewals, self._failures, self._in_a_row, self._left_out, self._reason)

    def sync_now(self) -> None:
        """Ask as soon as the link carries; the far end's own pause is kept."""
        self._woken.set()

    async def load(self) -> None:
        """Have the catalogue that was kept, if there is one."""
        loaded = await asyncio.to_thread(self._load)
        if loaded is not None:
            self.index, self._confirmed_wall_s = loaded
            self._is_kept = True

    async def run(self) -> None:
        """Keep the catalogue fresh, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch_link(), name="catalogue link")
            tasks.create_task(self._renew_for_ever(), name="catalogue sync")

    def _load(self) -> tuple[Index, float] | None:
        loaded = self._kept.load()
        return None if loaded is None else (Index(loaded.catalogue), loaded.confirmed_wall_s)

    async def _watch_link(self) -> None:
        was_down = False
        async with aclosing(self._backhaul.changes()) as changes:
            async for status in changes:
                is_down = status.state is LinkState.DOWN
                if was_down and not is_down and self._in_a_row:
                    self._in_a_row = 0
                    self._woken.set()
                was_down = is_down

    async def _renew_for_ever(self) -> None:
        if self.index is not None:
            await self._rest(self._limits.again_s * self._random.random())
        while True:
            await wait_link(self._backhaul)
            self._woken.clear()
            try:
                await self._renew()
            except NotDelivered as exc:
                await self._rest_after_failure(exc.reason, exc.retry_after_s)
            except Exception as exc:  # noqa: BLE001 - a fault in an answer, or of ours, must not end the renewals
                await self._rest_after_failure(type(exc).__name__, None)
            else:
                self._in_a_row, self._reason = 0, ""
                await self._rest(self._limits.sync_s * (0.9 + 0.2 * self._random.random()), self._limits.again_s)

    async def _rest_after_failure(self, reason: str, asked_s: float | None) -> None:
        self._failures += 1
        self._in_a_row += 1
        self._reason = reason
        _log.info("catalogue.failed", reason=reason, failures=self._in_a_row)
        limits = self._limits
        own_s = pause_s(self._in_a_row, self._random.random(), least_s=limits.retry_s_min, most_s=limits.sync_s)
        firm_s = min(limits.again_s, own_s) if asked_s is None else min(max(asked_s, own_s), limits.sync_s)
        await self._rest(own_s, firm_s)

    async def _rest(self, pause_s: float, firm_s: float = 0.0) -> None:
        """Pause; what comes after the firm part of it can be ended early."""
        await asyncio.sleep(firm_s)
        with suppress(TimeoutError):
            async with asyncio.timeout(max(pause_s - firm_s, 0.0)):
                await self._woken.wait()

    async def _renew(self) -> None:
        """Have what the marketplace has.

        Raises: NotDelivered, BadRequest, TooLarge when the catalogue stays as it is.
        """
        self.is_syncing = True
        try:
            present = self.index.catalogue if self.index is not None else None
            delta = await self._marketplace.catalogue(present.version if present is not None else "")
            renewed = await asyncio.to_thread(_renewed, self.index, delta)
            if renewed is None and present is not None:
                renewed = await asyncio.to_thread(_renewed, None, await self._marketplace.catalogue(""))
            if renewed is None:
                raise NotDelivered(is_silent=False, reason="catalogue does not fit")
            await self._take(renewed)
        finally:
            self.is_syncing = False

    async def _take(self, renewed: _Renewed) -> None:
        is_news = renewed.index is not self.index
        self.index = renewed.index
        self._confirmed_s = self._clock.now_s()
        wall_s = self._clock.wall_s()
        self._confirmed_wall_s = wall_s if clock_state(wall_s) == "trusted" else 0.0
        self._renewals += 1
        self._left_out = renewed.left_out
        if is_news:
            _log.info("catalogue.renewed", articles=len(renewed.index.catalogue.articles), left_out=renewed.left_out)
            self._is_kept = False
            self._changed()
        await self._keep(renewed.index.catalogue)

    async def _keep(self, catalogue: Catalogue) -> None:
        if self._is_kept:
            await asyncio.to_thread(self._kept.confirm, self._confirmed_wall_s)
            return
        try:
            await asyncio.to_thread(self._kept.save, catalogue, self._confirmed_wall_s)
            self._is_kept = True
        except OSError as exc:  # it is used all the same, and kept at the next renewal
            _log.error("catalogue.not-kept", reason=type(exc).__name__)


async def wait_link(backhaul: Backhaul) -> None:
    """Return when the link is not known to be down."""
    async with aclosing(backhaul.changes()) as changes:
        async for status in changes:
            if status.state is not LinkState.DOWN:
                return


def _renewed(before: Index | None, delta: Delta) -> _Renewed | None:
    """Return the catalogue that a delta leads to, ready to be searched; None where it does not fit."""
    right, left_out = usable(delta)
    present = before.catalogue if before is not None else None
    catalogue = apply(present, right)
    if catalogue is None:
        return None
    return _Renewed(before if before is not None and catalogue == present else Index(catalogue), left_out)
