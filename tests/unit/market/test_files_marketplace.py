"""A folder keeps every order that got a receipt, through crashes, full disks and sticks that come and go."""

import asyncio
import errno
import hashlib
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.market.batch import Batch, Outcome
from gateway.market.marketplaces.files import FileMarketplace
from gateway.market.marketplaces.port import NotDelivered, OffersCatalogue, TakesPhotos, TellsUpdates
from gateway.market.order import content_hash
from gateway.market.records import StoredOrder
from tests.clocks import HandClock
from tests.unit.market.orders import an_order, new_id

PHOTO = bytes(range(256)) * 40
SHA256 = hashlib.sha256(PHOTO).hexdigest()


def an_entry(revision: int = 1, **changes: Any) -> StoredOrder:
    order = an_order(**changes)
    hashed = content_hash(order, "ana")
    return StoredOrder(order, "ana", "SMT-0001-0001", 1_800_000_000.0, "trusted", hashed, revision)


def a_batch(*orders: StoredOrder) -> Batch:
    return Batch("san-mateo", new_id(), orders)


@pytest.fixture
def marketplace(tmp_path: Path, clock: HandClock) -> FileMarketplace:
    return FileMarketplace(tmp_path, clock=clock)


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in sorted(folder.glob("*.jsonl")) for line in path.read_text().splitlines()]


async def outcomes(marketplace: FileMarketplace, *orders: StoredOrder) -> list[Outcome]:
    return [receipt.outcome for receipt in await marketplace.deliver(a_batch(*orders))]


async def test_it_offers_all_that_a_marketplace_can(marketplace: FileMarketplace) -> None:
    assert isinstance(marketplace, TellsUpdates)
    assert isinstance(marketplace, OffersCatalogue)
    assert isinstance(marketplace, TakesPhotos)


async def test_an_order_is_a_line_in_its_days_file(
    marketplace: FileMarketplace, tmp_path: Path, clock: HandClock
) -> None:
    first, second, third = an_entry(), an_entry(), an_entry()
    await marketplace.deliver(a_batch(first))
    clock.pass_s(86_400)
    await marketplace.deliver(a_batch(second))
    clock.wall = 0.0
    await marketplace.deliver(a_batch(third))
    assert sorted(path.name for path in tmp_path.glob("*.jsonl")) == [
        "orders-2027-01-15.jsonl",
        "orders-2027-01-16.jsonl",
        "orders-undated.jsonl",
    ]
    entry = lines(tmp_path)[0]
    assert (entry["id"], entry["box"], entry["merchant"], entry["hash"]) == (first.id, "san-mateo", "ana", first.hash)


async def test_what_is_there_is_known_after_a_start(
    marketplace: FileMarketplace, tmp_path: Path, clock: HandClock
) -> None:
    first, second = an_entry(), an_entry(revision=2)
    await marketplace.deliver(a_batch(first, second))
    again = FileMarketplace(tmp_path, clock=clock)
    older = StoredOrder(second.order, "ana", second.receipt, 0.0, "trusted", second.hash)
    assert await outcomes(again, first, second, older) == [Outcome.DUPLICATE] * 3
    assert len(lines(tmp_path)) == 2


async def test_the_same_order_twice_in_a_batch_is_written_once(marketplace: FileMarketplace, tmp_path: Path) -> None:
    order = an_entry()
    assert await outcomes(marketplace, order, order) == [Outcome.ACCEPTED, Outcome.DUPLICATE]
    assert len(lines(tmp_path)) == 1


async def test_a_line_torn_anywhere_by_a_crash_is_cut_off_and_written_again(
    marketplace: FileMarketplace, tmp_path: Path, clock: HandClock
) -> None:
    first, second = an_entry(), an_entry()
    await marketplace.deliver(a_batch(first, second))
    (path,) = tmp_path.glob("*.jsonl")
    whole = path.read_bytes()
    for kept_bytes in range(whole.index(b"\n") + 2, len(whole) - 1, 7):
        path.write_bytes(whole[:kept_bytes])
        told = await outcomes(FileMarketplace(tmp_path, clock=clock), first, second)
        assert told == [Outcome.DUPLICATE, Outcome.ACCEPTED]
        assert path.read_bytes() == whole


async def test_a_whole_last_line_that_lacks_its_end_stays(
    marketplace: FileMarketplace, tmp_path: Path, clock: HandClock
) -> None:
    first, second = an_entry(), an_entry()
    await marketplace.deliver(a_batch(first))
    (path,) = tmp_path.glob("*.jsonl")
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    assert await outcomes(FileMarketplace(tmp_path, clock=clock), second, first) == [
        Outcome.ACCEPTED,
        Outcome.DUPLICATE,
    ]
    assert [each["id"] for each in lines(tmp_path)] == [first.id, second.id]


@pytest.mark.parametrize("line", [b"{", b"[]", b'{"id": 7}', b"\xff", b"x" * 1_000_000, b'{"id":"a","revision":true}'])
async def test_a_line_that_is_no_order_counts_for_nothing_and_stays(
    marketplace: FileMarketplace, tmp_path: Path, line: bytes
) -> None:
    path = tmp_path / "orders-2026-01-01.jsonl"
    path.write_bytes(line + b"\n")
    assert await outcomes(marketplace, an_entry()) == [Outcome.ACCEPTED]
    assert path.read_bytes() == line + b"\n"


async def test_another_writer_to_the_same_folder_is_seen(tmp_path: Path, clock: HandClock) -> None:
    one, other = FileMarketplace(tmp_path, clock=clock), FileMarketplace(tmp_path, clock=clock)
    orders = [an_entry() for _ in range(20)]
    async with asyncio.TaskGroup() as tasks:
        for order in orders:
            tasks.create_task(_deliver(one, order))
            tasks.create_task(_deliver(other, order))
    assert sorted(each["id"] for each in lines(tmp_path)) == sorted(each.id for each in orders)


async def _deliver(marketplace: FileMarketplace, order: StoredOrder) -> None:
    await marketplace.deliver(a_batch(order))


async def test_another_stick_in_its_place_gets_what_it_lacks(
    marketplace: FileMarketplace, tmp_path: Path, clock: HandClock
) -> None:
    folder = tmp_path / "stick"
    folder.mkdir()
    stick = FileMarketplace(folder, clock=clock)
    order = an_entry()
    await stick.deliver(a_batch(order))
    folder.rename(tmp_path / "first")
    with pytest.raises(NotDelivered) as raised:
        await stick.deliver(a_batch(order))
    assert (raised.value.reason, raised.value.is_silent, raised.value.is_refusal) == ("folder missing", False, False)
    folder.mkdir()
    assert await outcomes(stick, order) == [Outcome.ACCEPTED]


@pytest.mark.parametrize(("code", "reason"), [(errno.ENOSPC, "disk full"), (errno.EIO, "folder not usable")])
async def test_a_disk_that_fails_gives_no_receipt_and_keeps_no_half(
    marketplace: FileMarketplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, reason: str
) -> None:
    first, second = an_entry(), an_entry()
    await marketplace.deliver(a_batch(first))

    def fails(handle: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(NotDelivered) as raised:
        await marketplace.deliver(a_batch(second))
    assert raised.value.reason == reason
    monkeypatch.undo()
    assert [each["id"] for each in lines(tmp_path)] == [first.id]
    assert await outcomes(marketplace, second, first) == [Outcome.ACCEPTED, Outcome.DUPLICATE]


async def test_a_line_is_on_disk_before_its_receipt(
    marketplace: FileMarketplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[str, int]] = []
    real = os.fsync

    def noted(handle: int) -> None:
        synced.append((os.readlink(f"/proc/self/fd/{handle}"), os.fstat(handle).st_size))
        real(handle)

    monkeypatch.setattr(os, "fsync", noted)
    await marketplace.deliver(a_batch(an_entry()))
    path = tmp_path / "orders-2027-01-15.jsonl"
    assert synced[0] == (str(path), path.stat().st_size)
    assert synced[1][0] == str(tmp_path)  # and the new file's name


# answers


def answer(order_id: str, outcome: str = "accepted", **more: object) -> str:
    return json.dumps({"id": order_id, "outcome": outcome, **more}) + "\n"


async def test_answers_are_told_from_where_the_cursor_ended(marketplace: FileMarketplace, tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    assert (await marketplace.updates("")).receipts == ()
    ids = [new_id() for _ in range(4)]
    path.write_text(answer(ids[0]) + answer(ids[1], "attention", code="out-of-stock") + "no document\n")
    first = await marketplace.updates("")
    assert [each.id for each in first.receipts] == ids[:2]
    with path.open("a") as file:
        file.write(answer(ids[2], "fulfilled") + answer(ids[3])[:20])
    second = await marketplace.updates(first.cursor)
    assert ([each.id for each in second.receipts], second.is_all) == ([ids[2]], True)
    assert await marketplace.updates(second.cursor) == type(second)((), second.cursor)
    with path.open("a") as file:
        file.write(answer(ids[3])[20:])
    assert [each.id for each in (await marketplace.updates(second.cursor)).receipts] == [ids[3]]


async def test_another_file_of_answers_is_read_from_its_beginning(marketplace: FileMarketplace, tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_text(answer(new_id()) * 5)
    cursor = (await marketplace.updates("")).cursor
    other = new_id()
    path.write_bytes(b"\xef\xbb\xbf" + answer(other).replace("\n", "\r\n").encode() * 9)
    assert {each.id for each in (await marketplace.updates(cursor)).receipts} == {other}
    path.unlink()
    assert (await marketplace.updates(cursor)).cursor == ""


async def test_many_answers_are_told_some_at_a_time_and_none_is_left_out(
    marketplace: FileMarketplace, tmp_path: Path
) -> None:
    ids = [new_id() for _ in range(6_000)]
    long_line = "x" * 600_000 + "\n"
    (tmp_path / "answers.jsonl").write_text(long_line + "".join(map(answer, ids)))
    told: list[str] = []
    cursor, is_all, asked = "", False, 0
    while not is_all:
        updates = await marketplace.updates(cursor)
        cursor, is_all, asked = updates.cursor, updates.is_all, asked + 1
        told += [each.id for each in updates.receipts]
    assert told == ids
    assert asked < 10


@pytest.mark.parametrize("cursor", ["x", "-1:00000000", "99999999999:00000000", "5:zzzzzzzz", "1" * 50])
async def test_a_cursor_that_is_none_of_ours_is_the_beginning(
    marketplace: FileMarketplace, tmp_path: Path, cursor: str
) -> None:
    order_id = new_id()
    (tmp_path / "answers.jsonl").write_text(answer(order_id))
    assert [each.id for each in (await marketplace.updates(cursor)).receipts] == [order_id]


# catalogue


async def test_a_catalogue_in_the_folder_is_offered(marketplace: FileMarketplace, tmp_path: Path) -> None:
    with pytest.raises(NotDelivered) as raised:
        await marketplace.catalogue("")
    assert raised.value.reason == "no catalogue"
    article = {"sku": "quinua", "name": "Quinua", "unit": "kg", "unit_price_minor": 899}
    document = {"version": "7", "currency": "PEN", "articles": [article]}
    (tmp_path / "catalogue.json").write_text(json.dumps(document))
    whole = await marketplace.catalogue("6")
    assert (whole.version, whole.base, [each.sku for each in whole.changed]) == ("7", "", ["quinua"])
    same = await marketplace.catalogue("7")
    assert (same.version, same.base, same.changed) == ("7", "7", ())
    (tmp_path / "catalogue.json").write_text("{")
    with pytest.raises(NotDelivered):
        await marketplace.catalogue("7")


async def test_pictures_come_from_their_own_folder_only(marketplace: FileMarketplace, tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "quinua.jpg").write_bytes(b"a picture")
    assert await marketplace.picture("quinua.jpg", 9) == b"a picture"
    for address, bytes_max in [("quinua.jpg", 8), ("../orders.jsonl", 99), ("/etc/passwd", 9_999), ("..", 99), ("", 9)]:
        with pytest.raises(NotDelivered):
            await marketplace.picture(address, bytes_max)


# photos


async def in_pieces(content: bytes, piece_bytes: int = 1_000) -> AsyncIterator[bytes]:
    for start in range(0, len(content), piece_bytes):
        yield content[start : start + piece_bytes]


async def test_a_photo_that_was_cut_goes_on_from_there(marketplace: FileMarketplace, tmp_path: Path) -> None:
    size = len(PHOTO)
    assert await marketplace.photo_offset(SHA256, size) == 0
    assert await marketplace.put_photo(SHA256, in_pieces(PHOTO[:2_500]), 0, size) == 2_500
    assert [path.name for path in (tmp_path / "photos").iterdir()] == [f"{SHA256}.part"]
    assert await marketplace.photo_offset(SHA256, size) == 2_500
    assert await marketplace.put_photo(SHA256, in_pieces(PHOTO[5_000:]), 5_000, size) == 2_500  # a gap is left out
    assert await marketplace.put_photo(SHA256, in_pieces(PHOTO[2_000:]), 2_000, size) == size
    assert (tmp_path / "photos" / SHA256).read_bytes() == PHOTO
    assert await marketplace.photo_offset(SHA256, size) == size
    assert await marketplace.put_photo(SHA256, in_pieces(b"other"), 0, size) == size
    assert (tmp_path / "photos" / SHA256).read_bytes() == PHOTO


async def test_a_photo_that_was_cut_before_it_got_its_name_is_finished(
    marketplace: FileMarketplace, tmp_path: Path
) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / f"{SHA256}.part").write_bytes(PHOTO)
    assert await marketplace.photo_offset(SHA256, len(PHOTO)) == len(PHOTO)
    assert (tmp_path / "photos" / SHA256).read_bytes() == PHOTO


async def test_a_photo_with_another_hash_is_refused_and_gone(marketplace: FileMarketplace, tmp_path: Path) -> None:
    with pytest.raises(NotDelivered) as raised:
        await marketplace.put_photo(SHA256, in_pieces(b"x" * len(PHOTO)), 0, len(PHOTO))
    assert raised.value.is_refusal
    assert list((tmp_path / "photos").iterdir()) == []
    assert await marketplace.photo_offset(SHA256, len(PHOTO)) == 0


@pytest.mark.parametrize(("sha256", "size"), [("../x", 10), (SHA256.upper(), 10), (SHA256, 0), (SHA256, 10**9)])
async def test_what_is_no_photo_is_refused(marketplace: FileMarketplace, sha256: str, size: int) -> None:
    with pytest.raises(NotDelivered) as raised:
        await marketplace.photo_offset(sha256, size)
    assert raised.value.is_refusal


async def test_a_photo_longer_than_it_said_is_refused(marketplace: FileMarketplace) -> None:
    with pytest.raises(NotDelivered):
        await marketplace.put_photo(SHA256, in_pieces(PHOTO + b"x"), 0, len(PHOTO) - 5)
