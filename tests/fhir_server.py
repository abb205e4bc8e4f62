"""A small, strict FHIR R4 server in memory: what it takes holds against the standard, and it can be told to lie.

It knows what the handing over needs: transactions of conditional updates and creates, Binary under ids of the client's
choice, and the search for answers with what they belong to. A lie is told once, for the request it is meant for.
"""

import json
import re
from collections import Counter, deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from aiohttp import web
from fhir.resources.R4B import get_fhir_model_class
from pydantic import ValidationError

FHIR_JSON = "application/fhir+json"
_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")
_MATCH = re.compile(r"identifier=([^|]+)\|(.+)")
_URN = re.compile(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SEARCHES = {
    "Communication": ("based-on:ServiceRequest.identifier", "Communication:based-on", "basedOn"),
    "MedicationRequest": ("encounter:Encounter.identifier", "MedicationRequest:encounter", "encounter"),
}
LIES = (
    "lose",  # takes effect, and says 500
    "cut",  # the connection goes after half the body
    "cut-answer",  # takes effect, and the answer is cut
    "busy",  # 429 with Retry-After
    "double",  # takes effect, and says of each entry twice that it did
    "precondition",  # 412, no effect
    "broken",  # 503
)

Body = dict[str, Any]


class Refused(Exception):
    """What was sent does not hold."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class FhirServerFake:
    """The far side of a handover."""

    def __init__(self, *, takes: tuple[str, ...] = ("", "gzip"), page: int = 50) -> None:
        self.kept: dict[str, dict[str, Body]] = {}  # by type and id
        self.binaries: dict[str, tuple[str, bytes]] = {}
        self.stored: Counter[str] = Counter()  # times that something was created or changed, by type/id
        self.lies: deque[str] = deque()  # for records
        self.file_lies: deque[str] = deque()
        self.search_lies: deque[str] = deque()
        self.told: Counter[str] = Counter()  # lies
        self.refuses: Callable[[Body], bool] = lambda bundle: False  # for ever, with 422
        self.requests: list[tuple[str, str]] = []  # method and path with its query
        self.puts: Counter[str] = Counter()  # files that came whole, by hash
        self.token: str | None = None
        self.wall_s = 1_800_000_000.0
        self._takes = takes
        self._page = page
        self._numbers = iter(range(1, 1_000_000))
        self._runner: web.AppRunner | None = None

    async def start(self) -> str:
        """Listen; return the base address."""
        app = web.Application(client_max_size=50_000_000, middlewares=[self._guarded])
        app.router.add_post("/r4", self._transaction)
        app.router.add_put("/r4/Binary/{id}", self._put_binary)
        app.router.add_get("/r4/Binary/{id}", self._get_binary)  # and HEAD
        app.router.add_get("/r4/{type}", self._search)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}/r4"

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

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
        _valid(body)
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

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.requests.append((request.method, request.path_qs))
        if self.token is not None and request.headers.get("Authorization") != f"Bearer {self.token}":
            return _outcome(401, "who are you")
        if request.method == "HEAD":
            lie = ""
        else:
            lies = {"POST": self.lies, "PUT": self.file_lies}.get(request.method, self.search_lies)
            lie = lies.popleft() if lies else ""
            self.told.update([lie] if lie else [])
        match lie:
            case "busy":
                return web.Response(status=429, headers={"Retry-After": "0"})
            case "broken":
                return _outcome(503, "later")
            case "precondition":
                return _outcome(412, "several match")
            case "cut":
                await request.content.read(max((request.content_length or 0) // 2, 1))
                assert request.transport is not None
                request.transport.abort()
                return web.Response()
        try:
            answer: web.Response = await handler(request)
        except Refused as exc:
            return _outcome(exc.status, str(exc))
        answer.headers["Date"] = datetime.fromtimestamp(self.wall_s, UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
        match lie:
            case "lose":
                return _outcome(500, "lost")
            case "double":
                return _doubled(answer)
            case "cut-answer":
                return await _cut(request, answer)
        return answer

    async def _transaction(self, request: web.Request) -> web.Response:
        if request.headers.get("Content-Encoding", "") not in self._takes:
            raise Refused(415, "an unknown coding")
        body = await request.read()  # decoded by the listener
        if request.content_type != FHIR_JSON:
            raise Refused(415, "no FHIR JSON")
        try:
            bundle = json.loads(body)
        except ValueError as exc:
            raise Refused(400, "no JSON") from exc
        _valid(bundle)
        if bundle["resourceType"] != "Bundle" or bundle["type"] != "transaction":
            raise Refused(400, "no transaction")
        if self.refuses(bundle):
            raise Refused(422, "not this one")
        rows = [self._applied(*each) for each in self._planned(bundle["entry"])]
        answer = {"resourceType": "Bundle", "type": "transaction-response", "entry": rows}
        return web.json_response(answer, content_type=FHIR_JSON)

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

    async def _put_binary(self, request: web.Request) -> web.Response:
        resource_id = request.match_info["id"]
        content = await request.read()
        if _ID.fullmatch(resource_id) is None:
            raise Refused(400, "no id")
        is_new = resource_id not in self.binaries
        self.binaries[resource_id] = (request.content_type, content)
        self.puts[resource_id] += 1
        return web.Response(status=201 if is_new else 200)

    async def _get_binary(self, request: web.Request) -> web.Response:
        found = self.binaries.get(request.match_info["id"])
        if found is None:
            raise Refused(404, "no such file")
        return web.Response(body=found[1], content_type=found[0])

    async def _search(self, request: web.Request) -> web.Response:
        resource_type, query = request.match_info["type"], dict(request.query)
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
        assert bar
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
        links = []
        if len(found) > first + count:
            links = [{"relation": "next", "url": str(request.url.update_query({"_page": str(first + count)}))}]
        answer = {"resourceType": "Bundle", "type": "searchset", "link": links, "entry": rows}
        return web.json_response(answer, content_type=FHIR_JSON)

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
        assert len(found) == 1
        return str(found[0])


def _valid(body: Body) -> None:
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


def _outcome(status: int, why: str) -> web.Response:
    issue = {"severity": "error", "code": "processing", "diagnostics": why}
    return web.json_response(
        {"resourceType": "OperationOutcome", "issue": [issue]}, status=status, content_type=FHIR_JSON
    )


def _doubled(answer: web.Response) -> web.Response:
    assert isinstance(answer.body, bytes)
    document = json.loads(answer.body or b"{}")
    document["entry"] = document.get("entry", []) * 2
    return web.json_response(document, content_type=FHIR_JSON)


async def _cut(request: web.Request, answer: web.Response) -> web.StreamResponse:
    body = answer.body if isinstance(answer.body, bytes) else b""
    cut = web.StreamResponse(status=answer.status, headers={"Content-Length": str(len(body) + 10)})
    await cut.prepare(request)
    await cut.write(body[: len(body) // 2])
    assert request.transport is not None
    request.transport.abort()
    return cut
