"""The catalogue is what the marketplace last said, and says how old it is."""

import asyncio
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from gateway.market.catalogue.kept import KeptCatalogue
from gateway.market.catalogue.model import Catalogue, Delta
from gateway.market.catalogue.storefront import CatalogueLimits
from gateway.market.catalogue.sync import CatalogueSync
from gateway.market.marketplaces.port import NotDelivered
from tests.clocks import HandClock
from tests.unit.market.memory_catalogue import LOST, Link, MemoryCatalogue, a_catalogue, an_article, running
from tests.waiting import wait_until

QUICK = CatalogueLimits(sync_s=3_600.0, again_s=0.001, retry_s_min=0.001)
OFTEN = replace(QUICK, sync_s=0.005)
PATIENT = replace(QUICK, retry_s_min=3_600.0)


class Told:
    """What there is for a test: the way to make a sync, and how often it told of news."""

    def __init__(self, folder: Path, clock: HandClock) -> None:
        self.folder = folder
        self.clock = clock
        self.link = Link(clock)
        self.news = 0

    def sync(self, marketplace: MemoryCatalogue, limits: CatalogueLimits = QUICK) -> CatalogueSync:
        return CatalogueSync(
            marketplace,
            KeptCatalogue(self.folder, "shop"),
            backhaul=self.link.backhaul,
            clock=self.clock,
            limits=limits,
            random=Random(1),
            changed=self._note,
        )

    def _note(self) -> None:
        self.news += 1


@pytest.fixture
def told(tmp_path: Path, clock: HandClock) -> Told:
    return Told(tmp_path, clock)


def present(sync: CatalogueSync) -> Catalogue | None:
    return sync.index.catalogue if sync.index is not None else None


def renewals(sync: CatalogueSync, count: int = 1) -> bool:
    return sync.statistics().renewals >= count and not sync.is_syncing


async def test_the_first_question_is_for_the_whole_and_the_next_for_what_changed(told: Told) -> None:
    more = Delta("2", "1", "PEN", (an_article("oca"),))
    marketplace = MemoryCatalogue(deltas={"1": more})
    sync = told.sync(marketplace)
    async with running(sync):
        await wait_until(lambda: renewals(sync))
        assert present(sync) == marketplace.present
        sync.sync_now()
        await wait_until(lambda: renewals(sync, 2))
    assert present(sync) == a_catalogue(an_article(), an_article("oca"), version="2")
    assert marketplace.asked == ["", "1"]
    assert told.news == 2


async def test_it_is_asked_for_again_and_again(told: Told) -> None:
    sync = told.sync(MemoryCatalogue(), OFTEN)
    async with running(sync):
        await wait_until(lambda: renewals(sync, 4))
    assert told.news == 1, "the same catalogue again is no news"


async def test_an_answer_without_news_writes_no_catalogue(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    saved: list[str] = []
    save = KeptCatalogue.save

    def noted(kept: KeptCatalogue, catalogue: Catalogue, confirmed_wall_s: float) -> None:
        saved.append(catalogue.version)
        save(kept, catalogue, confirmed_wall_s)

    monkeypatch.setattr(KeptCatalogue, "save", noted)
    sync = told.sync(MemoryCatalogue(), OFTEN)
    async with running(sync):
        await wait_until(lambda: renewals(sync, 4))
    assert saved == ["1"]


async def test_what_was_renewed_is_there_after_a_start_with_its_age(told: Told) -> None:
    first = told.sync(MemoryCatalogue())
    async with running(first):
        await wait_until(lambda: renewals(first))
    told.clock.pass_s(7_200)
    assert first.age_s == 7_200
    second = told.sync(MemoryCatalogue())
    assert second.age_s is None
    await second.load()
    assert present(second) == present(first)
    assert second.age_s == 7_200


async def test_a_clock_that_knows_no_date_tells_no_age_after_a_start_but_before(told: Told) -> None:
    told.clock.wall = 0.0
    first = told.sync(MemoryCatalogue())
    async with running(first):
        await wait_until(lambda: renewals(first))
    told.clock.pass_s(60)
    assert first.age_s == 60
    told.clock.wall = 1_800_000_000.0
    assert first.age_s == 60
    second = told.sync(MemoryCatalogue())
    await second.load()
    assert present(second) is not None
    assert second.age_s is None


async def test_a_clock_that_was_set_back_makes_nothing_younger_than_now(told: Told) -> None:
    first = told.sync(MemoryCatalogue())
    async with running(first):
        await wait_until(lambda: renewals(first))
    told.clock.wall -= 86_400
    second = told.sync(MemoryCatalogue())
    await second.load()
    assert second.age_s == 0


@pytest.mark.parametrize(
    "misfit",
    [
        Delta("3", "2", "PEN", ()),
        Delta("2", "1", "USD", ()),
        Delta("2", "1", "PEN", (), prices_include_tax=False),
    ],
)
async def test_a_delta_that_does_not_fit_is_followed_by_the_whole(told: Told, misfit: Delta) -> None:
    marketplace = MemoryCatalogue(deltas={"1": misfit})
    sync = told.sync(marketplace)
    async with running(sync):
        await wait_until(lambda: renewals(sync))
        marketplace.present = a_catalogue(an_article("oca"), version="9")
        sync.sync_now()
        await wait_until(lambda: renewals(sync, 2))
    assert present(sync) == marketplace.present
    assert marketplace.asked == ["", "1", ""]


async def test_a_marketplace_that_never_fits_leaves_what_was_there(told: Told) -> None:
    marketplace = MemoryCatalogue()
    sync = told.sync(marketplace)
    async with running(sync):
        await wait_until(lambda: renewals(sync))
        marketplace.deltas = {version: Delta("3", "other", "PEN", ()) for version in ("", "1")}
        sync.sync_now()
        await wait_until(lambda: sync.statistics().failures >= 3)
    assert present(sync) == marketplace.present


@pytest.mark.parametrize(
    "failure",
    [LOST, NotDelivered(is_silent=False, reason="status 500"), RuntimeError("a fault of ours")],
    ids=["silence", "refusal", "fault"],
)
async def test_what_fails_leaves_the_catalogue_with_its_age_and_is_tried_again(told: Told, failure: Exception) -> None:
    marketplace = MemoryCatalogue()
    sync = told.sync(marketplace)
    async with running(sync):
        await wait_until(lambda: renewals(sync))
        told.clock.pass_s(1_000)
        before = present(sync)
        marketplace.failures = [failure] * 3
        marketplace.gate = asyncio.Event()
        sync.sync_now()
        await wait_until(lambda: sync.is_syncing)
        assert present(sync) is before
        assert sync.age_s == 1_000
        marketplace.gate.set()
        await wait_until(lambda: renewals(sync, 2))
    assert sync.statistics().failures == 3
    assert (sync.statistics().failures_in_a_row, sync.statistics().reason) == (0, "")
    assert sync.age_s == 0


@pytest.mark.parametrize(
    "nonsense",
    [
        Delta("2", "", "PEN", (an_article(name=""),)),
        Delta("", "", "PEN", ()),
        Delta("2", "", "PEN", tuple(an_article(str(number)) for number in range(10_001))),
    ],
    ids=["articles that nobody can order", "no version", "more than may be"],
)
async def test_nonsense_leaves_the_catalogue_as_it_is(told: Told, nonsense: Delta) -> None:
    marketplace = MemoryCatalogue(deltas={"1": nonsense})
    sync = told.sync(marketplace)
    async with running(sync):
        await wait_until(lambda: renewals(sync))
        sync.sync_now()
        await wait_until(lambda: sync.statistics().failures >= 2)
    assert present(sync) == marketplace.present


async def test_articles_that_were_left_out_are_counted(told: Told) -> None:
    sync = told.sync(MemoryCatalogue(a_catalogue(an_article(), an_article("bad", unit=""))))
    async with running(sync):
        await wait_until(lambda: renewals(sync))
    assert present(sync) == a_catalogue(an_article())
    assert sync.statistics().left_out == 1


async def test_nothing_is_asked_while_the_link_is_down_and_it_is_when_it_is_back(told: Told) -> None:
    marketplace = MemoryCatalogue()
    told.link.set(False)
    sync = told.sync(marketplace)
    async with running(sync):
        for _ in range(5):
            sync.sync_now()
            await asyncio.sleep(0.005)
        assert not marketplace.asked
        told.link.set(True)
        await wait_until(lambda: renewals(sync))


async def test_the_link_coming_back_ends_the_pause_after_a_failure(told: Told) -> None:
    marketplace = MemoryCatalogue(failures=[LOST])
    sync = told.sync(marketplace, PATIENT)
    async with running(sync):
        await wait_until(lambda: sync.statistics().failures == 1)
        told.link.set(False)
        await asyncio.sleep(0.01)
        told.link.set(True)
        await wait_until(lambda: renewals(sync))


async def test_asking_does_not_end_the_pause_that_the_far_end_asked_for(told: Told) -> None:
    refused = NotDelivered(is_silent=False, reason="status 429", retry_after_s=3_600.0)
    marketplace = MemoryCatalogue(failures=[refused])
    sync = told.sync(marketplace)
    async with running(sync):
        await wait_until(lambda: sync.statistics().failures == 1)
        assert sync.statistics().reason == "status 429"
        sync.sync_now()
        await asyncio.sleep(0.03)
    assert marketplace.asked == [""]


async def test_a_disk_that_takes_nothing_costs_no_news_and_is_tried_again(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(kept: KeptCatalogue, catalogue: Catalogue, confirmed_wall_s: float) -> None:
        raise OSError(28, "No space left on device")

    marketplace = MemoryCatalogue()
    sync = told.sync(marketplace)
    async with running(sync):
        with monkeypatch.context() as broken:
            broken.setattr(KeptCatalogue, "save", full)
            await wait_until(lambda: renewals(sync))
            assert present(sync) == marketplace.present
        sync.sync_now()
        await wait_until(lambda: renewals(sync, 2))
    after = told.sync(marketplace)
    await after.load()
    assert present(after) == marketplace.present
