"""What the box hands over is taken by a strict FHIR R4 server, from the records as they lie on disk, and comes back."""

import asyncio
import hashlib
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import aiohttp
import pytest

from gateway.backhaul.dialer import OpenDialer
from gateway.clinic.fhir.bundle import bundle
from gateway.clinic.handover.handover import handover
from gateway.clinic.records.entries import Writer
from gateway.clinic.records.records import Records
from gateway.clinic.records.states import Handover as Way
from gateway.clinic.records.states import Stage
from gateway.clinic.records.views import Actor, HandoverItem, NewEntry, RecordLimits
from gateway.clock import SystemClock
from tests.fhir_server import FHIR_JSON, FhirServerFake
from tests.unit.clinic.handover_world import BOX, BRIEF, QUICK, WALL_S, Wire, an_entry
from tests.waiting import wait_until

NURSE = Actor(Writer.NURSE, "ana")
PHOTOS = [bytes([255, 216, 255, number]) * 500 for number in range(5)]
LIES = ["lose", "cut-answer", "busy", "", "double", "precondition", "broken", "cut"]


@asynccontextmanager
async def kept_records(folder: Path) -> AsyncIterator[Records]:
    limits = RecordLimits(ballast_bytes=0, free_bytes_min=0)
    records = Records(folder=folder, key=b"k" * 32, clock=SystemClock(), boot="", limits=limits)
    await records.start()
    try:
        yield records
    finally:
        await records.stop()


async def a_case(records: Records) -> str:
    """Write a case with five photos and let it wait for the link."""
    record = str(uuid.uuid4())
    entries = [new("request", question="¿Qué es?", urgency="urgent"), new("patient", name="Rosa Quispe")]
    await records.begin(record, Stage.ASKED, by=NURSE, entries=entries)
    for photo in PHOTOS:
        sha256 = hashlib.sha256(photo).hexdigest()
        fields = {"sha256": sha256, "media_type": "image/jpeg", "size_bytes": len(photo)}
        await records.keep(record, new("photo", **fields), by=NURSE)
        await records.put_blob(record, sha256, 0, len(photo), pieces(photo), by=NURSE)
    await records.hand_over(record, by=NURSE)
    return record


def new(kind: str, **fields: object) -> NewEntry:
    return NewEntry(str(uuid.uuid4()), kind, WALL_S, fields)


async def pieces(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def test_a_case_made_in_an_outage_arrives_whole_from_disk_and_its_answer_returns(tmp_path: Path) -> None:
    far, link = FhirServerFake(), Wire()
    far.lies.extend(["lose", "cut"])
    far.file_lies.extend(LIES)
    far.search_lies.extend(LIES)
    base_url = await far.start()
    link.cut()
    async with kept_records(tmp_path) as records:
        sender = handover(
            records,
            base_url=base_url,
            token=None,
            dialer=OpenDialer(),
            backhaul=link.backhaul,
            clock=SystemClock(),
            box_name=BOX,
            answers_s=0.02,
            random=Random(7),
            limits=QUICK,
            delivery=BRIEF,
        )
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(sender.run())
            names = [await a_case(records) for _ in range(2)]
            assert not far.requests
            link.mend()
            await wait_until(lambda: records.statistics().handovers.get(Way.DELIVERED) == len(names), 40)
            for record in names:
                far.answer(record, "Reposo")
            await wait_until(lambda: records.statistics().stages.get(Stage.ANSWERED) == len(names), 40)
            running.cancel()
        for record in names:
            entries = await records.entries(record, by=NURSE)
            assert [each.fields["text"] for each in entries if each.kind == "answer"] == ["Reposo"]
    await far.stop()
    assert set(far.identified().values()) == {1}
    assert {each: data for each, (_, data) in far.binaries.items()} == {
        hashlib.sha256(photo).hexdigest(): photo for photo in PHOTOS
    }


@asynccontextmanager
async def a_server() -> AsyncIterator[tuple[FhirServerFake, aiohttp.ClientSession, str]]:
    far = FhirServerFake()
    base_url = await far.start()
    async with aiohttp.ClientSession(headers={"Content-Type": FHIR_JSON}) as session:
        yield far, session, base_url
    await far.stop()


def a_document() -> bytes:
    entry = an_entry("reason", text="fiebre")
    return bundle(HandoverItem(str(uuid.uuid4()), Stage.ASKED, WALL_S, WALL_S, None, "", (entry,), 0), (entry,), BOX)


async def test_a_transaction_twice_changes_nothing() -> None:
    document = a_document()
    async with a_server() as (far, session, base_url):
        for status in ("201 Created", "200 OK"):
            async with session.post(base_url, data=document) as answer:
                told = await answer.json(content_type=FHIR_JSON)
            assert {each["response"]["status"] for each in told["entry"]} == {status}
        assert set(far.stored.values()) == set(far.identified().values()) == {1}


@pytest.mark.parametrize("spoiled", ["status", "reference", "condition", "twice"])
async def test_a_transaction_that_does_not_hold_has_no_effect_at_all(spoiled: str) -> None:
    document = json.loads(a_document())
    last = document["entry"][-1]
    match spoiled:
        case "status":
            del last["resource"]["status"]
        case "reference":
            last["resource"]["subject"] = {"reference": f"urn:uuid:{uuid.uuid4()}"}
        case "condition":
            last["request"]["url"] = "Observation"
        case "twice":
            document["entry"].append(last)
    async with a_server() as (far, session, base_url):
        async with session.post(base_url, data=json.dumps(document)) as answer:
            assert answer.status == 400
        assert not far.kept
