"""A record is one Bundle: a transaction that changes nothing when it comes twice, or a collection to carry away. Pure.

In a transaction every entry is a conditional update by our identifier, or a conditional create for what must not be
overwritten; in a collection the files lie inside as Binary.

Source: FHIR R4 3.1.0.11 (transaction), 3.1.0.5.2 (conditional update), 2.36 (Bundle).
"""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.clinic.fhir.naming import Body, Frame, full_url, heading, pruned, real_date, system
from gateway.clinic.fhir.resources import FILES, LAST_HOLDS, media_url, resources
from gateway.clinic.fhir.visit import appointment, encounter, is_known, patient
from gateway.clinic.records.entries import Writer
from gateway.clinic.records.views import DAMAGED, Entry, HandoverItem, RecordView

MEDIA_TYPE = "application/fhir+json"


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource with the id in its identifier; `is_only_new`: one that is there stays as it is."""

    key: str
    body: Body
    is_only_new: bool = False

    @property
    def full_url(self) -> str:
        """How others in the bundle name it."""
        return full_url(self.body["resourceType"], self.key)


def bundle(view: RecordView | HandoverItem, entries: Sequence[Entry], box_name: str) -> bytes:
    """Return a record, or what is new in it, as a transaction; what came from the far side stays out of it."""
    own = [each for each in entries if each.by is not Writer.FAR]
    rows = [_row(each, box_name) for each in _resources(view, own, box_name)]
    return _document("transaction", rows)


def collection(view: RecordView, entries: Sequence[Entry], box_name: str, files: Mapping[str, bytes]) -> bytes:
    """Return a record with all that is in it, the files by hash included; a file that is not given is only named."""
    rows: list[Body] = []
    kinds = _media_types(entries)
    within = {sha256: full_url("Binary", sha256) for sha256 in kinds if sha256 in files}
    for each in _resources(view, entries, box_name):
        body = each.body
        if body["resourceType"] == "Media":
            content = body["content"]
            url = within.get(content["url"].removeprefix(media_url("")), content["url"])
            body = {**body, "content": {**content, "url": url}}
        rows.append({"fullUrl": each.full_url, "resource": body})
    for sha256, url in within.items():
        data = base64.b64encode(files[sha256]).decode()
        binary = {"resourceType": "Binary", "id": sha256, "contentType": kinds[sha256], "data": data}
        rows.append({"fullUrl": url, "resource": binary})
    return _document("collection", rows)


def files(entries: Sequence[Entry]) -> dict[str, str]:
    """Return the files that entries of this side name, as hash and media type, in the order they were written."""
    return _media_types([each for each in entries if each.by is not Writer.FAR])


def _media_types(entries: Sequence[Entry]) -> dict[str, str]:
    return {str(each.fields["sha256"]): str(each.fields["media_type"]) for each in entries if each.kind in FILES}


def _resources(view: RecordView | HandoverItem, entries: Sequence[Entry], box_name: str) -> list[Resource]:
    """Return the resources of some entries, each identifier once: the last one holds."""
    sound = [each for each in entries if each.kind != DAMAGED]
    last = {each.kind: each for each in sound if each.kind in LAST_HOLDS}
    who = last.get("patient")
    frame = Frame(box_name, heading(view), real_date(who.fields["birth_date"]) if who is not None else None)
    record = frame.heading.record
    found = [
        Resource(record, patient(frame, who), is_only_new=who is None),
        Resource(record, encounter(frame, sound), is_only_new=not is_known(frame.heading.stage, sound)),
    ]
    if (booked := appointment(frame)) is not None:
        found.append(Resource(record, booked))
    for entry in sound:
        if last.get(entry.kind, entry) is entry:
            found += [Resource(key, body) for key, body in resources(frame, entry)]
    by_url = {each.full_url: Resource(each.key, pruned(each.body), each.is_only_new) for each in found}
    return list(by_url.values())


def _row(resource: Resource, box_name: str) -> Body:
    resource_type = resource.body["resourceType"]
    condition = f"identifier={system(box_name)}|urn:uuid:{resource.key}"
    if resource.is_only_new:
        request = {"method": "POST", "url": resource_type, "ifNoneExist": condition}
    else:
        request = {"method": "PUT", "url": f"{resource_type}?{condition}"}
    return {"fullUrl": resource.full_url, "resource": resource.body, "request": request}


def _document(bundle_type: str, rows: Sequence[Body]) -> bytes:
    document = {"resourceType": "Bundle", "type": bundle_type, "entry": list(rows)}
    return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
