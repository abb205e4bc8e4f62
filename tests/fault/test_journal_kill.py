"""`kill -9` at any moment: every order with a receipt is there, whole, with that receipt; none has another's."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections import defaultdict
from pathlib import Path
from random import Random

from gateway.market.journal.journal import Journal, JournalLimits
from gateway.market.order import content_hash
from tests.clocks import HandClock
from tests.unit.market.orders import KEY

ROOT = Path(__file__).resolve().parents[2]
KILLS = 12
LINES_MAX = 400


async def recording(folder: Path, way: str, figure: int) -> Process:
    surroundings = {**os.environ, "PYTHONPATH": str(ROOT)}
    script = str(Path(__file__).with_name("recording_box.py"))
    return await asyncio.create_subprocess_exec(
        sys.executable, script, way, str(folder), str(figure), stdout=PIPE, env=surroundings
    )


async def killed_after(process: Process, lines: int) -> list[list[str]]:
    """Kill the process once it has said so many lines; return all that it said, whole lines only."""
    assert process.stdout is not None
    said: list[bytes] = []
    async with asyncio.timeout(60):
        while len(said) < lines:
            said.append(await process.stdout.readline())
            assert said[-1], "it ended by itself"
        process.kill()
        said += (await process.stdout.read()).splitlines(keepends=True)
        assert await process.wait() == -9
    return [line.decode().split() for line in said if line.endswith(b"\n")]


async def test_every_acknowledged_order_survives_being_killed_at_any_moment(tmp_path: Path) -> None:
    folder, random = tmp_path / "market", Random(20)
    acknowledged: dict[str, tuple[str, str, str]] = {}
    ended: dict[str, str] = {}
    for kill in range(KILLS):
        said = await killed_after(await recording(folder, "kill", kill), random.randrange(1, LINES_MAX))
        acknowledged |= {words[1]: (words[2], words[3], words[4]) for words in said if words[0] == "ACK"}
        ended |= {words[1]: words[2] for words in said if words[0] == "END"}
    assert len(acknowledged) > KILLS

    journal = Journal(folder, "SMT", KEY, HandClock(), JournalLimits(free_bytes_min=0, ballast_bytes=0))
    await journal.start()
    for order_id, (receipt, digest, merchant) in acknowledged.items():
        found = await journal.one(order_id)
        assert found is not None
        assert found.order is not None
        assert (found.receipt, found.hash, found.merchant) == (receipt, digest, merchant)
        assert content_hash(found.order, merchant) == digest
        if order_id in ended:
            assert found.state == ended[order_id]
    assert (journal.statistics().damaged, journal.statistics().put_aside) == (0, 0)
    counters: dict[str, list[int]] = defaultdict(list)
    for view in await journal.newest(None, 1_000_000):
        _, number, counter = view.receipt.split("-")
        counters[number].append(int(counter))
    assert sum(map(len, counters.values())) >= len(acknowledged)
    for given in counters.values():
        assert sorted(given) == list(range(1, len(given) + 1)), "none twice, none left out"
    await journal.stop()


async def test_a_disk_that_is_full_refuses_orders_loses_none_and_takes_again_when_there_is_room(tmp_path: Path) -> None:
    folder = tmp_path / "market"
    process = await recording(folder, "full", 400_000)
    async with asyncio.timeout(60):
        said, _ = await process.communicate()
    assert process.returncode == 0
    lines = [line.split() for line in said.decode().splitlines()]
    acknowledged = {words[1]: words[2] for words in lines if words[0] == "ACK"}
    assert len(acknowledged) > 20
    assert sum(words[0] == "REFUSED" for words in lines) == 3
    assert lines[-1] == ["TAKING", "True"]

    journal = Journal(folder, "SMT", KEY, HandClock(), JournalLimits(free_bytes_min=0, ballast_bytes=0))
    await journal.start()
    views = {view.id: view.receipt for view in await journal.newest(None, 1_000_000)}
    assert acknowledged.items() <= views.items()
    assert journal.statistics().put_aside == 0
    await journal.stop()
