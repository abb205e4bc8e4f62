"""The demo's hospital: a FHIR server beyond the link, with somebody there who answers after a while.

A question is answered by itself `ANSWER_S` after it came; a person, or a test, answers at once with `POST /answers`
and {"record": …, "text": …, "medicine": …}. `GET /records` tells which records and files are there. All of it is in
memory, up to a size, and goes with the demo.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable

from aiohttp import web
from pydantic import Field, ValidationError

from gateway.clock import Clock
from gateway.demo.fhir import FHIR_JSON, Body, FhirStore, Refused, check
from gateway.errors import BadRequest, GatewayError
from gateway.listener import Listener
from gateway.market.order import Document
from gateway.units import Address

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
ANSWER_S = 15.0
LOOK_S = 1.0
BODY_BYTES_MAX = 20_000_000
FILES_BYTES_MAX = 200_000_000
ANSWER_BYTES_MAX = 20_000
_ANSWER = "Limpie la herida con agua hervida, cúbrala y contrólela en dos días. (Respuesta de la demostración.)"
_MEDICINE = "Paracetamol 500 mg"


class GivenAnswer(Document):
    """What a doctor answers."""

    record: str = Field(max_length=64)
    text: str = Field(min_length=1, max_length=8_000)
    medicine: str = Field(default="", max_length=200)


class DemoHospital:
    """A FHIR R4 server under `/r4`; with `answers`, questions are answered by themselves."""

    def __init__(self, clock: Clock, *, answers: bool = True) -> None:
        self.store = FhirStore(clock.wall_s())
        self._clock = clock
        self._answers = answers
        self._asked: dict[str, float] = {}  # records by when they asked; -1 where they were answered
        self._files_bytes = 0
        self._listener: Listener | None = None

    async def start(self, host: str, port: int) -> Address:
        """Listen; return where.

        Raises: CannotStart.
        """
        app = web.Application(client_max_size=BODY_BYTES_MAX, middlewares=[self._guarded])
        app.add_routes(
            [
                web.post("/r4", self._transact),
                web.put("/r4/Binary/{id}", self._put_file),
                web.get("/r4/Binary/{id}", self._file),
                web.get("/r4/{type}", self._search),
                web.get("/records", self._records),
                web.post("/answers", self._answer),
            ]
        )
        self._listener = Listener("hospital", Address(host, port), app, _refuse)
        await self._listener.start()
        return self._listener.address

    async def run(self) -> None:
        """Answer what was asked a while ago, until cancelled."""
        while self._answers:
            now_s = self._clock.now_s()
            for record, asked_s in self._asked.items():
                if 0.0 <= asked_s <= now_s - ANSWER_S:
                    await asyncio.to_thread(self._give, GivenAnswer(record=record, text=_ANSWER, medicine=_MEDICINE))
            await asyncio.sleep(LOOK_S)

    async def stop(self) -> None:
        """Stop listening."""
        if self._listener is not None:
            await self._listener.stop()
            self._listener = None

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self.store.wall_s = max(self.store.wall_s, self._clock.wall_s())
        try:
            return await handler(request)
        except Refused as exc:
            return _outcome(exc.status, str(exc))

    async def _transact(self, request: web.Request) -> web.Response:
        if request.content_type != FHIR_JSON:
            raise Refused(415, "no FHIR JSON")
        bundle = await asyncio.to_thread(_checked, await request.read())
        answer = self.store.transact(bundle)
        for each in self.store.all("ServiceRequest"):
            record = each["identifier"][0]["value"].removeprefix("urn:uuid:")
            self._asked.setdefault(record, self._clock.now_s())
        return web.json_response(answer, content_type=FHIR_JSON)

    async def _put_file(self, request: web.Request) -> web.Response:
        content = await request.read()
        if self._files_bytes + len(content) > FILES_BYTES_MAX:
            raise Refused(413, "no room")
        is_new = self.store.put_file(request.match_info["id"], request.content_type, content)
        self._files_bytes += len(content) * is_new
        return web.Response(status=201 if is_new else 200)

    async def _file(self, request: web.Request) -> web.Response:
        found = self.store.binaries.get(request.match_info["id"])
        if found is None:
            raise Refused(404, "no such file")
        return web.Response(body=found[1], content_type=found[0])

    async def _search(self, request: web.Request) -> web.Response:
        found, following = self.store.search(request.match_info["type"], request.query)
        if following is not None:
            url = str(request.url.update_query({"_page": str(following)}))
            found["link"] = [{"relation": "next", "url": url}]
        return web.json_response(found, content_type=FHIR_JSON)

    async def _records(self, request: web.Request) -> web.Response:
        """Tell which records are here, how many resources of each kind, and the names of files."""
        del request
        kinds = {kind: len(those) for kind, those in self.store.kept.items()}
        return web.json_response(
            {"asked": sorted(self._asked), "resources": kinds, "files": sorted(self.store.binaries)}
        )

    async def _answer(self, request: web.Request) -> web.Response:
        if (request.content_length or 0) > ANSWER_BYTES_MAX:
            raise BadRequest
        try:
            given = GivenAnswer.model_validate_json(await request.read())
        except ValidationError as exc:
            raise BadRequest from exc
        await asyncio.to_thread(self._give, given)
        return web.json_response({"answered": given.record}, status=201)

    def _give(self, given: GivenAnswer) -> None:
        self._asked[given.record] = -1.0
        self.store.answer(given.record, given.text)
        if given.medicine:
            self.store.prescribe(given.record, given.medicine)


def _checked(body: bytes) -> Body:
    try:
        bundle = json.loads(body)
    except (ValueError, RecursionError) as exc:
        raise Refused(400, "no JSON") from exc
    if not isinstance(bundle, dict):
        raise Refused(400, "not FHIR")
    check(bundle)
    return bundle


def _outcome(status: int, why: str) -> web.Response:
    issue = {"severity": "error", "code": "processing", "diagnostics": why}
    return web.json_response(
        {"resourceType": "OperationOutcome", "issue": [issue]}, status=status, content_type=FHIR_JSON
    )


def _refuse(request: web.BaseRequest, error: GatewayError) -> web.Response:
    del request
    return _outcome(error.status, error.code)
