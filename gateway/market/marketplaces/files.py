"""A folder is a marketplace for those with nothing online: orders as JSON lines, a file a day, each revision once.

    orders-2026-11-22.jsonl   written here: each line an order as in a batch, with `box`; on disk before its receipt
    catalogue.json            read here, where there is one; photos of its articles in pictures/
    answers.jsonl             read here, where there is one: each line a receipt, put there by people or programs
    photos/<sha256>           written here: photos of orders

The day is UTC's, and `undated` while the clock is not to be trusted. The folder may be a stick that comes and goes.
"""

import asyncio
import hashlib
import os
import re
from collections.abc import AsyncIterator, Callable, Sequence
from io import FileIO
from pathlib import Path
from typing import TypeVar

from gateway.clock import Clock, clock_state, iso_utc
from gateway.document import canonical, read_document
from gateway.errors import CannotStart, GatewayError
from gateway.market.batch import Batch, Outcome, Receipt, as_sent, receipts_from
from gateway.market.catalogue.file import load_catalogue
from gateway.market.catalogue.model import Catalogue, Delta
from gateway.market.marketplaces import files_photos
from gateway.market.marketplaces.files_log import FolderLog, disk_reasons
from gateway.market.marketplaces.port import NotDelivered, Updates

ANSWERS_BYTES_MAX = 262_144  # read at once; about 2,000 receipts
_BEFORE_BYTES = 64  # of what was read last: they tell that the file is still the same one
_PICTURE = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,119}")
_CURSOR = re.compile(r"([1-9][0-9]{0,11}):([0-9a-f]{8})")
_BOM = b"\xef\xbb\xbf"  # as some editors begin a file

T = TypeVar("T")


class FileMarketplace:
    """A marketplace that is a folder."""

    def __init__(self, folder: Path, *, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        self._log = FolderLog(folder)
        self._alone = asyncio.Lock()  # one at a time; the folder's own lock is for other programs

    async def start(self) -> None:
        """Be ready; the folder is looked for when there is something to write."""

    async def stop(self) -> None:
        """Nothing is held open."""

    async def deliver(self, batch: Batch) -> Sequence[Receipt]:
        """Return a receipt for each order, which is on disk by then.

        Raises: NotDelivered when none was written.
        """
        return await self._in_thread(self._deliver, batch)

    async def updates(self, cursor: str) -> Updates:
        """Return what answers.jsonl says after `cursor`; from its beginning when it is another file by now.

        Raises: NotDelivered.
        """
        return await self._in_thread(self._updates, cursor)

    async def catalogue(self, version: str) -> Delta:
        """Return the folder's catalogue: all of it, or nothing when it has this version.

        Raises: NotDelivered.
        """
        found = await self._in_thread(self._catalogue)
        if found.version == version:
            return Delta(version, version, found.currency, (), (), found.prices_include_tax)
        return Delta(found.version, "", found.currency, found.articles, (), found.prices_include_tax)

    async def picture(self, address: str, bytes_max: int) -> bytes:
        """Return the photo of an article: a file's name in pictures/.

        Raises: NotDelivered.
        """
        if not _PICTURE.fullmatch(address):
            raise NotDelivered(is_silent=False, reason="no picture")
        return await self._in_thread(_read_at_most, self._folder / "pictures" / address, bytes_max)

    async def photo_offset(self, sha256: str, size_bytes: int) -> int:
        """Return how many bytes of a photo are there already; `size_bytes` when all.

        Raises: NotDelivered.
        """
        return await self._in_thread(files_photos.photo_offset, self._folder, sha256, size_bytes)

    async def put_photo(self, sha256: str, content: AsyncIterator[bytes], offset: int, size_bytes: int) -> int:
        """Write a photo's bytes from `offset` on; return how many are there afterwards.

        Raises: NotDelivered.
        """
        there = await self.photo_offset(sha256, size_bytes)
        if there == size_bytes:
            return there
        async for piece in content:
            there = await self._in_thread(files_photos.put_piece, self._folder, sha256, piece, offset, size_bytes)
            if there != offset + len(piece):
                return there
            offset = there
        if there == size_bytes:
            await self._in_thread(files_photos.finish, self._folder, sha256, size_bytes)
        return there

    async def _in_thread(self, work: Callable[..., T], *values: object) -> T:
        async with self._alone:
            return await asyncio.to_thread(_with_reasons, work, *values)

    # What follows runs in a thread.

    def _deliver(self, batch: Batch) -> list[Receipt]:
        receipts: list[Receipt] = []
        entries: list[tuple[str, int, bytes]] = []
        highest: dict[str, int] = {}  # of this batch
        with self._log.opened():
            for stored in batch.orders:
                is_new = stored.revision > max(highest.get(stored.id, 0), self._log.revision(stored.id))
                if is_new:
                    highest[stored.id] = stored.revision
                    entries.append((stored.id, stored.revision, canonical({**as_sent(stored), "box": batch.box})))
                outcome = Outcome.ACCEPTED if is_new else Outcome.DUPLICATE
                receipts.append(Receipt(stored.id, outcome, revision=stored.revision))
            if entries:
                self._log.append(self._file_name(), entries)
        return receipts

    def _file_name(self) -> str:
        wall_s = self._clock.wall_s()
        return f"orders-{iso_utc(wall_s)[:10] if clock_state(wall_s) == 'trusted' else 'undated'}.jsonl"

    def _updates(self, cursor: str) -> Updates:
        self._folder.stat()  # a folder that is not there is not one without answers
        try:
            with (self._folder / "answers.jsonl").open("rb", buffering=0) as file:
                size = os.fstat(file.fileno()).st_size
                offset = _offset(cursor, file)
                piece = os.pread(file.fileno(), ANSWERS_BYTES_MAX, offset)
                end = piece.rfind(b"\n") + 1
                if not end and len(piece) == ANSWERS_BYTES_MAX:
                    end = len(piece)  # a line longer than any receipt is passed over
                told = f"{offset + end}:{_mark(file, offset + end)}" if offset + end else ""
        except FileNotFoundError:
            return Updates((), "")
        return Updates(tuple(receipts_from(_documents(piece[:end]))), told, is_all=offset + len(piece) >= size)

    def _catalogue(self) -> Catalogue:
        self._folder.stat()
        path = self._folder / "catalogue.json"
        if not path.exists():
            raise NotDelivered(is_silent=False, reason="no catalogue")
        try:
            return load_catalogue(path)
        except CannotStart as exc:
            raise NotDelivered(is_silent=False, reason="catalogue unreadable") from exc


def _with_reasons(work: Callable[..., T], *values: object) -> T:
    with disk_reasons():
        return work(*values)


def _read_at_most(path: Path, bytes_max: int) -> bytes:
    with path.open("rb") as file:
        content = file.read(bytes_max + 1)
    if len(content) > bytes_max:
        raise NotDelivered(is_silent=False, reason="picture too large")
    return content


def _offset(cursor: str, file: FileIO) -> int:
    """Return from where to read on: where the cursor ended, if what stands before that is what stood there."""
    match = _CURSOR.fullmatch(cursor)
    return int(match[1]) if match and _mark(file, int(match[1])) == match[2] else 0


def _mark(file: FileIO, offset: int) -> str:
    count = min(_BEFORE_BYTES, offset)
    return hashlib.sha256(os.pread(file.fileno(), count, offset - count)).hexdigest()[:8]


def _documents(lines: bytes) -> list[object]:
    documents = []
    for line in lines.removeprefix(_BOM).splitlines():
        try:
            documents.append(read_document(line, ANSWERS_BYTES_MAX))
        except GatewayError:
            continue  # a line that is no document says nothing
    return documents
