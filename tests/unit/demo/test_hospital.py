"""The demo's hospital takes what holds against the standard, and answers what it was asked."""

import asyncio
import uuid

import aiohttp

from gateway.clinic.fhir.answers import read_answers
from gateway.clinic.fhir.bundle import bundle
from gateway.clinic.fhir.naming import system
from gateway.clinic.records.entries import Writer, check
from gateway.clinic.records.states import Stage
from gateway.clinic.records.views import Entry, HandoverItem
from gateway.demo.fhir import FHIR_JSON
from gateway.demo.hospital import ANSWER_S, DemoHospital
from tests.clocks import HandClock
from tests.waiting import wait_until

BOX = "prueba"
RECORD = str(uuid.UUID(int=7, version=4))


def a_case() -> bytes:
    told: dict[str, dict[str, object]] = {"patient": {"name": "Ana"}, "request": {"question": "¿Y ahora?"}}
    entries = tuple(
        Entry(
            number, str(uuid.UUID(int=number, version=4)), kind, Writer.NURSE, 1_800_000_000.0, 0.0, check(kind, each)
        )
        for number, (kind, each) in enumerate(told.items(), 1)
    )
    item = HandoverItem(RECORD, Stage.ASKED, 1_800_000_000.0, 1_800_000_000.0, None, "", entries, 0)
    return bundle(item, entries, BOX)


async def test_a_question_is_answered_after_a_while_and_nonsense_is_refused(clock: HandClock) -> None:
    hospital = DemoHospital(clock)
    base = f"http://{await hospital.start('127.0.0.1', 0)}"
    asked = {"based-on:ServiceRequest.identifier": f"{system(BOX)}|", "_include": "Communication:based-on"}
    async with asyncio.TaskGroup() as tasks, aiohttp.ClientSession(headers={"Content-Type": FHIR_JSON}) as box:
        running = tasks.create_task(hospital.run())
        for nonsense in (b"", b"[]", b'{"resourceType": "Bundle", "type": "transaction", "entry": 3}'):
            async with box.post(f"{base}/r4", data=nonsense) as answer:
                assert answer.status == 400
        async with box.post(f"{base}/r4", data=a_case()) as answer:
            assert answer.status == 200
        clock.pass_s(ANSWER_S + 1.0)
        await wait_until(lambda: bool(hospital.store.all("MedicationRequest")))
        async with box.get(f"{base}/r4/Communication", params={**asked, "_sort": "_lastUpdated"}) as answer:
            told = read_answers(await answer.json(content_type=FHIR_JSON), BOX)
        assert [each.record for each in told.replies] == [RECORD]
        given = {"record": RECORD, "text": "Venga hoy."}
        async with box.post(f"{base}/answers", json=given) as answer:
            assert answer.status == 201
        async with box.post(f"{base}/answers", json={**given, "record": "nobody"}) as answer:
            assert answer.status == 404
        running.cancel()
    await hospital.stop()
