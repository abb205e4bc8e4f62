"""Answers come back once, into the record they belong to, and whatever else a server tells does nothing."""

import asyncio

from aiohttp import web

from gateway.clinic.records.states import Handover as Way
from gateway.clinic.records.states import Stage
from tests.fhir_server import FHIR_JSON, FhirServerFake
from tests.unit.clinic.handover_world import World, running
from tests.waiting import wait_until


async def delivered(world: World) -> str:
    record = world.records.a_case()
    await wait_until(lambda: world.records.are_all(Way.DELIVERED))
    return record


async def looks(world: World, count: int = 2) -> None:
    """Return after so many more whole looks."""
    asked = len([path for _, path in world.far.requests if path.startswith("/r4/MedicationRequest")])
    goal = asked + count
    await wait_until(
        lambda: len([path for _, path in world.far.requests if path.startswith("/r4/MedicationRequest")]) >= goal
    )


async def test_an_answer_and_a_prescription_come_back_once() -> None:
    async with running() as world:
        record = await delivered(world)
        world.far.answer(record, "Reposo y líquidos")
        world.far.prescribe(record, "Paracetamol 500 mg")
        await wait_until(lambda: world.records.records[record].stage is Stage.ANSWERED)
        await looks(world, 3)
        assert world.records.of_kind(record, "answer") == [{"text": "Reposo y líquidos", "doctor": "Dra. Huamán"}]
        assert len(world.records.of_kind(record, "prescription")) == 1
        assert world.sender.statistics().answers == 2


async def test_what_the_box_sent_itself_is_no_answer() -> None:
    async with running() as world:
        record = await delivered(world)
        await looks(world)
        assert world.records.records[record].stage is Stage.ASKED
        assert not world.records.of_kind(record, "answer")


async def test_a_corrected_answer_is_a_second_one() -> None:
    async with running() as world:
        record = await delivered(world)
        answer = world.far.answer(record, "Reposo")
        await wait_until(lambda: len(world.records.of_kind(record, "answer")) == 1)
        body = world.far.kept["Communication"][answer]
        world.far.put({**body, "payload": [{"contentString": "Reposo, y vuelva mañana"}]}, answer)
        await wait_until(lambda: len(world.records.of_kind(record, "answer")) == 2)


async def test_an_old_answer_read_again_does_not_answer_a_new_question() -> None:
    async with running() as world:
        record = await delivered(world)
        world.far.answer(record, "Reposo")
        await wait_until(lambda: world.records.records[record].stage is Stage.ANSWERED)
        world.records.write(record, "request", question="¿Y ahora?")
        world.records.records[record].stage = Stage.ASKED
        far, records = world.far, world.records
        await looks(world)
    async with running(far, records) as again:  # after a stop everything is read once more
        await looks(again)
        assert records.records[record].stage is Stage.ASKED
        assert len(records.of_kind(record, "answer")) == 1


async def test_many_answers_come_page_by_page() -> None:
    async with running(FhirServerFake(page=3)) as world:
        record = await delivered(world)
        for number in range(11):
            world.far.answer(record, f"Respuesta {number}")
        await wait_until(lambda: len(world.records.of_kind(record, "answer")) == 11)


async def test_html_in_an_answer_is_text_and_narratives_are_not_read() -> None:
    async with running() as world:
        record = await delivered(world)
        answer = world.far.answer(record, "<script>alert(1)</script> sí")
        narrative = {"status": "generated", "div": "<div xmlns='http://www.w3.org/1999/xhtml'>otra cosa</div>"}
        world.far.kept["Communication"][answer]["text"] = narrative
        await wait_until(lambda: bool(world.records.of_kind(record, "answer")))
        assert world.records.of_kind(record, "answer")[0]["text"] == "<script>alert(1)</script> sí"


async def test_an_answer_for_a_record_that_is_gone_or_closed_is_let_go() -> None:
    async with running() as world:
        closed, gone = await delivered(world), await delivered(world)
        still = await delivered(world)
        for record in (closed, gone, still):
            world.far.answer(record, "Reposo")
        world.records.records[closed].stage = Stage.CLOSED
        entries = len(world.records.records[closed].entries)
        del world.records.records[gone]
        await wait_until(lambda: world.records.records[still].stage is Stage.ANSWERED)
        assert len(world.records.records[closed].entries) == entries


async def test_a_server_that_answers_nonsense_does_not_end_the_asking() -> None:
    bodies = [b"", b"[]", b"{", b'{"resourceType":"Bundle"}', b"[" * 5_000, b"x" * 1_100_000, b"\xff\xfe"]

    class Nonsense(FhirServerFake):
        async def _search(self, request: web.Request) -> web.Response:
            if bodies:
                return web.Response(body=bodies.pop(), content_type=FHIR_JSON)
            return await super()._search(request)

    async with running(Nonsense()) as world:
        record = await delivered(world)
        world.far.answer(record, "Reposo")
        await wait_until(lambda: world.records.records[record].stage is Stage.ANSWERED)
        assert not bodies


async def test_a_next_page_elsewhere_is_not_fetched() -> None:
    class Elsewhere(FhirServerFake):
        async def _search(self, request: web.Request) -> web.Response:
            link = {"relation": "next", "url": f"http://{request.host}/admin"}
            body = {"resourceType": "Bundle", "type": "searchset", "link": [link]}
            return web.json_response(body, content_type=FHIR_JSON)

    async with running(Elsewhere()) as world:
        await delivered(world)
        await wait_until(lambda: sum(path.startswith("/r4/Comm") for _, path in world.far.requests) > 2)
        assert not any("admin" in path for _, path in world.far.requests)


async def test_nobody_is_asked_while_no_answer_is_awaited() -> None:
    async with running() as world:
        await asyncio.sleep(0.05)
        assert not world.far.requests
