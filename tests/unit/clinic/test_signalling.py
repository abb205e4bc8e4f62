"""A socket opens for a page of this host with a genuine link; what is refused is refused in the reader's words."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import aiohttp
import pytest

from gateway.clinic.consultation import Consultation
from gateway.clinic.invitation import Invitation, invite, sign
from gateway.clinic.keeping import Keeping
from gateway.clinic.records.entries import Writer, check
from gateway.clinic.records.states import Handover, Stage
from gateway.clinic.records.views import Actor, Entry, NewEntry, RecordView
from gateway.clinic.room import SOCKETS_PER_PLACE_MAX, ClinicLimits
from gateway.clinic.signalling import REFUSALS_MAX, Socket
from gateway.clock import SystemClock
from gateway.errors import GatewayError, NotAllowed, NotFound
from tests.clinic_server import KEY, Clinic, serving
from tests.waiting import wait_until


class Book:
    """Records in memory: what the room asks of them."""

    def __init__(self) -> None:
        self.kept: dict[str, list[Entry]] = {}
        self.stages: dict[str, Stage] = {}
        self._told: asyncio.Queue[tuple[str, Entry]] = asyncio.Queue()

    async def begin(self, record: str, stage: Stage, *, by: Actor) -> RecordView:
        assert by.writer is Writer.BOX
        self.kept.setdefault(record, [])
        self.stages[record] = stage
        return self._view(record)

    async def move(self, record: str, stage: Stage, *, by: Actor) -> RecordView:
        assert by.writer is Writer.BOX
        self.stages[record] = stage
        return self._view(record)

    async def keep(self, record: str, entry: NewEntry, *, by: Actor) -> Entry:
        if record not in self.kept:
            raise NotFound
        if by.writer is Writer.GUEST and entry.kind != "chat":
            raise NotAllowed
        fields = check(entry.kind, entry.fields)
        kept = Entry(len(self.kept[record]) + 1, entry.id, entry.kind, by.writer, entry.at_wall_s, 0.0, fields)
        self.kept[record].append(kept)
        self._told.put_nowait((record, kept))
        return kept

    async def entries(self, record: str, after: int = 0, *, by: Actor) -> list[Entry]:
        assert by.name
        return [each for each in self.kept.get(record, []) if each.sequence > after]

    async def view(self, record: str, *, by: Actor) -> RecordView | None:
        assert by.writer is Writer.BOX
        return self._view(record) if record in self.stages else None

    async def watch(self) -> AsyncIterator[tuple[str, Entry]]:
        while True:
            yield await self._told.get()

    def _view(self, record: str) -> RecordView:
        return RecordView(
            record, self.stages[record], Handover.NONE, "", None, None, "", 0.0, 0.0, "", 0, 0, 0, False, ""
        )


class Door:
    """A clinic's socket behind a listener, and a browser's way to it."""

    def __init__(self, clinic: Clinic, book: Book) -> None:
        self.room, self.base, self.http, self.tokens = clinic.room, clinic.base, clinic.http, clinic.links
        self.book = book

    async def dial(self, token: str | None = None, origin: str | None = None) -> aiohttp.ClientWebSocketResponse:
        headers = {"Accept-Language": "en"}
        if origin != "":
            headers["Origin"] = origin or self.base
        return await self.http.ws_connect(f"{self.base}/{token or self.tokens.nurse}", headers=headers)

    async def status(self, token: str | None = None, origin: str | None = None) -> int:
        try:
            ws = await self.dial(token, origin)
        except aiohttp.WSServerHandshakeError as exc:
            return exc.status
        await ws.close()
        return 101


@asynccontextmanager
async def opened(limits: ClinicLimits) -> AsyncIterator[Door]:
    book = Book()
    async with serving(limits, capacity=None, far=False, records=book, runs=False) as clinic:
        clinic.begin(clinic.room._follow_records(Keeping(book)))
        yield Door(clinic, book)


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    async with opened(ClinicLimits(link_s=60, video_bps_max=700_000, calls_max=2, messages_per_s_max=50)) as found:
        yield found


async def refusal(ws: aiohttp.ClientWebSocketResponse) -> dict[str, object]:
    async with asyncio.timeout(5):
        while (said := await ws.receive_json())["type"] in {"ping", "outlook"}:
            pass
    assert said["type"] == "refused"
    found: dict[str, object] = said
    return found


async def test_a_page_of_another_host_opens_nothing(door: Door) -> None:
    for origin in ("", "null", "http://evil.example", "file://", door.base + "0", "ws" + door.base[4:], "http://["):
        assert await door.status(origin=origin) == 403, origin
    assert await door.status() == 101


async def test_a_link_that_is_not_genuine_opens_nothing(door: Door) -> None:
    for token in ("x", door.tokens.nurse[:-2], sign(b"other key", Invitation("bed-1", "nurse", 2**40))):
        assert await door.status(token) == 403


async def test_a_link_that_has_run_out_is_told_so_in_words(door: Door) -> None:
    async with await door.dial(sign(KEY, Invitation("bed-1", "nurse", 1_000))) as ws:
        said = await refusal(ws)
        assert said == {
            "type": "refused",
            "message": "This consultation link has expired. Ask the clinic for a new link.",
            "final": True,
        }
        assert (await ws.receive()).type is aiohttp.WSMsgType.CLOSE


async def test_a_request_that_is_no_websocket_gets_a_status(door: Door) -> None:
    headers = {"Origin": door.base, "Accept-Language": "en"}
    async with door.http.get(f"{door.base}/{door.tokens.nurse}", headers=headers) as answer:
        assert answer.status == 400


async def test_nonsense_is_refused_and_too_much_of_it_closes_the_socket(door: Door) -> None:
    async with await door.dial() as ws:
        for _ in range(REFUSALS_MAX):
            await ws.send_str("nonsense")
            assert (await refusal(ws))["final"] is False
        assert (await ws.receive()).type is aiohttp.WSMsgType.CLOSE


async def test_bytes_are_refused_as_words_are(door: Door) -> None:
    async with await door.dial() as ws:
        await ws.send_bytes(b"\x00")
        assert str((await refusal(ws))["message"]).endswith(".")


async def test_a_message_over_the_limit_closes_the_socket(door: Door) -> None:
    async with await door.dial() as ws:
        await ws.send_str("x" * 70_000)
        async with asyncio.timeout(5):
            while (said := await ws.receive()).type is aiohttp.WSMsgType.TEXT:
                pass
        assert said.type is aiohttp.WSMsgType.CLOSE
        assert said.data == aiohttp.WSCloseCode.MESSAGE_TOO_BIG


async def test_messages_too_fast_close_the_socket() -> None:
    limits = ClinicLimits(link_s=60, video_bps_max=700_000, calls_max=2, messages_per_s_max=2)
    async with opened(limits) as door, await door.dial() as ws:
        for _ in range(5):
            await ws.send_str('{"type":"pong"}')
        assert str((await refusal(ws))["message"]).startswith("That was asked too often.")
        assert (await ws.receive()).type is aiohttp.WSMsgType.CLOSE


async def test_only_so_many_sockets_are_served() -> None:
    limits = ClinicLimits(link_s=60, video_bps_max=700_000, calls_max=2, sockets_max=1)
    async with opened(limits) as door, await door.dial():
        assert await door.status() == 503


async def test_one_link_cannot_fill_the_clinic() -> None:
    limits = ClinicLimits(link_s=60, video_bps_max=700_000, calls_max=2, sockets_max=SOCKETS_PER_PLACE_MAX + 1)
    async with opened(limits) as door, AsyncExitStack() as held:
        sockets = [await held.enter_async_context(await door.dial()) for _ in range(SOCKETS_PER_PLACE_MAX + 3)]
        async with asyncio.timeout(5):
            while (await sockets[0].receive()).type is aiohttp.WSMsgType.TEXT:
                pass
        assert door.room.statistics().sockets == SOCKETS_PER_PLACE_MAX


async def test_a_socket_that_closes_leaves_nothing(door: Door) -> None:
    for _ in range(5):
        async with await door.dial() as ws:
            await ws.send_str('{"type":"resume"}')
            await ws.send_str('{"type":"offer","sdp":"v=0"}')
    await wait_until(lambda: door.room.statistics().sockets == 0)
    assert door.room.statistics().consultations == 0


async def test_stopping_closes_sockets_that_never_joined(door: Door) -> None:
    async with await door.dial() as ws:
        await wait_until(lambda: door.room.statistics().sockets == 1)
        await door.room.stop()
        async with asyncio.timeout(5):
            while (await ws.receive()).type is aiohttp.WSMsgType.TEXT:
                pass
        assert await door.status() == 503


def written(kind: str = "chat", **fields: object) -> tuple[str, str]:
    name = str(uuid.uuid4())
    said = {"type": "entry", "id": name, "kind": kind, "at": 1.8e9, "fields": fields or {"text": "hello"}}
    return name, json.dumps(said)


async def heard(ws: aiohttp.ClientWebSocketResponse, kind: str) -> dict[str, object]:
    async with asyncio.timeout(5):
        while (said := await ws.receive_json())["type"] != kind:
            assert said["type"] in {"ping", "outlook", "entry", "kept"}, said
    found: dict[str, object] = said
    return found


async def test_what_is_written_is_kept_before_it_is_said_to_be_and_a_record_begins_with_it(door: Door) -> None:
    name, text = written()
    async with await door.dial() as ws:
        await ws.send_str(text)
        assert await heard(ws, "kept") == {"type": "kept", "id": name, "sequence": 1}
        assert door.book.stages == {"bed-1": Stage.TALKING}
        (kept,) = door.book.kept["bed-1"]
        assert (kept.by, kept.fields) == (Writer.NURSE, {"text": "hello"})


async def test_an_entry_that_is_refused_is_named_and_ends_nothing(door: Door) -> None:
    token = door.tokens.link("guest")
    async with await door.dial(token) as ws:
        for kind, fields in (("reason", {"text": "x"}), ("chat", {"text": "x" * 3_000}), ("secret", {})):
            name, text = written(kind, **fields)
            await ws.send_str(text)
            said = await refusal(ws)
            assert (said["id"], said["final"]) == (name, False)
        await ws.send_str(written()[1])
        assert (await heard(ws, "kept"))["sequence"] == 1


async def test_entries_too_fast_are_refused_by_name_and_the_socket_stays(door: Door) -> None:
    async with await door.dial() as ws:
        sent = [written() for _ in range(30)]
        for _, text in sent:
            await ws.send_str(text)
        answers: list[dict[str, object]] = []
        async with asyncio.timeout(10):
            while len(answers) < len(sent):
                if (said := await ws.receive_json())["type"] in {"kept", "refused"}:
                    answers.append(said)
        assert [each["id"] for each in answers] == [name for name, _ in sent]
        assert 20 <= sum(each["type"] == "kept" for each in answers) < 30
        assert not ws.closed


async def test_who_comes_in_later_reads_what_was_written_and_a_guest_only_what_was_said(door: Door) -> None:
    async with await door.dial() as nurse:
        for kind, fields in (("reason", {"text": "fever"}), ("chat", {"text": "one"}), ("chat", {"text": "two"})):
            await nurse.send_str(written(kind, **fields)[1])
            await heard(nurse, "kept")
    async with await door.dial(door.tokens.doctor) as doctor, await door.dial(door.tokens.link("guest")) as guest:
        for ws, sequences in ((doctor, [1, 2, 3]), (guest, [2, 3])):
            await ws.send_str('{"type":"entries","after":0}')
            assert [(await heard(ws, "entry"))["sequence"] for _ in sequences] == sequences
        await doctor.send_str('{"type":"entries","after":2}')
        assert (await heard(doctor, "entry"))["fields"] == {"text": "two"}


async def test_a_long_record_is_read_whole_by_a_page_that_is_slow(door: Door) -> None:
    await door.book.begin("bed-1", Stage.TALKING, by=Actor(Writer.BOX, "box"))
    for _ in range(500):
        await door.book.keep("bed-1", NewEntry("x", "chat", 0.0, {"text": "t" * 500}), by=Actor(Writer.NURSE, "nurse"))
    async with await door.dial() as ws:
        await ws.send_str('{"type":"entries","after":0}')
        await asyncio.sleep(0.05)
        assert [(await heard(ws, "entry"))["sequence"] for _ in range(500)] == list(range(1, 501))


async def test_reading_the_record_over_and_over_is_refused(door: Door) -> None:
    async with await door.dial() as ws:
        for _ in range(3):
            await ws.send_str('{"type":"entries","after":0}')
        assert str((await refusal(ws))["message"]).startswith("That was asked too often.")


async def test_the_links_of_a_consultation_that_was_ended_open_nothing(door: Door) -> None:
    async with await door.dial() as ws:
        door.room.end("bed-1")
        async with asyncio.timeout(5):
            while (await ws.receive()).type is aiohttp.WSMsgType.TEXT:
                pass
    async with await door.dial(door.tokens.doctor) as ws:
        assert await refusal(ws) == {
            "type": "refused",
            "message": "This consultation has ended. Ask the clinic for a new link.",
            "final": True,
        }
    with pytest.raises(NotAllowed):
        door.room.read(door.tokens.nurse)


async def test_a_record_whose_call_is_over_closes_its_links_after_a_restart_too(door: Door) -> None:
    for stage in (Stage.CLOSED, Stage.FINISHED, Stage.ASKED):
        door.book.stages["bed-1"] = stage
        async with await door.dial() as ws:
            assert (await refusal(ws))["final"] is True
    door.book.stages["bed-1"] = Stage.TALKING
    async with await door.dial() as ws:
        await ws.send_str('{"type":"resume"}')
        assert (await heard(ws, "again"))["type"] == "again"


async def test_a_consultation_that_is_called_again_opens_again(door: Door) -> None:
    door.room.end("bed-1")
    door.room.reopen("bed-1")
    assert door.room.read(door.tokens.nurse).role == "nurse"
    assert await door.status() == 101


async def test_a_page_that_looks_at_its_devices_is_told_what_the_link_would_carry(door: Door) -> None:
    async with await door.dial() as ws:
        assert "voice" in str((await heard(ws, "outlook"))["message"])


async def test_no_socket_of_one_consultation_hears_of_another(door: Door) -> None:
    other = invite(KEY, wall_s=SystemClock().wall_s(), link_s=60, consultation="bed-2")
    async with await door.dial() as here, await door.dial(other.nurse) as there:
        await here.send_str(written()[1])
        await heard(here, "kept")
        await there.send_str('{"type":"entries","after":0}')
        await there.send_str('{"type":"resume"}')
        async with asyncio.timeout(5):
            while (said := await there.receive_json())["type"] in {"ping", "outlook"}:
                pass
        assert said == {"type": "again"}


async def test_of_a_flood_no_more_is_read_than_is_refused(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    refused: list[GatewayError] = []
    monkeypatch.setattr(Socket, "refuse", lambda self, error, entry=None: refused.append(error))
    async with await door.dial() as ws:
        with suppress(ConnectionError):
            for _ in range(2_000):
                await ws.send_str("{}")
        while (await ws.receive()).type is not aiohttp.WSMsgType.CLOSED:
            pass
    await wait_until(lambda: not door.room.statistics().sockets)
    assert len(refused) == REFUSALS_MAX


async def test_pings_are_answered_and_too_many_of_them_close_the_socket() -> None:
    limits = ClinicLimits(link_s=60, video_bps_max=700_000, calls_max=2, messages_per_s_max=2)
    async with opened(limits) as door:
        headers = {"Accept-Language": "en", "Origin": door.base}
        async with door.http.ws_connect(f"{door.base}/{door.tokens.nurse}", headers=headers, autoping=False) as ws:
            for _ in range(5):
                await ws.ping(b"there")
            async with asyncio.timeout(5):
                said = [await ws.receive()]
                while said[-1].type is not aiohttp.WSMsgType.CLOSE:
                    said.append(await ws.receive())
        assert [each.data for each in said].count(b"there") == 4


async def test_a_consultation_that_breaks_begins_anew_and_the_others_go_on(door: Door) -> None:
    other = invite(KEY, wall_s=SystemClock().wall_s(), link_s=60, consultation="bed-2")
    beaten: list[str] = []

    def beat(consultation: Consultation) -> None:
        beaten.append("one")
        if consultation is broken:
            raise ZeroDivisionError

    async with await door.dial() as here, await door.dial(other.nurse) as there:
        broken = door.room._consultation("bed-1")
        whole = door.room._consultation("bed-2")
        door.room._each(beat)
        assert len(beaten) == 2
        assert door.room._consultations == {"bed-2": whole}
        async with asyncio.timeout(5):
            while (await here.receive()).type is not aiohttp.WSMsgType.CLOSE:
                pass
        await there.send_str('{"type":"resume"}')
        assert (await heard(there, "again"))["type"] == "again"


async def test_a_record_whose_people_hear_each_other_is_with_the_doctor(door: Door) -> None:
    keeping = Keeping(door.book)
    for before, after in (
        (Stage.WAITING, Stage.TALKING),
        (Stage.BOOKED, Stage.TALKING),
        (Stage.TALKING, Stage.TALKING),
        (Stage.FINISHED, Stage.FINISHED),
    ):
        door.book.stages["bed-1"] = before
        await keeping.note_call("bed-1")
        assert door.book.stages["bed-1"] is after
    await keeping.note_call("bed-2")
    assert "bed-2" not in door.book.stages, "a call without a record begins none"
