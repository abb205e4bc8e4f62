"""`kill -9` at any moment costs the account at most a minute, and never a link of the chain or an interval twice."""

import asyncio
import itertools
import os
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from random import Random

from gateway.backhaul.account.account import Account
from gateway.backhaul.account.formats import Format, read
from gateway.backhaul.account.record import UsageRecord, check
from tests.clocks import HandClock

ROOT = Path(__file__).resolve().parents[2]
KILLS = 8


async def minutes_until_killed(folder: Path, minute: int, lines: int) -> int:
    """Let a box count, kill it once it has said so much, and return the last minute that it said."""
    script = str(Path(__file__).with_name("accounting_box.py"))
    process = await asyncio.create_subprocess_exec(
        sys.executable, script, str(folder), str(minute), stdout=PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert process.stdout is not None
    said: list[bytes] = []
    async with asyncio.timeout(60):
        while len(said) < lines:
            said.append(await process.stdout.readline())
            assert said[-1], "it ended by itself"
        process.kill()
        said += (await process.stdout.read()).splitlines(keepends=True)
        assert await process.wait() == -9
    whole = [line.split() for line in said if line.endswith(b"\n")]
    return int(whole[-1][1]) if len(whole[-1]) == 2 else minute


async def test_being_killed_at_any_moment_costs_at_most_a_minute(tmp_path: Path) -> None:
    random, minute, lost = Random(5), 0, 0
    counted = 0
    for _ in range(KILLS):
        said = await minutes_until_killed(tmp_path, minute, random.randrange(2, 60))
        counted += said - minute
        minute = said + 1  # the box is off for less than a minute
        account = Account(tmp_path, HandClock(wall=1_800_000_000.0 + 60 * minute), box="b", token=lambda: "reader")
        await account.start()
        found = sum(each.carried.down_bytes for each in await account.totals())
        await account.ask(lambda ledger: ledger.tables.close())
        lost = found - 1_000 * counted
        assert 0 <= lost <= 1_000 * KILLS, "all that was said to be on disk is there; what came after may be"
        counted = found // 1_000

    account = Account(tmp_path, HandClock(wall=1_800_000_000.0 + 60 * (minute + 20)), box="b", token=lambda: "reader")
    await account.start()
    await account.beat()
    text = "".join([piece async for piece in account.export(Format.JSON)])
    await account.stop()
    records: list[UsageRecord] = [each for each in read(text.splitlines(keepends=True)) if each is not None]
    assert check(records).fault is None
    assert [each.values["sequence"] for each in records] == list(range(1, len(records) + 1))
    assert sum(each.figures.link_bytes.down_bytes for each in records) == counted * 1_000
    spans = [(str(each.values["start"]), str(each.values["end"])) for each in records]
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans))
    assert all(each.values["devices"] == 1 for each in records)
