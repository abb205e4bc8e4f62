"""The account for whoever settles it: usage records as a file, and whether the RADIUS server has been told.

The files are the ones that `tambo usage verify` checks. They name tenants and no device, and are written while they are
read: a year of records takes no more memory than a page of them.
"""

import json
from collections.abc import AsyncIterator, Callable
from typing import Protocol

from aiohttp import web

from gateway.backhaul.account.formats import FAR_S, Format, wall_s_of
from gateway.backhaul.account.radius import WORDS, Heard
from gateway.languages import translate
from gateway.portal import apology
from gateway.portal.figures import plain

_TYPES = {Format.CSV: "text/csv", Format.JSON: "application/x-ndjson"}


class Account(Protocol):
    """The account of the link."""

    def statistics(self) -> object: ...
    def export(self, form: Format, from_s: float, to_s: float) -> AsyncIterator[str]: ...


class RadiusState(Protocol):
    """How the accounting with the RADIUS server is."""

    @property
    def heard(self) -> Heard: ...


class UsageDesk:
    """Hands out the account."""

    def __init__(self, account: Account, radius: Callable[[], RadiusState | None] = lambda: None) -> None:
        self._account = account
        self._radius = radius

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of the desk."""
        return [
            web.get("/usage.csv", self._csv, allow_head=False),
            web.get("/usage.json", self._json, allow_head=False),
            web.get("/usage/stat", self._stat),
        ]

    async def _csv(self, request: web.Request) -> web.StreamResponse:
        return await self._file(request, Format.CSV)

    async def _json(self, request: web.Request) -> web.StreamResponse:
        return await self._file(request, Format.JSON)

    async def _file(self, request: web.Request, form: Format) -> web.StreamResponse:
        """Send the records from one date to another, `from` and `to` in the query: RFC 3339, UTC where none is said."""
        from_s, to_s = wall_s_of(request.query.get("from"), 0.0), wall_s_of(request.query.get("to"), FAR_S)
        response = web.StreamResponse(
            headers={"Cache-Control": "no-store", "Content-Disposition": f'attachment; filename="usage.{form}"'}
        )
        response.content_type, response.charset = _TYPES[form], "utf-8"
        pieces = self._account.export(form, from_s, to_s)
        first = await anext(pieces, "")  # a ledger that cannot be read is said before the answer has begun
        second = await anext(pieces, "")
        await response.prepare(request)
        await response.write((first + second).encode())
        async for piece in pieces:
            await response.write(piece.encode())
        await response.write_eof()
        return response

    async def _stat(self, request: web.Request) -> web.StreamResponse:
        told: dict[str, object] = {"account": plain(self._account.statistics())}
        radius = self._radius()
        if radius is not None:
            words = translate(apology.language_of(request), WORDS[radius.heard])
            told["radius"] = {"words": words, "figures": plain(radius)}
        body = json.dumps(told, ensure_ascii=False).encode()
        return web.Response(body=body, content_type="application/json", headers={"Cache-Control": "no-store"})
