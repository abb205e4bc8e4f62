"""Records arrive once, refused ones wait for a person, and the link's return sets everything off."""

import asyncio
import hashlib
from dataclasses import replace

import pytest
from aiohttp import web

from gateway.clinic.records.entries import Writer
from gateway.clinic.records.states import Handover as Way
from gateway.clinic.records.states import Stage
from tests.fhir_server import FhirServerFake, Refused
from tests.unit.clinic.handover_world import MemoryRecords, running
from tests.waiting import wait_until

PHOTOS = [bytes([number]) * (1_000 + number) for number in range(5)]


async def test_a_case_with_photos_arrives_once_and_whole() -> None:
    async with running() as world:
        record = world.records.a_case(PHOTOS, "urgent")
        await wait_until(lambda: world.records.are_all(Way.DELIVERED))
        assert set(world.far.identified().values()) == {1}
        assert {sha256: hashlib.sha256(data).hexdigest() for sha256, (_, data) in world.far.binaries.items()} == {
            hashlib.sha256(photo).hexdigest(): hashlib.sha256(photo).hexdigest() for photo in PHOTOS
        }
        request = world.far.all("ServiceRequest")[0]
        assert (request["priority"], request["identifier"][0]["value"]) == ("urgent", f"urn:uuid:{record}")
        assert request["subject"]["reference"].startswith("Patient/")
        assert {each["content"]["url"] for each in world.far.all("Media")} == {
            f"Binary/{sha256}" for sha256 in world.far.binaries
        }
        statistics = world.sender.statistics()
        assert (statistics.waiting, statistics.delivered, statistics.files_sent) == (0, 1, 5)
        assert statistics.heard_wall_s is not None


async def test_nothing_is_asked_while_the_link_is_down_and_all_goes_when_it_is_back() -> None:
    async with running(is_up=False, answers_s=600.0) as world:
        record = world.records.a_case(PHOTOS)
        world.sender.send_now()
        await asyncio.sleep(0.04)
        assert not world.far.requests
        world.link.mend()
        await wait_until(lambda: world.records.are_all(Way.DELIVERED))
        world.far.answer(record, "Reposo")
        world.link.cut()
        await wait_until(lambda: world.link.backhaul.is_down)
        await asyncio.sleep(0)
        world.link.mend()
        await wait_until(lambda: world.records.records[record].stage is Stage.ANSWERED)


async def test_a_refused_record_waits_for_a_person_and_holds_up_nobody() -> None:
    async with running() as world:
        bad = world.records.a_case()
        world.far.refuses = lambda bundle: bad in str(bundle)
        good = [world.records.a_case() for _ in range(3)]
        await wait_until(lambda: world.records.records[bad].way is Way.ATTENTION)
        await wait_until(lambda: all(world.records.records[each].way is Way.DELIVERED for each in good))
        assert world.records.records[bad].reason == "The receiving side does not take this record as it is."
        assert world.sender.statistics().attention == 1


async def test_the_third_photo_refused_for_ever_sends_the_record_to_a_person_and_others_go_on() -> None:
    class TakesMost(FhirServerFake):
        async def _put_binary(self, request: web.Request) -> web.Response:
            if request.match_info["id"] == hashlib.sha256(PHOTOS[2]).hexdigest():
                raise Refused(413, "too large")
            return await super()._put_binary(request)

    async with running(TakesMost()) as world:
        bad = world.records.a_case(PHOTOS)
        other = world.records.a_case()
        await wait_until(lambda: world.records.records[bad].way is Way.ATTENTION)
        await wait_until(lambda: world.records.records[other].way is Way.DELIVERED)
        assert world.records.records[bad].reason == "A file is larger than the receiving side takes."
        assert len(world.far.puts) == 4


async def test_a_photo_under_way_does_not_hold_up_the_next_record() -> None:
    class SlowFiles(FhirServerFake):
        gate = asyncio.Event()

        async def _put_binary(self, request: web.Request) -> web.Response:
            await self.gate.wait()
            return await super()._put_binary(request)

    async with running(SlowFiles()) as world:
        first = world.records.a_case(PHOTOS)
        await wait_until(lambda: any(method == "PUT" for method, _ in world.far.requests) or bool(world.far.kept))
        second = world.records.a_case(urgency="asap")
        await wait_until(lambda: world.records.records[second].way is Way.DELIVERED)
        assert not world.far.binaries
        SlowFiles.gate.set()
        await wait_until(lambda: world.records.records[first].way is Way.DELIVERED)
        assert set(world.far.identified().values()) == {1}


async def test_a_file_that_is_there_is_not_sent_again_after_a_stop() -> None:
    far, records = FhirServerFake(), MemoryRecords()
    record = records.a_case(PHOTOS)
    for photo in PHOTOS[:3]:
        far.binaries[hashlib.sha256(photo).hexdigest()] = ("image/jpeg", photo)
    async with running(far, records) as world:
        await wait_until(lambda: world.records.records[record].way is Way.DELIVERED)
    assert sum(far.puts.values()) == 2


async def test_what_is_written_after_the_delivery_follows_and_overwrites_nothing() -> None:
    async with running() as world:
        record = world.records.a_case()
        await wait_until(lambda: world.records.are_all(Way.DELIVERED))
        world.records.write(record, "answer", Writer.DOCTOR, text="Reposo", doctor="Dr. Paz")
        world.records.records[record].way = Way.QUEUED
        await wait_until(lambda: world.records.are_all(Way.DELIVERED))
        assert world.far.all("Patient")[0]["name"] == [{"text": "Rosa Quispe"}]
        assert world.far.all("Encounter")[0]["class"]["code"] == "AMB"
        answer = next(each for each in world.far.all("Communication") if "basedOn" in each)
        assert answer["basedOn"][0]["identifier"]["value"] == f"urn:uuid:{record}"
        assert set(world.far.identified().values()) == {1}


async def test_a_server_that_takes_no_coded_bodies_gets_plain_ones_from_then_on() -> None:
    async with running(FhirServerFake(takes=("",))) as world:
        for _ in range(3):
            world.records.a_case()
        await wait_until(lambda: world.records.are_all(Way.DELIVERED))
        assert sum(method == "POST" for method, _ in world.far.requests) == 4


async def test_a_token_that_is_refused_sends_nobody_to_attention() -> None:
    far = FhirServerFake()
    far.token = "right"
    async with running(far, token="wrong") as world:
        world.records.a_case()
        await wait_until(lambda: world.sender.statistics().is_broken)
        assert world.sender.statistics().attention == 0
        far.token = "wrong"
        await wait_until(lambda: world.records.are_all(Way.DELIVERED))


@pytest.mark.parametrize("lie", ["lose", "cut", "cut-answer", "busy", "double", "precondition", "broken"])
async def test_one_lie_about_a_record_changes_nothing(lie: str) -> None:
    far = FhirServerFake()
    far.lies.append(lie)
    async with running(far) as world:
        world.records.a_case(PHOTOS[:1])
        await wait_until(lambda: world.records.are_all(Way.DELIVERED))
        assert set(far.identified().values()) == set(far.stored.values()) == {1}
        assert len(far.binaries) == 1


async def test_a_server_that_stays_broken_is_left_alone_for_longer_and_longer() -> None:
    far = FhirServerFake()
    far.lies.extend(["broken"] * 6)
    async with running(far) as world:
        world.records.a_case()
        await wait_until(lambda: world.sender.statistics().is_broken)
        await wait_until(lambda: world.records.are_all(Way.DELIVERED))
        assert world.sender.statistics().failures_in_a_row == 0


async def test_a_record_that_cannot_be_written_waits_for_a_person() -> None:
    async with running() as world:
        record = world.records.a_case()
        entry = world.records.write(record, "vitals", values=[{"code": "weight", "value": "60", "unit": "kg"}])
        world.records.records[record].entries[-1] = replace(entry, fields={"values": [{}]})
        good = world.records.a_case()
        await wait_until(lambda: world.records.records[record].way is Way.ATTENTION)
        await wait_until(lambda: world.records.records[good].way is Way.DELIVERED)
