"""A small, strict FHIR R4 server in memory: what it takes holds against the standard, and it can be told to lie.

A lie is told once, for the request it is meant for.
"""

import json
from collections import Counter, deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from gateway.demo.fhir import FHIR_JSON, Body, FhirStore, Refused, check

__all__ = ["FHIR_JSON", "LIES", "FhirServerFake", "Refused"]

LIES = (
    "lose",  # takes effect, and says 500
    "cut",  # the connection goes after half the body
    "cut-answer",  # takes effect, and the answer is cut
    "busy",  # 429 with Retry-After
    "double",  # takes effect, and says of each entry twice that it did
    "precondition",  # 412, no effect
    "broken",  # 503
)


class FhirServerFake(FhirStore):
    """The far side of a handover."""

    def __init__(self, *, takes: tuple[str, ...] = ("", "gzip"), page: int = 50) -> None:
        super().__init__(1_800_000_000.0, page=page)
        self.lies: deque[str] = deque()  # for records
        self.file_lies: deque[str] = deque()
        self.search_lies: deque[str] = deque()
        self.told: Counter[str] = Counter()  # lies
        self.refuses: Callable[[Body], bool] = lambda bundle: False  # for ever, with 422
        self.requests: list[tuple[str, str]] = []  # method and path with its query
        self.token: str | None = None
        self._takes = takes
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
        check(bundle)
        if self.refuses(bundle):
            raise Refused(422, "not this one")
        return web.json_response(self.transact(bundle), content_type=FHIR_JSON)

    async def _put_binary(self, request: web.Request) -> web.Response:
        is_new = self.put_file(request.match_info["id"], request.content_type, await request.read())
        return web.Response(status=201 if is_new else 200)

    async def _get_binary(self, request: web.Request) -> web.Response:
        found = self.binaries.get(request.match_info["id"])
        if found is None:
            raise Refused(404, "no such file")
        return web.Response(body=found[1], content_type=found[0])

    async def _search(self, request: web.Request) -> web.Response:
        found, following = self.search(request.match_info["type"], request.query)
        if following is not None:
            url = str(request.url.update_query({"_page": str(following)}))
            found["link"] = [{"relation": "next", "url": url}]
        return web.json_response(found, content_type=FHIR_JSON)


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
