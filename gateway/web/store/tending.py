"""A store at work is written every few seconds, has room to spare, and is rid of what nobody can ask for."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from functools import partial
from typing import Protocol, TypeVar

from gateway.errors import LocalError
from gateway.web.store.disk import DiskTier
from gateway.web.store.space import Kept, Removed

T = TypeVar("T")

USES_EVERY_S = 60.0  # what was used is noted in the ledger
TIDY_EVERY_S = 10.0
PAUSE_S = 0.05  # between two steps of work that nobody waits for


class Tended(Protocol):
    """A store."""

    disk: DiskTier

    async def run(self, work: Callable[[], T]) -> T: ...
    def tell_evicted(self) -> bool: ...
    async def write_uses(self) -> None: ...
    async def sync(self) -> None: ...
    async def by_site(self) -> dict[str, Kept]: ...
    async def purge_site(self, site: str) -> Removed: ...


async def tended(store: Tended, write_every_s: float, sites: Collection[str] | None) -> None:
    """Tend a store until cancelled."""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_write(store, write_every_s), name="web store: write")
        tasks.create_task(_tidy(store, sites), name="web store: tidy")


async def _write(store: Tended, write_every_s: float) -> None:
    async def make_room() -> bool:
        return not await store.run(store.disk.space.rest) and store.tell_evicted()

    passed_s, rows, synced = 0.0, store.disk.rows, 0
    while True:
        await asyncio.sleep(write_every_s)
        passed_s += write_every_s
        if passed_s >= USES_EVERY_S:
            passed_s = 0.0
            await store.write_uses()
        await _step_by_step(partial(store.run, rows.write_step), pause_s=0.0)
        if rows.transactions != synced:
            synced = rows.transactions
            await store.sync()
        await _step_by_step(make_room)


async def _tidy(store: Tended, sites: Collection[str] | None) -> None:
    await asyncio.sleep(PAUSE_S)
    if sites is not None:
        for site in set(await store.by_site()).difference(sites):
            with suppress(LocalError):  # on a disk that fails; at the next start it is tried again
                await store.purge_site(site)
    while True:
        if store.disk.rows.sweeps:
            await _step_by_step(partial(store.run, store.disk.rows.sweep))
        await asyncio.sleep(TIDY_EVERY_S)


async def _step_by_step(step: Callable[[], Awaitable[bool]], pause_s: float = PAUSE_S) -> None:
    """Take steps for as long as there are more, with pauses in which others have their turn."""
    while True:
        if not await step():
            return
        await asyncio.sleep(pause_s)
