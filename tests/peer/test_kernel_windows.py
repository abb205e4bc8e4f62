"""The windows of routed flows on the real kernel: lowered for phones alone, followed live, gone with the rest."""

import asyncio
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.backhaul.shaping.kernel_client import KernelRates
from tests.shaped_net import (
    BOX,
    FAR,
    FAR4,
    FAR6,
    PHONES,
    PORT,
    Shaper,
    needs_network,
    shaper_in,
    standing,
    village,
    within,
)
from tests.shaped_net import traffic as run
from tests.waiting import wait_until

pytestmark = needs_network
RATE_BPS = 20_000_000


@pytest.fixture
def network() -> Iterator[None]:
    with village():
        yield


def offered() -> list[int]:
    """Return the windows that the far side's senders see."""
    told = within(FAR, "ss", "-tinHO", "state", "established", f"( sport = :{PORT} )")
    return [int(each) for each in re.findall(r"snd_wnd:(\d+)", told)]


def tell(shaper: Shaper, window_bytes: int | None) -> None:
    shaper.client.tell(KernelRates(RATE_BPS, RATE_BPS, window_bytes=window_bytes))


async def seen_while_fetching(namespace: str, far: str, flows: int, condition: Callable[[list[int]], bool]) -> None:
    async with asyncio.TaskGroup() as tasks:
        fetching = tasks.create_task(run(namespace, "fetch", far, PORT, 4, flows))
        await wait_until(lambda: len(told := offered()) >= flows and condition(told))
        assert await fetching > 1_000_000


@pytest.mark.parametrize("far", [FAR4, FAR6])
async def test_phones_share_the_window_and_it_moves_while_they_load(network: None, far: str, tmp_path: Path) -> None:
    async with shaper_in(tmp_path) as shaper:
        await shaper.shape(RATE_BPS, RATE_BPS)
        tell(shaper, 4 * 3 * 1_500)
        async with asyncio.TaskGroup() as tasks:
            fetching = tasks.create_task(run(PHONES[0], "fetch", far, PORT, 7, 4))
            await wait_until(lambda: len(offered()) >= 4 and max(offered()) <= 3 * 1_460 + 1_024)
            await wait_until(lambda: shaper.client.status().flows == 4)
            tell(shaper, 4 * 8 * 1_500)
            await wait_until(lambda: min(offered()) >= 6 * 1_460 and max(offered()) <= 8 * 1_460 + 1_024)
            tell(shaper, None)
            await wait_until(lambda: min(offered()) > 20 * 1_460)
            assert await fetching > 1_000_000
        assert shaper.client.status().flows is None


async def test_the_boxs_own_connections_are_not_touched(network: None, tmp_path: Path) -> None:
    async with shaper_in(tmp_path) as shaper:
        await shaper.shape(RATE_BPS, RATE_BPS)
        tell(shaper, 3_000)
        await seen_while_fetching(BOX, FAR4, 1, lambda told: min(told) > 20 * 1_460)


async def test_nothing_of_it_stays(network: None, tmp_path: Path) -> None:
    before = standing()
    async with shaper_in(tmp_path) as shaper:
        await shaper.shape(RATE_BPS, RATE_BPS)
        tell(shaper, 30_000)
        await wait_until(lambda: shaper.client.status().flows == 0)
        assert "scale6" in within(BOX, "nft", "list", "ruleset")
        shaper.process.kill()
        await shaper.process.wait()
    async with shaper_in(tmp_path):
        assert standing() == before
