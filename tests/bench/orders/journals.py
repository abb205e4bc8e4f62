"""Journals as boxes have them after long: a hundred thousand orders that wait, or that arrived, or are trimmed.

They are written by the journal itself, a thousand orders in one transaction, into the data directory of a box that
does not run.
"""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.clock import SystemClock
from gateway.data_folder import ORDERS_KEY, DataFolder
from gateway.exchange.backoff import Patience
from gateway.market.batch import Verdict
from gateway.market.journal.journal import FILE, Journal, JournalLimits
from gateway.market.order import as_fields, order_from
from gateway.market.states import State
from tests.bench.orders_made import made

MERCHANT = "ana"
AT_ONCE = 1_000
SENT_AT_ONCE = 500  # as the drain takes them
BATCH_BYTES_MAX = 1_048_576


@asynccontextmanager
async def journal(data: Path) -> AsyncIterator[Journal]:
    """Hold the journal of a box that does not run."""
    key = DataFolder(data).make().key_for(ORDERS_KEY)
    opened = Journal(data / "market", "SMT", key, SystemClock(), JournalLimits())
    await opened.start()
    try:
        yield opened
    finally:
        await opened.stop()


async def fill(data: Path, orders: int) -> int:
    """Put orders into a journal that wait to go; return what it takes then, its log included.

    Their content repeats after some thousands, their ids do not.
    """
    models = [as_fields(each.order) for each in made(4 * AT_ONCE)]
    async with journal(data) as opened:
        for first in range(0, orders, AT_ONCE):
            fields = (models[at % len(models)] for at in range(first, min(first + AT_ONCE, orders)))
            await opened.record_all([order_from({**each, "id": str(uuid.uuid4())}) for each in fields], MERCHANT)
        return size_bytes(data)


async def settle_all(data: Path) -> int:
    """Let all that waits be taken and accepted, as a drain does it; return what the journal takes then."""
    async with journal(data) as opened:
        while taken := await opened.take(SENT_AT_ONCE, BATCH_BYTES_MAX):
            verdicts = [Verdict(each.id, State.ACCEPTED, revision=each.revision) for each in taken]
            await opened.settle(verdicts, Patience())
        return size_bytes(data)


async def trim_all(data: Path) -> int:
    """Trim all that is settled, however young; return what the journal takes then."""
    async with journal(data) as opened:
        await opened.trim(SystemClock().wall_s() + 1.0)
        return size_bytes(data)


def size_bytes(data: Path) -> int:
    """Return what the journal takes on the disk, its log included."""
    return sum(path.stat().st_size for path in (data / "market").glob(f"{FILE}*"))
