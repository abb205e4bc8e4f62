"""The technician's listener: is the box alive, is it ready, how is it, in words and in numbers.

It has no accounts, so who may ask is decided by where it listens, and by the host names it answers to: a page of
another origin whose name was made to point here (DNS rebinding) asks with that name and is refused. What changes
something must be JSON: no form of a foreign page can send that without asking first.

Source: RFC 9110 §15.5.20 (421), Fetch §4.8 (preflight), OWASP ASVS 5.0 §3.5.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Collection, Sequence
from functools import partial

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from gateway import __version__
from gateway.errors import N_, BadRequest, NotAllowed, WrongHost
from gateway.languages import translate
from gateway.market.room import MarketStatistics
from gateway.portal import apology
from gateway.portal.cache_desk import RUN_WORDS, shown
from gateway.portal.coding import code_response
from gateway.portal.environment import environment
from gateway.portal.figures import figures, plain
from gateway.portal.guards import guard
from gateway.portal.link_desk import LinkDesk
from gateway.portal.link_metrics import link_document
from gateway.portal.link_words import in_words
from gateway.portal.metrics import process_registry, registry
from gateway.portal.origins import SAFE_METHODS, came_from_here, host_name
from gateway.portal.statics import Statics
from gateway.portal.view import BoxView

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def admin_application(
    view: BoxView, allowed_hosts: Collection[str], extra: Sequence[web.RouteDef] = ()
) -> web.Application:
    """Return the technician's pages; `allowed_hosts` are host names without ports, `extra` routes stand beside them."""
    desk = AdminDesk(view, Statics(), frozenset(host.lower() for host in allowed_hosts))
    made = web.Application(client_max_size=65_536, middlewares=[desk.meet])
    made.on_startup.append(desk.load)
    made.on_shutdown.append(desk.link_desk.close)
    made.add_routes([*desk.routes(), *extra])
    return made


class AdminDesk:
    """Answers the technician, and the programs that watch the box."""

    def __init__(self, view: BoxView, statics: Statics, allowed_hosts: frozenset[str]) -> None:
        self._view = view
        self._statics = statics
        self._allowed_hosts = allowed_hosts
        self._box = registry(view)
        self._process = process_registry()
        self.link_desk = LinkDesk(view, statics)

    async def load(self, application: web.Application) -> None:
        """Read what the page is made of."""
        del application
        await asyncio.to_thread(self._load)

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of this listener."""
        return [
            web.get("/", self._page),
            web.get("/healthz", self._health),
            web.get("/readyz", self._readiness),
            web.get("/status.json", self._status),
            web.get("/metrics", self._metrics),
            *self.link_desk.routes(),
            *self._statics.routes(),
        ]

    @web.middleware
    async def meet(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let a request pass when its host is ours, and what changes something when no foreign page made it."""
        if host_name(request.headers.get("Host", "")) not in self._allowed_hosts:
            raise WrongHost
        if request.method not in SAFE_METHODS:
            _demand_program(request)
        response = await handler(request)
        if not response.prepared:
            guard(response.headers)
        return response

    async def _health(self, request: web.Request) -> web.StreamResponse:
        del request
        return _json({"alive": True})

    async def _readiness(self, request: web.Request) -> web.StreamResponse:
        parts = self._parts(apology.language_of(request))
        ready = all(part["ready"] for part in parts)
        return _json({"ready": ready, "parts": parts}, status=200 if ready else 503)

    async def _status(self, request: web.Request) -> web.StreamResponse:
        tag, status = apology.language_of(request), self._view.link()
        return _json(
            {
                "version": __version__,
                "parts": self._parts(tag),
                "link": {
                    "state": status.state.value,
                    "told_by": status.told_by,
                    "capacity": plain(status.capacity),
                    "moved": plain({each.value: moved for each, moved in self._view.moved().items()}),
                    **link_document(self._view.watch(), partial(translate, tag)),
                },
                "web": plain(self._view.web()),
                "market": plain(self._view.market()),
                "clinic": plain(self._view.clinic()),
                "warm": [shown(run.site, run) for run in self._view.warmed()],
            }
        )

    async def _metrics(self, request: web.Request) -> web.StreamResponse:
        body = generate_latest(self._box) + await asyncio.to_thread(generate_latest, self._process)
        response = web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})
        return code_response(response, request.headers.get("Accept-Encoding", ""))

    async def _page(self, request: web.Request) -> web.StreamResponse:
        tag = apology.language_of(request)
        status = self._view.link()
        rooms = {"web": self._view.web(), "market": self._view.market(), "clinic": self._view.clinic()}
        text = (
            environment(tag)
            .get_template("status.html")
            .render(
                tag=tag,
                asset=self._statics.url,
                version=__version__,
                parts=self._parts(tag),
                link=in_words(status, status.since_s),
                moved=self._view.moved().items(),
                runs=[(run, RUN_WORDS[run.state]) for run in self._view.warmed()],
                orders=rooms["market"] if isinstance(rooms["market"], MarketStatistics) else None,
                rooms={room: _shown(room, record) for room, record in rooms.items() if record is not None},
            )
        )
        response = web.Response(text=text, content_type="text/html")
        return code_response(response, request.headers.get("Accept-Encoding", ""))

    def _parts(self, tag: str) -> list[dict[str, object]]:
        return [
            {"name": part.name, "ready": part.ready, "reason": translate(tag, part.reason)}
            for part in self._view.parts()
        ]

    def _load(self) -> None:
        self._statics.load()
        apology.load()


def _shown(room: str, record: object) -> list[tuple[str, float]]:
    return [(each.name.removeprefix(f"tambo_{room}_").replace("_", " "), each.value) for each in figures(room, record)]


def _demand_program(request: web.Request) -> None:
    if request.content_type != "application/json":
        raise BadRequest(N_("This must be sent as JSON."), N_("Send it with Content-Type application/json."))
    told = "Origin" in request.headers or "Sec-Fetch-Site" in request.headers
    if told and not came_from_here(request.headers, request.scheme, request.headers.get("Host", "")):
        raise NotAllowed


def _json(document: object, status: int = 200) -> web.Response:
    return web.Response(
        status=status,
        body=json.dumps(document, ensure_ascii=False).encode(),
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
