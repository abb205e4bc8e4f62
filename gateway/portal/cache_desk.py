"""The technician's orders about the store of pages: how it is, what to forget, to hold on to and to have ready.

They stand on the technician's listener, which takes what changes something as JSON only. An answer tells what was done;
no address is logged.
"""

import json
from collections.abc import Sequence
from typing import Any, Protocol

from aiohttp import web

from gateway.errors import N_, BadRequest
from gateway.portal.figures import plain
from gateway.web.ahead.warm_record import Run, State
from gateway.web.housekeeping import Pinned, SiteFigures
from gateway.web.store.store import Removed

ADDRESS_CHARS_MAX = 8_192
RUN_WORDS = {
    State.WAITING: N_("Waits for its turn"),
    State.RUNNING: N_("Under way"),
    State.HELD: N_("Waits for the link"),
    State.DONE: N_("Ready"),
    State.STOPPED: N_("Stopped by command"),
    State.SPENT: N_("The day's data is used up"),
    State.CLOSED: N_("Its hours are over"),
    State.FAILED: N_("Broke off; see the log"),
}
WHOLE = ("stored_objects", "stored_bytes", "memory_bytes", "failures_in_a_row")


class Warming(Protocol):
    """The runs that keep pages ready."""

    def begin(self, name: str, *, now: bool) -> Run: ...
    def end(self, name: str) -> Run | None: ...
    def run_of(self, name: str) -> Run | None: ...
    def runs(self) -> Sequence[Run]: ...


class Housekeeping(Protocol):
    """The technician's hand on the store."""

    @property
    def warming(self) -> Warming: ...
    @property
    def size_bytes_max(self) -> int: ...
    async def stat(self) -> Sequence[SiteFigures]: ...
    async def purge(self, address: str) -> Removed: ...
    async def purge_site(self, name: str) -> Removed: ...
    async def purge_group(self, name: str, group: str) -> Removed: ...
    async def pin(self, address: str, *, on: bool) -> Pinned: ...
    async def pin_site(self, name: str, *, on: bool) -> Pinned: ...
    async def pinned(self) -> Sequence[tuple[str, str]]: ...


class Whole(Protocol):
    """The figures of the whole store."""

    @property
    def stored_objects(self) -> int: ...
    @property
    def stored_bytes(self) -> int: ...
    @property
    def memory_bytes(self) -> int: ...
    @property
    def failures_in_a_row(self) -> int: ...


class Pages(Protocol):
    """The room of pages."""

    @property
    def housekeeping(self) -> Housekeeping: ...
    def statistics(self) -> Whole: ...


class CacheDesk:
    """Takes the technician's orders."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._keeping = pages.housekeeping

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of the desk."""
        return [
            web.get("/cache/stat", self._stat),
            web.post("/cache/purge", self._purge),
            web.get("/cache/pin", self._pinned),
            web.post("/cache/pin", self._pin),
            web.post("/cache/warm", self._warm),
            web.post("/cache/warm/stop", self._stop),
            web.get("/cache/warm/{site}", self._progress),
        ]

    async def _stat(self, request: web.Request) -> web.StreamResponse:
        del request
        figures = self._pages.statistics()
        whole = {name: getattr(figures, name) for name in WHOLE}
        whole["size_bytes_max"] = self._keeping.size_bytes_max
        return _json({"sites": plain(list(await self._keeping.stat())), "whole": whole})

    async def _purge(self, request: web.Request) -> web.StreamResponse:
        order = await _order(request)
        if "group" in order:
            removed = await self._keeping.purge_group(_text(order, "site"), _text(order, "group"))
        elif "site" in order:
            removed = await self._keeping.purge_site(_text(order, "site"))
        else:
            removed = await self._keeping.purge(_text(order, "url"))
        return _json(plain(removed))

    async def _pinned(self, request: web.Request) -> web.StreamResponse:
        del request
        pinned = [{"site": site, "url": url} for site, url in await self._keeping.pinned()]
        return _json({"pinned": pinned})

    async def _pin(self, request: web.Request) -> web.StreamResponse:
        order = await _order(request)
        on = _yes(order, "on")
        if "site" in order:
            return _json(plain(await self._keeping.pin_site(_text(order, "site"), on=on)))
        return _json(plain(await self._keeping.pin(_text(order, "url"), on=on)))

    async def _warm(self, request: web.Request) -> web.StreamResponse:
        order = await _order(request)
        name = _text(order, "site")
        return _json(shown(name, self._keeping.warming.begin(name, now=_yes(order, "now"))))

    async def _stop(self, request: web.Request) -> web.StreamResponse:
        name = _text(await _order(request), "site")
        return _json(shown(name, self._keeping.warming.end(name)))

    async def _progress(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["site"]
        return _json(shown(name, self._keeping.warming.run_of(name)))


def shown(name: str, run: Run | None) -> dict[str, object]:
    """Return a run as programs read it; one that never was is in state `never`."""
    if run is None:
        return {"site": name, "state": "never"}
    progress = plain(run.progress)
    told: dict[str, object] = {"site": run.site, "state": run.state.value}
    told |= progress if isinstance(progress, dict) else {}
    return told | {"began_s": run.began_s, "ended_s": run.ended_s}


async def _order(request: web.Request) -> dict[str, Any]:
    try:
        found = await request.json()
    except ValueError as exc:
        raise BadRequest(N_("This is not JSON.")) from exc
    if not isinstance(found, dict):
        raise BadRequest(N_("This is not a JSON object."))
    return found


def _text(order: dict[str, Any], key: str) -> str:
    found = order.get(key)
    if not isinstance(found, str) or not 0 < len(found) <= ADDRESS_CHARS_MAX:
        raise BadRequest(N_("The order lacks %(key)s, or it is no text."), key=key)
    return found


def _yes(order: dict[str, Any], key: str) -> bool:
    found = order.get(key, False)
    if not isinstance(found, bool):
        raise BadRequest(N_("In the order, %(key)s must be true or false."), key=key)
    return found


def _json(document: object) -> web.Response:
    return web.Response(
        body=json.dumps(document, ensure_ascii=False).encode(),
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
