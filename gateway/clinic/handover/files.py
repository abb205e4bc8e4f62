"""Photos and voice notes follow their record, one at a time, small ones first, and stand still while a record goes.

A file's address is its hash, so sending it twice is sending it once, and one that is there is not sent again. A record
counts as delivered when its files are there too; a file that the box has not got whole does not hold up the others.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import structlog

from gateway.backhaul.link import Backhaul
from gateway.clinic.fhir.bundle import files
from gateway.clinic.handover.resting import HandoverLimits, Rest
from gateway.clinic.handover.server import FhirServer
from gateway.clinic.records.entries import Writer
from gateway.clinic.records.records import Records
from gateway.clinic.records.views import Actor, HandoverItem, Outcome, delivered, refused
from gateway.clock import Clock
from gateway.errors import GatewayError
from gateway.exchange.exchange import NotDelivered

SENDER = Actor(Writer.BOX, "handover")
ENDED_MAX = 1_000  # one that is forgotten goes once more, and its files are found there
_MARKS = (
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (8, b"WEBP", "image/webp"),
    (0, b"\x1a\x45\xdf\xa3", "audio/webm"),
    (0, b"OggS", "audio/ogg"),
    (4, b"ftyp", "audio/mp4"),
)
PIECE_BYTES = 16_384  # after so much a file sees whether a record goes
_log = structlog.get_logger("clinic.handover")


@dataclass(slots=True)
class _Behind:
    """The files of a record that are not there yet, by hash."""

    media_types: dict[str, str]  # "" where the entry that names it went before
    last: int  # the sequence of the last entry that went
    is_parked: bool = False  # another record was given to the link meanwhile
    not_before_s: float = 0.0
    refusals: Counter[str] = field(default_factory=Counter)


class Files:
    """The one sender of files."""

    def __init__(
        self,
        records: Records,
        server: FhirServer,
        backhaul: Backhaul,
        clock: Clock,
        *,
        rest: Rest,
        limits: HandoverLimits,
    ) -> None:
        self._records = records
        self._server = server
        self._backhaul = backhaul
        self._clock = clock
        self._rest = rest
        self._limits = limits
        self._behind: dict[str, _Behind] = {}  # by record, in the order they went
        self._ended: dict[str, tuple[int, Outcome]] = {}  # what came of records while they were parked
        self._may_go = asyncio.Event()
        self._may_go.set()
        self.sent = self.delivered = 0

    @property
    def waiting(self) -> int:
        """How many files are not there yet."""
        return sum(len(each.media_types) for each in self._behind.values())

    @property
    def is_under_way(self) -> bool:
        """Whether the record that was given to the link last waits for its files."""
        return any(not each.is_parked for each in self._behind.values())

    @contextmanager
    def held_back(self) -> Iterator[None]:
        """Let files stand still while a record goes."""
        self._may_go.clear()
        try:
            yield
        finally:
            self._may_go.set()

    def follow(self, item: HandoverItem) -> bool:
        """Send a record's files, if it has any; it is delivered when they are there."""
        self._ended.pop(item.record, None)
        self._behind.pop(item.record, None)
        if named := _named(item):
            self._behind[item.record] = _Behind(named, _last(item))
            self._rest.wake()
        return bool(named)

    def is_following(self, item: HandoverItem) -> bool:
        """Say whether these entries went, and their files are under way."""
        behind = self._behind.get(item.record)
        if behind is None or behind.last != _last(item):
            return False
        behind.is_parked = False
        return True

    def park(self, record: str) -> None:
        """Keep what comes of a record until it is its turn again: another one is given to the link now."""
        self._behind[record].is_parked = True

    def outcome(self, item: HandoverItem) -> Outcome | None:
        """Return what came of these entries and their files while they were parked, and forget it."""
        last, outcome = self._ended.pop(item.record, (None, None))
        return outcome if last == _last(item) else None

    async def run(self) -> None:
        """Send what may go, until cancelled."""
        while True:
            try:
                await self._step()
            except NotDelivered as exc:
                _log.info("file.not_sent", reason=exc.reason, failures=self._rest.breaker.failures + 1)
                self._rest.failed(exc.retry_after_s)
            except Exception as exc:  # noqa: BLE001 - a fault of ours must not stop the files that come after it
                _log.error("file.failed", reason=exc.code if isinstance(exc, GatewayError) else type(exc).__name__)
                self._rest.failed(None)

    async def _step(self) -> None:
        """Send one file, or wait until there may be one."""
        if self._backhaul.is_down or (left_s := self._rest.left_s) > 0.0:
            await self._rest.wait(self._limits.look_s if self._backhaul.is_down else left_s)
            return
        now_s = self._clock.now_s()
        ready = [record for record, behind in self._behind.items() if behind.not_before_s <= now_s]
        if not ready:
            await self._rest.wait(self._limits.look_s)
            return
        await self._may_go.wait()
        record = ready[0]
        behind = self._behind[record]
        if behind.media_types:
            sha256 = next(iter(behind.media_types))
            await self._send(record, behind, sha256)
        if not behind.media_types and self._behind.get(record) is behind:
            await self._end(record, behind, delivered())

    async def _send(self, record: str, behind: _Behind, sha256: str) -> None:
        """Let the far side have a file.

        Raises: NotDelivered.
        """
        content = await self._records.blob(record, sha256, by=SENDER)
        if content is not None and not await self._server.has_file(sha256):
            pieces = self._pieces(content)
            media_type = behind.media_types[sha256] or _kind(content)
            reason = await self._server.put_file(sha256, media_type, len(content), pieces)
            self._rest.heard()
            if reason:
                await self._refused(record, behind, sha256, reason)
                return
            self.sent += 1
            _log.info("file.sent", size_bytes=len(content))
        behind.media_types.pop(sha256, None)

    async def _pieces(self, content: bytes) -> AsyncIterator[bytes]:
        for at in range(0, len(content), PIECE_BYTES):
            await self._may_go.wait()
            yield content[at : at + PIECE_BYTES]

    async def _refused(self, record: str, behind: _Behind, sha256: str, reason: str) -> None:
        """Let a file that is refused go after the others, and a person look after some refusals."""
        behind.refusals[sha256] += 1
        refusals, patience = behind.refusals[sha256], self._limits.patience
        _log.info("file.refused", refusals=refusals)
        behind.media_types[sha256] = behind.media_types.pop(sha256)
        if refusals >= patience.refusals_max:
            await self._end(record, behind, refused(reason))
        elif all(behind.refusals[each] for each in behind.media_types):
            behind.not_before_s = self._clock.now_s() + patience.pause_s(refusals)

    async def _end(self, record: str, behind: _Behind, outcome: Outcome) -> None:
        self._behind.pop(record, None)
        self.delivered += outcome.what == "delivered"
        if not behind.is_parked:
            await self._records.settle(record, outcome)
            return
        self._ended[record] = (behind.last, outcome)
        while len(self._ended) > ENDED_MAX:
            self._ended.pop(next(iter(self._ended)))


def _named(item: HandoverItem) -> dict[str, str]:
    return files(item.entries) | dict.fromkeys(item.late_files, "")


def _last(item: HandoverItem) -> int:
    return max((each.sequence for each in item.entries), default=0)


def _kind(content: bytes) -> str:
    """Return the media type that a file's first bytes tell.

    Source: WHATWG MIME Sniffing §6.1, §6.2.
    """
    for at, mark, media_type in _MARKS:
        if content[at : at + len(mark)] == mark:
            return media_type
    return "application/octet-stream"
