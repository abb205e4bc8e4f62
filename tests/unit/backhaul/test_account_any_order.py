"""Whatever clock, power and disk do in whatever order: every byte once, one chain, no interval twice."""

import asyncio
import itertools
import sqlite3
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from gateway.backhaul.account.account import Account, AccountLimits
from gateway.backhaul.account.formats import Format, read
from gateway.backhaul.account.record import UsageRecord, check
from gateway.backhaul.sharing.classes import TrafficClass
from tests.clocks import HandClock

Event = tuple[str, float]
FOR_EVER = AccountLimits(keep_s=1e12)  # or a clock that jumps years ahead would let old records go

events = some.lists(
    some.one_of(
        some.tuples(some.just("minute"), some.floats(1, 1_000)),
        some.tuples(some.just("clock"), some.sampled_from([-2e9, -90_000.0, -3_600.0, -30.0, 20.0, 7_200.0, 3e7])),
        some.tuples(some.just("right"), some.just(0.0)),
        some.tuples(some.just("restart"), some.floats(0, 5_000)),
        some.tuples(some.just("full"), some.just(0.0)),
        some.tuples(some.just("room"), some.just(0.0)),
    ),
    max_size=25,
)


class Disk:
    """A disk that is full at times."""

    is_full = False

    def opens(self, path: Path) -> sqlite3.Connection:
        disk = self

        class Connection(sqlite3.Connection):
            def execute(self, *given: object) -> sqlite3.Cursor:
                if disk.is_full and str(given[0]).startswith("COMMIT"):
                    raise sqlite3.OperationalError("database or disk is full")
                return super().execute(*given)  # type: ignore[arg-type]

        return sqlite3.connect(path, isolation_level=None, factory=Connection)


async def lived_through(happened: Sequence[Event]) -> tuple[int, list[UsageRecord]]:
    """Return how many bytes were counted, and the records that came of it."""
    disk, clock, tokens, counted = Disk(), HandClock(), itertools.count(), 0
    with tempfile.TemporaryDirectory() as folder:

        def box() -> Account:
            return Account(
                Path(folder), clock, box="b", token=lambda: f"{next(tokens)}", limits=FOR_EVER, opens=disk.opens
            )

        account = box()
        await account.start()
        for name, figure in happened:
            match name:
                case "minute":
                    account.count("coop", TrafficClass.WEB, down_bytes=1)
                    counted += 1
                    clock.pass_s(figure)
                    await account.beat()
                case "clock":
                    clock.wall = max(clock.wall + figure, 0.0)
                case "right":
                    clock.wall = 1_800_000_000.0 + clock.now
                case "restart":
                    disk.is_full = False
                    await account.stop()
                    clock.pass_s(figure)
                    account = box()
                    await account.start()
                case "full":
                    disk.is_full = True
                case _:
                    disk.is_full = False
        disk.is_full = False
        clock.pass_s(901)
        await account.beat()
        text = "".join([piece async for piece in account.export(Format.JSON)])
        await account.stop()
    return counted, [each for each in read(text.splitlines(keepends=True)) if each is not None]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(events)
def test_every_byte_is_in_one_record_and_no_two_intervals_of_an_epoch_overlap(happened: list[Event]) -> None:
    counted, records = asyncio.run(lived_through(happened))
    assert check(records).fault is None
    assert [each.values["sequence"] for each in records] == list(range(1, len(records) + 1))
    assert sum(each.figures.link_bytes.down_bytes for each in records) == counted
    by_epoch: dict[object, list[UsageRecord]] = defaultdict(list)
    for each in records:
        by_epoch[each.values["clock_epoch"]].append(each)
        assert str(each.values["start"]) <= str(each.values["end"])
    for found in by_epoch.values():
        spans = [(str(each.values["start"]), str(each.values["end"])) for each in found]
        assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans))
