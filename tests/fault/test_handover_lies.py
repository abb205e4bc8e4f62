"""Cases made during an outage arrive whole and their answers return, whatever the server and the link do in between."""

import hashlib
from collections import Counter, deque
from random import Random

from gateway.clinic.records.states import Handover as Way
from gateway.clinic.records.states import Stage
from tests.fhir_server import LIES, FhirServerFake
from tests.unit.clinic.handover_world import MemoryRecords, running
from tests.waiting import wait_until

TRIALS = 200  # cases, each with five photos
AT_ONCE = 10  # made during one outage
PHOTOS = 5
LIED_RATIO = 0.3


async def test_each_case_made_in_an_outage_is_there_exactly_once_and_each_answer_comes_back_once() -> None:
    random, counts = Random(6), Counter[str]()
    for _ in range(TRIALS // AT_ONCE):
        await _outage(Random(random.random()), counts)
    assert counts["cases"] == TRIALS
    assert counts["photos"] == TRIALS * PHOTOS
    assert counts["answers"] == TRIALS
    assert counts["lies"] > TRIALS


async def _outage(random: Random, counts: Counter[str]) -> None:
    far, records = FhirServerFake(page=4), MemoryRecords()
    names = [records.a_case([random.randbytes(400) for _ in range(PHOTOS)]) for _ in range(AT_ONCE)]
    _lie(far, random)
    async with running(far, records, is_up=False) as world:
        assert not far.requests
        world.link.mend()
        await wait_until(lambda: len(far.identified()) > random.randrange(20, 80))
    records.forget_flight()  # the box stopped in the middle of whatever it did
    async with running(far, records) as world:
        await wait_until(lambda: records.are_all(Way.DELIVERED), 20)
        for record in names:
            far.answer(record, f"Respuesta {record}")
            _lie_of(far.search_lies, random, 1)
        await wait_until(lambda: all(records.records[each].stage is Stage.ANSWERED for each in names), 20)
    _check(far, records, names, counts)


def _check(far: FhirServerFake, records: MemoryRecords, names: list[str], counts: Counter[str]) -> None:
    assert set(far.identified().values()) == {1}
    assert set(far.stored.values()) == {1}  # nothing was changed by coming twice
    values = {value.removeprefix("urn:uuid:") for kind, value in far.identified() if kind == "ServiceRequest"}
    assert values == set(names)
    whole = {sha256 for sha256, (_, data) in far.binaries.items() if hashlib.sha256(data).hexdigest() == sha256}
    assert whole == far.binaries.keys() == records.blobs.keys()
    assert {each["content"]["url"] for each in far.all("Media")} == {f"Binary/{each}" for each in whole}
    for record in names:
        assert [each["text"] for each in records.of_kind(record, "answer")] == [f"Respuesta {record}"]
    counts.update(cases=len(names), photos=len(whole), answers=len(names), requests=len(far.requests))
    counts["lies"] += far.told.total()
    counts["sent again"] += sum(far.puts.values()) - len(whole)


def _lie(far: FhirServerFake, random: Random) -> None:
    _lie_of(far.lies, random, AT_ONCE * 2)
    _lie_of(far.file_lies, random, AT_ONCE * PHOTOS)
    _lie_of(far.search_lies, random, 10)


def _lie_of(queue: deque[str], random: Random, requests: int) -> None:
    queue.extend(random.choice(LIES) if random.random() < LIED_RATIO else "" for _ in range(requests))
