"""`make bench`: what a unit of work costs, beside the named peer in the same run, printed as tables.

Machines are noisy: rounds are interleaved, CPU is user + system time of the serving processes divided by the work done,
and of several rounds the least counts. Peers are Debian's; where one is missing its column says so.
"""

import asyncio
import tempfile
from pathlib import Path

from tests.bench.first_page import first_page
from tests.bench.hits import hits
from tests.bench.receipts import receipts


async def main() -> None:
    """Run every part and print its table."""
    for part in (hits, receipts, first_page):
        with tempfile.TemporaryDirectory(prefix="tambo-bench-") as folder:
            print(await part(Path(folder)), end="\n\n", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
