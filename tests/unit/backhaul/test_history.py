"""The link's past is still there after a restart, and a file that is damaged harms nobody."""

import asyncio
from itertools import pairwise
from pathlib import Path

import pytest

from gateway.backhaul.account.history import History, HistoryStatistics
from gateway.backhaul.account.history_cells import Crossed, Sample
from gateway.backhaul.account.history_file import FILE_BYTES_MAX
from gateway.backhaul.account.history_rings import CELLS, Span
from gateway.backhaul.sensing.figures import Estimate, LinkFigures, WayFigures
from gateway.backhaul.sensing.state import LinkState
from gateway.backhaul.sharing.classes import TrafficClass
from tests.clocks import HandClock
from tests.waiting import wait_until

FIGURES = LinkFigures(WayFigures(Estimate(4e6, 0.9, 0.0), None, Estimate(0.06, 1.0, 0.0), Estimate(0.01, 1.0, 0.0)))


def pass_seconds(history: History, clock: HandClock, seconds: int, state: LinkState = LinkState.UP) -> None:
    for _ in range(seconds):
        clock.pass_s(1.0)
        history.add(Sample(clock.now_s(), state, FIGURES, {TrafficClass.WEB: Crossed(1_000, 100)}))


def moved_bytes(history: History, span: Span) -> int:
    return sum(sum(each.down.moved_bytes) for each in history.series(span).cells())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "backhaul" / "history"


async def restarted(path: Path, clock: HandClock) -> History:
    made = History(clock, path)
    await made.start()
    return made


async def test_what_was_seen_is_there_after_a_restart_and_the_time_between_is_a_gap(
    path: Path, clock: HandClock
) -> None:
    first = await restarted(path, clock)
    pass_seconds(first, clock, 120)
    await first.stop()
    clock.now, clock.wall = 3.0, clock.wall + 600.0  # another boot: monotonic time begins anew
    second = await restarted(path, clock)
    pass_seconds(second, clock, 60)
    assert moved_bytes(second, Span.DAY) == moved_bytes(second, Span.MONTH) == 180_000
    slots = [each.slot for each in second.series(Span.DAY).cells()]
    assert max(b - a for a, b in pairwise(slots)) in {9, 10, 11}
    ended_s = second.ended_wall_s(second.series(Span.HOUR))
    assert ended_s is not None
    assert abs(ended_s - clock.wall_s()) <= 2


async def test_a_box_without_a_date_goes_on_where_it_stopped(path: Path, clock: HandClock) -> None:
    clock.wall = 0.0
    first = await restarted(path, clock)
    pass_seconds(first, clock, 30)
    await first.stop()
    clock.now, clock.wall = 3.0, 0.0
    second = await restarted(path, clock)
    pass_seconds(second, clock, 30)
    assert moved_bytes(second, Span.HOUR) in {58_000, 59_000, 60_000}, "all but the open stretch"
    assert second.ended_wall_s(second.series(Span.HOUR)) is None


@pytest.mark.parametrize("harm", ["cut", "flip", "empty", "zeros", "text", "huge", "folder"])
async def test_a_damaged_file_begins_anew(path: Path, clock: HandClock, harm: str) -> None:
    first = await restarted(path, clock)
    pass_seconds(first, clock, 60)
    await first.stop()
    whole = path.read_bytes()
    harmed = {
        "cut": whole[: len(whole) // 2],
        "flip": whole[:200] + bytes([whole[200] ^ 1]) + whole[201:],
        "empty": b"",
        "zeros": bytes(len(whole)),
        "text": b"not a history",
        "huge": bytes(FILE_BYTES_MAX + 10),
    }
    if harm == "folder":
        path.unlink()
        path.mkdir()
    else:
        path.write_bytes(harmed[harm])
    second = await restarted(path, clock)
    assert second.series(Span.MONTH).cells() == []
    pass_seconds(second, clock, 10)
    await second.stop()
    assert moved_bytes(second, Span.DAY) == 10_000
    if harm != "folder":
        assert moved_bytes(await restarted(path, clock), Span.DAY) == 0, "no look yet: the span has no end"
        third = await restarted(path, clock)
        pass_seconds(third, clock, 1)
        assert moved_bytes(third, Span.DAY) == 11_000


async def test_a_file_that_cannot_be_written_stops_nothing(tmp_path: Path, clock: HandClock) -> None:
    (tmp_path / "file").write_text("")
    history = History(clock, tmp_path / "file" / "history")
    pass_seconds(history, clock, 5)
    await history.save()
    assert moved_bytes(history, Span.DAY) == 5_000
    assert not list(tmp_path.glob("*.new"))


async def test_the_file_stays_small_and_whole(path: Path, clock: HandClock) -> None:
    history = await restarted(path, clock)
    pass_seconds(history, clock, 4_000)
    await history.save()
    assert path.stat().st_size < 100_000
    assert [each.name for each in path.parent.iterdir()] == ["history"]


async def test_it_is_written_by_itself_now_and_then(path: Path, clock: HandClock) -> None:
    history = History(clock, path, write_every_s=0.01)
    pass_seconds(history, clock, 5)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(history.run())
        await wait_until(path.exists)
        running.cancel()


def test_live_readers_get_each_finished_stretch_once(clock: HandClock) -> None:
    history = History(clock)
    assert (history.last_finished(), history.finished_since(-1)) == (-1, [])
    pass_seconds(history, clock, 20)
    seen = history.finished_since(-1)
    last = history.last_finished()
    assert [each.slot for each in seen] == list(range(last + 1))
    pass_seconds(history, clock, 4)
    assert [each.slot for each in history.finished_since(last)] == [last + 1, last + 2]
    assert history.finished_since(history.last_finished()) == []
    assert history.finished_since(10**12) == [], "a number from another box, or another life"
    pass_seconds(history, clock, 2 * 3_600)
    assert len(history.finished_since(-(10**12))) == CELLS[Span.HOUR]


def test_seconds_since_the_start_are_counted(clock: HandClock) -> None:
    history = History(clock)
    pass_seconds(history, clock, 11)
    pass_seconds(history, clock, 3, LinkState.DOWN)
    pass_seconds(history, clock, 2, LinkState.DEGRADED)
    assert history.statistics() == HistoryStatistics(15.0, 3.0, 2.0, 15.0, 0.0)
