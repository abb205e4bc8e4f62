"""A program that records orders, says so, and is killed: run by the journal's fault tests.

python recording_box.py kill FOLDER SEED    record and send without end; `ACK id receipt hash` after each record
python recording_box.py full FOLDER BYTES   record with that limit on a file's size until refused, then without it
"""

import asyncio
import resource
import sys
import uuid
from pathlib import Path
from random import Random

from gateway.errors import NoCapacity
from gateway.market.batch import Verdict
from gateway.market.journal.journal import Journal, JournalLimits
from gateway.market.order import Order, order_from
from gateway.market.states import State
from tests.clocks import HandClock
from tests.unit.market.orders import KEY, PATIENCE

LIMITS = JournalLimits(ballast_bytes=0, free_bytes_min=0)


def an_order(random: Random) -> Order:
    return order_from(
        {
            "id": str(uuid.UUID(int=random.getrandbits(128), version=4)),
            "currency": "PEN",
            "buyer": {"name": "Lucía Quispe", "phone": "984123456"},
            "lines": [
                {"sku": "papa", "name": "Papa", "quantity": "1.5", "unit": "kg", "unit_price_minor": count}
                for count in range(random.randrange(1, 12))
            ],
            "note": "n" * random.randrange(500),
        }
    )


async def record(journal: Journal, order: Order, merchant: str) -> None:
    recorded = await journal.record(order, merchant)
    assert recorded is not None
    print("ACK", recorded.id, recorded.receipt, recorded.hash, merchant, flush=True)


async def merchant(journal: Journal, name: str, random: Random) -> None:
    while True:
        await record(journal, an_order(random), name)


async def sender(journal: Journal, random: Random) -> None:
    while True:
        taken = await journal.take(random.randrange(1, 20), 1_000_000)
        states = random.choices([State.ACCEPTED, State.QUEUED, State.REJECTED], k=len(taken))
        said = zip(taken, states, strict=True)
        verdicts = [Verdict(order.id, state, "luego") for order, state in said]
        await journal.settle(verdicts, PATIENCE)
        for verdict in verdicts:
            print("END" if verdict.state is not State.QUEUED else "ASK", verdict.id, verdict.state, flush=True)


async def until_killed(folder: Path, seed: int) -> None:
    journal = Journal(folder, "SMT", KEY, HandClock(), LIMITS)
    await journal.start()
    async with asyncio.TaskGroup() as tasks:
        for name in ("ana", "luis", "eva"):
            tasks.create_task(merchant(journal, name, Random(f"{name} {seed}")))
        tasks.create_task(sender(journal, Random(seed)))


async def until_full(folder: Path, size_bytes: int) -> None:
    clock, random = HandClock(), Random(3)
    journal = Journal(folder, "SMT", KEY, clock, LIMITS)
    await journal.start()
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, unlimited[1]))
    for _ in range(3):  # refused, and refused again after a try to mend
        order = await _until_refused(journal, random)
        clock.pass_s(10)
    assert len(await journal.newest(None, 10)) == 10, "reading goes on"
    resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    clock.pass_s(10)
    await record(journal, order, "ana")
    print("TAKING", journal.statistics().is_taking, flush=True)
    await journal.stop()


async def _until_refused(journal: Journal, random: Random) -> Order:
    while True:
        order = an_order(random)
        try:
            await record(journal, order, "ana")
        except NoCapacity:
            print("REFUSED", order.id, flush=True)
            return order


if __name__ == "__main__":
    way, folder, figure = sys.argv[1:]
    asyncio.run({"kill": until_killed, "full": until_full}[way](Path(folder), int(figure)))
