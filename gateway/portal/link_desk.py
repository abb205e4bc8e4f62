"""The link's page for the technician: is it working, who uses it, how much is left; live while somebody looks.

The page holds every figure as it comes. Its script reads the past once (`/link/history.json`) and then what is new as
server-sent events: a small one a second, to few watchers at once, and nothing at all while nobody looks. An event's id
is the number of the hour's last finished stretch, so a browser that comes back gets exactly what it missed.

Source: HTML Living Standard §9.2 (server-sent events).
"""

import asyncio
import json
from collections.abc import Iterator
from functools import partial

from aiohttp import web

from gateway import __version__
from gateway.backhaul.account.history_rings import CELL_S, CELLS, Series, Span
from gateway.backhaul.account.history_summary import summary
from gateway.backhaul.sharing.classes import TrafficClass
from gateway.backhaul.ways.modem_view import NO_MODEM
from gateway.errors import N_, BadRequest, NoCapacity, NotFound
from gateway.languages import language, translate
from gateway.portal import apology, link_shown
from gateway.portal.coding import code_response
from gateway.portal.environment import environment
from gateway.portal.formats import formats
from gateway.portal.guards import guard
from gateway.portal.link_words import in_words
from gateway.portal.statics import Statics
from gateway.portal.view import BoxView, LinkWatch

WATCHERS_MAX = 8  # the technician's screens, and some that were forgotten
BEAT_S = 1.0
WRITE_S = 5.0  # for a watcher to take what was sent; one who takes nothing is left
RETRY_MS = 3_000  # a browser's pause before it comes back
PAUSE_S_MAX = 4 * 3_600.0  # of the bulk class, by one order
PAUSE_S = 3_600
_EVENT_ID_CHARS_MAX = 12


class LinkDesk:
    """Shows the link, and takes the few orders about it."""

    def __init__(
        self, view: BoxView, statics: Statics, *, watchers_max: int = WATCHERS_MAX, beat_s: float = BEAT_S
    ) -> None:
        self._view = view
        self._statics = statics
        self._watchers_max = watchers_max
        self._beat_s = beat_s
        self._watchers = 0
        self._closing = asyncio.Event()

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of the desk."""
        return [
            web.get("/link", self._page),
            web.get("/link/history.json", self._history),
            web.get("/link/events", self._events, allow_head=False),
            web.post("/link/pause", self._pause),
        ]

    @property
    def watchers(self) -> int:
        """How many look on now."""
        return self._watchers

    async def close(self, application: web.Application) -> None:
        """End every stream at once, or the listener would wait for them."""
        del application
        self._closing.set()

    async def _page(self, request: web.Request) -> web.StreamResponse:
        tag, span, watch = apology.language_of(request), _span(request), self._view.watch()
        shown = dict(self._shown(tag, watch))
        if watch is not None:
            shown |= await asyncio.to_thread(_span_texts, tag, watch.history.series(span))
        status = self._view.link()
        text = (
            environment(tag)
            .get_template("link.html")
            .render(
                tag=tag,
                locale=language(tag).formats.replace("_", "-"),
                asset=self._statics.url,
                version=__version__,
                link=in_words(status, status.since_s),
                watch=watch,
                shown=shown,
                span=span.value,
                classes=[(each.value, words) for each, words in link_shown.CLASS_WORDS.items()],
                tenants=list(watch.tenants()) if watch else [],
                allowance=watch.allowance() if watch else None,
                ways=list(watch.ways()) if watch else [],
                watches_modems=watch.watches_modems() if watch else False,
                no_modem=translate(tag, NO_MODEM),
                cannot=[translate(tag, each.words) % each.values for each in watch.cannot()] if watch else [],
                paused_s=watch.bulk_paused_s() if watch else 0.0,
                pause_s=PAUSE_S,
            )
        )
        response = web.Response(text=text, content_type="text/html")
        return code_response(response, request.headers.get("Accept-Encoding", ""))

    async def _history(self, request: web.Request) -> web.StreamResponse:
        history, span = self._watch().history, _span(request)
        series = history.series(span)
        head: dict[str, object] = {
            "span": span.value,
            "cell_s": CELL_S[span],
            "count": CELLS[span],
            "last": series.last,
            "ended_s": history.ended_wall_s(series),
            "classes": [each.value for each in TrafficClass],
        }
        body = await asyncio.to_thread(_drawn, head, apology.language_of(request), series)
        response = web.Response(body=body, content_type="application/json", headers={"Cache-Control": "no-store"})
        return code_response(response, request.headers.get("Accept-Encoding", ""))

    async def _events(self, request: web.Request) -> web.StreamResponse:
        self._watch()
        if self._watchers >= self._watchers_max or self._closing.is_set():
            raise NoCapacity(N_("Too many look at the link at once."), N_("Close another page like this one."))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        guard(response.headers)
        self._watchers += 1
        try:
            await response.prepare(request)
            await self._tell(response, apology.language_of(request), request.headers.get("Last-Event-ID", ""))
        except (ConnectionError, TimeoutError):
            pass  # who looked has gone
        finally:
            self._watchers -= 1
        return response

    async def _tell(self, response: web.StreamResponse, tag: str, last_id: str) -> None:
        """Send what is new, beat by beat, until the watcher goes or the box stops."""
        history = self._watch().history
        known = last_id.isascii() and last_id.isdigit() and len(last_id) <= _EVENT_ID_CHARS_MAX
        at = int(last_id) if known else history.last_finished()
        before: dict[str, str] = {}
        await self._write(response, f"retry: {RETRY_MS}\n\n")
        while not self._closing.is_set():
            watch = self._watch()
            now = dict(self._shown(tag, watch))
            event = {
                "state": self._view.link().state.value,
                "paused_s": round(watch.bulk_paused_s()),
                "words": link_shown.changed(before, now),
                "rows": link_shown.rows_of(history.finished_since(at), CELL_S[Span.HOUR]),
            }
            before, at = now, history.last_finished()
            await self._write(response, f"id: {max(at, 0)}\ndata: {json.dumps(event, ensure_ascii=False)}\n\n")
            try:
                await asyncio.wait_for(self._closing.wait(), self._beat_s)
            except TimeoutError:
                continue

    async def _write(self, response: web.StreamResponse, text: str) -> None:
        async with asyncio.timeout(WRITE_S):
            await response.write(text.encode())

    async def _pause(self, request: web.Request) -> web.StreamResponse:
        watch = self._watch()
        try:
            order = await request.json()
        except ValueError as exc:
            raise BadRequest(N_("This is not JSON.")) from exc
        seconds = order.get("seconds") if isinstance(order, dict) else None
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= PAUSE_S_MAX:
            raise BadRequest(
                N_("The seconds must be a number from 0 to %(most)s."), None, most=formats("en").figure(PAUSE_S_MAX)
            )
        watch.pause_bulk(float(seconds))
        body = json.dumps({"paused_s": round(watch.bulk_paused_s())}).encode()
        return web.Response(body=body, content_type="application/json", headers={"Cache-Control": "no-store"})

    def _watch(self) -> LinkWatch:
        watch = self._view.watch()
        if watch is None:
            raise NotFound
        return watch

    def _shown(self, tag: str, watch: LinkWatch | None) -> Iterator[tuple[str, str]]:
        say, written = partial(translate, tag), formats(tag)
        words = in_words(self._view.link(), 0.0)
        yield "headline", say(words.headline)
        yield "meaning", say(words.meaning)
        if watch is None:
            return
        figures, history = watch.figures(), watch.history
        yield from link_shown.figures_shown(say, written, figures)
        yield from link_shown.use_shown(say, written, history.latest, history.latest_lasted_s)
        yield from link_shown.ways_shown(say, written, watch.ways())
        yield from link_shown.budget_shown(say, written, watch.calls(), watch.call_budget())
        allowance, saved = watch.allowance(), watch.saved()
        if allowance is not None:
            yield from link_shown.allowance_shown(say, written, allowance)
        if saved is not None:
            yield from link_shown.saved_shown(say, written, saved)


def _span(request: web.Request) -> Span:
    asked = request.query.get("span", Span.HOUR.value)
    if asked not in set(Span):
        raise BadRequest(N_("There is no such span."), N_("Ask for hour, day or month."))
    return Span(asked)


def _span_texts(tag: str, series: Series) -> dict[str, str]:
    return dict(link_shown.span_shown(formats(tag), summary(series.cells())))


def _drawn(head: dict[str, object], tag: str, series: Series) -> bytes:
    cells = series.cells()
    rows = link_shown.rows_of(cells, CELL_S[series.span])
    words = dict(link_shown.span_shown(formats(tag), summary(cells)))
    document = head | {"rows": rows, "words": words}
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
