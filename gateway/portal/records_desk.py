"""The technician's hand on the clinic's records: how many there are and how they stand, who read them, a way out.

They stand on the technician's listener, which takes what changes something as JSON only. What is told of a record is
its id, stage, handover, counts and age: nothing of a patient. The export is the one thing with more in it: what was
sealed leaves sealed, the rest as a FHIR Bundle; each stands in the trail.
"""

import asyncio
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from aiohttp import web

from gateway.clinic.records.entries import Writer
from gateway.clinic.records.recorded import RecordedStanding
from gateway.clinic.records.sealed_record import SealedRecord
from gateway.clinic.records.states import Stage
from gateway.clinic.records.views import DAMAGED, Access, Actor, Entry, RecordStatistics, RecordView
from gateway.clock import Clock, clock_state
from gateway.errors import BadRequest, NotFound
from gateway.portal.guards import guard

LISTED = 1_000
TECHNICIAN = Actor(Writer.BOX, "technician")
FHIR = "application/fhir+json"
SEALED = "application/zip"


class ClinicRecords(Protocol):
    """The clinic's records."""

    async def view(self, record: str, *, by: Actor) -> RecordView | None: ...
    async def views(
        self, stages: frozenset[Stage] | None = None, *, limit: int = 50, by: Actor
    ) -> Sequence[RecordView]: ...
    async def entries(self, record: str, after: int = 0, *, by: Actor) -> Sequence[Entry]: ...
    async def blob(self, record: str, sha256: str, *, by: Actor) -> bytes | None: ...
    async def take_out(self, record: str, *, by: Actor) -> SealedRecord: ...
    async def audit(self, record: str | None = None, limit: int = 200) -> Sequence[Access]: ...
    def statistics(self) -> RecordStatistics: ...


class ClinicRecordings(Protocol):
    """The recordings that are here."""

    async def of(self, record: str, *, by: Actor) -> Sequence[tuple[Path, RecordedStanding]]: ...


class RecordsDesk:
    """Answers the technician; `box_name` names the box in a Bundle."""

    def __init__(
        self, records: ClinicRecords, clock: Clock, box_name: str, recordings: ClinicRecordings | None = None
    ) -> None:
        self._records = records
        self._recordings = recordings
        self._clock = clock
        self._box_name = box_name

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of the desk."""
        return [
            web.get("/clinic/stat", self._stat),
            web.get("/clinic/records", self._list),
            web.get("/clinic/audit", self._audit),
            web.post("/clinic/export", self._export),
            web.post("/clinic/recordings", self._recorded),
        ]

    async def _stat(self, request: web.Request) -> web.StreamResponse:
        del request
        told = self._records.statistics()
        return _json(
            {
                "stages": {each.value: count for each, count in told.stages.items()},
                "handovers": {each.value: count for each, count in told.handovers.items()},
                "missing": told.missing,
                "damaged": told.damaged,
                "file_bytes": told.file_bytes,
                "put_aside": told.put_aside,
                "failures": told.failures,
                "is_taking": told.is_taking,
            }
        )

    async def _list(self, request: web.Request) -> web.StreamResponse:
        del request
        wall_s = self._clock.wall_s()
        found = await self._records.views(limit=LISTED, by=TECHNICIAN)
        return _json({"records": [_shown(each, wall_s) for each in found]})

    async def _audit(self, request: web.Request) -> web.StreamResponse:
        found = await self._records.audit(request.query.get("record"), LISTED)
        return _json({"lines": [_line(each) for each in found]})

    async def _export(self, request: web.Request) -> web.StreamResponse:
        record = await _named(request)
        view = await self._records.view(record, by=TECHNICIAN)
        if view is None:
            raise NotFound
        entries = [each for each in await self._records.entries(record, by=TECHNICIAN) if each.kind != DAMAGED]
        if view.is_sealed:
            body = await asyncio.to_thread(_packed, await self._records.take_out(record, by=TECHNICIAN))
        else:
            body = await self._bundle(view, entries)
        response = web.Response(body=body, content_type=SEALED if view.is_sealed else FHIR)
        response.headers["Cache-Control"] = "no-store"
        guard(response.headers)
        return response

    async def _recorded(self, request: web.Request) -> web.StreamResponse:
        """Tell where a record's recordings lie, and what opens them, as far as the box can open them itself."""
        record = await _named(request)
        if self._recordings is None:
            raise NotFound
        found = await self._recordings.of(record, by=TECHNICIAN)
        return _json(
            {"recordings": [{"path": str(path), "key": each.key.hex() if each.key else ""} for path, each in found]}
        )

    async def _bundle(self, view: RecordView, entries: Sequence[Entry]) -> bytes:
        from gateway.clinic.fhir.bundle import collection
        from gateway.clinic.fhir.bundle import files as files_of

        found: dict[str, bytes] = {}
        for sha256 in files_of(entries):
            if (content := await self._records.blob(view.id, sha256, by=TECHNICIAN)) is not None:
                found[sha256] = content
        return await asyncio.to_thread(collection, view, entries, self._box_name, found)


async def _named(request: web.Request) -> str:
    try:
        asked = await request.json()
    except ValueError as exc:
        raise BadRequest from exc
    if not isinstance(asked, dict) or set(asked) != {"record"} or not isinstance(asked["record"], str):
        raise BadRequest
    return asked["record"]


def _packed(taken: SealedRecord) -> bytes:
    made = io.BytesIO()
    taken.write(made)
    return made.getvalue()


def _shown(view: RecordView, wall_s: float) -> dict[str, Any]:
    is_known = clock_state(view.changed_wall_s) == "trusted" and view.changed_wall_s <= wall_s
    return {
        "id": view.id,
        "stage": view.stage.value,
        "handover": view.handover.value,
        "ticket": view.ticket,
        "entries": view.entries,
        "missing": view.missing,
        "damaged": view.damaged,
        "is_sealed": view.is_sealed,
        "age_s": wall_s - view.changed_wall_s if is_known else None,
    }


def _line(access: Access) -> dict[str, Any]:
    return {
        "number": access.number,
        "at_wall_s": access.at_wall_s,
        "record": access.record,
        "writer": access.writer.value if access.writer else "",
        "name": access.name,
        "what": access.what,
        "is_sound": access.is_sound,
    }


def _json(document: Mapping[str, object]) -> web.Response:
    response = web.Response(text=json.dumps(document), content_type="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response
