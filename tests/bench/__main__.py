"""`make bench`: what a unit of work costs, beside the named peer in the same run, printed as tables.

Machines are noisy: rounds are interleaved, CPU is user + system time of the serving processes divided by the work done,
and of several rounds the least counts. Peers are Debian's; where one is missing and cannot be installed, a sentence
says so and the table does without it.
"""

import asyncio
import tempfile
from pathlib import Path

from tests.bench.bytes_over_link import bytes_over_link
from tests.bench.first_page import first_page
from tests.bench.hits import hits
from tests.bench.misses import misses
from tests.bench.receipts import receipts
from tests.bench.saver import saver


async def main() -> None:
    """Run every part and print its table."""
    for part in (hits, misses, bytes_over_link, saver, receipts, first_page):
        with tempfile.TemporaryDirectory(prefix="tambo-bench-") as folder:
            print(await part(Path(folder)), end="\n\n", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
