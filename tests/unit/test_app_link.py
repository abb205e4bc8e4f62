"""What stands around the backhaul: each part may fail or be missing, and the box goes on and says so."""

import asyncio
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.app_link import LinkParts, shared_secret
from gateway.backhaul.link import Backhaul
from gateway.backhaul.sensing.overhearing import NO_INTERFACE
from gateway.backhaul.sensing.state import CarrierChanged, LinkState
from gateway.backhaul.shaping.kernel_client import NOT_THERE
from gateway.backhaul.sharing.classes import TrafficClass
from gateway.backhaul.ways.metered import Metered
from gateway.backhaul.ways.ways import Way
from gateway.errors import CannotStart
from gateway.settings import Settings
from gateway.settings_file import parse
from tests.clocks import HandClock
from tests.waiting import wait_until

BOX = "[box]\nname = 'san-mateo'\n"


def settings(more: str, folder: Path) -> Settings:
    found = parse(tomllib.loads(BOX + more), folder)
    assert isinstance(found, Settings), found
    return found


async def silence(peer: tuple[str, int]) -> bool:
    return not peer


def backhaul_of(clock: HandClock, *names: str) -> Backhaul:
    ways = tuple(Way(name, lambda: True, silence, f"none-{name}") for name in names)
    return Backhaul(clock, capacity=None, carrier=lambda: True, probe=silence, ways=ways, measured=True)


def metered_of(clock: HandClock, folder: Path, *names: str) -> Metered:
    ways = [(name, f"none-{name}", None) for name in names] or [("", "none-there", None)]
    return Metered(ways, clock, folder / "links.json", on_spent=lambda name, spent: None, net=folder)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def backhaul(clock: HandClock) -> Backhaul:
    return backhaul_of(clock, "uno", "dos")


@pytest.fixture
def told(tmp_path: Path) -> Settings:
    return settings("[probe]\nping = '192.0.2.1'", tmp_path)


@pytest.fixture
async def parts(told: Settings, tmp_path: Path, clock: HandClock, backhaul: Backhaul) -> AsyncIterator[LinkParts]:
    metered = metered_of(clock, tmp_path, "uno", "dos")
    made = await asyncio.to_thread(LinkParts, told, clock, backhaul, metered, tmp_path)
    await made.start()
    yield made
    await made.stop()


async def test_a_part_that_fails_takes_nothing_else_along(parts: LinkParts, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = asyncio.Event()

    async def fails() -> None:
        failed.set()
        raise KeyError("garbage")

    monkeypatch.setattr(parts.history, "run", fails)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(parts.run())
        async with asyncio.timeout(5):
            await failed.wait()
        await wait_until(lambda: parts.history.latest is not None)
        assert not running.done()
        running.cancel()


async def test_what_the_box_cannot_do_is_said(parts: LinkParts) -> None:
    parts.look()
    assert [each.words for each in parts.cannot()] == [NOT_THERE, NO_INTERFACE]
    assert [(each.name, each.active, each.state) for each in parts.ways()] == [
        ("uno", True, LinkState.UP),
        ("dos", False, LinkState.UP),
    ]


async def test_a_link_that_takes_over_is_measured_anew(
    parts: LinkParts, backhaul: Backhaul, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(backhaul.steering.measuring, "begin_anew", lambda: told.append(backhaul.ways.active))
    parts.look()
    assert told == []
    backhaul.ways.watch.learn(CarrierChanged(present=False))
    parts.look()
    parts.look()
    assert told == ["dos"]
    assert [each.active for each in parts.ways()] == [False, True]


async def test_bulk_rests_by_order_and_begins_by_itself(parts: LinkParts, backhaul: Backhaul, clock: HandClock) -> None:
    parts.pause_bulk(60.0)
    with backhaul.share(TrafficClass.BULK) as share:
        async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
            taking = tasks.create_task(share.take_up(10))
            await asyncio.sleep(0)
            assert not taking.done()
            clock.pass_s(61.0)
            parts.look()
    assert parts.bulk_paused_s() == 0


def test_a_secret_file_that_says_too_little_is_refused(tmp_path: Path) -> None:
    (tmp_path / "radius").write_text("short\n")
    told = settings("[radius]\nserver = '192.0.2.1'\nsecret_file = 'radius'", tmp_path).radius
    assert told is not None
    with pytest.raises(CannotStart):
        shared_secret(told)
