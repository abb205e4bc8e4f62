"""What a small, strict FHIR R4 server keeps, in memory: what it takes holds against the standard, or is refused.

It knows what the handing over needs: transactions of conditional updates and creates, files under ids of the client's
choice, and the search for answers with what they belong to.

Source: FHIR R4 3.1.0.7.1 (conditional update), 3.1.0.11 (transaction), 3.1.1 (search), 2.35 (Binary).
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

FHIR_JSON = "application/fhir+json"
_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")
_MATCH = re.compile(r"identifier=([^|]+)\|(.+)")
_URN = re.compile(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SEARCHES = {
    "Communication": ("based-on:ServiceRequest.identifier", "Communication:based-on", "basedOn"),
    "MedicationRequest": ("encounter:Encounter.identifier", "MedicationRequest:encounter", "encounter"),
}
Body = dict[str, Any]


class Refused(Exception):
    """What was sent does not hold."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class FhirStore:
    """Resources and files; the clock moves with each change, so that no two have the same time."""

    def __init__(self, wall_s: float, *, page: int = 50) -> None:
        self.kept: dict[str, dict[str, Body]] = {}  # by type and id
        self.binaries: dict[str, tuple[str, bytes]] = {}
        self.stored: Counter[str] = Counter()  # times that something was created or changed, by type/id
        self.puts: Counter[str] = Counter()  # files that came whole, by hash
        self.wall_s = wall_s
        self._page = page
        self._numbers = iter(range(1, 1_000_000))

    def all(self, resource_type: str) -> list[Body]:
        """Return the resources of a type."""
        return list(self.kept.get(resource_type, {}).values())

    def identified(self) -> Counter[tuple[str, str]]:
        """Return how many resources there are of each type and identifier."""
        return Counter(
            (resource_type, each["identifier"][0]["value"])
            for resource_type, those in self.kept.items()
            for each in those.values()
            if each.get("identifier")
        )

    def put(self, body: Body, resource_id: str | None = None) -> str:
        """Keep a resource, as somebody at the far side would; return its id."""
        check(body)
        return self._put(body, resource_id)

    def _put(self, body: Body, resource_id: str | None = None) -> str:
        resource_type = body["resourceType"]
        resource_id = resource_id or str(next(self._numbers))
        those = self.kept.setdefault(resource_type, {})
        before = those.get(resource_id)
        plain = {name: each for name, each in body.items() if name not in ("id", "meta")}
        if before is not None and {name: each for name, each in before.items() if name not in ("id", "meta")} == plain:
            return resource_id  # an update without a change makes no version
        self.stored[f"{resource_type}/{resource_id}"] += 1
        self.wall_s += 0.001
        those[resource_id] = {**plain, "id": resource_id, "meta": {"lastUpdated": _instant(self.wall_s)}}
        return resource_id

    def answer(self, record: str, text: str, **fields: object) -> str:
        """Let a doctor answer a record's question; return the Communication's id."""
        request = self._one("ServiceRequest", record)
        body = {
            "resourceType": "Communication",
            "status": "completed",
            "basedOn": [{"reference": f"ServiceRequest/{request}"}],
            "sent": _instant(self.wall_s),
            "sender": {"display": "Dra. Huamán"},
            "payload": [{"contentString": text}],
        }
        return self.put({**body, **fields})

    def prescribe(self, record: str, medicine: str, **fields: object) -> str:
        """Let a doctor prescribe in a record's encounter; return the MedicationRequest's id."""
        encounter = self._one("Encounter", record)
        body = {
            "resourceType": "MedicationRequest",
            "status": "active",
            "intent": "order",
            "medicationCodeableConcept": {"text": medicine},
            "subject": {"display": "whoever"},
            "encounter": {"reference": f"Encounter/{encounter}"},
            "authoredOn": _instant(self.wall_s),
            "requester": {"display": "Dra. Huamán"},
            "dosageInstruction": [{"text": "1 tableta cada 8 horas"}],
        }
        return self.put({**body, **fields})

    def transact(self, bundle: Body) -> Body:
        """Let a transaction that is valid take effect as a whole; return what is said of it. Raises: Refused."""
        if bundle["resourceType"] != "Bundle" or bundle["type"] != "transaction":
            raise Refused(400, "no transaction")
        rows = [self._applied(*each) for each in self._planned(bundle["entry"])]
        return {"resourceType": "Bundle", "type": "transaction-response", "entry": rows}

    def put_file(self, file_id: str, media_type: str, content: bytes) -> bool:
        """Keep a file; return whether it is new. Raises: Refused."""
        if _ID.fullmatch(file_id) is None:
            raise Refused(400, "no id")
        is_new = file_id not in self.binaries
        self.binaries[file_id] = (media_type, content)
        self.puts[file_id] += 1
        return is_new

    def search(self, resource_type: str, asked: Mapping[str, str]) -> tuple[Body, int | None]:
        """Return a page of what is asked for, and where the next one begins. Raises: Refused."""
        query = dict(asked)
        parameter, include, field = _SEARCHES.get(resource_type, ("", "", ""))
        wanted = query.pop(parameter, "")
        since = query.pop("_lastUpdated", "ge")
        count = min(int(query.pop("_count", "20")), self._page)
        first = int(query.pop("_page", "0"))
        if (
            query.pop("_include", "") != include
            or query.pop("_sort", "") != "_lastUpdated"
            or query
            or not since[:2] == "ge"
        ):
            raise Refused(400, "an unknown parameter")
        system, bar, value = wanted.partition("|")
        if not bar:
            raise Refused(400, "no identifier")
        found = []
        for each in self.all(resource_type):
            there = list(self._named(each.get(field)))
            if any(_has(one, system, value) for one in there) and each["meta"]["lastUpdated"] >= since[2:]:
                found.append((each, there))
        found.sort(key=lambda pair: pair[0]["meta"]["lastUpdated"])
        page = found[first : first + count]
        rows = [{"resource": each, "search": {"mode": "match"}} for each, _ in page]
        included = {f"{one['resourceType']}/{one['id']}": one for _, there in page for one in there}
        rows += [{"resource": each, "search": {"mode": "include"}} for each in included.values()]
        following = first + count if len(found) > first + count else None
        return {"resourceType": "Bundle", "type": "searchset", "entry": rows}, following

    def _planned(self, entries: list[Body]) -> list[tuple[Body, str, bool, dict[str, str]]]:
        """Return each entry with the id it has or gets; a transaction holds as a whole or not at all."""
        own = [each["fullUrl"] for each in entries]
        urls = [
            (each["request"]["method"], each["request"]["url"], each["request"].get("ifNoneExist")) for each in entries
        ]
        if len(set(own)) != len(own) or len(set(urls)) != len(urls) or not all(_URN.fullmatch(each) for each in own):
            raise Refused(400, "entries are not distinct")
        planned, ids = [], dict[str, str]()
        for each in entries:
            body, request = each["resource"], each["request"]
            resource_type = body["resourceType"]
            if request["method"] == "PUT":
                named, _, condition = request["url"].partition("?")
            else:
                named, condition = request["url"], request.get("ifNoneExist", "")
            match = _MATCH.fullmatch(condition)
            if named != resource_type or match is None:
                raise Refused(400, "no condition")
            if {"system": match[1], "value": match[2]} not in body["identifier"]:
                raise Refused(400, "the condition is not about the resource")
            there = self._matching(resource_type, match[1], match[2])
            if len(there) > 1:
                raise Refused(412, "several match")
            resource_id = there[0] if there else str(next(self._numbers))
            ids[each["fullUrl"]] = f"{resource_type}/{resource_id}"
            planned.append((body, resource_id, bool(there) and request["method"] == "POST", ids))
        for reference in _references(entries):
            if reference.startswith("urn:uuid:") and reference not in ids:
                raise Refused(400, "a reference leads nowhere")
        return planned

    def _applied(self, body: Body, resource_id: str, is_left: bool, ids: dict[str, str]) -> Body:
        resource_type = body["resourceType"]
        is_new = resource_id not in self.kept.get(resource_type, {})
        if not is_left:
            text = json.dumps(body)
            for own, there in ids.items():
                text = text.replace(f'"{own}"', f'"{there}"')
            self._put(json.loads(text), resource_id)
        location = f"{resource_type}/{resource_id}/_history/1"
        return {"response": {"status": "201 Created" if is_new else "200 OK", "location": location}}

    def _named(self, value: object) -> Iterator[Body]:
        for each in value if isinstance(value, list) else [value]:
            reference = each.get("reference", "") if isinstance(each, dict) else ""
            resource_type, _, resource_id = reference.partition("/")
            if (found := self.kept.get(resource_type, {}).get(resource_id)) is not None:
                yield found

    def _matching(self, resource_type: str, system: str, value: str) -> list[str]:
        those = self.kept.get(resource_type, {})
        return [resource_id for resource_id, each in those.items() if _has(each, system, value)]

    def _one(self, resource_type: str, record: str) -> str:
        found = [
            each["id"]
            for each in self.all(resource_type)
            if each.get("identifier", [{}])[0].get("value") == f"urn:uuid:{record}"
        ]
        if len(found) != 1:
            raise Refused(404, "no such record")
        return str(found[0])


def check(body: Body) -> None:
    """Hold a resource against the standard; it takes a while. Raises: Refused."""
    from fhir.resources.R4B import get_fhir_model_class
    from pydantic import ValidationError

    try:
        get_fhir_model_class(body["resourceType"]).model_validate_json(json.dumps(body))
    except (ValidationError, ValueError, KeyError, TypeError) as exc:
        raise Refused(400, "not FHIR") from exc


def _has(body: Body, system: str, value: str) -> bool:
    return any(each.get("system") == system and value in ("", each.get("value")) for each in body.get("identifier", []))


def _references(value: object) -> Iterator[str]:
    match value:
        case dict():
            if isinstance(value.get("reference"), str):
                yield value["reference"]
            for each in value.values():
                yield from _references(each)
        case list():
            for each in value:
                yield from _references(each)


def _instant(wall_s: float) -> str:
    return datetime.fromtimestamp(wall_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
