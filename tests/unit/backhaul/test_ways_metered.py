"""Each way's month is counted once, whatever becomes of the box, its interfaces, its disk and its date."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.backhaul.ways.metered import ROUTE_EVERY_S, WRITE_EVERY_S, Metered
from gateway.backhaul.ways.month_tally import BEHIND_S_MIN, NEVER, MonthTally, month_of
from tests.clocks import HandClock
from tests.waiting import wait_until

DAY_S = 86_400.0
MARCH = datetime(2027, 3, 20, tzinfo=UTC).timestamp()
UNKNOWN = 100.0
WAYS = [("mobile", "wwan0", 1_000), ("satellite", "eth1", None)]


@dataclass
class Box:
    """Ways to be metered, and what is said of them."""

    folder: Path
    clock: HandClock
    ways: list[tuple[str, str | None, int | None]] = field(default_factory=lambda: list(WAYS))
    said: list[tuple[str, bool]] = field(default_factory=list)
    route: str | None = None
    carried: dict[str, int] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        return self.folder / "ways.json"

    def carry(self, interface: str, down: int, up: int = 0) -> None:
        """Let an interface count more."""
        folder = self.folder / "net" / interface / "statistics"
        folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "net" / interface / "type").write_text("65534\n")
        for name, more in (("rx_bytes", down), ("tx_bytes", up), ("rx_packets", 0), ("tx_packets", 0)):
            at = f"{interface}/{name}"
            self.carried[at] = self.carried.get(at, 0) + more
            (folder / name).write_text(f"{self.carried[at]}\n")

    def metered(self) -> Metered:
        return Metered(
            self.ways,
            self.clock,
            self.path,
            on_spent=lambda name, spent: self.said.append((name, spent)),
            net=self.folder / "net",
            zone=UTC,
            route=lambda: self.route,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Metered]:
        """Meter from here on: what was carried before is not counted."""
        metered = self.metered()
        await metered.start()
        metered.tick()
        yield metered
        await metered.stop()


@pytest.fixture
def box(tmp_path: Path, clock: HandClock) -> Box:
    clock.wall = MARCH
    made = Box(tmp_path, clock)
    for interface in ("wwan0", "eth1"):
        made.carry(interface, 50_000)
    return made


async def test_each_way_is_counted_and_all_together_for_the_steering(box: Box) -> None:
    async with box.running() as metered:
        box.carry("wwan0", 300, 20)
        box.carry("eth1", 5_000, 7)
        metered.tick()
        assert metered.used() == {"mobile": 320, "satellite": 5_007}
        sample = metered.read()
        assert (sample.at_s, sample.down_bytes, sample.up_bytes) == (box.clock.now, 5_300, 27)
        metered.tick()
        assert metered.used() == {"mobile": 320, "satellite": 5_007}


async def test_a_spent_allowance_is_said_once_and_a_new_month_takes_it_back(box: Box) -> None:
    async with box.running() as metered:
        assert box.said == [("mobile", False)]
        box.carry("wwan0", 999)
        metered.tick()
        box.carry("wwan0", 0, 1)
        for _ in range(3):
            metered.tick()
        assert box.said[1:] == [("mobile", True)]
        box.clock.wall += 12 * DAY_S
        metered.tick()
        assert box.said[2:] == [("mobile", False)]
        assert metered.used() == {"mobile": 0, "satellite": 0}


async def test_a_month_goes_on_after_a_restart(box: Box) -> None:
    async with box.running() as metered:
        box.carry("wwan0", 1_200)
        before = metered.read()
    box.said.clear()
    assert before.down_bytes == 1_200
    async with box.running() as metered:
        assert box.said == [("mobile", True)]
        box.carry("wwan0", 50)
        metered.tick()
        assert metered.used()["mobile"] == 1_250
        assert metered.read().down_bytes == 50  # the steering's own begins anew


async def test_a_month_that_ended_while_the_box_was_off_is_over(box: Box) -> None:
    async with box.running():
        box.carry("wwan0", 1_200)
    box.clock.wall += 40 * DAY_S
    async with box.running() as metered:
        assert metered.used()["mobile"] == 0
        assert box.said[-1] == ("mobile", False)


@pytest.mark.parametrize(
    "found",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b"[" * 60_000,
        b'{"month":24326,"months":{}}',
        b'{"month":24326,"months":{"24326":[]}}',
        b'{"month":24326,"months":{"24326":{"mobile":-1}}}',
        b'{"month":24326,"months":{"24326":{"mobile":1e9}}}',
        b'{"month":24326,"months":{"24326":{"mobile":true}}}',
        b'{"month":24326,"months":{"24326":{"mobile":%d}}}' % 10**30,
        b'{"month":9999999,"months":{"9999999":{}}}',
        b'{"month":[],"months":{"24326":{}}}',
        b'{"month":1,"months":{"1":{},"2":{},"3":{}}}',
    ],
)
async def test_a_damaged_file_begins_anew(box: Box, found: bytes) -> None:
    box.path.write_bytes(found)
    async with box.running() as metered:
        box.carry("wwan0", 10)
        metered.tick()
        assert metered.used() == {"mobile": 10, "satellite": 0}
    async with box.running() as metered:
        assert metered.used() == {"mobile": 10, "satellite": 0}


async def test_a_way_that_is_no_more_is_left_out_and_a_new_one_begins(box: Box) -> None:
    async with box.running():
        box.carry("wwan0", 70)
        box.carry("eth1", 80)
    box.ways = [("satellite", "eth1", 100), ("spare", "wwan0", None)]
    async with box.running() as metered:
        assert metered.used() == {"satellite": 80, "spare": 0}


async def test_the_disk_is_written_seldom_and_never_half(box: Box) -> None:
    async with box.running() as metered:
        box.carry("wwan0", 10)
        for _ in range(int(WRITE_EVERY_S) - 1):
            box.clock.pass_s(1)
            metered.tick()
        assert not box.path.exists()
        box.clock.pass_s(1)
        metered.tick()
        await wait_until(box.path.exists)
        written = box.path.read_bytes()
        assert json.loads(written)["months"] == {str(2027 * 12 + 2): {"mobile": 10, "satellite": 0}}
        box.carry("wwan0", 10)
        box.clock.pass_s(WRITE_EVERY_S / 2)
        metered.tick()
    assert box.path.read_bytes() != written
    assert sorted(each.name for each in box.folder.iterdir()) == ["net", "ways.json"]


async def test_a_disk_that_fails_costs_nothing_but_the_file(box: Box) -> None:
    box.path.with_suffix(".new").mkdir()
    async with box.running() as metered:
        box.carry("wwan0", 2_000)
        for _ in range(3):
            box.clock.pass_s(WRITE_EVERY_S)
            metered.tick()
        assert metered.used()["mobile"] == 2_000
        assert box.said[-1] == ("mobile", True)
    assert not box.path.exists()


async def test_an_interface_that_comes_back_goes_on_and_nothing_falls(box: Box) -> None:
    async with box.running() as metered:
        box.carry("wwan0", 400)
        metered.tick()
        box.carried["wwan0/rx_bytes"] = 0
        box.carry("wwan0", 30)  # plugged in again: it counts from nothing
        assert metered.read().down_bytes == 430
        metered.tick()
        assert metered.used()["mobile"] == 430


async def test_a_way_without_an_interface_is_the_default_routes(box: Box) -> None:
    box.ways, box.route = [("link", None, 1_000)], "wwan0"
    async with box.running() as metered:
        box.carry("wwan0", 100)
        box.carry("eth1", 9_999)
        metered.tick()
        assert metered.used() == {"link": 100}
        box.route = None  # for a moment there is none
        await _looked(box, metered)
        box.carry("wwan0", 5)
        assert metered.read().down_bytes == 105
        box.route = "eth1"
        await _looked(box, metered)
        await wait_until(lambda: metered._default == "eth1")
        metered.tick()
        box.carry("eth1", 40)
        box.carry("wwan0", 9_999)
        metered.tick()
        assert metered.read().down_bytes == 145
        assert metered.used() == {"link": 145}


async def _looked(box: Box, metered: Metered) -> None:
    box.clock.pass_s(ROUTE_EVERY_S)
    metered.tick()


async def test_what_crosses_before_the_date_is_known_is_the_first_months(box: Box) -> None:
    box.clock.wall = UNKNOWN
    async with box.running() as metered:
        box.carry("wwan0", 600)
        metered.tick()
    box.clock.wall = UNKNOWN
    async with box.running() as metered:
        box.clock.wall = MARCH
        box.carry("wwan0", 500)
        metered.tick()
        assert metered.used()["mobile"] == 1_100
        assert box.said[-1] == ("mobile", True)
        box.clock.wall = UNKNOWN
        box.carry("wwan0", 1)
        metered.tick()
        assert metered.used()["mobile"] == 1_101


def test_a_date_that_fell_back_goes_on_in_the_later_month_until_it_is_reached_again() -> None:
    tally = MonthTally(100, {100: {"a": 5}})
    for _ in range(BEHIND_S_MIN):
        tally.pass_s(99, {"a": 1})
    assert (tally.month, tally.used["a"]) == (100, 5 + BEHIND_S_MIN)
    tally.pass_s(100, {"a": 1})
    for _ in range(BEHIND_S_MIN):
        tally.pass_s(99, {"a": 1})
    assert tally.month == 100  # it was reached in between
    tally.pass_s(101, {"a": 7})
    assert dict(tally.used) == {"a": 7}


def test_a_silent_link_proves_no_date() -> None:
    tally = MonthTally(100, {100: {"a": 5}})
    for _ in range(3 * BEHIND_S_MIN):
        tally.pass_s(99, {"a": 0})
    assert tally.month == 100


def test_a_month_that_was_far_ahead_by_mistake_is_left_with_all_its_bytes() -> None:
    tally = MonthTally(100, {100: {"a": 500}})
    tally.pass_s(190, {"a": 3})
    assert dict(tally.used) == {"a": 3}
    for _ in range(BEHIND_S_MIN + 1):
        tally.pass_s(100, {"a": 1})
    assert (tally.month, tally.used["a"]) == (100, 500 + 3 + BEHIND_S_MIN + 1)
    tally.pass_s(101, {"a": 2})
    assert (tally.month, dict(tally.used), len(tally.months)) == (101, {"a": 2}, 2)


def test_a_month_that_was_left_by_mistake_is_found_as_it_was() -> None:
    tally = MonthTally(100, {100: {"a": 500}})
    for _ in range(BEHIND_S_MIN + 1):
        tally.pass_s(99, {"a": 1})
    assert tally.month == 99
    tally.pass_s(100, {"a": 1})
    assert tally.used["a"] == 500 + BEHIND_S_MIN + 1


@pytest.mark.parametrize("wall_s", [0.0, -1e30, 1e30, float("inf"), float("nan")])
def test_a_date_that_cannot_be_is_not_known(wall_s: float) -> None:
    assert month_of(wall_s, UTC) is None
    tally = MonthTally()
    tally.pass_s(month_of(wall_s, UTC), {"a": 1})
    assert (tally.month, dict(tally.used)) == (NEVER, {"a": 1})
