"""`make bench`: what a unit of work costs, beside the named peer in the same run, printed as tables.

Machines are noisy: rounds are interleaved, CPU is user + system time of the serving processes divided by the work done,
and of several rounds the least counts. Peers are Debian's; where one is missing and cannot be installed, a sentence
says so and the table does without it.

    python -m tests.bench                  all of it
    python -m tests.bench hits link        some parts
    python -m tests.bench link constant    of the link, some groups whole; else the first scenario of each
    python -m tests.bench orders drain     of the orders, some groups whole
    python -m tests.bench call rates       of the call, some groups; what follows `call` is the call's
"""

import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path

from tests.bench.bytes_over_link import bytes_over_link
from tests.bench.call.part import call
from tests.bench.first_page import first_page
from tests.bench.hits import hits
from tests.bench.link.part import link
from tests.bench.misses import misses
from tests.bench.orders.part import GROUPS as ORDER_GROUPS
from tests.bench.orders.part import orders
from tests.bench.saver import saver

PARTS = (hits, misses, bytes_over_link, saver, first_page)


async def main(names: Sequence[str]) -> None:
    """Run the named parts, or every one, and print their tables; a name that is no part is a group of the link's."""
    if names[:1] == ["call"]:
        await printed([partial(call, words=names[1:])])
        return
    known = {"link", "orders", *ORDER_GROUPS, *(part.__name__ for part in PARTS)}
    groups = [name for name in names if name not in known]
    chosen: list[Callable[[Path], Awaitable[str]]] = [part for part in PARTS if not names or part.__name__ in names]
    of_orders = [name for name in names if name in ORDER_GROUPS]
    if not names or of_orders or "orders" in names:
        chosen.append(partial(orders, groups=of_orders))
    if not names or groups or "link" in names:
        chosen.append(partial(link, groups=groups))
    if not names:
        chosen.append(call)
    await printed(chosen)


async def printed(chosen: Sequence[Callable[[Path], Awaitable[str]]]) -> None:
    """Run parts one after another, each in a folder of its own, and print their tables."""
    for part in chosen:
        with tempfile.TemporaryDirectory(prefix="tambo-bench-") as folder:
            print(await part(Path(folder)), end="\n\n", flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
