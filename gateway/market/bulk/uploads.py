"""An uploaded file is kept in memory from its report to its receipts, and its orders are recorded once.

Files hold names and phones, so none is written to disk; after a restart its owner uploads it again, and what was
recorded is told as recorded. Each merchant has few, all have a bounded number of rows, and the oldest go first; one
that is worked on stays. All-or-nothing is one transaction; the good orders of a faulty file go in parts, and what is
left after a failure goes when it is asked for again.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from gateway.clock import Clock
from gateway.errors import N_, GatewayError, LocalError, NoCapacity
from gateway.market.bulk.reading import read_file
from gateway.market.bulk.report import PlannedOrder, Report, knowing
from gateway.market.bulk.rows import check
from gateway.market.bulk.table import ROWS_MAX, Table
from gateway.market.catalogue.model import Catalogue
from gateway.market.order import Order
from gateway.market.records import OrderView, Recorded

KEPT_S = 3_600.0  # after it was last looked at
PER_MERCHANT_MAX = 3
WORKED_ON_MAX = 2  # of a merchant at once, so that others have their turn
ROWS_KEPT_MAX = 4 * ROWS_MAX  # 20 MB (2026-11)
WAITING_MAX = 8  # files to be read or recorded
AT_ONCE = 2
PART_ORDERS = 50  # recorded together where some rows have faults
CURRENCY = "PEN"  # where no catalogue names one


class Stage(Enum):
    """How far a file is."""

    READING = "reading"
    UNREADABLE = "unreadable"
    CHECKED = "checked"
    RECORDING = "recording"
    RECORDED = "recorded"


WORKING = frozenset({Stage.READING, Stage.RECORDING})


class Offered(Protocol):
    """What the shop offers now."""

    @property
    def catalogue(self) -> Catalogue | None: ...


class Orders(Protocol):
    """What a file needs of the room of orders."""

    @property
    def storefront(self) -> Offered: ...
    async def record_all(self, orders: Sequence[Order], merchant: str, made_by: str = "") -> Sequence[Recorded]: ...
    async def order(self, order_id: str, merchant: str) -> OrderView | None: ...


@dataclass(slots=True)
class Upload:
    """A file and what became of it; `done` of `total` steps of its present work are done."""

    id: str
    merchant: str
    made_by: str
    touched_s: float
    data: bytes = b""  # until it is read
    stage: Stage = Stage.READING
    table: Table | None = None
    weight: int = ROWS_MAX  # in memory, as so many usual rows
    report: Report | None = None
    recorded: list[tuple[PlannedOrder, Recorded]] = field(default_factory=list)
    problem: GatewayError | None = None  # why the last thing asked of it was not done
    occasion: str = ""  # its rows are meant as new orders
    in_parts: bool = False
    done: int = 0
    total: int = 0
    settled: asyncio.Event = field(default_factory=asyncio.Event)


class Uploads:
    """The files that merchants uploaded; `run` does what is asked of them."""

    def __init__(self, room: Orders, clock: Clock, read: Callable[[bytes], Awaitable[Table]] = read_file) -> None:
        self._room = room
        self._clock = clock
        self._read = read
        self._kept: dict[str, Upload] = {}  # oldest first
        self._waiting: asyncio.Queue[Upload] = asyncio.Queue(WAITING_MAX)

    async def run(self) -> None:
        """Read and record what is asked for, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for number in range(AT_ONCE):
                tasks.create_task(self._work(), name=f"uploads-{number}")

    def add(self, data: bytes, merchant: str, made_by: str = "") -> Upload:
        """Take a file in and have it read.

        Raises: NoCapacity.
        """
        upload = Upload(secrets.token_hex(16), merchant, made_by, self._clock.now_s(), data)
        self._ask(upload, Stage.READING)
        self._kept[upload.id] = upload
        self._forget_old(merchant)
        return upload

    def find(self, upload_id: str, merchant: str) -> Upload | None:
        """Return a merchant's file; None where it is not kept any more, or never was."""
        upload = self._kept.get(upload_id)
        if upload is None or upload.merchant != merchant or self._is_old(upload):
            return None
        upload.touched_s = self._clock.now_s()
        return upload

    def record(self, upload: Upload, *, in_parts: bool) -> None:
        """Have the orders of a checked file recorded, all at once or in parts; one that is or was being recorded stays.

        Raises: NoCapacity.
        """
        if upload.stage is Stage.CHECKED and upload.report and upload.report.orders:
            upload.in_parts = in_parts
            self._ask(upload, Stage.RECORDING)

    def check_anew(self, upload: Upload) -> None:
        """Have a checked file's rows taken for new orders, even where the same were recorded before.

        Raises: NoCapacity.
        """
        if upload.stage is Stage.CHECKED:
            upload.occasion = upload.id
            self._ask(upload, Stage.READING)

    async def settle(self, upload: Upload, within_s: float) -> None:
        """Return once a file is worked on no more, or when the time is over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await upload.settled.wait()

    def _ask(self, upload: Upload, stage: Stage) -> None:
        own = sum(each.merchant == upload.merchant and each.stage in WORKING for each in self._kept.values())
        if own >= WORKED_ON_MAX or self._waiting.full():
            raise NoCapacity(
                N_("Too many files are being read or recorded."), N_("Nothing was lost. Try again in a minute.")
            )
        self._waiting.put_nowait(upload)
        upload.stage, upload.problem, upload.done, upload.total = stage, None, 0, 0
        upload.settled.clear()

    async def _work(self) -> None:
        while True:
            upload = await self._waiting.get()
            before = upload.stage
            try:
                await (self._check(upload) if before is Stage.READING else self._record(upload))
            except GatewayError as exc:
                upload.problem = exc
            finally:
                if upload.stage is before:  # it did not get to its end
                    upload.problem = upload.problem or LocalError()
                    upload.stage = Stage.CHECKED if upload.report else Stage.UNREADABLE
                if upload.stage is Stage.UNREADABLE:
                    upload.data, upload.weight = b"", 0
                upload.settled.set()

    async def _check(self, upload: Upload) -> None:
        if upload.table is None:
            table = await self._read(upload.data)
            upload.weight = await asyncio.to_thread(lambda: table.weight)
            upload.table, upload.data = table, b""
        catalogue, currency = self._room.storefront.catalogue, CURRENCY
        upload.report = await asyncio.to_thread(
            check, upload.table, catalogue, upload.merchant, currency, upload.occasion
        )
        await self._know(upload)
        upload.stage = Stage.CHECKED

    async def _know(self, upload: Upload) -> None:
        """Mark what the journal has already."""
        if upload.report is None:
            return
        orders = [planned.order.id for planned in upload.report.orders]
        upload.done, upload.total = 0, len(orders)
        recorded = set()
        for order_id in orders:
            if await self._room.order(order_id, upload.merchant) is not None:
                recorded.add(order_id)
            upload.done += 1
        upload.report = knowing(upload.report, frozenset(recorded))

    async def _record(self, upload: Upload) -> None:
        if upload.report is None:
            return
        orders = upload.report.orders
        upload.total = len(orders)
        at_once = PART_ORDERS if upload.in_parts else len(orders)
        try:
            for first in range(0, len(orders), at_once):
                part = orders[first : first + at_once]
                made = await self._room.record_all([each.order for each in part], upload.merchant, upload.made_by)
                upload.recorded += zip(part, made, strict=True)
                upload.done += len(part)
        except GatewayError:
            await self._know(upload)
            raise
        upload.stage = Stage.RECORDED

    def _is_old(self, upload: Upload) -> bool:
        return upload.stage not in WORKING and self._clock.now_s() - upload.touched_s > KEPT_S

    def _forget_old(self, merchant: str) -> None:
        """Keep no more files and rows than there may be; the newest stays."""
        self._kept = {each.id: each for each in self._kept.values() if not self._is_old(each)}
        resting = [each for each in list(self._kept.values())[:-1] if each.stage not in WORKING]
        own = sum(each.merchant == merchant for each in self._kept.values())
        rows = sum(each.weight for each in self._kept.values())
        for each in resting:
            is_too_many = each.merchant == merchant and own > PER_MERCHANT_MAX
            if is_too_many or rows > ROWS_KEPT_MAX:
                del self._kept[each.id]
                own -= each.merchant == merchant
                rows -= each.weight
