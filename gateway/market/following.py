"""What becomes of an order after it arrived is asked of the marketplace from time to time, from a cursor on.

A question costs a few hundred bytes, so it is asked seldom, and at once when the link is back or somebody asks.
"""

import asyncio
from contextlib import suppress
from random import Random

import structlog

from gateway.backhaul.link import Backhaul
from gateway.backhaul.sensing.state import LinkState
from gateway.exchange.backoff import pause_s
from gateway.market.journal.journal import Journal
from gateway.market.marketplaces.port import NotDelivered, TellsUpdates, Updates

ROUNDS_MAX = 100  # of one visit; what is left waits for the next
LEARNED_AT_ONCE = 200  # receipts: 20 ms in the journal's thread (2026-11), where orders wait for their own meanwhile

_log = structlog.get_logger("market.following")


class Following:
    """Asks one marketplace what became of the journal's orders."""

    def __init__(
        self, journal: Journal, marketplace: TellsUpdates, backhaul: Backhaul, *, every_s: float, random: Random
    ) -> None:
        self._journal = journal
        self._marketplace = marketplace
        self._backhaul = backhaul
        self._every_s = every_s
        self._random = random
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Ask at once."""
        self._woken.set()

    async def run(self) -> None:
        """Ask from time to time, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch_link(), name="updates link")
            tasks.create_task(self._ask_for_ever(), name="updates")

    async def _watch_link(self) -> None:
        was_down = False
        async for status in self._backhaul.changes():
            is_down = status.state is LinkState.DOWN
            if was_down and not is_down:
                self.wake()
            was_down = is_down

    async def _ask_for_ever(self) -> None:
        failures = 0
        while True:
            self._woken.clear()
            failures = 0 if await self._visit() else failures + 1
            pause = pause_s(1 + failures, self._random.random(), least_s=self._every_s, most_s=12 * self._every_s)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._woken.wait()

    async def _visit(self) -> bool:
        """Learn all that is told now; say whether the marketplace answered."""
        if self._backhaul.is_down:
            return False
        try:
            for _ in range(ROUNDS_MAX):
                cursor = await self._journal.cursor()
                updates = await self._marketplace.updates(cursor)
                if not await self._learn(updates, cursor) or updates.is_all:
                    break
        except NotDelivered as exc:
            _log.info("updates.failed", reason=exc.reason)
            return False
        except Exception as exc:  # noqa: BLE001 - a fault of ours must not end the asking
            _log.error("updates.failed", reason=type(exc).__name__)
            return False
        return True

    async def _learn(self, updates: Updates, cursor: str) -> bool:
        """Write what was told, some at a time; say whether the cursor moved on, which it does with the last of them."""
        receipts = updates.receipts
        last = len(receipts) - len(receipts) % LEARNED_AT_ONCE
        is_noted = True
        for first in range(0, last, LEARNED_AT_ONCE):
            is_noted &= await self._journal.learn(receipts[first : first + LEARNED_AT_ONCE], cursor)
        return await self._journal.learn(receipts[last:], updates.cursor if is_noted else cursor) and is_noted
