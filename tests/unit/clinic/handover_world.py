"""Records in memory and a far side that is really asked, for tests of the handing over."""

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from random import Random

from gateway.backhaul.dialer import OpenDialer
from gateway.backhaul.link import Backhaul
from gateway.backhaul.sensing.state import CarrierChanged
from gateway.clinic.handover.handover import Handover, handover
from gateway.clinic.handover.resting import HandoverLimits
from gateway.clinic.records.entries import Writer, check
from gateway.clinic.records.records import Records
from gateway.clinic.records.states import Handover as Way
from gateway.clinic.records.states import Stage, may_move
from gateway.clinic.records.views import (
    Actor,
    Entry,
    HandoverItem,
    NewEntry,
    Outcome,
    RecordStatistics,
    RecordView,
)
from gateway.clock import SystemClock
from gateway.errors import Conflict, NotFound
from gateway.exchange.backoff import Patience
from gateway.exchange.exchange import DeliveryLimits
from tests.fhir_server import FhirServerFake

WALL_S = 1_800_000_000.0
BOX = "san-mateo"
QUICK = HandoverLimits(
    retry_s_min=0.001,
    retry_s_max=0.004,
    look_s=0.01,
    park_s=0.01,
    patience=Patience(refusals_max=4, pause_s_min=0.001, pause_s_max=0.01),
)
BRIEF = DeliveryLimits(connect_s=1.0, silence_s=1.0, total_s=10.0)


def an_entry(kind: str, by: Writer = Writer.NURSE, sequence: int = 1, **fields: object) -> Entry:
    """An entry as it is kept."""
    return Entry(sequence, str(uuid.uuid4()), kind, by, WALL_S, WALL_S + 1, check(kind, fields))


@dataclass
class _Kept:
    stage: Stage
    entries: list[Entry] = field(default_factory=list)
    way: Way = Way.NONE
    reason: str = ""
    not_before_s: float = 0.0
    tries: int = 0
    told: int = 0  # the last sequence that the far side has
    sent: int = 0  # … that was given to the link


class MemoryRecords(Records):
    """Records as the sender sees them: one in flight, what was not settled comes again."""

    def __init__(self) -> None:
        self.records: dict[str, _Kept] = {}
        self.blobs: dict[str, bytes] = {}
        self.in_flight = ""
        self._clock = SystemClock()

    def a_case(self, photos: Sequence[bytes] = (), urgency: str = "routine") -> str:
        """Write a case and let it wait for the link."""
        record, kept = str(uuid.uuid4()), _Kept(Stage.ASKED, way=Way.QUEUED)
        self.records[record] = kept
        self.write(record, "patient", name="Rosa Quispe", birth_date="1980-05-01", sex="female")
        self.write(record, "consent", what="handover", given=True, how="spoken")
        temperature = {"code": "temperature", "value": "39.5", "unit": "°C"}
        self.write(record, "vitals", values=[temperature, {"code": "systolic", "value": "95", "unit": "mmHg"}])
        for photo in photos:
            sha256 = hashlib.sha256(photo).hexdigest()
            self.blobs[sha256] = photo
            self.write(record, "photo", sha256=sha256, media_type="image/jpeg", size_bytes=len(photo), subject="wound")
        self.write(record, "request", question="¿Qué es?", urgency=urgency)
        return record

    def write(self, record: str, kind: str, by: Writer = Writer.NURSE, **fields: object) -> Entry:
        """Write an entry."""
        kept = self.records[record]
        kept.entries.append(an_entry(kind, by, len(kept.entries) + 1, **fields))
        return kept.entries[-1]

    def of_kind(self, record: str, kind: str) -> list[Mapping[str, object]]:
        """Return the entries of a kind."""
        return [each.fields for each in self.records[record].entries if each.kind == kind]

    def are_all(self, way: Way) -> bool:
        """Say whether every record stands like this."""
        return all(each.way is way for each in self.records.values())

    def forget_flight(self) -> None:
        """Be as after a stop: what was given to the link is not known to have arrived."""
        self.in_flight = ""

    async def due(self) -> HandoverItem | None:
        now_s = self._clock.now_s()
        for record, kept in sorted(self.records.items(), key=lambda pair: pair[0] != self.in_flight):
            if kept.way is Way.SENDING or (kept.way is Way.QUEUED and kept.not_before_s <= now_s):
                kept.way, self.in_flight = Way.SENDING, record
                new = tuple(each for each in kept.entries if each.sequence > kept.told)
                kept.sent = len(kept.entries)
                return HandoverItem(record, kept.stage, WALL_S, WALL_S + 60, None, "", new, kept.tries)
        return None

    async def settle(self, record: str, outcome: Outcome) -> None:
        kept = self.records[record]
        if kept.way is not Way.SENDING or self.in_flight != record:
            return
        self.in_flight = ""
        match outcome.what:
            case "delivered":
                kept.way, kept.told = Way.DELIVERED, kept.sent
            case "retry":
                kept.way, kept.tries = Way.QUEUED, kept.tries + 1
                kept.not_before_s = self._clock.now_s() + outcome.retry_after_s
            case "refused":
                kept.way, kept.reason = Way.ATTENTION, outcome.reason

    async def blob(self, record: str, sha256: str, *, by: Actor) -> bytes | None:
        return self.blobs.get(sha256)

    async def keep(self, record: str, entry: NewEntry, *, by: Actor) -> Entry:
        if record not in self.records:
            raise NotFound
        kept = self.records[record]
        fields = check(entry.kind, entry.fields)
        for each in kept.entries:
            if each.id == entry.id:
                if each.fields != fields:
                    raise Conflict
                return each
        if kept.stage in (Stage.CLOSED, Stage.CANCELLED):
            raise Conflict
        sequence = len(kept.entries) + 1
        kept.entries.append(Entry(sequence, entry.id, entry.kind, by.writer, entry.at_wall_s, WALL_S, fields))
        return kept.entries[-1]

    async def move(self, record: str, stage: Stage, *, by: Actor) -> RecordView:
        kept = self.records[record]
        if not may_move(kept.stage, stage, has_request=True):
            raise Conflict
        kept.stage = stage
        view = await self.view(record, by=by)
        assert view is not None
        return view

    async def view(self, record: str, *, by: Actor) -> RecordView | None:
        kept = self.records.get(record)
        if kept is None:
            return None
        count = len(kept.entries)
        return RecordView(
            record, kept.stage, kept.way, kept.reason, None, None, "", WALL_S, WALL_S, "", count, 0, 0, False, ""
        )

    def statistics(self) -> RecordStatistics:
        stages, ways = dict.fromkeys(Stage, 0), dict.fromkeys(Way, 0)
        for each in self.records.values():
            stages[each.stage] += 1
            ways[each.way] += 1
        return replace(RecordStatistics(), stages=stages, handovers=ways)


@dataclass
class World:
    """A box's records, its link, and the server that is far away."""

    records: MemoryRecords
    far: FhirServerFake
    sender: Handover
    link: "Wire"


class Wire:
    """A link that is up or down, as the test says."""

    def __init__(self) -> None:
        self.is_up = True
        self.backhaul = Backhaul(SystemClock(), capacity=None, carrier=lambda: self.is_up, probe=self._answers)

    async def _answers(self, peer: tuple[str, int]) -> bool:
        return self.is_up

    def cut(self) -> None:
        """Let nothing cross from now on."""
        self.is_up = False
        self.backhaul.ways.watch.learn(CarrierChanged(False))

    def mend(self) -> None:
        """Let everything cross again."""
        self.is_up = True
        self.backhaul.ways.watch.learn(CarrierChanged(True))


@asynccontextmanager
async def running(
    far: FhirServerFake | None = None,
    records: MemoryRecords | None = None,
    *,
    limits: HandoverLimits = QUICK,
    answers_s: float = 0.02,
    token: str | None = None,
    is_up: bool = True,
) -> AsyncIterator[World]:
    """Let a handover run against a far side."""
    far, records, link = far or FhirServerFake(), records or MemoryRecords(), Wire()
    base_url = await far.start()
    if not is_up:
        link.cut()
    sender = handover(
        records,
        base_url=base_url,
        token=token,
        dialer=OpenDialer(),
        backhaul=link.backhaul,
        clock=SystemClock(),
        box_name=BOX,
        answers_s=answers_s,
        random=Random(7),
        limits=limits,
        delivery=BRIEF,
    )
    try:
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(sender.run())
            yield World(records, far, sender, link)
            task.cancel()
    finally:
        await far.stop()
