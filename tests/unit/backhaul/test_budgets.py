"""A call's budget begins, falls at once, rises after proof, and is not stuck whatever is told of the link meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest

from gateway.backhaul.budgets import (
    AGAIN_BPS_MAX,
    AGAIN_S,
    ASKED_S,
    BUDGET_EVERY_S,
    CALL_CLAIMS_BPS,
    CALL_UNKNOWN_BPS,
    CALL_WANTS_BPS,
    LEAVES_BPS_MAX,
    LEAVES_RATIO,
    Budget,
)
from gateway.backhaul.link import Backhaul
from gateway.backhaul.sensing.figures import Estimate, LinkFigures, WayFigures
from gateway.backhaul.sensing.samples import Way
from gateway.backhaul.sharing.alone import BLIND_PROOF_S
from gateway.backhaul.sharing.calls import PICTURE_BPS, VOICE_BPS
from gateway.backhaul.sharing.classes import TrafficClass
from gateway.backhaul.sharing.company import ALONE_AFTER_S
from gateway.backhaul.sharing.policy import Policy
from gateway.backhaul.sharing.shares import Capacity
from tests.unit.demo.virtual_time import LoopClock, in_virtual_time

REALTIME, INTERACTIVE, WEB, BULK = TrafficClass


async def answers(peer: tuple[str, int]) -> bool:
    return bool(peer)


class Figures:
    """What is measured of a link, as a test says."""

    def __init__(self, bps: float | None = None, confidence: float = 1.0) -> None:
        self.bps = bps
        self.confidence = confidence

    def __call__(self) -> LinkFigures:
        known = WayFigures(None if self.bps is None else Estimate(self.bps, self.confidence, 0.0))
        return LinkFigures(known, known)


def made(
    figures: Figures,
    monkeypatch: pytest.MonkeyPatch,
    *,
    policy: Policy | None = None,
    call_wants_bps: int = CALL_WANTS_BPS,
) -> Backhaul:
    backhaul = Backhaul(
        LoopClock(),
        capacity=None,
        carrier=lambda: True,
        probe=answers,
        policy=policy or Policy(),
        call_wants_bps=call_wants_bps,
        measured=True,
    )
    monkeypatch.setattr(backhaul.steering.measuring, "figures", figures)
    return backhaul


@asynccontextmanager
async def running(backhaul: Backhaul) -> AsyncIterator[Backhaul]:
    async with asyncio.TaskGroup() as tasks:
        keeping = tasks.create_task(backhaul._budgets.run())
        await asyncio.sleep(0)
        yield backhaul
        keeping.cancel()


async def ticks(count: int = 2) -> None:
    await asyncio.sleep(BUDGET_EVERY_S * (count + 0.5))


def heard(backhaul: Backhaul, monkeypatch: pytest.MonkeyPatch, *, out_bps: float) -> None:
    """Have both directions without a queue, and so much come out of them."""
    measuring = backhaul.steering.measuring
    for name in ("queueing_s", "standing_s"):
        monkeypatch.setattr(measuring, name, lambda way: 0.0)
    monkeypatch.setattr(measuring, "out_bps", lambda way: out_bps)


def test_a_call_alone_finds_out_what_nobody_knows_and_beside_others_takes_its_share(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def journey() -> None:
        figures = Figures()
        async with running(made(figures, monkeypatch)) as backhaul:
            heard(backhaul, monkeypatch, out_bps=900_000)
            with backhaul.share(REALTIME):
                await asyncio.sleep(60)
                assert backhaul.call_budget() == Budget(CALL_WANTS_BPS, CALL_WANTS_BPS)
                backhaul.steering._company.moved_s = LoopClock().now_s() + 60
                figures.bps = 400_000
                with backhaul.share(WEB):
                    await ticks()
                    beside_bps = backhaul.call_budget().down_bps
                    assert 0 < beside_bps <= 360_000
                    await asyncio.sleep(20)
                    assert backhaul.call_budget().down_bps <= 360_000, "nothing is tried beside others"

    in_virtual_time(journey())


@pytest.mark.parametrize("carries_bps", [80_000, 150_000, 250_000, 400_000])
def test_a_call_makes_room_at_once_for_whoever_begins_beside_it_and_not_by_and_by(
    carries_bps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def journey() -> None:
        async with running(made(Figures(carries_bps), monkeypatch)) as backhaul:
            heard(backhaul, monkeypatch, out_bps=0.9 * carries_bps)
            with backhaul.share(REALTIME):
                await asyncio.sleep(60)
                alone_bps = backhaul.call_budget().down_bps
                assert alone_bps >= 0.85 * carries_bps
                with backhaul.share(WEB):
                    for _ in range(20):
                        backhaul.steering._company.begins(LoopClock().now_s())
                        await ticks(1)
                        beside_bps = backhaul.call_budget().down_bps
                        leaves_bps = min(int(LEAVES_RATIO * carries_bps), LEAVES_BPS_MAX)
                        assert beside_bps == max(carries_bps - leaves_bps, PICTURE_BPS)

    in_virtual_time(journey())


def test_two_calls_make_room_together_and_keep_a_picture_each(monkeypatch: pytest.MonkeyPatch) -> None:
    async def journey() -> None:
        for carries_bps, each_bps in ((400_000, (400_000 - LEAVES_BPS_MAX) // 2), (160_000, PICTURE_BPS)):
            async with running(made(Figures(carries_bps), monkeypatch)) as backhaul:
                heard(backhaul, monkeypatch, out_bps=0.9 * carries_bps)
                with backhaul.share(REALTIME), backhaul.share(REALTIME), backhaul.share(WEB):
                    backhaul.steering._company.begins(LoopClock().now_s())
                    await ticks()
                    assert backhaul.call_budget().down_bps == each_bps

    in_virtual_time(journey())


def test_a_call_that_has_room_gives_nothing_up_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    async def journey() -> None:
        async with running(made(Figures(4_000_000), monkeypatch)) as backhaul:
            with backhaul.share(REALTIME), backhaul.share(WEB):
                backhaul.steering._company.begins(LoopClock().now_s())
                await ticks()
                assert backhaul.call_budget() == Budget(CALL_WANTS_BPS, CALL_WANTS_BPS)

    in_virtual_time(journey())


def test_a_call_of_three_begins_with_what_its_voices_take(monkeypatch: pytest.MonkeyPatch) -> None:
    async def journey() -> None:
        async with running(made(Figures(), monkeypatch)) as backhaul:
            heard(backhaul, monkeypatch, out_bps=83_000)
            with backhaul.share(REALTIME) as share:
                await ticks()
                share.needs(down_bps=43_000, up_bps=83_000)
                await ticks()
                assert backhaul.call_budget().up_bps == 83_000
                assert backhaul.call_budget().down_bps < 83_000
                await asyncio.sleep(BLIND_PROOF_S)
                assert backhaul.call_budget().up_bps == 83_000 + PICTURE_BPS - VOICE_BPS

    in_virtual_time(journey())


def test_what_a_call_alone_found_out_outlives_company(monkeypatch: pytest.MonkeyPatch) -> None:
    async def journey() -> None:
        async with running(made(Figures(), monkeypatch)) as backhaul:
            heard(backhaul, monkeypatch, out_bps=250_000)
            with backhaul.share(REALTIME):
                await asyncio.sleep(30)
                monkeypatch.setattr(backhaul.steering.measuring, "standing_s", lambda way: 0.1)
                await ticks()
                monkeypatch.setattr(backhaul.steering.measuring, "standing_s", lambda way: 0.0)
                carries_bps = backhaul._budgets._alone[Way.DOWN].carries_bps
                assert carries_bps == 250_000
                backhaul.steering._company.moved_s = LoopClock().now_s()
                await ticks()
                assert not backhaul._budgets._alone
                await asyncio.sleep(ALONE_AFTER_S)
                assert backhaul._budgets._alone[Way.DOWN].carries_bps == carries_bps

    in_virtual_time(journey())


def test_a_call_that_comes_back_begins_with_half_of_what_the_last_had(monkeypatch: pytest.MonkeyPatch) -> None:
    async def journey() -> None:
        async with running(made(Figures(), monkeypatch)) as backhaul:
            heard(backhaul, monkeypatch, out_bps=250_000)
            with backhaul.share(REALTIME):
                await asyncio.sleep(30)
                assert backhaul.call_budget().down_bps > 2 * CALL_UNKNOWN_BPS
                monkeypatch.setattr(backhaul.steering.measuring, "standing_s", lambda way: 2.0)
                monkeypatch.setattr(backhaul.steering.measuring, "out_bps", lambda way: 9_000.0)
                await ticks()
                assert backhaul.call_budget().down_bps <= CALL_UNKNOWN_BPS, "the link hardly moves"
            await asyncio.sleep(40)
            assert CALL_UNKNOWN_BPS < backhaul.call_budget().down_bps <= AGAIN_BPS_MAX
            await asyncio.sleep(AGAIN_S)
            assert backhaul.call_budget().down_bps == CALL_UNKNOWN_BPS

    in_virtual_time(journey())


def test_before_a_call_nothing_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    async def journey() -> None:
        async with running(made(Figures(), monkeypatch)) as backhaul:
            heard(backhaul, monkeypatch, out_bps=900_000)
            for _ in range(20):
                backhaul.call_budget()
                await asyncio.sleep(1)
            assert not backhaul._budgets._alone
            assert backhaul.call_budget().down_bps <= CALL_UNKNOWN_BPS

    in_virtual_time(journey())


def test_on_a_link_nobody_knows_a_call_claims_more_of_others_than_of_an_empty_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def journey() -> None:
        backhaul = made(Figures(), monkeypatch)
        assert backhaul.call_budget() == Budget(CALL_UNKNOWN_BPS, CALL_UNKNOWN_BPS)
        with backhaul.share(INTERACTIVE):
            assert backhaul.call_budget() == Budget(CALL_UNKNOWN_BPS, CALL_UNKNOWN_BPS)
        for traffic_class in (WEB, BULK):
            with backhaul.share(traffic_class):
                assert backhaul.call_budget() == Budget(CALL_CLAIMS_BPS, CALL_CLAIMS_BPS)

    in_virtual_time(journey())


def test_a_budget_falls_at_once_and_rises_after_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    async def journey() -> None:
        figures = Figures(4_000_000)
        async with running(made(figures, monkeypatch)) as backhaul:
            with backhaul.share(REALTIME):
                await ticks()
                assert backhaul.call_budget() == Budget(CALL_WANTS_BPS, CALL_WANTS_BPS)
                figures.bps = 400_000
                await ticks()
                fallen_bps = backhaul.call_budget().down_bps
                assert fallen_bps <= 360_000
                figures.bps = 4_000_000
                await ticks()
                assert backhaul.call_budget().down_bps == fallen_bps, "without proof nothing rises"
                await asyncio.sleep(20)
                assert backhaul.call_budget().down_bps > fallen_bps

    in_virtual_time(journey())


def test_between_two_calls_what_the_first_was_cut_to_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    async def journey() -> None:
        figures = Figures(200_000)
        async with running(made(figures, monkeypatch)) as backhaul:
            with backhaul.share(REALTIME):
                await ticks()
            figures.bps = 4_000_000
            await ticks()
            assert backhaul.call_budget().down_bps == CALL_WANTS_BPS, "what the next would get"
            with backhaul.share(REALTIME):
                await ticks()
                assert backhaul.call_budget().down_bps == CALL_WANTS_BPS

    in_virtual_time(journey())


def test_a_second_call_halves_the_budget_of_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    async def journey() -> None:
        async with running(made(Figures(1_000_000), monkeypatch)) as backhaul:
            with backhaul.share(REALTIME):
                await ticks()
                with backhaul.share(REALTIME):
                    await ticks()
                    assert 2 * backhaul.call_budget().down_bps <= 900_000

    in_virtual_time(journey())


def test_a_budget_follows_the_link_again_when_a_told_figure_is_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    async def journey() -> None:
        figures = Figures(4_000_000)
        async with running(made(figures, monkeypatch)) as backhaul:
            with backhaul.share(REALTIME):
                backhaul.tell_capacity(Capacity(300_000, 300_000))
                await ticks()
                assert backhaul.call_budget().down_bps == pytest.approx(270_000, rel=0.02)
                backhaul.tell_capacity(None)
                await ticks()
                changes = backhaul.changes()
                await anext(changes)
                figures.bps = 250_000
                async with asyncio.timeout(5):
                    await anext(changes)  # and the call is told
                assert backhaul.call_budget().down_bps <= 225_000

    in_virtual_time(journey())


def test_a_figure_that_is_now_sure_and_now_not_moves_a_call_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    async def journey() -> list[int]:
        figures, seen = Figures(500_000), []
        async with running(made(figures, monkeypatch)) as backhaul:
            with backhaul.share(REALTIME):
                for second in range(60):
                    figures.confidence = second % 2
                    await asyncio.sleep(1)
                    seen.append(backhaul.call_budget().down_bps)
        return seen

    seen = in_virtual_time(journey())
    assert sum(1 for before, after in pairwise(seen) if before != after) <= 6


def test_a_call_has_no_more_than_it_wants_or_the_operator_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    async def journey() -> None:
        assert made(Figures(), monkeypatch, call_wants_bps=30_000).call_budget().down_bps == 30_000
        assert made(Figures(), monkeypatch).call_budget().down_bps == CALL_UNKNOWN_BPS
        half = Policy(calls_ratio_max=0.5)
        assert made(Figures(1_000_000), monkeypatch, policy=half).call_budget().down_bps == 500_000
        small = Policy(call_bps_max=200_000)
        assert made(Figures(4_000_000), monkeypatch, policy=small).call_budget().down_bps == 200_000

    in_virtual_time(journey())


def test_a_budget_that_is_asked_for_is_kept_without_a_call_and_forgotten_after(monkeypatch: pytest.MonkeyPatch) -> None:
    async def journey() -> None:
        figures = Figures(4_000_000)
        async with running(made(figures, monkeypatch)) as backhaul:
            backhaul.call_budget()
            await ticks()
            figures.bps = 400_000
            await ticks()
            fallen_bps = backhaul.call_budget().down_bps
            figures.bps = 4_000_000
            await ticks()
            assert backhaul.call_budget().down_bps == fallen_bps, "a rise wants proof, as in a call"
            await asyncio.sleep(ASKED_S + 1)
            assert backhaul.call_budget().down_bps == CALL_WANTS_BPS, "nobody asked meanwhile"

    in_virtual_time(journey())
