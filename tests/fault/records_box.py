"""A day in the life of a box's records, the same each time, as a program that says each step that is done.

python records_box.py play WORLD FOLDER     `ACK n` after each step, `ACK 0` after the start
python records_box.py kill FOLDER SEED      keeps entries for ever: `ACK record id text` after each
"""

import asyncio
import hashlib
import os
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from random import Random

from gateway.clinic.records import filing, handing
from gateway.clinic.records.blobs import read_whole
from gateway.clinic.records.book import FILE_KINDS, Moment, RecordBook
from gateway.clinic.records.entries import Writer, check
from gateway.clinic.records.letting_go import let_go
from gateway.clinic.records.locks import Locks
from gateway.clinic.records.states import Stage
from gateway.clinic.records.views import Actor, NewEntry, Outcome, delivered, retry
from gateway.clinic.records.writer import RecordWriter
from gateway.durable.database import connect
from gateway.durable.writer import Request
from tests.clocks import HandClock
from tests.unit.clinic.record_world import KEY, LIMITS, MARK, NURSE, an_id, entry, some_records

PUBLIC = "2vYl3Jm0Q5yqX0i0C2w4r0mY1m7lJx4pN8n7o3nF0aE"
WORLDS = {"readable": "", "sealed": PUBLIC}
DAY_S = 86_400.0
PIECE_BYTES = 4_000
FAR = Actor(Writer.FAR, "far")

Work = Callable[[RecordBook, Moment], object]
Step = tuple[Work, ...]
Stand = dict[str, object]


def a_writer(folder: Path, clock: HandClock, world: str) -> RecordWriter:
    """Return a writer of records that runs in the thread of whoever calls it."""
    return RecordWriter(folder, Locks(KEY, WORLDS[world]), clock, LIMITS, "b00t", connect)


def script() -> list[tuple[float, Step]]:
    """Return the steps of the day, each with the time it is done at."""
    random = Random(5)
    one, two, three = (str(uuid.UUID(int=random.getrandbits(128), version=4)) for _ in range(3))

    def new(kind: str, **fields: object) -> NewEntry:
        entry_id = str(uuid.UUID(int=random.getrandbits(128), version=4))
        return NewEntry(entry_id, kind, 1_800_000_000.0, check(kind, fields))

    picture = bytes(random.randrange(256) for _ in range(3 * PIECE_BYTES - 7))
    sha256 = hashlib.sha256(picture).hexdigest()
    photo = new("photo", sha256=sha256, media_type="image/jpeg", size_bytes=len(picture), note=MARK)
    request = new("request", question=MARK, urgency="urgent")
    chats = [new("chat", text=f"{MARK} {count} " + "x" * random.choice([0, 60, 900])) for count in range(28)]
    steps: list[Step] = [
        (_begin(one, Stage.WAITING, new("patient", name=MARK)), _begin(two, Stage.TALKING)),
        (_keep(one, chats[0]), _keep(two, chats[1]), _keep(one, chats[0])),
        (_move(one, Stage.TALKING),),
        (_keep(one, photo),),
        (lambda book, at: filing.begin(book, one, sha256, len(picture), NURSE, at),),
        *((_append(one, sha256, place, picture),) for place in range(0, len(picture), PIECE_BYTES)),
        *((_keep((one, two)[count % 2], chat),) for count, chat in enumerate(chats[2:])),
        (_keep(two, request), _move(two, Stage.ASKED), _move(one, Stage.FINISHED)),
        (_hand_over(two), _hand_over(one)),
        (_due,),
        (_keep(two, new("summary", text=f"{MARK} while under way")),),
        (_settle(two, delivered()),),
        (_due,),
        (_settle(two, delivered()),),
        (_due,),
        (_settle(one, retry(10.0)),),
        (_due,),
        (_settle(one, delivered()),),
        (_keep(two, new("answer", text=MARK, doctor=MARK), FAR),),
        (lambda book, at: book.read(two, 0, NURSE, at),),
        (_move(two, Stage.CLOSED), _begin(three, Stage.BOOKED, new("reason", text=MARK))),
        (let_go,),
        (let_go,),
        (_keep(three, new("note", text=MARK)),),
    ]  # fmt: skip
    going = next(place for place, step in enumerate(steps) if step == (let_go,))
    return [(1_800_000_000.0 + 60 * place + 40 * DAY_S * (place >= going), step) for place, step in enumerate(steps)]


def play(writer: RecordWriter, clock: HandClock, wall_s: float, step: Step) -> None:
    """Do a step, at its time. Raises: what was refused."""
    clock.pass_s(60)
    at = Moment(wall_s, clock.now)
    requests: list[Request[RecordBook]] = [
        Request(lambda book, work=work: work(book, at), True, False)  # type: ignore[misc]
        for work in step
    ]
    writer.serve(requests)
    for request in requests:
        if request.error is not None:
            raise request.error


def stand(writer: RecordWriter) -> Stand:
    """Return all that the records say."""
    book = writer._book
    assert book is not None
    said: Stand = {}
    for standing in book.standings.all():
        entries, files = book.opened(standing), list[object]()
        for each in entries:
            if each.kind in FILE_KINDS:
                sha256 = str(each.fields["sha256"])
                place = filing.find(book, standing.id, sha256, NURSE, Moment(0.0, 0.0))
                files.append((filing.offset(book, standing.id, sha256), place and read_whole(*_words(place), sha256)))
        said[standing.id] = (book.shown(standing), entries, files, standing.sent_key, standing.tries)
    writer._waiting.lines.clear()
    trail = book.trail.read(None, 1_000)
    assert all(each.is_sound for each in trail), "the trail is whole"
    said["trail"] = [(each.number, each.record, each.what) for each in trail]
    assert not book.standings.damaged
    return said


def _words(place: filing.Place) -> tuple[Path, bytes]:
    return place.path, place.key


def _begin(record: str, stage: Stage, *entries: NewEntry) -> Work:
    return lambda book, at: book.begin(record, stage, None, "", entries, NURSE, at)


def _keep(record: str, new: NewEntry, by: Actor = NURSE) -> Work:
    return lambda book, at: book.keep(record, new, by, at)


def _move(record: str, stage: Stage) -> Work:
    return lambda book, at: book.move(record, stage, NURSE, at)


def _hand_over(record: str) -> Work:
    return lambda book, at: handing.hand_over(book, record, NURSE, at)


def _append(record: str, sha256: str, place: int, content: bytes) -> Work:
    return lambda book, at: filing.append(book, record, sha256, place, content[place : place + PIECE_BYTES], at)


def _due(book: RecordBook, at: Moment) -> object:
    return handing.next_due(book, at)


def _settle(record: str, outcome: Outcome) -> Work:
    return lambda book, at: handing.settle(book, record, outcome, at)


def play_all(world: str, folder: Path) -> None:
    """Do the whole day, and say what is done."""
    clock = HandClock()
    writer = a_writer(folder, clock, world)
    writer.start()
    os.write(1, b"ACK 0\n")
    for number, (wall_s, step) in enumerate(script(), 1):
        play(writer, clock, wall_s, step)
        os.write(1, f"ACK {number}\n".encode())
    writer.stop()


async def keep_for_ever(folder: Path, seed: int) -> None:
    """Keep entries and parts of a file until killed, and say what is kept."""
    random = Random(seed)
    async with some_records(folder, HandClock()) as records, asyncio.TaskGroup() as tasks:

        async def one() -> None:
            record = an_id()
            await records.begin(record, Stage.TALKING, by=NURSE)
            while True:
                said = entry("chat", text=f"{MARK} {random.random()}")
                await records.keep(record, said, by=NURSE)
                os.write(1, f"ACK {record} {said.id} {said.fields['text']}\n".encode())

        for _ in range(4):
            tasks.create_task(one())


def main(way: str, *others: str) -> None:
    """Do as asked."""
    if way == "play":
        play_all(others[0], Path(others[1]))
    else:
        asyncio.run(keep_for_ever(Path(others[0]), int(others[1])))


if __name__ == "__main__":
    main(*sys.argv[1:])
