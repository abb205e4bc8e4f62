"""Pages are kept ready in their hours, within their data, and never against the link or somebody's word."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

import pytest

from gateway.backhaul.link import Backhaul
from gateway.backhaul.sharing.classes import TrafficClass
from gateway.errors import BadRequest, NotFound, TooMany
from gateway.hours import DAY_S, Local, parse_hours
from gateway.web.ahead.warm import Warming, local_time
from gateway.web.ahead.warm_plan import Found, Step, WarmOrder
from gateway.web.ahead.warm_record import State
from gateway.web.site import Site
from tests.clocks import HandClock
from tests.waiting import wait_until

ORIGIN = "http://origen.test"
MORNING_S = 8 * 3_600  # what the hand clock begins with


def utc(wall_s: float) -> Local:
    return Local(int(wall_s) // DAY_S, int(wall_s) % DAY_S)


@dataclass
class Site2:
    """A site as a fetcher finds it; every fetch costs as many bytes."""

    backhaul: Backhaul
    clock: HandClock
    pages: dict[str, Found | None] = field(default_factory=dict)
    cost_bytes: int = 1_000
    took_s: float = 1.0
    taken: list[str] = field(default_factory=list)
    asked_for_bytes: list[int] = field(default_factory=list)
    pins: list[str] = field(default_factory=list)
    fetching: int = 0
    at_once: int = 0
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def fetch(self, site: str, step: Step, bytes_max: int) -> Found | None:
        del site
        self.fetching += 1
        self.at_once = max(self.at_once, self.fetching)
        self.asked_for_bytes.append(bytes_max)
        try:
            await self.go_on.wait()
        finally:
            self.fetching -= 1
        self.clock.pass_s(self.took_s)
        with self.backhaul.share(TrafficClass.BULK) as share:
            share.moved(down_bytes=self.cost_bytes)
        path = step.url.removeprefix(ORIGIN)
        self.taken.append(path)
        return self.pages.get(path, Found())

    async def pinned(self, site: str) -> Sequence[str]:
        del site
        return []

    async def pin(self, site: str, url: str) -> bool:
        del site
        self.pins.append(url)
        return True


@dataclass
class Night:
    """A warming between a clock, a link and a site, all moved by hand."""

    clock: HandClock
    backhaul: Backhaul
    site: Site2
    warming: Warming
    carrier: list[bool]

    async def ended(self, state: State, name: str = "salud") -> None:
        await wait_until(lambda: (run := self.warming.run_of(name)) is not None and run.state is state)


@asynccontextmanager
async def night(folder: Path, *orders: WarmOrder, clock: HandClock | None = None) -> AsyncIterator[Night]:
    hand, carrier = clock or HandClock(), [True]

    async def probe(peer: tuple[str, int]) -> bool:
        del peer
        return carrier[0]

    backhaul = Backhaul(hand, capacity=None, carrier=lambda: carrier[0], probe=probe)
    site = Site2(backhaul, hand)
    site.go_on.set()
    names = ("salud", "muni", "feria")
    sites = [
        Site(name, name, (f"{name}.test",), ORIGIN, TrafficClass.WEB, order)
        for name, order in zip(names, orders, strict=False)
    ]
    warming = Warming(sites, site, backhaul, hand, folder / "warm.json", local=utc)
    with (
        patch("gateway.web.ahead.warm.LOOK_S", 0.01),
        patch("gateway.backhaul.sensing.watch.CARRIER_POLL_S", 0.01),
        patch("gateway.backhaul.sensing.watch.WAVE_S", 0.01),
    ):
        async with asyncio.TaskGroup() as tasks:
            await warming.start()
            running = [tasks.create_task(backhaul.run()), tasks.create_task(warming.run())]
            yield Night(hand, backhaul, site, warming, carrier)
            for each in running:
                each.cancel()


async def looks_again() -> None:
    """Let the warming look at its clock a few times."""
    for _ in range(10):
        await asyncio.sleep(0.005)


NOW = (parse_hours("07:00-09:00"),)
LATER = (parse_hours("22:00-05:00"),)


async def test_a_site_is_fetched_in_its_hours_once_a_window(tmp_path: Path) -> None:
    async with night(tmp_path, WarmOrder(hours=LATER)) as it:
        await looks_again()
        assert it.site.taken == []
        it.clock.pass_s(15 * 3_600)
        await it.ended(State.DONE)
        await looks_again()
        assert it.site.taken == ["/"]
        it.clock.pass_s(2 * 3_600)  # past midnight, the same window
        await looks_again()
        assert it.site.taken == ["/"]
        it.clock.pass_s(22 * 3_600)
        await wait_until(lambda: it.site.taken == ["/", "/"])


async def test_a_site_without_hours_waits_for_somebodys_word(tmp_path: Path) -> None:
    async with night(tmp_path, WarmOrder()) as it:
        await looks_again()
        assert it.site.taken == []
        with pytest.raises(BadRequest, match="not the hour"):
            it.warming.begin("salud", now=False)
        assert it.warming.begin("salud", now=True).state is State.WAITING
        await it.ended(State.DONE)
        assert it.site.taken == ["/"]


async def test_a_wrong_clock_has_no_hours(tmp_path: Path) -> None:
    async with night(tmp_path, WarmOrder(hours=(parse_hours("00:00-24:00"),)), clock=HandClock(wall=1_000.0)) as it:
        await looks_again()
        assert it.site.taken == []


async def test_one_thing_is_fetched_at_a_time_whatever_waits(tmp_path: Path) -> None:
    many = WarmOrder(pages=tuple(f"/{each}" for each in range(5)), hours=NOW)
    async with night(tmp_path, many, many, many) as it:
        for name in ("salud", "muni", "feria"):
            await it.ended(State.DONE, name)
        assert len(it.site.taken) == 15
        assert it.site.at_once == 1


async def test_a_run_ends_when_the_days_data_is_used_up_and_goes_on_the_next_day(tmp_path: Path) -> None:
    order = WarmOrder(pages=("/a", "/b", "/c"), bytes_max=2_000, hours=(parse_hours("00:00-24:00"),))
    async with night(tmp_path, order) as it:
        await it.ended(State.SPENT)
        await looks_again()
        assert it.site.taken == ["/a", "/b"]
        assert it.site.asked_for_bytes == [2_000, 1_000]
        with pytest.raises(TooMany):
            it.warming.begin("salud", now=True)
        it.clock.pass_s(17 * 3_600)
        await wait_until(lambda: len(it.site.taken) == 4)


async def test_the_days_data_is_remembered_over_a_restart(tmp_path: Path) -> None:
    order = WarmOrder(pages=("/a", "/b", "/c"), bytes_max=2_000, hours=NOW)
    clock = HandClock()
    async with night(tmp_path, order, clock=clock) as it:
        await it.ended(State.SPENT)
    async with night(tmp_path, order, clock=clock) as it:
        await looks_again()
        assert it.site.taken == []
        run = it.warming.run_of("salud")
        assert run is not None
        assert (run.state, run.progress.pages_done, run.progress.moved_bytes) == (State.SPENT, 2, 2_000)


async def test_a_run_that_the_boxs_end_cut_short_begins_anew_and_one_that_ended_does_not(tmp_path: Path) -> None:
    order = WarmOrder(pages=("/a", "/b"), hours=NOW)
    clock = HandClock()
    async with night(tmp_path, order, clock=clock) as it:
        it.site.go_on.clear()
        await wait_until(lambda: it.site.fetching == 1)
    async with night(tmp_path, order, clock=clock) as it:
        await it.ended(State.DONE)
        assert it.site.taken == ["/a", "/b"]
    async with night(tmp_path, order, clock=clock) as it:
        await looks_again()
        assert it.site.taken == []


async def test_a_run_ends_with_its_hours(tmp_path: Path) -> None:
    pages = tuple(f"/{each}" for each in range(100))
    async with night(tmp_path, WarmOrder(pages=pages, hours=NOW)) as it:
        it.site.took_s = 600.0
        await it.ended(State.CLOSED)
        assert len(it.site.taken) == 6


async def test_a_run_somebody_asked_for_goes_on_past_its_hours(tmp_path: Path) -> None:
    pages = tuple(f"/{each}" for each in range(20))
    async with night(tmp_path, WarmOrder(pages=pages, hours=NOW)) as it:
        it.site.took_s = 600.0
        it.warming.begin("salud", now=True)
        await it.ended(State.DONE)
        assert len(it.site.taken) == 20


async def test_a_run_holds_while_the_link_is_down_and_goes_on_where_it_was(tmp_path: Path) -> None:
    async with night(tmp_path, WarmOrder(pages=("/a", "/b"), hours=NOW)) as it:
        it.site.go_on.clear()
        await wait_until(lambda: it.site.fetching == 1)
        it.carrier[0] = False
        await wait_until(lambda: it.backhaul.is_down)
        it.site.go_on.set()
        await it.ended(State.HELD)
        assert it.site.taken == ["/a"]
        it.carrier[0] = True
        await it.ended(State.DONE)
        assert it.site.taken == ["/a", "/b"]


async def test_what_failed_while_the_link_went_down_is_tried_again(tmp_path: Path) -> None:
    async with night(tmp_path, WarmOrder(pages=("/a",), hours=NOW)) as it:
        it.site.go_on.clear()
        it.site.pages["/a"] = None
        await wait_until(lambda: it.site.fetching == 1)
        it.carrier[0] = False
        await wait_until(lambda: it.backhaul.is_down)
        it.site.go_on.set()
        await it.ended(State.HELD)
        it.site.pages["/a"] = Found()
        it.carrier[0] = True
        await it.ended(State.DONE)
        run = it.warming.run_of("salud")
        assert run is not None
        assert (it.site.taken, run.progress.failed) == (["/a", "/a"], 0)


async def test_what_fails_on_a_good_link_is_counted_and_passed_over(tmp_path: Path) -> None:
    async with night(tmp_path, WarmOrder(pages=("/a", "/b"), hours=NOW)) as it:
        it.site.pages["/a"] = None
        await it.ended(State.DONE)
        run = it.warming.run_of("salud")
        assert run is not None
        assert (it.site.taken, run.progress.failed, run.progress.pages_done) == (["/a", "/b"], 1, 2)


async def test_a_run_stops_at_somebodys_word_in_the_middle_of_a_fetch(tmp_path: Path) -> None:
    async with night(tmp_path, WarmOrder(pages=("/a", "/b"), hours=NOW)) as it:
        it.site.go_on.clear()
        await wait_until(lambda: it.site.fetching == 1)
        stopped = it.warming.end("salud")
        assert stopped is not None
        assert stopped.state is State.STOPPED
        await it.ended(State.STOPPED)
        assert (it.site.fetching, it.site.taken) == (0, [])
        await looks_again()
        assert it.site.fetching == 0  # not in the same window by itself


async def test_a_run_that_waits_for_another_stops_too(tmp_path: Path) -> None:
    async with night(tmp_path, WarmOrder(), WarmOrder()) as it:
        it.site.go_on.clear()
        it.warming.begin("salud", now=True)
        await wait_until(lambda: it.site.fetching == 1)
        assert it.warming.begin("muni", now=True).state is State.WAITING
        assert it.warming.statistics().under_way == 2
        it.warming.end("muni")
        it.site.go_on.set()
        await it.ended(State.DONE)
        assert it.warming.run_of("muni") is None


async def test_a_run_under_way_is_the_answer_to_a_second_order(tmp_path: Path) -> None:
    async with night(tmp_path, WarmOrder(pages=("/a", "/b"))) as it:
        it.site.go_on.clear()
        it.warming.begin("salud", now=True)
        await wait_until(lambda: it.site.fetching == 1)
        assert it.warming.begin("salud", now=False).state is State.RUNNING
        it.site.go_on.set()
        await it.ended(State.DONE)
        assert it.site.taken == ["/a", "/b"]


async def test_progress_and_figures_tell_pages_bytes_and_the_time_left(tmp_path: Path) -> None:
    async with night(tmp_path, WarmOrder(pages=("/a", "/b", "/c"), bytes_max=10_000)) as it:
        gates = iter([None])

        async def fetch(site: str, step: Step, bytes_max: int) -> Found | None:
            if next(gates, "shut") == "shut":
                it.site.go_on.clear()
            return await Site2.fetch(it.site, site, step, bytes_max)

        with patch.object(it.site, "fetch", fetch):
            it.warming.begin("salud", now=True)
            await wait_until(lambda: it.site.taken == ["/a"] and it.site.fetching == 1)
        run = it.warming.run_of("salud")
        assert run is not None
        told = run.progress
        assert (told.pages_done, told.pages_known, told.moved_bytes, told.allowed_bytes) == (1, 3, 1_000, 10_000)
        assert told.left_s == 2.0
        it.site.go_on.set()
        await it.ended(State.DONE)
        figures = it.warming.statistics()
        assert (figures.runs, figures.pages, figures.bytes_from_link, figures.under_way) == (1, 3, 3_000, 0)
        assert figures.ended_s == it.clock.wall


async def test_what_is_to_be_pinned_is_fetched_and_pinned_once(tmp_path: Path) -> None:
    clock = HandClock()
    async with night(tmp_path, WarmOrder(pages=()), clock=clock) as it:
        it.warming.pin_later("salud", f"{ORIGIN}/p", on=True)
        it.warming.pin_later("salud", f"{ORIGIN}/q", on=True)
        it.warming.pin_later("salud", f"{ORIGIN}/q", on=False)
        it.warming.begin("salud", now=True)
        await it.ended(State.DONE)
        assert (it.site.pins, it.warming.to_pin("salud")) == ([f"{ORIGIN}/p"], ())


async def test_a_fault_of_ours_ends_one_run_and_not_the_others(tmp_path: Path) -> None:
    async with night(tmp_path, WarmOrder(), WarmOrder()) as it:
        with patch.object(it.site, "fetch", side_effect=ZeroDivisionError):
            it.warming.begin("salud", now=True)
            await it.ended(State.FAILED)
        it.warming.begin("muni", now=True)
        await it.ended(State.DONE, "muni")


async def test_a_site_nobody_set_is_not_found(tmp_path: Path) -> None:
    async with night(tmp_path) as it:
        with pytest.raises(NotFound):
            it.warming.begin("no", now=True)
        with pytest.raises(NotFound):
            it.warming.end("no")


async def test_a_folder_that_cannot_be_written_stops_no_run(tmp_path: Path) -> None:
    async with night(tmp_path / "gone", WarmOrder()) as it:
        it.warming.begin("salud", now=True)
        await it.ended(State.DONE)


def test_local_time_goes_on_by_a_day_a_day() -> None:
    now, then = local_time(1_800_000_000.0), local_time(1_800_000_000.0 + DAY_S)
    assert then.day - now.day == 1
    assert 0 <= now.second < DAY_S


async def test_a_step_that_takes_too_long_is_passed_over(tmp_path: Path) -> None:
    with patch("gateway.web.ahead.warm_run.STEP_S_MAX", 0.05):
        async with night(tmp_path, WarmOrder(pages=("/a", "/b"), hours=NOW)) as it:
            it.site.go_on.clear()
            await it.ended(State.DONE)
            run = it.warming.run_of("salud")
            assert run is not None
            assert (it.site.taken, run.progress.failed) == ([], 2)
