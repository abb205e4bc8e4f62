"""A copy of the journal is the journal, and putting one back loses nothing and gives no number twice."""

import asyncio
import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from random import Random

import pytest

from gateway.durable.aside import complete
from gateway.durable.disk import disk_of
from gateway.durable.vault import Vault
from gateway.errors import CannotStart, Conflict
from gateway.market.journal.backup import Copy, back_up, check_copy, restore
from gateway.market.journal.journal import FILE, Journal
from tests.clocks import HandClock
from tests.unit.market.conftest import LIMITS
from tests.unit.market.orders import KEY, an_order

VAULT = Vault(KEY)


async def backed_up(path: Path, to: Path) -> Copy:
    return await asyncio.to_thread(back_up, path, to, VAULT)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "market" / FILE


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return tmp_path / "copy.sqlite3"


async def opened(path: Path, clock: HandClock) -> Journal:
    journal = Journal(path.parent, "SMT", KEY, clock, LIMITS)
    await journal.start()
    return journal


async def test_a_copy_made_beside_a_journal_that_writes_is_whole(journal: Journal, path: Path, copy: Path) -> None:
    going_on = True

    async def write() -> int:
        written = 0
        while going_on:
            written += (await journal.record(an_order(), "ana")) is not None
        return written

    async with asyncio.TaskGroup() as tasks:
        writing = tasks.create_task(write())
        await journal.record(an_order(), "ana")
        found = await backed_up(path, copy)
        going_on = False
    assert 1 <= found.orders <= writing.result() + 1
    assert found == Copy(found.orders, 0, copy.stat().st_size)
    assert sorted(each.name for each in copy.parent.glob("copy*")) == ["copy.sqlite3"]
    assert copy.stat().st_mode & 0o777 == 0o600
    assert b"Quispe" not in copy.read_bytes()


async def test_a_copy_that_was_put_back_is_the_journal_again(
    journal: Journal, path: Path, copy: Path, clock: HandClock
) -> None:
    orders = [an_order() for _ in range(5)]
    recorded = [await journal.record(each, "ana") for each in orders]
    await journal.change(orders[0].id, "ana", None, shown=1)
    before = await journal.newest(None, 100)
    await backed_up(path, copy)
    later = await journal.record(an_order(), "ana")
    await journal.stop()

    aside = await asyncio.to_thread(restore, path, copy, VAULT)
    assert aside is not None
    assert aside.name == "orders.damaged-1.sqlite3"
    again = await opened(path, clock)
    assert await again.newest(None, 100) == before
    known = await again.record(orders[1], "ana")
    assert known is not None
    assert recorded[1] is not None
    assert (known.receipt, known.is_new) == (recorded[1].receipt, False)
    new = await again.record(an_order(), "ana")
    assert new is not None
    assert later is not None
    assert new.receipt not in {later.receipt, *(each.receipt for each in recorded if each)}
    assert again.statistics().damaged == 0
    await again.stop()
    with closing(sqlite3.connect(aside)) as former:
        assert former.execute("SELECT count(*) FROM orders").fetchone() == (6,)


async def test_a_copy_on_a_new_disk_gives_no_number_that_the_lost_journal_gave(
    journal: Journal, path: Path, copy: Path, clock: HandClock, tmp_path: Path
) -> None:
    await journal.record(an_order(), "ana")
    await backed_up(path, copy)
    given = [await journal.record(an_order(), merchant) for merchant in ("ana", "eva", "luz")]
    elsewhere = tmp_path / "new" / FILE
    assert await asyncio.to_thread(restore, elsewhere, copy, VAULT) is None
    again = await opened(elsewhere, clock)
    later = [await again.record(an_order(), merchant) for merchant in ("ana", "eva", "luz")]
    await again.stop()
    assert not {each.receipt for each in given if each} & {each.receipt for each in later if each}


async def test_the_same_copy_put_back_twice_gives_no_number_twice(
    journal: Journal, path: Path, copy: Path, clock: HandClock
) -> None:
    await journal.record(an_order(), "ana")
    await backed_up(path, copy)
    await journal.stop()
    receipts = []
    for _ in range(3):
        await asyncio.to_thread(restore, path, copy, VAULT)
        again = await opened(path, clock)
        recorded = await again.record(an_order(), "ana")
        await again.stop()
        assert recorded is not None
        receipts.append(recorded.receipt)
    assert len(set(receipts)) == 3
    assert len(list(path.parent.glob("orders.damaged-*.sqlite3"))) == 3


async def test_nothing_is_written_over(journal: Journal, path: Path, copy: Path) -> None:
    copy.write_bytes(b"mine")
    with pytest.raises(Conflict):
        await backed_up(path, copy)
    assert copy.read_bytes() == b"mine"
    assert journal.statistics().is_taking


async def test_a_copy_that_cannot_be_made_leaves_nothing(journal: Journal, path: Path, tmp_path: Path) -> None:
    assert journal.statistics().is_taking
    for wrong in (tmp_path / "nowhere" / "copy", tmp_path):
        with pytest.raises((CannotStart, Conflict)):
            await backed_up(path, wrong)
    with pytest.raises(CannotStart):
        await backed_up(tmp_path / "none.sqlite3", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


async def test_a_copy_with_another_key_is_not_used(journal: Journal, path: Path, copy: Path) -> None:
    await journal.record(an_order(), "ana")
    await backed_up(path, copy)
    await journal.stop()
    before = path.read_bytes()
    with pytest.raises(CannotStart, match="another key"):
        await asyncio.to_thread(restore, path, copy, Vault(bytes(32)))
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"no database" * 1_000])
def test_what_is_no_copy_is_not_used(path: Path, copy: Path, content: bytes) -> None:
    copy.write_bytes(content)
    with pytest.raises(CannotStart, match="no whole copy"):
        restore(path, copy, VAULT)
    assert not path.exists()


async def test_every_damaged_row_of_a_copy_is_counted(journal: Journal, path: Path, copy: Path) -> None:
    for _ in range(4):
        await journal.record(an_order(), "ana")
    await backed_up(path, copy)
    with closing(sqlite3.connect(copy, isolation_level=None)) as changed:
        changed.execute("UPDATE orders SET merchant='eva' WHERE number=2")
        changed.execute("UPDATE events SET wall_s=wall_s+1 WHERE order_number=3")
        changed.execute("UPDATE merchants SET name='eva'")
    found = await asyncio.to_thread(check_copy, copy, VAULT)
    assert (found.orders, found.damaged) == (4, 4)


async def test_a_flipped_bit_is_found_or_says_nothing_else(journal: Journal, path: Path, copy: Path) -> None:
    for _ in range(10):
        await journal.record(an_order(), "ana")
    await backed_up(path, copy)
    whole, random = copy.read_bytes(), Random(3)

    def rows_of(file: Path) -> list[object]:
        with closing(sqlite3.connect(file)) as connection:
            return connection.execute("SELECT * FROM orders").fetchall()

    rows, found = rows_of(copy), 0
    for _ in range(120):
        changed = bytearray(whole)
        changed[random.randrange(len(whole))] ^= 1 << random.randrange(8)
        copy.write_bytes(changed)
        try:
            checked = await asyncio.to_thread(check_copy, copy, VAULT)
        except CannotStart:
            found += 1
            continue
        if checked.damaged:
            found += 1
        else:
            assert rows_of(copy) == rows
    assert found > 5


async def test_a_crash_in_the_middle_of_putting_back_changes_nothing_or_is_finished(
    journal: Journal, path: Path, copy: Path, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await journal.record(an_order(), "ana")
    await backed_up(path, copy)
    await journal.record(an_order(), "ana")
    await journal.stop()
    names: list[Path] = []
    real = Path.rename

    class Crash(Exception):
        pass

    for step in range(4):
        names.clear()

        def rename(self: Path, target: Path, at: int = step) -> Path:
            names.append(self)
            if len(names) > at:
                raise Crash
            return real(self, target)

        with monkeypatch.context() as patching:
            patching.setattr(Path, "rename", rename)
            with suppress(Crash):
                await asyncio.to_thread(restore, path, copy, VAULT)
        again = await opened(path, clock)
        count = len(await again.newest(None, 10))
        await again.stop()
        assert count in {1, 2}
        assert not complete(path).exists()
    aside = list(path.parent.glob("orders.damaged-*.sqlite3"))
    with closing(sqlite3.connect(aside[0])) as former:
        assert former.execute("SELECT count(*) FROM orders").fetchone() == (2,)


async def test_the_disks_room_is_told(journal: Journal, path: Path) -> None:
    await journal.record(an_order(), "ana")
    (path.parent / "orders.damaged-1.sqlite3").write_bytes(b"x" * 1_000_000)
    found = await asyncio.to_thread(disk_of, path.parent, FILE)
    assert found.used_bytes > 1_000_000
    assert found.free_bytes == pytest.approx(
        os.statvfs(path.parent).f_bavail * os.statvfs(path.parent).f_frsize, rel=0.05
    )
