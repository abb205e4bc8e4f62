"""A box that counts and is killed: `python accounting_box.py FOLDER MINUTE`; says each minute that is on disk.

A minute passes as fast as the disk takes it. In each, a thousand bytes cross; `START`, `MINUTE n` after each write.
"""

import asyncio
import itertools
import os
import sys
from pathlib import Path

from gateway.backhaul.account.account import Account
from gateway.backhaul.sharing.classes import TrafficClass
from tests.clocks import HandClock


async def main(folder: Path, minute: int) -> None:
    clock, numbers = HandClock(wall=1_800_000_000.0 + 60 * minute), itertools.count()
    account = Account(folder, clock, box="b", token=lambda: f"{os.getpid()}-{next(numbers)}")
    await account.start()
    print("START", flush=True)
    while True:
        account.count("coop", TrafficClass.WEB, down_bytes=1_000, device="10.0.0.1")
        clock.pass_s(60)
        minute += 1
        await account.beat()
        print("MINUTE", minute, flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
