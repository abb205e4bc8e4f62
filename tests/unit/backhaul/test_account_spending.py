"""What is used is known to the last piece, over intervals, restarts and the day on which the allowance begins anew."""

import itertools
from datetime import UTC
from pathlib import Path

import pytest

from gateway.backhaul.account.account import Account
from gateway.backhaul.account.spending import Spending, SpendingPolicy
from gateway.backhaul.sharing.allowance import FULL_SPEED, Allowance, Every
from gateway.backhaul.sharing.classes import TrafficClass
from gateway.hours import Local, parse_hours
from tests.clocks import HandClock

MB = 1_000_000
DAILY = SpendingPolicy(Allowance(100 * MB, Every.DAY), gigabyte_minor=300, currency="PEN")


def noon(wall_s: float) -> Local:
    return Local(int(wall_s // 86_400), 12 * 3_600)


async def started(folder: Path, clock: HandClock, policy: SpendingPolicy = DAILY) -> tuple[Account, Spending]:
    numbers = itertools.count()
    account = Account(folder, clock, box="b", token=lambda: f"{clock.now}-{next(numbers)}")
    await account.start()
    spending = Spending(account, clock, policy, local=noon, zone=UTC)
    await spending.refresh()
    return account, spending


async def move(account: Account, spending: Spending, clock: HandClock, quarters: int, each_bytes: int) -> None:
    for _ in range(quarters):
        account.count("coop", TrafficClass.WEB, down_bytes=each_bytes, local_bytes=each_bytes)
        clock.pass_s(900)
        await account.beat()
        await spending.refresh()


async def test_every_piece_counts_at_once_and_once(tmp_path: Path, clock: HandClock) -> None:
    account, spending = await started(tmp_path, clock)
    for count in range(1, 40):
        account.count("coop", TrafficClass.WEB, down_bytes=MB, up_bytes=1)
        assert spending.used_bytes() == spending.used_bytes("coop") == count * (MB + 1)
        clock.pass_s(400)
        await account.beat()
        await spending.refresh()
        assert spending.used_bytes() == count * (MB + 1)
    assert spending.used_bytes("school") == 0
    await account.stop()


async def test_a_new_period_begins_with_nothing_used(tmp_path: Path, clock: HandClock) -> None:
    account, spending = await started(tmp_path, clock)
    await move(account, spending, clock, 64, MB)  # from 08:00 to midnight
    assert spending.used_bytes() == 0
    account.count("coop", TrafficClass.BULK, up_bytes=5)
    assert spending.used_bytes() == 5
    await account.stop()


async def test_the_forecast_goes_by_the_days_before(tmp_path: Path, clock: HandClock) -> None:
    account, spending = await started(tmp_path, clock)
    first = spending.forecast()
    assert first is not None
    await move(account, spending, clock, 96 * 2, 2 * MB)
    told = spending.forecast()
    assert told is not None
    assert told.is_known
    assert told.ends_wall_s is not None, "192 MB a day are more than 100"
    assert told.used_bytes == 64 * MB
    await account.stop()


async def test_bulk_is_slowed_as_the_allowance_nears_its_end_and_calls_are_not(
    tmp_path: Path, clock: HandClock
) -> None:
    account, spending = await started(tmp_path, clock)
    assert spending.slowing() == FULL_SPEED
    account.count("coop", TrafficClass.WEB, down_bytes=85 * MB)
    assert spending.slowing() == FULL_SPEED, "it changes a few times a minute at most"
    clock.pass_s(15)
    assert spending.slowing().ceiling_bps(TrafficClass.BULK, MB) == 0
    account.count("coop", TrafficClass.WEB, down_bytes=25 * MB)
    clock.pass_s(15)
    assert spending.slowing().ceiling_bps(TrafficClass.WEB, MB) == 64_000
    assert spending.slowing().ceiling_bps(TrafficClass.REALTIME, MB) is None
    await account.stop()


async def test_a_tenant_is_slowed_by_its_own_cap_alone(tmp_path: Path, clock: HandClock) -> None:
    account, spending = await started(tmp_path, clock, SpendingPolicy(tenants={"coop": Allowance(10 * MB)}))
    account.count("coop", TrafficClass.WEB, down_bytes=11 * MB)
    account.count("school", TrafficClass.WEB, down_bytes=500 * MB)
    assert spending.slowing() == spending.slowing("school") == FULL_SPEED
    assert spending.slowing("coop").web_ratio == 0
    assert spending.forecast() is None
    await account.stop()


async def test_bulk_waits_for_its_hours_without_any_allowance(tmp_path: Path, clock: HandClock) -> None:
    policy = SpendingPolicy(bulk_hours=(parse_hours("22:00-05:00"),))
    account, spending = await started(tmp_path, clock, policy)
    assert spending.slowing().ceiling_bps(TrafficClass.BULK, MB) == 0
    await account.stop()


async def test_nothing_is_slowed_while_the_date_is_not_known(tmp_path: Path, clock: HandClock) -> None:
    clock.wall = 5_000.0
    account, spending = await started(tmp_path, clock)
    account.count("coop", TrafficClass.WEB, down_bytes=500 * MB)
    assert spending.slowing() == FULL_SPEED
    assert spending.forecast() is None
    await account.stop()


async def test_a_restart_forgets_nothing_of_the_period(tmp_path: Path, clock: HandClock) -> None:
    account, spending = await started(tmp_path, clock)
    await move(account, spending, clock, 3, MB)
    account.count("coop", TrafficClass.WEB, down_bytes=7)
    await account.stop()
    account, spending = await started(tmp_path, clock)
    assert spending.used_bytes() == 3 * MB + 7
    await account.stop()


@pytest.mark.parametrize(("gigabyte_minor", "price"), [(None, None), (300, 1)])
async def test_the_cache_saves_bytes_and_money(
    tmp_path: Path, clock: HandClock, gigabyte_minor: int | None, price: int | None
) -> None:
    policy = SpendingPolicy(gigabyte_minor=gigabyte_minor, currency="PEN")
    account, spending = await started(tmp_path, clock, policy)
    account.count("coop", TrafficClass.WEB, local_bytes=3 * MB)
    savings = spending.savings()
    assert (savings.size_bytes, savings.price_minor) == (3 * MB, price)
    await account.stop()
