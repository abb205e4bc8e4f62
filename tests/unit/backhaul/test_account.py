"""The account counts every byte once, survives being stopped, cut and set to another time, and never tells a device."""

import itertools
import json
import sqlite3
import timeit
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gateway.backhaul.account.account import Account, AccountLimits
from gateway.backhaul.account.formats import FAR_S, Format, read
from gateway.backhaul.account.record import FIRST_PREVIOUS, UsageRecord, check
from gateway.backhaul.account.tables import CHAIN_RECORDS_MAX, FILE
from gateway.backhaul.account.usage import TENANTS_MAX, Usage, summed
from gateway.backhaul.sharing.classes import TrafficClass
from gateway.errors import CannotStart
from tests.clocks import HandClock

WEB, BULK = TrafficClass.WEB, TrafficClass.BULK
QUARTER_S = 900.0


def tokens() -> Callable[[], str]:
    numbers = itertools.count(1)
    return lambda: f"token-{next(numbers)}-of-{id(numbers)}"


def an_account(folder: Path, clock: HandClock, **limits: float) -> Account:
    return Account(folder, clock, box="san-mateo", token=tokens(), limits=AccountLimits(**limits))


async def records(account: Account, from_s: float = 0.0, to_s: float = FAR_S) -> list[UsageRecord]:
    text = "".join([piece async for piece in account.export(Format.JSON, from_s, to_s)])
    found = list(read(text.splitlines(keepends=True)))
    assert None not in found
    return [each for each in found if each is not None]


def told(record: UsageRecord, *names: str) -> tuple[object, ...]:
    return tuple(record.values[name] for name in names)


async def test_a_quarter_of_an_hour_becomes_one_record_a_tenant(tmp_path: Path, clock: HandClock) -> None:
    account = an_account(tmp_path, clock)
    await account.start()
    for minute in range(15):
        account.count("clinic", WEB, down_bytes=1_000, up_bytes=10, device="10.0.0.1")
        if minute < 3:
            account.count("school", BULK, down_bytes=7, local_bytes=500, device=f"10.0.1.{minute}")
            account.congested("school")
        clock.pass_s(60)
        await account.beat()
    found = await records(account)
    await account.stop()
    assert [each.values["tenant"] for each in found] == ["clinic", "school"]
    columns = ("start", "end", "seconds", "clock_state", "busy_minutes", "congested_minutes", "devices")
    whole = ("2027-01-15T08:00:00Z", "2027-01-15T08:15:00Z", 900, "trusted")
    assert told(found[0], *columns) == (*whole, 15, 0, 1)
    assert told(found[1], *columns) == (*whole, 3, 3, 3)
    assert found[0].carried[WEB] == (15_000, 150, 0)
    assert found[1].carried[BULK] == (21, 0, 1_500)
    assert check(found).fault is None
    assert told(found[0], "sequence", "previous", "box") == (1, FIRST_PREVIOUS, "san-mateo")


async def test_a_stop_in_the_middle_of_an_interval_loses_nothing_and_splits_nothing(
    tmp_path: Path, clock: HandClock
) -> None:
    first = an_account(tmp_path, clock)
    await first.start()
    for device in ("a", "b", "c"):
        first.count("clinic", WEB, down_bytes=100, device=device)
    clock.pass_s(60)
    await first.beat()
    first.count("clinic", WEB, down_bytes=5, device="a")
    await first.stop()
    clock.pass_s(30)
    second = an_account(tmp_path, clock)
    await second.start()
    second.count("clinic", WEB, down_bytes=1_000, device="a")
    clock.pass_s(QUARTER_S)
    await second.beat()
    (found,) = await records(second)
    await second.stop()
    assert found.carried[WEB].down_bytes == 1_305
    assert found.values["devices"] == 3, "the larger of both counts"
    assert told(found, "start", "busy_minutes") == ("2027-01-15T08:00:00Z", 2)


async def test_an_interval_that_ended_while_the_box_was_off_ends_where_it_was_last_written(
    tmp_path: Path, clock: HandClock
) -> None:
    first = an_account(tmp_path, clock)
    await first.start()
    first.count("clinic", WEB, up_bytes=9)
    clock.pass_s(120)
    await first.stop()
    clock.pass_s(86_400)
    second = an_account(tmp_path, clock)
    await second.start()
    await second.beat()
    (found,) = await records(second)
    await second.stop()
    assert told(found, "start", "end", "seconds") == ("2027-01-15T08:00:00Z", "2027-01-15T08:02:00Z", 120)


async def test_what_was_counted_before_the_start_is_not_lost(tmp_path: Path, clock: HandClock) -> None:
    account = an_account(tmp_path, clock)
    account.count("clinic", WEB, down_bytes=3)
    await account.start()
    clock.pass_s(QUARTER_S)
    await account.beat()
    assert [each.carried[WEB].down_bytes for each in await records(account)] == [3]
    await account.stop()


async def test_an_interval_that_began_before_the_clock_was_right_is_dated_from_its_end(
    tmp_path: Path, clock: HandClock
) -> None:
    right, clock.wall = clock.wall, 1_000.0
    account = an_account(tmp_path, clock)
    await account.start()
    account.count("clinic", WEB, down_bytes=3)
    clock.pass_s(40)
    clock.wall = right + 40
    await account.beat()
    (found,) = await records(account)
    await account.stop()
    assert told(found, "start", "end", "clock_state") == ("2027-01-15T08:00:00Z", "2027-01-15T08:00:40Z", "trusted")


async def test_a_clock_that_stays_wrong_is_said_in_the_record(tmp_path: Path, clock: HandClock) -> None:
    clock.wall = 1_000.0
    account = an_account(tmp_path, clock)
    await account.start()
    account.count("clinic", WEB, down_bytes=3)
    clock.pass_s(QUARTER_S)
    await account.beat()
    (found,) = await records(account)
    await account.stop()
    assert found.values["clock_state"] == "unknown"


async def test_a_clock_set_back_and_forth_writes_no_interval_twice(tmp_path: Path, clock: HandClock) -> None:
    account = an_account(tmp_path, clock)
    await account.start()
    for jump_s in (0.0, 3_600.0, -7_200.0, 0.0, 400 * 86_400.0, -400 * 86_400.0, -3.0):
        clock.wall += jump_s
        await account.beat()
        for _ in range(3):
            account.count("clinic", WEB, down_bytes=1)
            clock.pass_s(QUARTER_S / 3)
            await account.beat()
    clock.pass_s(QUARTER_S)
    await account.beat()
    found = await records(account)
    await account.stop()
    assert sum(each.carried[WEB].down_bytes for each in found) == 21
    assert check(found).fault is None
    spans = [told(each, "clock_epoch", "start", "end") for each in found]
    assert len(set(spans)) == len(spans)
    by_epoch = itertools.groupby(found, key=lambda each: each.values["clock_epoch"])
    for _, each in by_epoch:
        ends = [told(record, "start", "end") for record in each]
        assert all(str(before[1]) <= str(after[0]) for before, after in itertools.pairwise(ends)), "none overlaps"
    assert [each.values["sequence"] for each in found] == list(range(1, len(found) + 1))


async def test_exports_of_a_time_are_one_piece_of_the_chain(tmp_path: Path, clock: HandClock) -> None:
    account = an_account(tmp_path, clock)
    await account.start()
    begun = clock.wall
    for _ in range(8):
        account.count("clinic", WEB, down_bytes=1)
        clock.pass_s(QUARTER_S)
        await account.beat()
    found = await records(account, begun + QUARTER_S, begun + 4 * QUARTER_S)
    await account.stop()
    assert [each.values["sequence"] for each in found] == [2, 3, 4]
    assert check(found).fault is None


async def test_old_records_go_a_few_at_a_time_and_the_rest_still_verifies(tmp_path: Path, clock: HandClock) -> None:
    account = an_account(tmp_path, clock, keep_s=QUARTER_S * 10)
    await account.start()
    for _ in range(30):
        account.count("clinic", WEB, down_bytes=1)
        clock.pass_s(QUARTER_S)
        await account.beat()
    found = await records(account)
    clock.wall += 900 * 86_400  # a clock that is wrong takes no more than a few at once
    await account.beat()
    account.count("clinic", WEB, down_bytes=1)
    clock.pass_s(QUARTER_S)
    await account.beat()
    after = await records(account)
    anchor = await account.ask(lambda ledger: ledger.tables.state("anchor"))
    await account.stop()
    assert len(found) == 11
    assert check(found).fault is None
    assert len(after) == len(found) + 1 - 4
    assert (anchor["sequence"] + 1, anchor["hash"]) == told(after[0], "sequence", "previous")


async def test_a_minute_costs_the_card_one_small_page(tmp_path: Path, clock: HandClock) -> None:
    account = an_account(tmp_path, clock)
    await account.start()
    sizes = []
    for _ in range(10):
        for tenant in ("clinic", "school"):
            account.count(tenant, WEB, down_bytes=10**9, up_bytes=10**8)
        clock.pass_s(60)
        await account.beat()
        sizes.append((tmp_path / f"{FILE}-wal").stat().st_size)
    await account.stop()
    assert max(after - before for before, after in itertools.pairwise(sizes[1:])) <= 1_024 + 24


async def test_records_of_a_clock_that_ran_ahead_do_not_keep_those_before_and_after_them_for_ever(
    tmp_path: Path, clock: HandClock
) -> None:
    account = an_account(tmp_path, clock, keep_s=QUARTER_S * 10)
    await account.start()
    years_s = 9 * 365 * 86_400
    for number in range(60):
        clock.wall += years_s if number == 2 else -years_s if number == 8 else 0
        account.count("clinic", WEB, down_bytes=1)
        clock.pass_s(QUARTER_S)
        await account.beat()
    found = await records(account)
    await account.stop()
    assert len(found) < 15
    assert check(found).fault is None


async def test_totals_add_up_closed_and_open_intervals(tmp_path: Path, clock: HandClock) -> None:
    account = an_account(tmp_path, clock)
    await account.start()
    for _ in range(20):
        account.count("clinic", WEB, down_bytes=10, up_bytes=1, local_bytes=5)
        clock.pass_s(60)
        await account.beat()
    assert await account.closed() == summed(each.figures for each in await records(account))
    (total,) = await account.totals()
    lifetime = (await account.lifetimes())["clinic"]
    assert (total.tenant, total.traffic_class, total.carried) == ("clinic", WEB, (200, 20, 100))
    assert (lifetime.down_bytes, lifetime.up_bytes, lifetime.seconds) == (200, 20, 1_200)
    await account.stop()


@pytest.mark.parametrize("damage", ["torn", "garbage", "changed record", "changed state"])
async def test_a_damaged_ledger_is_set_aside_and_a_new_chain_begins(
    tmp_path: Path, clock: HandClock, damage: str
) -> None:
    path = tmp_path / FILE
    for _ in range(2):
        account = an_account(tmp_path, clock)
        await account.start()
        account.count("clinic", WEB, down_bytes=1)
        clock.pass_s(QUARTER_S)
        await account.beat()
        await account.stop()
    if damage == "torn":
        path.write_bytes(path.read_bytes()[:5_000])
    elif damage == "garbage":
        path.write_bytes(b"not a database" * 1_000)
    else:
        broken = sqlite3.connect(path)
        if damage == "changed record":
            broken.execute("UPDATE records SET record=replace(record, '\"web_down_bytes\":1', '\"web_down_bytes\":0')")
        else:
            broken.execute("UPDATE state SET document='{}' WHERE name='chain'")
        broken.commit()
        broken.close()
    account = an_account(tmp_path, clock)
    await account.start()
    account.count("clinic", WEB, down_bytes=2)
    clock.pass_s(QUARTER_S)
    await account.beat()
    (found,) = await records(account)
    statistics = account.statistics()
    await account.stop()
    assert statistics.put_aside == 1
    assert told(found, "sequence", "previous") == (CHAIN_RECORDS_MAX + 1, FIRST_PREVIOUS)
    assert (tmp_path / "usage.damaged-1.sqlite3").exists()


async def test_a_ledger_of_a_newer_program_is_left_alone(tmp_path: Path, clock: HandClock) -> None:
    made = sqlite3.connect(tmp_path / FILE)
    made.execute("PRAGMA user_version=99")
    made.close()
    with pytest.raises(CannotStart):
        await an_account(tmp_path, clock).start()
    assert not list(tmp_path.glob("*damaged*"))


async def test_a_disk_that_fails_loses_nothing_is_tried_again_and_said_once(tmp_path: Path, clock: HandClock) -> None:
    is_full = False

    class Connection(sqlite3.Connection):
        def execute(self, *given: object) -> sqlite3.Cursor:
            if is_full and str(given[0]).startswith("COMMIT"):
                raise sqlite3.OperationalError("database or disk is full")
            return super().execute(*given)  # type: ignore[arg-type]

    def opens(path: Path) -> sqlite3.Connection:
        return sqlite3.connect(path, isolation_level=None, factory=Connection)

    account = Account(tmp_path, clock, box="b", token=tokens(), opens=opens)
    await account.start()
    is_full = True
    with capture_logs() as told:
        for _ in range(3):
            account.count("clinic", WEB, down_bytes=1)
            clock.pass_s(QUARTER_S)
            await account.beat()
    assert account.statistics().waiting == 3
    assert account.statistics().failures == 3
    assert len([each for each in told if each["event"] == "account.failed"]) == 1
    is_full = False
    await account.beat()
    found = await records(account)
    assert account.statistics().waiting == 0
    await account.stop()
    assert sum(each.carried[WEB].down_bytes for each in found) == 3
    assert check(found).fault is None


async def test_a_commit_that_held_though_it_was_in_doubt_is_not_written_twice(tmp_path: Path, clock: HandClock) -> None:
    is_torn = False

    class Connection(sqlite3.Connection):
        def execute(self, *given: object) -> sqlite3.Cursor:
            done = super().execute(*given)  # type: ignore[arg-type]
            if is_torn and str(given[0]).startswith("COMMIT"):
                raise sqlite3.OperationalError("disk I/O error")
            return done

    def opens(path: Path) -> sqlite3.Connection:
        return sqlite3.connect(path, isolation_level=None, factory=Connection)

    account = Account(tmp_path, clock, box="b", token=tokens(), opens=opens)
    await account.start()
    for broken in (True, True, False):
        is_torn = broken
        account.count("clinic", WEB, down_bytes=1)
        clock.pass_s(QUARTER_S)
        await account.beat()
    found = await records(account)
    await account.stop()
    assert [each.carried[WEB].down_bytes for each in found] == [1, 1, 1]


async def test_no_device_is_ever_written(tmp_path: Path, clock: HandClock) -> None:
    account = an_account(tmp_path, clock)
    await account.start()
    device = "10.77.66.55"
    account.count("clinic", WEB, down_bytes=1, device=device)
    for _ in range(16):
        clock.pass_s(60)
        await account.beat()
    await account.stop()
    kept = b"".join(each.read_bytes() for each in tmp_path.iterdir())
    assert device.encode() not in kept
    assert str(hash(device)).encode() not in kept


async def test_an_idle_box_writes_nothing_between_the_quarters(tmp_path: Path, clock: HandClock) -> None:
    account = an_account(tmp_path, clock)
    await account.start()
    before = (tmp_path / f"{FILE}-wal").stat().st_size
    for _ in range(14):
        clock.pass_s(60)
        await account.beat()
    assert (tmp_path / f"{FILE}-wal").stat().st_size == before
    await account.stop()


def test_counting_costs_next_to_nothing(tmp_path: Path, clock: HandClock) -> None:
    account = an_account(tmp_path, clock)
    device = "10.0.0.1"
    best = min(
        timeit.repeat(
            lambda: account.count("clinic", WEB, down_bytes=16_384, up_bytes=0, device=device), number=2_000, repeat=20
        )
    )
    assert best / 2_000 < 4e-6, "2 µs on a quiet machine"


def test_more_tenants_than_there_may_be_are_counted_for_the_last(clock: HandClock) -> None:
    usage = Usage()
    for number in range(TENANTS_MAX + 5):
        usage.add(f"tenant-{number}", WEB, 1, 0, 0, "")
    figures = usage.figures()
    assert len(figures) == TENANTS_MAX
    assert sum(each.link_bytes.down_bytes for each in figures) == TENANTS_MAX + 5


async def test_a_record_in_json_names_every_column_once(tmp_path: Path, clock: HandClock) -> None:
    account = an_account(tmp_path, clock)
    await account.start()
    account.count("clinic", WEB, down_bytes=1)
    clock.pass_s(QUARTER_S)
    await account.beat()
    lines = "".join([piece async for piece in account.export(Format.JSON)]).splitlines()
    await account.stop()
    assert len(lines) == 1
    assert len(json.loads(lines[0])) == 26
