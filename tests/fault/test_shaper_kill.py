"""The shaper is killed at any moment: the next one, or `--remove`, takes away all it left, and the link works again."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.backhaul.shaping.kernel_client import KernelRates
from tests.shaped_net import (
    BOX,
    FAR4,
    LINK,
    PHONES,
    PORT,
    needs_network,
    shaper_in,
    standing,
    start_shaper,
    village,
    within,
)
from tests.shaped_net import traffic as run
from tests.waiting import wait_until

pytestmark = needs_network


@pytest.fixture
def before() -> Iterator[str]:
    with village():
        yield standing()


async def killed_at_work(folder: Path) -> None:
    async with shaper_in(folder) as shaper:
        await shaper.shape(2_000_000, 1_000_000)
        shaper.process.kill()
        await shaper.process.wait()
        await wait_until(lambda: not shaper.client.status().reached)
        assert "shaper does not run" in shaper.client.status().cannot[0]
    assert "7a60:" in within(BOX, "tc", "qdisc", "show", "dev", LINK)


async def test_what_a_killed_shaper_left_is_removed_by_the_next_start(before: str, tmp_path: Path) -> None:
    await killed_at_work(tmp_path)
    async with shaper_in(tmp_path):
        assert standing() == before


async def test_what_a_killed_shaper_left_is_removed_by_the_command(before: str, tmp_path: Path) -> None:
    await killed_at_work(tmp_path)
    removing = await start_shaper(tmp_path, "--remove")
    said, _ = await removing.communicate()
    assert removing.returncode == 0
    assert b"Nothing of the shaper stands" in said
    assert standing() == before
    assert await run(PHONES[0], "fetch", FAR4, PORT, 2, 2) > 20_000_000


@pytest.mark.parametrize("after_s", [0.0, 0.01, 0.03, 0.05])
async def test_a_shaper_killed_while_it_builds_leaves_nothing_that_stays(
    before: str, tmp_path: Path, after_s: float
) -> None:
    async with shaper_in(tmp_path) as shaper:
        shaper.client.tell(KernelRates(2_000_000, 1_000_000))
        await wait_until(lambda: shaper.client.status().reached)
        await asyncio.sleep(after_s)
        shaper.process.kill()
        await shaper.process.wait()
    async with shaper_in(tmp_path):
        assert standing() == before
