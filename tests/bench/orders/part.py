"""The orders part of the benchmark: a receipt, an order on the link, a long journal, a long queue.

python -m tests.bench orders                   all of it, the queue a fifth as long: some seven minutes
python -m tests.bench orders latency drain     some groups, whole: 100,000 orders drain twice
"""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from tests.bench.order_bytes import order_bytes
from tests.bench.orders.drain import drain
from tests.bench.orders.latency import receipts
from tests.bench.orders.long_journal import long_journal

MANY, SOME = 100_000, 20_000  # orders

Group = Callable[[Path], Awaitable[str]]
GROUPS: Mapping[str, Group] = {
    "latency": receipts,
    "bytes": order_bytes,
    "journal": partial(long_journal, orders=MANY),
    "drain": partial(drain, orders=MANY),
}


async def orders(folder: Path, groups: Sequence[str] = ()) -> str:
    """Print the tables of each group as it is done, but for the last; return that."""
    told = ""
    for name in groups or GROUPS:
        if told:
            print(told, end="\n\n", flush=True)
        group = GROUPS[name] if groups or name != "drain" else partial(drain, orders=SOME)
        place = await asyncio.to_thread(tempfile.mkdtemp, dir=folder)
        told = await group(Path(place))
    return told
