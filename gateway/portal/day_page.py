"""The day's summary: what a shop sold on a day of the village, to read and to print."""

import asyncio
from datetime import timedelta

from aiohttp import web
from babel.dates import format_date

from gateway.clock import clock_state
from gateway.languages import locale
from gateway.market.states import State
from gateway.portal.day_summary import day_of, read_day, span, summary
from gateway.portal.formats import formats
from gateway.portal.order_words import METHODS, state_words
from gateway.portal.people import demand_totals
from gateway.portal.shop_frame import Desk, ShopFrame

ORDERS_MAX = 1_000  # of one day, as many as the market gives at once


class DayPage:
    """A day of a shop."""

    def __init__(self, frame: ShopFrame) -> None:
        self._frame = frame

    def routes(self) -> list[web.RouteDef]:
        """Return the route of this page."""
        return [web.get("/tienda/dia", self._show)]

    async def _show(self, request: web.Request) -> web.StreamResponse:
        desk = self._demand(request)
        zone = formats(desk.visit.language).zone
        wall_s = self._frame.clock.wall_s()
        today = day_of(wall_s, zone)
        day = read_day(request.query.get("dia", "")) or today
        found = await desk.market.made_between(desk.shop, *span(day, zone))
        figures = await asyncio.to_thread(summary, found)
        return self._frame.render(
            request,
            "day.html",
            day=day,
            today=today,
            knows_date=clock_state(wall_s) != "unknown",
            day_words=await asyncio.to_thread(format_date, day, "full", locale=locale(desk.visit.language)),
            before=day - timedelta(days=1),
            after=day + timedelta(days=1) if day < today else None,
            figures=figures,
            methods=METHODS,
            states={state: state_words(state) for state in State},
            is_cut=len(found) >= ORDERS_MAX,
            is_narrow=request.query.get("papel") == "58",
        )

    def _demand(self, request: web.Request) -> Desk:
        desk = self._frame.demand(request)
        demand_totals(desk.account)
        return desk
