"""The queue: what waits, what needs a person, what is done, each with its reason; nothing here must be pressed."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from aiohttp import web

from gateway.clock import clock_state
from gateway.errors import N_, Conflict, NotFound
from gateway.market.order import is_order_id
from gateway.market.records import OrderView
from gateway.market.states import State
from gateway.portal.formats import formats
from gateway.portal.order_words import OrderWords, in_words, is_waiting, may_go_again
from gateway.portal.shop_frame import Desk, ShopFrame

PATH = "/tienda/pedidos"
ROWS = 50
_NUMBER = re.compile(r"[1-9][0-9]{0,17}\Z")
_TRIED = N_("The link is tried now. Orders also leave without this, as soon as they can.")
_AGAIN = N_("The order goes once more.")
_NOT_AGAIN = N_("This order changed meanwhile and was not touched. This is how it stands now.")


@dataclass(frozen=True, slots=True)
class Choice:
    """A part of the queue: its name in the address, in words, and what to say when it is empty (message ids)."""

    key: str
    name: str
    empty: str
    states: frozenset[State] | None


CHOICES = (
    Choice("", N_("All"), N_("There is no order yet."), None),
    Choice(
        "espera",
        N_("Waiting"),
        N_("Nothing is waiting to leave."),
        frozenset({State.RECORDED, State.QUEUED, State.SENDING, State.AT_HUB}),
    ),
    Choice("decidir", N_("Needs you"), N_("Nothing needs you."), frozenset({State.NEEDS_ATTENTION})),
    Choice(
        "listo",
        N_("Done"),
        N_("Nothing is done yet."),
        frozenset({State.ACCEPTED, State.FULFILLED, State.CANCELLED, State.REJECTED}),
    ),
)
_BY_KEY: Mapping[str, Choice] = MappingProxyType({choice.key: choice for choice in CHOICES})


@dataclass(frozen=True, slots=True)
class ShownOrder:
    """An order in the list; `waits_s` is since when it has waited, where that is known."""

    order: OrderView
    words: OrderWords
    reason: str
    when: str
    waits_s: float | None
    may_go_again: bool

    @property
    def buyer(self) -> str:
        """Who gets it."""
        return self.order.order.buyer.name if self.order.order else ""


class QueuePage:
    """A shop's orders, newest first, fifty at a time."""

    def __init__(self, frame: ShopFrame) -> None:
        self._frame = frame

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of this page."""
        return [web.get(PATH, self._show), web.post(PATH, self._act)]

    async def _show(self, request: web.Request) -> web.StreamResponse:
        return await self._page(request, self._frame.demand(request))

    async def _act(self, request: web.Request) -> web.StreamResponse:
        desk = self._frame.demand(request)
        form = await self._frame.identity.take_form(request)
        if not (again := form.get("again", "")):
            desk.market.send_now()
            desk.market.storefront.sync_now()
            return await self._page(request, desk, desk.say(_TRIED))
        if not is_order_id(again):
            raise NotFound
        try:
            await desk.market.requeue(again, desk.shop)
        except Conflict:
            return await self._page(request, desk, desk.say(_NOT_AGAIN), 409)
        return await self._page(request, desk, desk.say(_AGAIN))

    async def _page(self, request: web.Request, desk: Desk, notice: str = "", status: int = 200) -> web.Response:
        choice = _BY_KEY.get(request.query.get("ver", ""), CHOICES[0])
        asked = request.query.get("antes", "")
        before = int(asked) if _NUMBER.match(asked) else None
        found = await desk.market.orders(desk.shop, ROWS + 1, before=before, states=choice.states)
        orders = [self._shown(desk, order) for order in found[:ROWS]]
        return self._frame.render(
            request,
            "orders.html",
            status=status,
            orders=orders,
            choice=choice,
            choices=CHOICES,
            is_first=before is None,
            more=orders[-1].order.number if len(found) > ROWS else None,
            notice=notice,
            heard_s=self._since(desk.market.statistics().drain.heard_wall_s),
        )

    def _shown(self, desk: Desk, order: OrderView) -> ShownOrder:
        waits_s = self._since(order.recorded_wall_s) if is_waiting(order) else None
        return ShownOrder(
            order,
            in_words(order),
            desk.say(order.reason),
            formats(desk.visit.language).when(order.recorded_wall_s),
            waits_s,
            may_go_again(order),
        )

    def _since(self, wall_s: float | None) -> float | None:
        """Return how long ago something was, where both dates are known."""
        now_s = self._frame.clock.wall_s()
        if wall_s is None or "unknown" in {clock_state(now_s), clock_state(wall_s)}:
            return None
        return max(now_s - wall_s, 0.0)
