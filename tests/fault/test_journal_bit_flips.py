"""One flipped bit anywhere in the journal: no wrong order passes for a good one, nothing goes missing in silence."""

import shutil
import sqlite3
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from gateway.durable.database import connect
from gateway.durable.writer import MEND_PAUSE_S
from gateway.errors import CannotStart, NoCapacity
from gateway.market.attention import Attention, Code, Remark
from gateway.market.batch import Outcome, Receipt, Verdict
from gateway.market.journal.journal import FILE, Journal, JournalLimits
from gateway.market.order import Order
from gateway.market.records import OrderView
from gateway.market.states import State
from tests.clocks import HandClock
from tests.fault.conftest import Trials
from tests.unit.market.orders import KEY, PATIENCE, an_order

FLIPS = 200
LIMITS = JournalLimits(ballast_bytes=0, free_bytes_min=0)


@dataclass
class Before:
    folder: Path
    views: dict[str, OrderView]
    waiting: set[str]
    trimmed: Order | None = None


@pytest.fixture
async def before(tmp_path: Path) -> Before:
    """A journal of orders in all states, closed."""
    folder = tmp_path / "before"
    clock, trimmed = HandClock(), an_order()
    journal = Journal(folder, "SMT", KEY, clock, LIMITS)
    await journal.start()
    await journal.record(trimmed, "ana")
    await journal.take(1, 1_000_000)
    await journal.settle([Verdict(trimmed.id, State.ACCEPTED)], PATIENCE)
    clock.pass_s(1_000)
    await journal.trim(clock.wall_s() - 500)
    for count in range(44):
        await journal.record(an_order(), ("ana", "luis")[count % 2])
    taken = await journal.take(16, 1_000_000)
    ends = [State.ACCEPTED] * 8 + [State.REJECTED] * 4 + [State.QUEUED] * 4
    await journal.settle([Verdict(each.id, end, "dicho") for each, end in zip(taken, ends, strict=True)], PATIENCE)
    for each in (*taken[:3], *taken[12:14]):  # changed after they were sent, and before
        await journal.change(each.id, each.merchant, each.order.model_copy(update={"note": "más"}), shown=1)
    await journal.change(taken[3].id, taken[3].merchant, None, shown=1)
    unsent = (await journal.newest(None, 2))[0]
    await journal.change(unsent.id, unsent.merchant, None, shown=1)
    attention = Attention(Code.PRICE_CHANGED, (Remark("quinua", 950),))
    await journal.learn([Receipt(taken[4].id, Outcome.ATTENTION, "sube", 1, attention)], "page 1")
    views = {view.id: view for view in await journal.newest(None, 100)}
    await journal.stop()
    return Before(folder, views, {view.id for view in views.values() if view.state is State.QUEUED}, trimmed)


async def flipped(before: Before, folder: Path, random: Random, part: str = FILE) -> Journal | None:
    """Open a copy of the journal in which one bit is other than it was; None when it says that it cannot start."""
    shutil.copytree(before.folder, folder)
    path = folder / part
    content = bytearray(path.read_bytes())
    content[random.randrange(len(content))] ^= 1 << random.randrange(8)
    path.write_bytes(content)
    journal = Journal(folder, "SMT", KEY, HandClock(), LIMITS)
    try:
        await journal.start()
    except CannotStart:
        return None
    return journal


async def test_a_flipped_bit_is_found_or_does_no_harm(before: Before, tmp_path: Path, trials: Trials) -> None:
    random = Random(5)
    outcomes: Counter[str] = Counter()
    for count in range(FLIPS):
        journal = await flipped(before, tmp_path / f"flip-{count}", random)
        if journal is None:
            outcomes["said it cannot start"] += 1
            continue
        bad, again = 0, set[str]()
        for order_id, was in before.views.items():
            view = await journal.one(order_id)
            if view is None or view.is_damaged:
                bad += 1
                continue
            assert (view.order, view.revision, view.receipt, view.merchant, view.hash, view.recorded_at) == (
                was.order,
                was.revision,
                was.receipt,
                was.merchant,
                was.hash,
                was.recorded_at,
            )
            if view.state is not was.state:  # an event was lost: it is sent again, which does no harm
                assert view.state is State.QUEUED or await journal.cursor() == "", "or it is asked for again"
                again.add(order_id)
            elif view.attention != was.attention:
                assert view.attention is None
                again.add(order_id)
        is_told = bool(journal.statistics().damaged or journal.statistics().put_aside)
        assert is_told or not again
        assert not bad or is_told, "nothing goes missing in silence"
        sent = await journal.take(1_000, 10_000_000)
        for each in sent:
            assert each.order == before.views[each.id].order
            assert each.hash == before.views[each.id].hash
            assert each.revision == before.views[each.id].revision
        assert len({each.id for each in sent}) == len(sent)
        if not journal.statistics().put_aside:
            assert bad <= 1, "the others go on"
            assert len(before.waiting - {each.id for each in sent}) <= 1
        outcomes["told" if is_told else "no harm"] += 1
        known = await journal.record(before.trimmed, "ana") if before.trimmed else None
        assert known is not None
        assert known.is_new is (known.receipt != "SMT-0001-0001")
        new = await journal.record(an_order(), "ana")
        assert new is not None
        assert new.receipt not in {view.receipt for view in before.views.values()}
        await journal.stop()
    trials("flipped bits in the journal's file", FLIPS)
    assert outcomes["told"] > FLIPS / 4, outcomes
    assert outcomes["said it cannot start"] < FLIPS / 20, outcomes


async def test_a_flipped_bit_in_the_log_gives_no_wrong_order(tmp_path: Path, trials: Trials) -> None:
    folder, random = tmp_path / "open", Random(6)
    journal = Journal(folder, "SMT", KEY, HandClock(), LIMITS)
    await journal.start()
    orders = [an_order() for _ in range(12)]
    for order in orders:
        await journal.record(order, "ana")
    shutil.copytree(folder, tmp_path / "as-after-a-crash")
    await journal.stop()
    known = {order.id: order for order in orders}
    as_it_was = Before(tmp_path / "as-after-a-crash", {}, set())
    trials("flipped bits in the journal's log", 40)
    for count in range(40):
        again = await flipped(as_it_was, tmp_path / f"log-{count}", random, f"{FILE}-wal")
        if again is None:
            continue
        for view in await again.newest(None, 100):
            assert view.is_damaged or view.order == known[view.id]
        for each in await again.take(100, 10_000_000):
            assert each.order == known[each.id]
        await again.stop()


@pytest.mark.parametrize("damage", ["not a database", "cut short", "a page of zeros", "empty"])
async def test_a_broken_file_is_put_aside_and_every_whole_order_goes_on(
    before: Before, tmp_path: Path, damage: str
) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(before.folder, folder)
    path = folder / FILE
    content = path.read_bytes()
    half = len(content) // 8192 * 4096
    broken = {
        "not a database": b"x" * 100 + content[100:],
        "cut short": content[:-4096],
        "a page of zeros": content[:half] + bytes(4096) + content[half + 4096 :],
        "empty": b"",
    }[damage]
    path.write_bytes(broken)
    journal = Journal(folder, "SMT", KEY, HandClock(), LIMITS)
    await journal.start()
    views = {view.id: view for view in await journal.newest(None, 100)}
    for view in views.values():
        assert view.order == before.views[view.id].order
    if damage != "empty":  # an empty file is a new one to SQLite
        assert journal.statistics().put_aside == 1
        (aside,) = folder.glob("orders.damaged-1.sqlite3")
        assert aside.read_bytes() == broken
        assert (await journal.record(an_order(), "ana")).receipt == "SMT-0501-0001"  # type: ignore[union-attr]
    if damage in {"cut short", "a page of zeros"}:
        assert views, "what could be read goes on"
    await journal.stop()


async def test_a_salvage_cut_short_by_a_crash_is_finished_at_the_next_start(before: Before, tmp_path: Path) -> None:
    folder = tmp_path / "cut"
    shutil.copytree(before.folder, folder)
    (folder / FILE).rename(folder / "orders.recovered.sqlite3")  # complete, and not yet in its place
    (folder / FILE).write_bytes(b"broken")
    (folder / f"{FILE}-wal").write_bytes(b"broken")
    (folder / "orders.fresh.sqlite3").write_bytes(b"half of another")
    journal = Journal(folder, "SMT", KEY, HandClock(), LIMITS)
    await journal.start()
    assert {view.id for view in await journal.newest(None, 100)} == set(before.views)
    assert journal.statistics().put_aside == 1
    await journal.stop()


async def test_damage_found_while_running_is_told_and_nothing_wrong_is_shown(before: Before) -> None:
    def without_memory(path: Path) -> sqlite3.Connection:
        connection = connect(path)
        connection.execute("PRAGMA cache_size=0")
        return connection

    clock = HandClock()
    journal = Journal(before.folder, "SMT", KEY, clock, LIMITS, opens=without_memory)
    await journal.start()
    path = before.folder / FILE
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    refused = 0
    for order_id, was in before.views.items():
        try:
            view = await journal.one(order_id)
        except NoCapacity:
            refused += 1
        else:
            assert view is None or view.is_damaged or view.order == was.order
    assert refused
    assert not journal.statistics().is_taking
    clock.pass_s(MEND_PAUSE_S)
    assert (await journal.record(an_order(), "ana")).receipt == "SMT-0501-0001"  # type: ignore[union-attr]
    assert journal.statistics().put_aside == 1
    await journal.stop()
