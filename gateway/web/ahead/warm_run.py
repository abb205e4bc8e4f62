"""One run of one site: step by step, each within the run's hours and data, and only while the link carries.

A step that the link, the hours or somebody's word cut short is put back, so nothing is skipped by it; what fails on a
good link is counted and passed over.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from gateway.backhaul.link import Backhaul
from gateway.backhaul.sensing.state import LinkState
from gateway.backhaul.sharing.classes import TrafficClass
from gateway.clock import Clock
from gateway.hours import Local, left_s, opening
from gateway.web.ahead.warm_plan import Found, Plan, Progress, Step
from gateway.web.ahead.warm_record import Run, State
from gateway.web.site import Site

STEP_S_MAX = 1_200.0  # for one step: 20 MB at 133 kbit/s; one that drips is passed over
TRIES_MAX = 3  # of one step that failed while the link was in doubt


class Fetcher(Protocol):
    """Takes one step of a run: what it brought to light, None where it failed."""

    async def fetch(self, site: str, step: Step, bytes_max: int) -> Found | None: ...
    async def pinned(self, site: str) -> Sequence[str]: ...
    async def pin(self, site: str, url: str) -> bool: ...


@dataclass(frozen=True, slots=True)
class Ground:
    """What every run stands on; `local` makes local time of a date."""

    fetcher: Fetcher
    backhaul: Backhaul
    clock: Clock
    local: Callable[[float], Local]

    def at(self) -> Local:
        """Return what time it is in the village."""
        return self.local(self.clock.wall_s())


class Purse(Protocol):
    """The day's data of one site."""

    @property
    def left_bytes(self) -> int: ...
    def spend(self, moved_bytes: int) -> None: ...


class WarmRun:
    """A run that waits or is under way; `by_hand`: its hours do not bind it."""

    def __init__(self, ground: Ground, site: Site, purse: Purse, *, by_hand: bool) -> None:
        self._ground = ground
        self._purse = purse
        self._plan: Plan | None = None
        self._deadline: asyncio.Timeout | None = None
        self._stopped = False
        self._began_s = ground.clock.wall_s()
        self._allowed_bytes = purse.left_bytes
        self._moved_bytes = 0
        self._active_s = 0.0
        self.site = site
        self.by_hand = by_hand
        self.state = State.WAITING
        self.opened = opening(site.warm.hours, ground.at())

    def as_run(self, ended_s: float | None = None) -> Run:
        """Return the run as it is shown."""
        moved_bytes, allowed_bytes = self._moved_bytes, self._allowed_bytes
        progress = (
            self._plan.progress(active_s=self._active_s, moved_bytes=moved_bytes, allowed_bytes=allowed_bytes)
            if self._plan
            else Progress(allowed_bytes=allowed_bytes)
        )
        return Run(self.site.name, self.state, progress, self._began_s, ended_s)

    def stop(self) -> None:
        """Have the run end as soon as it can."""
        self._stopped = True
        if self._deadline is not None and not self._deadline.expired():
            self._deadline.reschedule(asyncio.get_running_loop().time())

    async def carry(self, pinned: Iterable[str], did: Callable[[Step, Found | None], Awaitable[None]]) -> State:
        """Take every step, telling `did` of each; returns how it ended."""
        self._allowed_bytes = self._purse.left_bytes
        self.opened = opening(self.site.warm.hours, self._ground.at())
        plan = self._plan = Plan(self.site.warm, self.site.at, pinned)
        tries = 0
        while (ended := self._why_ended()) is None:
            step = plan.next()
            if step is None:
                return State.DONE
            taken, found = await self._take(step)
            tries += taken
            in_doubt = self._ground.backhaul.status().state is not LinkState.UP
            if not taken or (found is None and in_doubt and tries < TRIES_MAX):
                plan.put_back(step)
                continue
            tries = 0
            plan.did(step, found)
            await did(step, found)
        return ended

    def _why_ended(self) -> State | None:
        if self._stopped:
            return State.STOPPED
        if not self._purse.left_bytes:
            return State.SPENT
        if not self.by_hand and opening(self.site.warm.hours, self._ground.at()) is None:
            return State.CLOSED
        return None

    async def _take(self, step: Step) -> tuple[bool, Found | None]:
        """Take a step once the link carries; says whether it was taken to its end, and what it brought."""
        ground, before_bytes = self._ground, self._bulk_bytes()
        try:
            async with self._may_last():
                self.state = State.HELD
                await self._link_carries()
                self.state = State.RUNNING
                began_s = ground.clock.now_s()
                try:
                    return True, await self._fetch(step)
                finally:
                    self._active_s += ground.clock.now_s() - began_s
        except TimeoutError:
            return False, None
        finally:
            moved_bytes = self._bulk_bytes() - before_bytes
            self._moved_bytes += moved_bytes
            self._purse.spend(moved_bytes)

    async def _fetch(self, step: Step) -> Found | None:
        """Return what a step brought; None where it failed, or took too long."""
        with contextlib.suppress(TimeoutError):  # that of the hours passes through, for it comes as a cancellation
            async with asyncio.timeout(STEP_S_MAX):
                return await self._ground.fetcher.fetch(self.site.name, step, self._purse.left_bytes)
        return None

    @asynccontextmanager
    async def _may_last(self) -> AsyncIterator[None]:
        """Let a step last as long as the run's hours, or until somebody stops it."""
        hours_s = None if self.by_hand else left_s(self.site.warm.hours, self._ground.at())
        try:
            async with asyncio.timeout(hours_s) as self._deadline:
                yield
        finally:
            self._deadline = None

    async def _link_carries(self) -> None:
        """Return while the link carries and is not in doubt."""
        backhaul = self._ground.backhaul
        if backhaul.status().state is LinkState.UP:
            return
        async with contextlib.aclosing(backhaul.changes()) as changes:
            async for status in changes:
                if status.state is LinkState.UP:
                    return

    def _bulk_bytes(self) -> int:
        """Return what crossed the link in our class: heads, and what was broken off too.

        Pages kept for later may be among it; then a run ends a little early, and the day's data is never overdrawn.
        """
        moved = self._ground.backhaul.moved()[TrafficClass.BULK]
        return moved.down_bytes + moved.up_bytes
